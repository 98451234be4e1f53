//! Opening a database without ever making matters worse: the file is looked
//! at through a read-only connection first, and only a healthy database of a
//! schema this program knows is opened for writing and migrated.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::StoreError;

/// The files of `migrations/`, listed by hand: sqlx's macro for it would build
/// SQLite a second time, for the compiler's side.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let files = [(
        1,
        "runs and events",
        include_str!("../../migrations/0001_runs_and_events.sql"),
    )];
    let migrations = files.map(|(version, description, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(version, description.into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.to_vec())
});

/// `application_id` of our databases; the first migration writes it.
const APPLICATION_ID: i64 = 1_651_732_587;

/// Larger files are not read through when opened, as that would take seconds;
/// [`Store::verify`](super::Store::verify) checks them.
const CHECK_ON_OPEN_BYTES: u64 = 64 << 20;

/// The schema version this program writes.
pub(super) fn known_version() -> i64 {
    MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0)
}

/// How to reach one database file.
#[derive(Debug, Clone)]
pub(super) struct Location {
    pub path: PathBuf,
    pub busy_timeout: Duration,
}

/// What lies at the path before anything is opened.
enum Found {
    Nothing,
    Database { bytes: u64 },
}

impl Location {
    pub fn explain(&self, error: sqlx::Error) -> StoreError {
        let waited_ms = self.busy_timeout.as_millis() as u64;
        StoreError::from_sqlx(&self.path, waited_ms, error)
    }

