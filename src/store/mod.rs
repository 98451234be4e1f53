//! Where runs are kept: an SQLite database in which a run is a header and an
//! append-only list of [`Event`]s, and a run's [`RunState`] is their replay.
//! Every event is its own committed transaction, so that a process that dies
//! at any moment loses nothing it was told is recorded. The store knows nothing
//! of searchers and predictors; it keeps what they say.
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

mod artefacts;
mod error;
mod event;
mod header;
mod open;
mod runs;
mod state;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

pub use error::StoreError;
pub use event::{Artefact, Asked, Evaluated, Event, Measured, Purpose, Recorded, Trained};
pub use header::{RunHeader, RunId};
pub use runs::{RunFilter, RunSummary};
pub use state::{Candidate, FrontMember, Outcome, RunState, Status};
pub use writer::{Liveness, Writer};

use event::Numbers;
use open::Location;

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
    writer: Option<Mutex<SqliteConnection>>,
    /// Apart from the writer, so that long reads do not delay recording; none
    /// only while the store is being dropped.
    reader: Option<Mutex<SqliteConnection>>,
}

/// Events fetched at a time, so that a long run is never held twice.
const PAGE: i64 = 4096;

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
        let location = Location {
            path: path.as_ref().to_owned(),
            busy_timeout: options.busy_timeout,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| StoreError::from_io("start a runtime for", &location.path, e))?;
        let (writer, reader) = runtime.block_on(async {
            if options.read_only {
                let mut reader = location.reader().await?;
                return match location.inspect(&mut reader).await? {
                    Some(_) => Ok((None, reader)),
                    None => Err(StoreError::Missing {
                        path: location.path.clone(),
                    }),
                };
            }
            let writer = location.writer().await?;
            Ok((Some(writer), location.reader().await?))
        })?;
        Ok(Store {
            location,
            runtime,
            writer: writer.map(Mutex::new),
            reader: Some(Mutex::new(reader)),
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.location.path
    }

    /// The directory that holds the database, for files that lie beside it.
    pub fn directory(&self) -> PathBuf {
        match self.path().parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// Registers a run and records that this process has started it.
    pub fn create_run(&self, header: &RunHeader) -> Result<RunId, StoreError> {
        let started = Event::Started {
            writer: Writer::current(),
        };
        self.write(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let now = now();
            let id = loop {
                let id = RunId::fresh(now.as_nanos());
                if runs::insert(&mut transaction, &id, header, now.as_millis() as i64).await? {
                    break id;
                }
            };
            insert(&mut transaction, &id, &started).await?;
            transaction.commit().await?;
            Ok(id)
        })
    }

    /// Records that this process goes on with a run. Refuses while the process
    /// that recorded it last is alive on this machine, unless it is this one.
    pub fn resume_run(&self, run: &RunId) -> Result<(), StoreError> {
        let here = Writer::current();
        if let Some(writer) = self.summary(run)?.writer
            && writer != here
            && writer.liveness() == Liveness::Alive
            && self.summary(run)?.status == Status::Running
        {
            return Err(StoreError::InUse {
                run: run.to_string(),
                pid: writer.pid,
            });
        }
        self.append(run, &Event::Resumed { writer: here }).map(drop)
    }

    /// Records an event; once this returns, it is on disk. Returns the event's
    /// place in the run, counted from 1.
    pub fn append(&self, run: &RunId, event: &Event) -> Result<u64, StoreError> {
        recordable(event)?;
        let seq = self.write(async |connection| insert(connection, run, event).await)?;
        seq.ok_or_else(|| self.unknown_run(run.as_str()))
    }

    /// Records events together: all of them or, on an error, none.
    pub fn append_all(&self, run: &RunId, events: &[Event]) -> Result<(), StoreError> {
        events.iter().try_for_each(recordable)?;
        let known = self.write(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for event in events {
                if insert(&mut transaction, run, event).await?.is_none() {
                    return Ok(false);
                }
            }
            transaction.commit().await?;
            Ok(true)
        })?;
        match known {
            true => Ok(()),
            false => Err(self.unknown_run(run.as_str())),
        }
    }

    /// Every event of a run, in order.
    pub fn events(&self, run: &RunId) -> Result<Vec<Recorded>, StoreError> {
        let mut events = Vec::new();
        self.for_each_event(run, 0, |recorded| events.push(recorded))?;
        Ok(events)
    }

    /// Calls `visit` with every event after place `after` (0: all of them), in
    /// order, without holding them all in memory. Returns the last place seen,
    /// from which a follower can go on.
    pub fn for_each_event(
        &self,
        run: &RunId,
        after: u64,
        mut visit: impl FnMut(Recorded),
    ) -> Result<u64, StoreError> {
        self.header(run)?;
        let mut last = after as i64;
        loop {
            let rows = self.read(async |connection| {
                sqlx::query(
                    "SELECT e.seq, e.at_ms, e.payload, e.accuracy, e.latency_ms,
                            e.latency_low_ms, e.latency_high_ms
                     FROM events e JOIN runs r ON r.key = e.run
                     WHERE r.id = ? AND e.seq > ? ORDER BY e.seq LIMIT ?",
                )
                .bind(run.as_str())
                .bind(last)
                .bind(PAGE)
                .fetch_all(connection)
                .await
            })?;
            let page = rows.len();
            for row in rows {
                let recorded = self.decode(&row)?;
                last = recorded.seq as i64;
                visit(recorded);
            }
            if page < PAGE as usize {
                return Ok(last as u64);
            }
        }
    }

    fn decode(&self, row: &SqliteRow) -> Result<Recorded, StoreError> {
        let column = |e| self.location.explain(e);
        let seq: i64 = row.try_get("seq").map_err(column)?;
        let payload: &str = row.try_get("payload").map_err(column)?;
        let value = serde_json::from_str(payload).map_err(|e| StoreError::Damaged {
            path: self.path().to_owned(),
            detail: format!("event {seq} is not JSON: {e}"),
        })?;
        let mut event = Event::from_json(value);
        event.set_numbers(Numbers {
            accuracy: row.try_get("accuracy").map_err(column)?,
            latency_ms: row.try_get("latency_ms").map_err(column)?,
            latency_low_ms: row.try_get("latency_low_ms").map_err(column)?,
            latency_high_ms: row.try_get("latency_high_ms").map_err(column)?,
        });
        Ok(Recorded {
            seq: seq as u64,
            at_ms: row.try_get("at_ms").map_err(column)?,
            event,
        })
    }

    /// The run's state: the replay of its events, and whether its writer lives.
    pub fn state(&self, run: &RunId) -> Result<RunState, StoreError> {
        let (header, created_ms) = self.header(run)?;
        let mut state = RunState::new(run.clone(), header, created_ms);
        self.for_each_event(run, 0, |recorded| state.apply(recorded))?;
        state.writer_liveness = state.writer.as_ref().map(Writer::liveness);
        Ok(state)
    }

    /// Reads the whole database and checks it: SQLite's own structure, foreign
    /// keys, and that every artefact still is what was recorded.
    pub fn verify(&self) -> Result<(), StoreError> {
        {
            let mut reader = self.reader();
            let check = self
                .location
                .check(&mut reader, "PRAGMA integrity_check(10)");
            self.runtime.block_on(check)?;
        }
        for summary in self.runs(&RunFilter::default())? {
            for artefact in self.state(&summary.id)?.artefacts {
                self.read_artefact(&artefact)?;
            }
        }
        Ok(())
    }

    fn read<T>(
        &self,
        query: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut connection = self.reader();
        let answer = self.runtime.block_on(query(&mut connection));
        answer.map_err(|e| self.location.explain(e))
    }

    fn reader(&self) -> MutexGuard<'_, SqliteConnection> {
        lock(self.reader.as_ref().expect("open until dropped"))
    }

    fn write<T>(
        &self,
        query: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
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
fn lock(connection: &Mutex<SqliteConnection>) -> MutexGuard<'_, SqliteConnection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Duration {
    // A clock before 1970 is wrong anyway; the order of events is their seq.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn recordable(event: &Event) -> Result<(), StoreError> {
    match event.unreadable() {
        None => Ok(()),
        Some(detail) => Err(StoreError::Unrecordable {
            kind: event.kind().to_owned(),
            detail,
        }),
    }
}

