//! The coordinator's directory: its certificate, its journal, the networks, and
//! what the command line needs to talk to it. Everything secret is readable by
//! its owner alone.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::wire::{Digest, FileError, Identity, read_private, write_private};

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "another coordinator uses {}; end it first, or choose another directory with --state",
        .0.display()
    )]
    Locked(PathBuf),
    #[error(
        "no coordinator was ever started with {}; start one with `bespoke serve`, or name its \
         admin.json in the environment variable BESPOKE_COORDINATOR",
        .0.display()
    )]
    NoAdmin(PathBuf),
}

/// What a client must know: where the coordinator is, what its certificate is,
/// and a key that it obeys. A file of it may be copied to another machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Admin {
    /// `HOST:PORT`.
    pub address: String,
    pub server: Digest,
    pub identity: Identity,
}

impl Admin {
    /// Reads the file that a coordinator wrote.
    ///
    /// # Errors
    /// When there is none, or it is damaged or exposed.
    pub fn read(path: &Path) -> Result<Self, HomeError> {
        read_private(path)?.ok_or_else(|| HomeError::NoAdmin(path.into()))
    }

    /// The file that `BESPOKE_COORDINATOR` names, else that of the default
    /// directory.
    pub fn default_path() -> PathBuf {
        match std::env::var_os("BESPOKE_COORDINATOR") {
            Some(path) => path.into(),
            None => Home::default_path().join(ADMIN),
        }
    }
}

/// The file for clients.
pub const ADMIN: &str = "admin.json";

/// The coordinator's own directory, held while it runs.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    /// Of the server.
    pub identity: Identity,
    /// Of those who may ask for anything.
    pub admin: Identity,
    /// Keeps others out.
    _lock: fs::File,
}

impl Home {
    /// `runs/coordinator`, where runs are kept anyway.
    pub fn default_path() -> PathBuf {
        "runs/coordinator".into()
    }

    /// Opens or makes the directory and its keys.
    ///
    /// # Errors
    /// When another coordinator holds it, or the file system refuses.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
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
        lock.try_lock()
            .map_err(|_| HomeError::Locked(path.into()))?;
        Ok(Home {
            identity: identity(&path.join("server.key"))?,
            admin: identity(&path.join("admin.key"))?,
            path: path.into(),
            _lock: lock,
        })
    }

    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    pub fn networks(&self) -> PathBuf {
        self.path.join("networks")
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("events.log")
    }

    /// Writes the file for clients.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write_admin(&self, address: String) -> Result<(), HomeError> {
        let admin = Admin {
            address,
            server: self.identity.fingerprint(),
            identity: self.admin.clone(),
        };
        Ok(write_private(&self.path.join(ADMIN), &admin)?)
    }
}

/// The identity in this file, made at the first call.
fn identity(path: &Path) -> Result<Identity, FileError> {
    match read_private(path)? {
        Some(identity) => Ok(identity),
        None => {
            let identity = Identity::generate();
            write_private(path, &identity)?;
            Ok(identity)
        }
    }
}
