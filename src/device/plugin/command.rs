//! The command line of a plugin, as its profile gives it, and how it is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How to start a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments; `{python}` stands for a Python, see
    /// [`python`].
    pub argv: Vec<String>,
    /// Where it runs; relative paths in `argv` are seen from there.
    pub working_dir: PathBuf,
    pub env: BTreeMap<String, String>,
    /// Longest time for one answer.
    pub timeout: Duration,
    /// Cores it is bound to with `taskset`, such as `0` or `0-3`.
    pub cores: Option<String>,
}

impl CommandLine {
    /// A command line run here, with nothing but its arguments.
    pub fn new(argv: &[&str]) -> Self {
        CommandLine {
            argv: argv.iter().map(ToString::to_string).collect(),
            working_dir: PathBuf::from("."),
            env: BTreeMap::new(),
            timeout: Duration::from_secs(60),
            cores: None,
        }
    }

    /// The words that are run, placeholders replaced.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(cores) = &self.cores {
            words.extend(["taskset", "--cpu-list", cores].map(String::from));
        }
        words.extend(self.argv.iter().map(|word| match word.as_str() {
            "{python}" => python(&self.working_dir),
            other => other.into(),
        }));
        words
    }

    pub(super) fn command(&self) -> Command {
        let words = self.words();
        let mut command = Command::new(words.first().map_or("", String::as_str));
        command
            .args(words.get(1..).unwrap_or(&[]))
            .current_dir(&self.working_dir)
            .envs(&self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// `$BESPOKE_PYTHON`; else the virtual environment `.venv` nearest above the
/// working directory; else `python3`.
fn python(working_dir: &Path) -> String {
    if let Some(python) = std::env::var_os("BESPOKE_PYTHON") {
        return python.to_string_lossy().into_owned();
    }
    let from = std::path::absolute(working_dir).unwrap_or_else(|_| working_dir.into());
    from.ancestors()
        .map(|dir| dir.join(".venv/bin/python"))
        .find(|python| python.is_file())
        .map_or_else(|| "python3".into(), |p| p.to_string_lossy().into_owned())
}
