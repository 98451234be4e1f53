//! Device profiles: TOML files that say what a device is called, with which
//! engines it is measured, what it can hold and how to reach it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Limits;
use super::plugin::CommandLine;

/// How to reach a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Connection {
    /// The machine this program runs on.
    Local,
    /// A plugin, which may itself reach another device; see `docs/plugins.md`.
    Command(CommandConnection),
}

/// How to start a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConnection {
    /// The program and its arguments, run in `working_dir`. `{python}` stands
    /// for `$BESPOKE_PYTHON`, the nearest `.venv` above, or `python3`.
    pub argv: Vec<String>,
    /// Seen from the profile's directory, which it is where none is given.
    #[serde(default)]
    pub working_dir: PathBuf,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Longest time for one answer, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u32,
    /// Cores that the plugin is bound to, such as `0` or `0-3`.
    pub cores: Option<String>,
}

fn timeout_s() -> u32 {
    60
}

/// One device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Lower-case letters, digits and dashes.
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Engines to measure with; the first is the default. A plugin is one
    /// engine, which bears the profile's name where none is given.
    #[serde(default)]
    pub engines: Vec<String>,
    pub connection: Connection,
    #[serde(default)]
    pub limits: Limits,
    /// Where the profile was read.
    #[serde(skip)]
    dir: PathBuf,
}

/// Why a device profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("cannot read the device profile {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {source}")]
    Syntax {
        path: String,
        source: Box<toml::de::Error>,
    },
    #[error("{path}: `{field}` {reason}")]
    Value {
        path: String,
        field: &'static str,
        reason: &'static str,
    },
}

impl Profile {
    /// Reads a profile from a file.
    ///
    /// # Errors
    /// When the file cannot be read or is no profile; the message has the place.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = std::fs::read_to_string(path).map_err(|source| ProfileError::Read {
            path: path.into(),
            source,
        })?;
        let mut profile = Self::parse(&text, &path.display().to_string())?;
        if let Some(dir) = path.parent() {
            profile.dir = dir.into();
        }
        Ok(profile)
    }

    /// The plugin's command line, for a profile that has one.
    pub fn command_line(&self) -> Option<CommandLine> {
        let Connection::Command(command) = &self.connection else {
            return None;
        };
        // An empty path is the directory it stands for, which cannot be entered.
        let dir = self.dir.join(&command.working_dir);
        Some(CommandLine {
            argv: command.argv.clone(),
            working_dir: match dir.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => dir,
            },
            env: command.env.clone(),
            timeout: Duration::from_secs(command.timeout_s.into()),
            cores: command.cores.clone(),
        })
    }

    /// Reads a profile from text; `path` is what errors call it.
    ///
    /// # Errors
    /// When the text is no profile.
    pub fn parse(text: &str, path: &str) -> Result<Self, ProfileError> {
        let mut profile: Profile = toml::from_str(text).map_err(|source| ProfileError::Syntax {
            path: path.into(),
            source: Box::new(source),
        })?;
        if profile.engines.is_empty() && matches!(profile.connection, Connection::Command(_)) {
            profile.engines = vec![profile.name.clone()];
        }
        profile
            .check()
            .map_err(|(field, reason)| ProfileError::Value {
                path: path.into(),
                field,
                reason,
            })?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err((
                "name",
                "must be made of lower-case letters, digits and dashes",
            ));
        }
        if self.engines.is_empty() {
            return Err((
                "engines",
                "must list at least one engine, such as \"tract\"",
            ));
        }
        for (index, engine) in self.engines.iter().enumerate() {
            if self.engines[..index].contains(engine) {
                return Err(("engines", "lists an engine twice"));
            }
        }
        if let Connection::Command(command) = &self.connection {
            if command
                .argv
                .first()
                .is_none_or(|program| program.is_empty())
            {
                return Err(("connection.argv", "must name a program"));
            }
            if command.timeout_s == 0 {
                return Err(("connection.timeout_s", "must be at least 1"));
            }
            if self.engines.len() != 1 {
                return Err(("engines", "of a plugin can be one only"));
            }
            let list = |c: char| c.is_ascii_digit() || c == '-' || c == ',';
            if let Some(cores) = &command.cores
                && (cores.is_empty() || !cores.chars().all(list))
            {
                return Err((
                    "connection.cores",
                    "must be a list such as \"0\" or \"0-3,6\"",
                ));
            }
        }
        if let Some(problem) = self.limits.problem() {
            return Err(problem);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_profiles_are_valid() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let profile = Profile::read(&path).unwrap();
            assert_eq!(
                path.file_stem().unwrap().to_str(),
                Some(profile.name.as_str())
            );
            names.push(profile.name);
        }
        assert!(names.contains(&"local".to_string()));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let error = |text: &str| Profile::parse(text, "pi.toml").unwrap_err().to_string();
        insta::assert_snapshot!(error("name = \"pi\"\nengine = [\"tract\"]\n"), @r#"
        pi.toml: TOML parse error at line 2, column 1
          |
        2 | engine = ["tract"]
          | ^^^^^^
        unknown field `engine`, expected one of `name`, `description`, `engines`, `connection`, `limits`
        "#);
        let head = "name = \"pi\"\nengines = [\"tract\"]\n";
        insta::assert_snapshot!(error(&format!("{head}connection.kind = \"serial\"\n")), @r#"
        pi.toml: TOML parse error at line 3, column 19
          |
        3 | connection.kind = "serial"
          |                   ^^^^^^^^
        unknown variant `serial`, expected `local` or `command`
        "#);
        let local = format!("{head}connection.kind = \"local\"\n");
        insta::assert_snapshot!(
            error(&format!("{local}limits.latency_ms = -1.0\n")),
            @"pi.toml: `limits.latency_ms` must be a positive number"
        );
        insta::assert_snapshot!(
            error(&local.replace("pi", "My Pi")),
            @"pi.toml: `name` must be made of lower-case letters, digits and dashes"
        );
        insta::assert_snapshot!(
            error(&local.replace("\"tract\"", "\"tract\", \"tract\"")),
            @"pi.toml: `engines` lists an engine twice"
        );
        let limits = Profile::parse(&local, "pi.toml").unwrap().limits;
        assert_eq!(limits, Limits::default());
    }

    #[test]
    fn a_missing_file_is_an_error_with_its_path() {
        let error = Profile::read(Path::new("devices/no-such.toml")).unwrap_err();
        assert!(error.to_string().contains("devices/no-such.toml"));
    }
}
