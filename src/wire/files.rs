//! Files that hold secrets: readable by their owner alone, and replaced in one
//! step, so that a crash leaves the old one or the new one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a file of the agent's or the coordinator's cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "{} can be read by others (mode {mode:o}); it holds a secret key: \
         chmod 600 it, or make a new one if somebody may have read it",
        path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
}

impl FileError {
    pub fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        FileError::Io {
            action,
            path: path.into(),
            source,
        }
    }
}

/// Writes a value as JSON to a file of mode 0600, replacing it in one step.
///
/// # Errors
/// When the file system refuses.
pub fn write_private<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let json = serde_json::to_vec_pretty(value).expect("plain data");
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // A left-over file could have another mode.
    let _ = fs::remove_file(&beside);
    let mut file = options
        .open(&beside)
        .map_err(|e| FileError::io("write", &beside, e))?;
    file.write_all(&json)
        .and_then(|()| file.sync_all())
        .map_err(|e| FileError::io("write", &beside, e))?;
    fs::rename(&beside, path).map_err(|e| FileError::io("write", path, e))
}

/// Reads what [`write_private`] wrote; `None` where there is no such file.
///
/// # Errors
/// When it cannot be read, is damaged, or others can read it.
pub fn read_private<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FileError::io("read", path, e)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let meta = fs::metadata(path).map_err(|e| FileError::io("read", path, e))?;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(FileError::Exposed {
                path: path.into(),
                mode,
            });
        }
    }
    let value = serde_json::from_slice(&bytes).map_err(|e| FileError::Damaged {
        path: path.into(),
        reason: e.to_string(),
    })?;
    Ok(Some(value))
}
