//! The engines of an agent: those in this program, and the plugins of the device
//! profiles that its owner names on its command line. Nobody else names any: a
//! job chooses among these by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::device::{
    Connection, Engine, Limits, PluginEngine, ProbeError, Profile, ProfileError, TractEngine,
};

/// The engines in this program. A new one is one line here and one in
/// [`Engines::open`].
const OWN: [&str; 1] = ["tract"];

/// Why an agent cannot use a device profile.
#[derive(Debug, thiserror::Error)]
pub enum EnginesError {
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(
        "{path}: an engine `{name}` is there already; give the profile, and its file, another name"
    )]
    Taken { path: String, name: String },
    #[error("{path}: none of its engines ({engines}) is in this program, which has {}", OWN.join(", "))]
    NotHere { path: String, engines: String },
    #[error("no current directory to find {path} from: {source}")]
    Place {
        path: String,
        source: std::io::Error,
    },
}

/// What an agent measures with.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    plugins: Vec<Profile>,
    limits: BTreeMap<String, Limits>,
    paths: Vec<PathBuf>,
}

impl Engines {
    /// This program's engines and those of the profiles. A profile of a plugin is
    /// an engine of its name; one of this machine itself limits the engines here.
    ///
    /// # Errors
    /// When a profile is none, or its engine's name is taken.
    pub fn read(profiles: &[PathBuf]) -> Result<Self, EnginesError> {
        let mut engines = Engines::default();
        for path in profiles {
            let shown = || path.display().to_string();
            // The measuring process and its plugins may run elsewhere.
            let place = std::path::absolute(path).map_err(|source| EnginesError::Place {
                path: shown(),
                source,
            })?;
            let profile = Profile::read(&place)?;
            engines.add(profile, &shown)?;
            engines.paths.push(place);
        }
        Ok(engines)
    }

    fn add(&mut self, profile: Profile, path: &dyn Fn() -> String) -> Result<(), EnginesError> {
        let taken = |name: &str| EnginesError::Taken {
            path: path(),
            name: name.into(),
        };
        match profile.connection {
            Connection::Local => {
                let here = |name: &&String| OWN.contains(&name.as_str());
                let mut own = profile.engines.iter().filter(here).peekable();
                if own.peek().is_none() {
                    return Err(EnginesError::NotHere {
                        path: path(),
                        engines: profile.engines.join(", "),
                    });
                }
                for name in own {
                    if self.limits.insert(name.clone(), profile.limits).is_some() {
                        return Err(taken(name));
                    }
                }
            }
            Connection::Command(_) => {
                if self.names().contains(&profile.name) {
                    return Err(taken(&profile.name));
                }
                self.limits.insert(profile.name.clone(), profile.limits);
                self.plugins.push(profile);
            }
        }
        Ok(())
    }

    /// The profiles' files.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    pub fn has_plugins(&self) -> bool {
        !self.plugins.is_empty()
    }

    /// Names of all engines, the default one first.
    pub fn names(&self) -> Vec<String> {
        let plugins = self.plugins.iter().map(|p| p.name.clone());
        OWN.map(String::from).into_iter().chain(plugins).collect()
    }

    /// What networks must not exceed, for the engines that limit anything.
    pub fn limits(&self) -> BTreeMap<String, Limits> {
        let mut limits = self.limits.clone();
        limits.retain(|_, l| !l.is_none());
        limits
    }

    /// The engine of this name, its plugin started; `None` where there is none.
    ///
    /// # Errors
    /// When the plugin does not start.
    pub fn open(&self, name: &str) -> Result<Option<Box<dyn Engine>>, ProbeError> {
        if name == "tract" {
            return Ok(Some(Box::new(TractEngine)));
        }
        let Some(profile) = self.plugins.iter().find(|p| p.name == name) else {
            return Ok(None);
        };
        let Some(line) = profile.command_line() else {
            return Ok(None);
        };
        let plugin = PluginEngine::start(line, profile.limits)?;
        Ok(Some(Box::new(plugin)))
    }
}

/// The directory in which plugins get their files, below the agent's own.
pub fn scratch_dir(home: &Path) -> PathBuf {
    home.join("scratch")
}
