//! What packages of the program carry beside it, made from the command line's
//! own definition: completions for shells and manual pages.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;
use miette::{IntoDiagnostic, WrapErr};

pub const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  bespoke completions bash > ~/.local/share/bash-completion/completions/bespoke
  bespoke completions zsh > ~/.zfunc/_bespoke    # with ~/.zfunc in fpath
  bespoke completions fish > ~/.config/fish/completions/bespoke.fish";

pub const MAN_EXAMPLES: &str = "\
Examples:
  bespoke man | man -l -
  bespoke man --out /usr/local/share/man/man1";

#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct Completions {
    shell: Shell,
}

#[derive(Debug, clap::Args)]
#[command(after_help = MAN_EXAMPLES)]
pub struct Man {
    /// Write a page for every command into this directory, made where there is
    /// none; otherwise the program's own page goes to standard output.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn completions(args: Completions) -> miette::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "bespoke", &mut text);
    super::print(&String::from_utf8_lossy(&text));
    Ok(())
}

pub fn man(args: Man) -> miette::Result<()> {
    let command = super::Cli::command();
    if let Some(out) = args.out {
        return std::fs::create_dir_all(&out)
            .and_then(|()| clap_mangen::generate_to(command, &out))
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write the pages to {}", out.display()));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .into_diagnostic()?;
    super::print(&String::from_utf8_lossy(&page));
    Ok(())
}
