//! The device profiles at hand, by name: the TOML files in `devices/` of the
//! working directory, or in the directories that `BESPOKE_DEVICES` lists.

use std::path::{Path, PathBuf};

use super::{Profile, ProfileError};

/// Where profiles are looked for.
#[derive(Debug, Clone)]
pub struct Catalogue {
    dirs: Vec<PathBuf>,
}

/// Why a device cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("there is no device or engine `{name}`; known are {known}")]
    Unknown { name: String, known: String },
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("{path}: the profile is called `{name}`, so its file must be {name}.toml")]
    Name { path: String, name: String },
}

impl Catalogue {
    /// The directories in `BESPOKE_DEVICES`, separated as in `PATH`; else `devices`.
    pub fn from_environment() -> Self {
        match std::env::var_os("BESPOKE_DEVICES") {
            Some(list) => Catalogue {
                dirs: std::env::split_paths(&list).collect(),
            },
            None => Self::of(&[Path::new("devices")]),
        }
    }

    pub fn of(dirs: &[&Path]) -> Self {
        Catalogue {
            dirs: dirs.iter().map(|d| d.to_path_buf()).collect(),
        }
    }

    /// The files, sorted by name; the first of equal names counts.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = Vec::new();
        for dir in &self.dirs {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            let toml = |p: &PathBuf| p.extension().is_some_and(|e| e == "toml");
            for path in entries.map(|e| e.path()).filter(toml) {
                if !files.iter().any(|f| f.file_name() == path.file_name()) {
                    files.push(path);
                }
            }
        }
        files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        files
    }

    /// A profile by its name, or by its file where the name ends in `.toml`.
    ///
    /// # Errors
    /// When there is none, or it is no profile.
    pub fn find(&self, name: &str) -> Result<Profile, CatalogueError> {
        if name.ends_with(".toml") {
            return Ok(Profile::read(Path::new(name))?);
        }
        let stem = |path: &PathBuf| path.file_stem().is_some_and(|s| s == name);
        let Some(path) = self.files().into_iter().find(stem) else {
            return Err(CatalogueError::Unknown {
                name: name.into(),
                known: self.names().join(", "),
            });
        };
        let profile = Profile::read(&path)?;
        match profile.name == name {
            true => Ok(profile),
            false => Err(CatalogueError::Name {
                path: path.display().to_string(),
                name: profile.name,
            }),
        }
    }

    /// The names of the profiles, whether they can be read or not.
    pub fn names(&self) -> Vec<String> {
        let files = self.files();
        let stems = files.iter().filter_map(|p| p.file_stem());
        stems.map(|s| s.to_string_lossy().into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_found_by_name_and_by_file() {
        let dir = tempfile::tempdir().unwrap();
        let pi = "name = \"pi\"\nengines = [\"tract\"]\nconnection.kind = \"local\"\n";
        std::fs::write(dir.path().join("pi.toml"), pi).unwrap();
        std::fs::write(dir.path().join("other.toml"), pi).unwrap();
        let catalogue = Catalogue::of(&[Path::new("/no-such-directory"), dir.path()]);
        assert_eq!(catalogue.names(), ["other", "pi"]);
        assert_eq!(catalogue.find("pi").unwrap().name, "pi");
        let file = dir.path().join("other.toml");
        assert_eq!(catalogue.find(file.to_str().unwrap()).unwrap().name, "pi");
        insta::assert_snapshot!(
            catalogue.find("pu").unwrap_err(),
            @"there is no device or engine `pu`; known are other, pi"
        );
        let misnamed = catalogue.find("other").unwrap_err().to_string();
        assert!(misnamed.contains("must be pi.toml"), "{misnamed}");
    }
}
