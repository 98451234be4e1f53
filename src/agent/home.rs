//! The agent's directory: its key and where it belongs, the outcome it still
//! has to deliver, and its cache of networks. One agent uses it at a time.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::AgentError;
use crate::wire::{BlobStore, Digest, FileError, Identity, Outcome, read_private, write_private};

/// Whom the agent belongs to, and its own key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolment {
    /// `HOST:PORT` of the coordinator.
    pub address: String,
    /// Digest of the coordinator's certificate.
    pub server: Digest,
    pub identity: Identity,
    /// The name it was given; `None` until the coordinator has answered.
    pub device: Option<String>,
}

/// The directory, held while the agent runs.
#[derive(Debug)]
pub struct AgentHome {
    path: PathBuf,
    _lock: fs::File,
}

impl AgentHome {
    /// `$XDG_STATE_HOME/bespoke-probe`, else `~/.local/state/bespoke-probe`.
    pub fn default_path() -> PathBuf {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let state = variable("XDG_STATE_HOME")
            .or_else(|| Some(variable("HOME")?.join(".local/state")))
            .unwrap_or_else(|| ".".into());
        state.join("bespoke-probe")
    }

    /// Opens or makes the directory.
    ///
    /// # Errors
    /// When another agent uses it, or the file system refuses.
    pub fn open(path: &Path) -> Result<Self, AgentError> {
        fs::create_dir_all(path).map_err(|e| FileError::io("make", path, e))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .map_err(|e| FileError::io("protect", path, e))?;
        }
        let lock_path = path.join("lock");
        let lock =
            fs::File::create(&lock_path).map_err(|e| FileError::io("make", &lock_path, e))?;
        if lock.try_lock().is_err() {
            return Err(AgentError::Locked(path.into()));
        }
        Ok(AgentHome {
            path: path.into(),
            _lock: lock,
        })
    }

    /// The networks it keeps, at most so many bytes.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn cache(&self, max_bytes: u64) -> Result<BlobStore, FileError> {
        BlobStore::open(&self.path.join("networks"), max_bytes)
    }

    /// # Errors
    /// When the file is damaged or others can read it.
    pub fn enrolment(&self) -> Result<Option<Enrolment>, FileError> {
        read_private(&self.path.join("agent.json"))
    }

    /// # Errors
    /// When the file system refuses.
    pub fn write_enrolment(&self, enrolment: &Enrolment) -> Result<(), FileError> {
        write_private(&self.path.join("agent.json"), enrolment)
    }

    /// What was measured and not yet delivered. A damaged file is none: the
    /// coordinator then asks again.
    pub fn outcome(&self) -> Option<(Digest, Outcome)> {
        read_private(&self.outcome_path()).ok().flatten()
    }

    /// # Errors
    /// When the file system refuses.
    pub fn write_outcome(&self, outcome: &(Digest, Outcome)) -> Result<(), FileError> {
        write_private(&self.outcome_path(), outcome)
    }

    /// It was delivered.
    pub fn forget_outcome(&self) {
        let _ = fs::remove_file(self.outcome_path());
    }

    fn outcome_path(&self) -> PathBuf {
        self.path.join("outcome.json")
    }
}