    fn damaged(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            detail: detail.into(),
        }
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(self.busy_timeout)
            .foreign_keys(true)
            .disable_statement_logging()
    }

    /// Connects for reading.
    pub async fn reader(&self) -> Result<SqliteConnection, StoreError> {
        self.find()?.bytes().ok_or_else(|| StoreError::Missing {
            path: self.path.clone(),
        })?;
        let error = match self.try_reader(false).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        // In a directory that cannot be written, SQLite cannot make the shared
        // memory file of a write-ahead log. Where there is no log left to
        // read, nobody is writing, and the file may be read as it stands.
        let log_is_empty = companion_bytes(&self.path, "-wal") == 0;
        match error {
            StoreError::ReadOnly { .. } if log_is_empty => self.try_reader(true).await,
            error => Err(error),
        }
    }

    async fn try_reader(&self, immutable: bool) -> Result<SqliteConnection, StoreError> {
        let options = self.options().read_only(true).immutable(immutable);
        let connected = SqliteConnection::connect_with(&options).await;
        let mut connection = connected.map_err(|e| self.explain(e))?;
        // The file is only looked at by the first statement.
        sqlx::query("SELECT COUNT(*) FROM sqlite_schema")
            .fetch_all(&mut connection)
            .await
            .map_err(|e| self.explain(e))?;
        Ok(connection)
    }

    /// Connects for writing; creates and migrates as needed.
    pub async fn writer(&self) -> Result<SqliteConnection, StoreError> {
        let is_current = match self.find()? {
            Found::Nothing => {
                self.create_directory()?;
                false
            }
            Found::Database { .. } => {
                let mut reader = self.reader().await?;
                let version = self.inspect(&mut reader).await?;
                reader.close().await.map_err(|e| self.explain(e))?;
                // SQLite would quietly open a write-protected file for reading.
                std::fs::OpenOptions::new()
                    .append(true)
                    .open(&self.path)
                    .map_err(|e| StoreError::from_io("write", &self.path, e))?;
                version == Some(known_version())
            }
        };
        let deadline = Instant::now() + self.busy_timeout;
        loop {
            match self.try_writer(is_current).await {
                // Two programs that create a database or its log at the same
                // moment collide in ways SQLite's own waiting does not cover.
                Err(error) if error.is_locked() && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                result => return result,
            }
        }
    }

    async fn try_writer(&self, is_current: bool) -> Result<SqliteConnection, StoreError> {
        let options = self
            .options()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An evaluation costs seconds, a sync under a millisecond or two:
            // a recorded one survives a power cut as well.
            .synchronous(SqliteSynchronous::Full);
        let connected = SqliteConnection::connect_with(&options).await;
        let mut connection = connected.map_err(|e| self.explain(e))?;
        // Taking the write lock, even with nothing to write, shows whether the
        // log can be written: better now than after the first evaluation.
        let begun = connection.begin_with("BEGIN IMMEDIATE").await;
        let mut transaction = begun.map_err(|e| self.explain(e))?;
        if !is_current {
            MIGRATIONS
                .run(&mut *transaction)
                .await
                .map_err(|e| match e {
                    sqlx::migrate::MigrateError::Execute(e)
                    | sqlx::migrate::MigrateError::ExecuteMigration(e, _) => self.explain(e),
                    other => self.damaged(format!("its schema cannot be used: {other}")),
                })?;
        }
        transaction.commit().await.map_err(|e| self.explain(e))?;
        Ok(connection)
    }

    /// Checks that a database is healthy, ours and not newer than this
    /// program. Returns its schema version, or none where it is still empty.
    pub async fn inspect(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Option<i64>, StoreError> {
        let number = async |connection: &mut SqliteConnection, sql: &'static str| {
            sqlx::query_scalar::<_, i64>(sql)
                .fetch_one(connection)
                .await
                .map_err(|e| self.explain(e))
        };
        if self.find()?.bytes().unwrap_or(0) <= CHECK_ON_OPEN_BYTES {
            self.check(connection, "PRAGMA quick_check(3)").await?;
        }
        let tables = number(connection, "SELECT COUNT(*) FROM sqlite_schema").await?;
        if tables == 0 {
            return Ok(None);
        }
        if number(connection, "PRAGMA application_id").await? != APPLICATION_ID {
            return Err(StoreError::Foreign {
                path: self.path.clone(),
            });
        }
        let version = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
        let found = number(connection, version).await?;
        let known = known_version();
        if found > known {
            return Err(StoreError::NewerSchema {
                path: self.path.clone(),
                found,
                known,
            });
        }
        Ok(Some(found))
    }

    /// Runs one of SQLite's integrity checks.
    pub async fn check(
        &self,
        connection: &mut SqliteConnection,
        sql: &'static str,
    ) -> Result<(), StoreError> {
        let lines: Vec<String> = sqlx::query_scalar(sql)
            .fetch_all(connection)
            .await
            .map_err(|e| self.explain(e))?;
        match lines.as_slice() {
            [line] if line == "ok" => Ok(()),
            lines => Err(self.damaged(lines.join("; "))),
        }
    }

    fn find(&self) -> Result<Found, StoreError> {
        let io = |e| StoreError::from_io("read", &self.path, e);
        let bytes = match std::fs::metadata(&self.path) {
            Ok(meta) if meta.is_dir() => {
                return Err(io(std::io::Error::other(
                    "it is a directory, where a file is wanted",
                )));
            }
            Ok(meta) => meta.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
            Err(e) => return Err(io(e)),
        };
        if bytes == 0 {
            // SQLite would delete the log of an empty database.
            let log = companion_bytes(&self.path, "-wal");
            return match log {
                0 => Ok(Found::Nothing),
                _ => Err(self.damaged(format!(
                    "the file is empty or gone, but its write-ahead log still holds {log} bytes"
                ))),
            };
        }
        let mut magic = [0; 16];
        let mut file = std::fs::File::open(&self.path).map_err(io)?;
        let read = file.read_exact(&mut magic);
        if read.is_err() || magic != *b"SQLite format 3\0" {
            return Err(self.damaged("its first bytes are not those of an SQLite database"));
        }
        Ok(Found::Database { bytes })
    }

    fn create_directory(&self) -> Result<(), StoreError> {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => std::fs::create_dir_all(parent)
                .map_err(|e| StoreError::from_io("create", parent, e)),
            _ => Ok(()),
        }
    }
}

impl Found {
    fn bytes(&self) -> Option<u64> {
        match self {
            Found::Nothing => None,
            Found::Database { bytes } => Some(*bytes),
        }
    }
}

/// Size of a file SQLite keeps beside the database; 0 where there is none.
fn companion_bytes(path: &Path, suffix: &str) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    std::fs::metadata(name).map_or(0, |meta| meta.len())
}
