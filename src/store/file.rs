//! A database in an SQLite file, opened without ever making matters worse: the
//! file is looked at through a read-only connection first, and only a healthy
//! database of a schema this program knows is opened for writing and migrated,
//! after a copy was made of an older one.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use sqlx::any::{AnyConnectOptions, AnyRow};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::StoreError;
use super::open::{Db, KNOWN_VERSION, migrator};

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = migrator(&[
        (
            1,
            "runs and events",
            include_str!("../../migrations/0001_runs_and_events.sql"),
        ),
        (
            2,
            "progress and pending",
            include_str!("../../migrations/0002_progress_and_pending.sql"),
        ),
        (
            3,
            "curves without names",
            include_str!("../../migrations/0003_curves_without_names.sql"),
        ),
    ]);
    let second = migrator.migrations.to_mut().iter_mut();
    for second in second.filter(|migration| migration.version == 2) {
        second.checksum = SECOND.into();
    }
    migrator
});

/// The checksum of the second migration before its statements were put in an
/// order that takes half the time: what it made is the same, and carries this.
const SECOND: &[u8] = &[
    0xba, 0x8c, 0x6b, 0x69, 0x96, 0x71, 0xe2, 0x47, 0x8a, 0x56, 0x2e, 0x10, 0x3d, 0xa1, 0x9d, 0xd3,
    0x94, 0x10, 0x39, 0x1a, 0x02, 0x49, 0xe1, 0xae, 0x04, 0x38, 0x52, 0x57, 0xf9, 0x29, 0xc0, 0xec,
    0x7b, 0x6c, 0x51, 0xbc, 0x81, 0x16, 0x53, 0x03, 0x16, 0xfc, 0x3c, 0x5c, 0xa3, 0x19, 0xdc, 0x72,
];

/// `application_id` of our databases; the first migration writes it.
const APPLICATION_ID: i64 = 1_651_732_587;

/// Larger files are not read through when opened, as that would take seconds;
/// [`Store::verify`](super::Store::verify) checks them.
const CHECK_ON_OPEN_BYTES: u64 = 64 << 20;

/// The copy of a database as it was before it was migrated.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Backup {
    pub path: PathBuf,
    /// The version of its schema.
    pub version: i64,
}

/// How to reach one database file.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub path: PathBuf,
    pub busy_timeout: Duration,
}

/// What lies at the path before anything is opened.
enum Found {
    Nothing,
    Database { bytes: u64 },
}

impl File {
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

    pub async fn connect(&self, parameters: &str) -> Result<Db, StoreError> {
        // Every byte that has a meaning in a URL is written as its number, and
        // slashes too, as a URL's `a/../b` is not a file's.
        let path = self.path.to_str().ok_or_else(|| StoreError::Io {
            action: "use",
            path: self.path.clone(),
            cause: std::io::Error::other("its name is not UTF-8 text"),
        })?;
        let mut url = "sqlite:".to_owned();
        for byte in path.bytes() {
            match byte {
                b'.' | b'-' | b'_' => url.push(byte.into()),
                byte if byte.is_ascii_alphanumeric() => url.push(byte.into()),
                byte => url += &format!("%{byte:02X}"),
            }
        }
        let options: AnyConnectOptions = format!("{url}?{parameters}")
            .parse()
            .map_err(|e| self.explain(e))?;
        let connected = options.disable_statement_logging().connect().await;
        let mut connection = connected.map_err(|e| self.explain(e))?;
        let settings = format!(
            "PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON",
            self.busy_timeout.as_millis()
        );
        sqlx::raw_sql(AssertSqlSafe(settings))
            .execute(&mut connection)
            .await
            .map_err(|e| self.explain(e))?;
        Ok(connection)
    }

    /// Connects for reading.
    pub async fn reader(&self) -> Result<Db, StoreError> {
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

    async fn try_reader(&self, immutable: bool) -> Result<Db, StoreError> {
        let mut connection = self
            .connect(match immutable {
                true => "mode=ro&immutable=true",
                false => "mode=ro",
            })
            .await?;
        // The file is only looked at by the first statement.
        sqlx::query("SELECT COUNT(*) FROM sqlite_schema")
            .fetch_all(&mut connection)
            .await
            .map_err(|e| self.explain(e))?;
        Ok(connection)
    }

    /// Connects for writing; creates and migrates as needed.
    pub async fn writer(&self) -> Result<(Db, Option<Backup>), StoreError> {
        let mut backup = None;
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
                if let Some(version) = version.filter(|v| *v < KNOWN_VERSION) {
                    backup = Some(self.back_up(version).await?);
                }
                version == Some(KNOWN_VERSION)
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
                result => return Ok((result?, backup)),
            }
        }
    }

    async fn try_writer(&self, is_current: bool) -> Result<Db, StoreError> {
        let mut connection = self.connect("mode=rwc").await?;
        // An evaluation costs seconds, a sync under a millisecond or two: a
        // recorded one survives a power cut as well.
        sqlx::raw_sql("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
            .execute(&mut connection)
            .await
            .map_err(|e| self.explain(e))?;
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

    /// Copies a database of an older version to a file beside it, once.
    async fn back_up(&self, version: i64) -> Result<Backup, StoreError> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".v{version}-backup"));
        let path = PathBuf::from(name);
        let backup = Backup { path, version };
        if backup.path.exists() {
            return Ok(backup);
        }
        // Copied under another name first: a backup that exists is whole.
        let unfinished = backup
            .path
            .with_extension(format!("{}.part", std::process::id()));
        let mut reader = self.connect("mode=ro").await?;
        let copied = sqlx::query("VACUUM INTO $1")
            .bind(unfinished.to_string_lossy().into_owned())
            .execute(&mut reader)
            .await;
        let copied = copied.map_err(|e| self.explain(e)).and_then(|_| {
            std::fs::rename(&unfinished, &backup.path)
                .map_err(|e| StoreError::from_io("write", &backup.path, e))
        });
        if copied.is_err() {
            let _ = std::fs::remove_file(&unfinished);
        }
        copied.map(|()| backup)
    }

    /// Checks that a database is healthy, ours and not newer than this
    /// program. Returns its schema version, or none where it is still empty.
    pub async fn inspect(&self, connection: &mut Db) -> Result<Option<i64>, StoreError> {
        let number = async |connection: &mut Db, sql: &'static str| {
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
        let known = KNOWN_VERSION;
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
    pub async fn check(&self, connection: &mut Db, sql: &'static str) -> Result<(), StoreError> {
        let rows = sqlx::query(sql)
            .fetch_all(connection)
            .await
            .map_err(|e| self.explain(e))?;
        // The first column says what is wrong, or in which table.
        let line = |row: &AnyRow| row.try_get::<String, _>(0);
        let lines: Vec<String> = rows
            .iter()
            .map(line)
            .collect::<Result<_, _>>()
            .map_err(|e| self.explain(e))?;
        match lines.as_slice() {
            [] => Ok(()),
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

/// What the migrator knows the first migration by.
#[cfg(test)]
pub(super) fn first_checksum() -> Vec<u8> {
    let first = MIGRATIONS.iter().next().expect("there is one");
    first.checksum.to_vec()
}

/// Size of a file SQLite keeps beside the database; 0 where there is none.
fn companion_bytes(path: &Path, suffix: &str) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    std::fs::metadata(name).map_or(0, |meta| meta.len())
}
