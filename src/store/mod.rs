//! Where runs are kept: a database (an SQLite file, or one on a Postgres server
//! by its URL) in which a run is a header and an append-only list of [`Event`]s,
//! and a run's [`RunState`] is their replay. Every event is its own committed
//! transaction, so that a process that dies at any moment loses nothing it was
//! told is recorded. The store knows nothing of searchers and predictors; it
//! keeps what they say.
//!
//! ```
//! use bespoke::store::{Event, RunHeader, Store};
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("bespoke.db");
//! let store = Store::open(&path)?;
//! let run = store.create_run(&RunHeader {
//!     name: "first".into(),
//!     experiment: serde_json::json!({"seed": 7}),
//!     space_text: "space s".into(),
//!     space_hash: "ab".into(),
//!     seed: 7,
//!     bespoke_version: "0.1.0".into(),
//!     git_commit: None,
//!     dataset_name: "mnist".into(),
//!     dataset_hash: "cd".into(),
//!     device: "this machine".into(),
//!     engine: "burn-flex".into(),
//! })?;
//! store.append(&run, &Event::Note { text: "it works".into() })?;
//! store.append(&run, &Event::Finished { reason: "budget spent".into() })?;
//! assert_eq!(store.state(&run)?.status_word(), "finished");
//! # Ok::<(), bespoke::store::StoreError>(())
//! ```

mod append;
mod artefacts;
mod delete;
mod doctor;
mod encode;
mod error;
mod event;
mod file;
mod front;
mod genotypes;
mod header;
mod open;
mod pack;
mod page;
mod pending;
mod replay;
mod runs;
mod server;
mod state;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::Connection;

pub use delete::Collected;
pub use doctor::{Diagnosis, Finding, Recovered, diagnose, recover};
pub use error::StoreError;
pub use event::{Artefact, Asked, Evaluated, Event, Measured, Purpose, Recorded, Trained};
pub use header::{RunHeader, RunId};
pub use pending::{Lease, Leased, worker_name};
pub use replay::Detail;
pub use runs::{RunFilter, RunSummary};
pub use state::{Candidate, FrontMember, Outcome, RunState, Status};
pub use writer::{Liveness, Writer};

use open::{Backup, Db, Location};

/// How to open a database.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub read_only: bool,
    /// How long to wait for another process that holds the database.
    pub busy_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            read_only: false,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// An open database of runs. Its calls block, and may come from any thread;
/// inside an async task, make them through `spawn_blocking`.
pub struct Store {
    location: Location,
    runtime: tokio::runtime::Runtime,
    /// None where the store was opened for reading only.
    writer: Option<Mutex<Db>>,
    /// Apart from the writer, so that long reads do not delay recording; none
    /// only while the store is being dropped.
    reader: Option<Mutex<Db>>,
    backup: Option<Backup>,
    /// Keys of the runs used so far, which never change.
    keys: Mutex<HashMap<RunId, i64>>,
    /// Evaluations recorded since the run's fronts were put down.
    since_front: Mutex<HashMap<RunId, u32>>,
}

