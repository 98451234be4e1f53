//! `bespoke space fmt`.

use std::path::PathBuf;

use miette::miette;

use crate::space::{SpaceError, check_syntax, format};

pub fn fmt(files: &[PathBuf], check: bool, stdout: bool) -> miette::Result<()> {
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| miette!("cannot read {}: {error}", file.display()))?;
        let name = file.display().to_string();
        // A slip may have moved a bracket: such a file is left as it is.
        let formatted = check_syntax(&text)
            .and_then(|()| format(&text).map_err(|problem| vec![problem]))
            .map_err(|problems| SpaceError::in_file(&name, &text, problems))?;
        if stdout {
            crate::cli::print(&formatted);
        } else if formatted != text {
            match check {
                true => wrong.push(name),
                false => {
                    super::write(file, &formatted)?;
                    crate::cli::print(&format!("formatted {name}\n"));
                }
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(miette!(
            help = format!("run `bespoke space fmt {}`", wrong.join(" ")),
            "not in the standard layout: {}",
            wrong.join(", ")
        )),
    }
}