/// Adds an event to a run; none where there is no such run.
async fn insert(
    connection: &mut SqliteConnection,
    run: &RunId,
    event: &Event,
) -> Result<Option<u64>, sqlx::Error> {
    let numbers = event.numbers();
    // Fetching all rows runs the statement to its end, which commits it;
    // fetching one would return before that.
    let rows = sqlx::query_scalar::<_, i64>(
        "INSERT INTO events (run, seq, at_ms, kind, candidate, accuracy, latency_ms,
                             latency_low_ms, latency_high_ms, payload)
         SELECT key, 1 + COALESCE((SELECT MAX(seq) FROM events WHERE run = key), 0),
                ?, ?, ?, ?, ?, ?, ?, ?
         FROM runs WHERE id = ? RETURNING seq",
    )
    .bind(now().as_millis() as i64)
    .bind(event.kind())
    .bind(event.candidate().map(|candidate| candidate as i64))
    .bind(numbers.accuracy)
    .bind(numbers.latency_ms)
    .bind(numbers.latency_low_ms)
    .bind(numbers.latency_high_ms)
    .bind(event.to_text())
    .bind(run.as_str())
    .fetch_all(connection)
    .await?;
    Ok(rows.first().map(|seq| *seq as u64))
}

#[cfg(test)]
pub(crate) mod test_data;
#[cfg(test)]
mod tests;