impl Store {
    /// Opens a database for reading and writing; creates it, and its
    /// directory, where there is none. Fails without touching a file that is
    /// damaged, not ours or written by a newer version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Store::open_with(path, Options::default())
    }

    /// Opens an existing database for reading. Writers are not disturbed.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let options = Options {
            read_only: true,
            ..Options::default()
        };
        Store::open_with(path, options)
    }

    /// Opens a database as `options` say.
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let location = Location::new(path.as_ref(), options.busy_timeout)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| StoreError::from_io("start a runtime for", &location.path, e))?;
        let (writer, reader, backup) = runtime.block_on(async {
            if options.read_only {
                return Ok((None, location.reader().await?, None));
            }
            let (writer, backup) = location.writer().await?;
            Ok((Some(writer), location.second().await?, backup))
        })?;
        Ok(Store {
            location,
            runtime,
            writer: writer.map(Mutex::new),
            reader: Some(Mutex::new(reader)),
            backup,
            keys: Mutex::default(),
            since_front: Mutex::default(),
        })
    }

    /// The copy that was made where this opened, and migrated, a database of an
    /// older version: its file and that version.
    pub fn backup(&self) -> Option<(&Path, i64)> {
        let backup = self.backup.as_ref()?;
        Some((&backup.path, backup.version))
    }

    /// The database file, or the server's URL without user and password.
    pub fn path(&self) -> &Path {
        &self.location.path
    }

    /// The directory that holds the database, for files that lie beside it;
    /// `runs` where the database is on a server.
    pub fn directory(&self) -> PathBuf {
        if !self.location.is_file() {
            return PathBuf::from("runs");
        }
        match self.path().parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// Reads the whole database and checks it: SQLite's own structure, foreign
    /// keys, and that every artefact still is what was recorded.
    pub fn verify(&self) -> Result<(), StoreError> {
        if let open::Kind::File(file) = &self.location.kind {
            let mut reader = self.reader();
            for pragma in ["PRAGMA integrity_check(10)", "PRAGMA foreign_key_check"] {
                self.runtime.block_on(file.check(&mut reader, pragma))?;
            }
        }
        for summary in self.runs(&RunFilter::default())? {
            for artefact in self.state_in(&summary.id, Detail::Figures)?.artefacts {
                self.read_artefact(&artefact)?;
            }
        }
        Ok(())
    }

    fn read<T>(
        &self,
        query: impl AsyncFnOnce(&mut Db) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut connection = self.reader();
        let answer = self.runtime.block_on(query(&mut connection));
        let answer = answer.map_err(|e| self.location.explain(e));
        // A page that is open for weeks outlives its server's restarts.
        if let Err(StoreError::Unreachable { .. }) = answer
            && let Ok(fresh) = self.runtime.block_on(self.location.second())
        {
            *connection = fresh;
        }
        answer
    }

    fn reader(&self) -> MutexGuard<'_, Db> {
        lock(self.reader.as_ref().expect("open until dropped"))
    }

    fn write<T>(
        &self,
        query: impl AsyncFnOnce(&mut Db) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let writer = self
            .writer
            .as_ref()
            .ok_or_else(|| StoreError::OpenedReadOnly {
                path: self.path().to_owned(),
            })?;
        let mut connection = lock(writer);
        let answer = self.runtime.block_on(query(&mut connection));
        answer.map_err(|e| self.location.explain(e))
    }
}

impl Store {
    /// Runs a transaction that writes: all of it, or on an error nothing.
    fn transact<T>(
        &self,
        query: impl AsyncFnOnce(&mut Db) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        self.transact_if(query, |_| true)
    }

    /// [`transact`](Self::transact), undone where `keep` says so of its answer.
    fn transact_if<T>(
        &self,
        query: impl AsyncFnOnce(&mut Db) -> Result<T, sqlx::Error>,
        keep: impl FnOnce(&T) -> bool,
    ) -> Result<T, StoreError> {
        let begin = self.location.begin();
        let answer = self.write(async |connection| {
            let mut transaction = connection.begin_with(begin).await?;
            let answer = query(&mut transaction).await?;
            match keep(&answer) {
                true => transaction.commit().await?,
                false => transaction.rollback().await?,
            }
            Ok(answer)
        });
        if answer.as_ref().is_err_and(|error| !error.is_locked()) {
            self.connect_again();
        }
        answer
    }

    /// A new connection for writing in place of one that failed: after a full
    /// disk or a lost server, the driver takes the old one to be within a
    /// transaction still.
    fn connect_again(&self) {
        if let Some(writer) = &self.writer {
            let mut writer = lock(writer);
            // Where it fails too, the next call says why.
            if let Ok((fresh, _)) = self.runtime.block_on(self.location.writer()) {
                *writer = fresh;
            }
        }
    }

    /// The run's key in the database's other tables.
    fn key(&self, run: &RunId) -> Result<i64, StoreError> {
        let keys = || self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys().get(run) {
            return Ok(*key);
        }
        let key: Option<i64> = self.read(async |connection| {
            sqlx::query_scalar("SELECT key FROM runs WHERE id = $1")
                .bind(run.as_str())
                .fetch_optional(connection)
                .await
        })?;
        let key = key.ok_or_else(|| self.unknown_run(run.as_str()))?;
        keys().insert(run.clone(), key);
        Ok(key)
    }
}

impl Drop for Store {
    /// Closing the last connection folds the write-ahead log into the database
    /// file; without it that happens when the database is next opened.
    fn drop(&mut self) {
        if tokio::runtime::Handle::try_current().is_ok() {
            return; // An async task must not block.
        }
        let connections = [self.reader.take(), self.writer.take()];
        for connection in connections.into_iter().flatten() {
            let connection = connection
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
            // Nothing can be done about a failure, and nothing is lost by it.
            let _ = self.runtime.block_on(connection.close());
        }
    }
}

/// A thread that panicked while it held the connection has not broken it: a
/// transaction it left open is rolled back before the next statement.
fn lock(connection: &Mutex<Db>) -> MutexGuard<'_, Db> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Duration {
    // A clock before 1970 is wrong anyway; the order of events is their seq.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(all(test, unix))]
mod server_tests;
#[cfg(test)]
pub(crate) mod test_data;
#[cfg(test)]
mod tests;
