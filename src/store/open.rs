//! Where a database is and how to connect to it: a file is SQLite's, a URL a
//! Postgres server's. Everything else in the store is the same code for both,
//! over sqlx's `Any` driver; what differs is here, in `file` and in `server`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, SqlSafeStr};

use super::StoreError;
use super::file::File;
use super::server::Server;

pub(super) use super::file::Backup;

/// A connection to either.
pub(super) type Db = AnyConnection;

/// One database.
#[derive(Debug, Clone)]
pub(super) struct Location {
    /// The file, or the server's URL without a password: what messages name.
    pub path: PathBuf,
    pub busy_timeout: Duration,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    File(File),
    Server(Server),
}

impl Location {
    /// A file's path, or a URL that begins with `postgres://`.
    pub fn new(path: &Path, busy_timeout: Duration) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let url = path
            .to_str()
            .filter(|text| text.starts_with("postgres://") || text.starts_with("postgresql://"));
        let (path, kind) = match url {
            Some(url) => {
                let server = Server::new(url, busy_timeout)?;
                (PathBuf::from(server.name()), Kind::Server(server))
            }
            None => {
                let file = File {
                    path: path.to_owned(),
                    busy_timeout,
                };
                (path.to_owned(), Kind::File(file))
            }
        };
        Ok(Location {
            path,
            busy_timeout,
            kind,
        })
    }

    pub fn explain(&self, error: sqlx::Error) -> StoreError {
        let waited_ms = self.busy_timeout.as_millis() as u64;
        StoreError::from_sqlx(&self.path, waited_ms, error)
    }

    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File(_))
    }

    /// Connects for reading to a database that exists and is ours.
    pub async fn reader(&self) -> Result<Db, StoreError> {
        match &self.kind {
            Kind::File(file) => {
                let mut reader = file.reader().await?;
                match file.inspect(&mut reader).await? {
                    // Its tables are not those that are read here.
                    Some(found) if found < READABLE_VERSION => Err(StoreError::OlderSchema {
                        path: self.path.clone(),
                        found,
                        known: KNOWN_VERSION,
                    }),
                    Some(_) => Ok(reader),
                    None => Err(StoreError::Missing {
                        path: self.path.clone(),
                    }),
                }
            }
            Kind::Server(server) => server.reader().await,
        }
    }

    /// Connects for reading and writing, creating and migrating as needed.
    /// Returns where a copy of an older version was put, if there was one.
    pub async fn writer(&self) -> Result<(Db, Option<Backup>), StoreError> {
        match &self.kind {
            Kind::File(file) => file.writer().await,
            Kind::Server(server) => Ok((server.writer().await?, None)),
        }
    }

    /// A second connection of a store that has a writer.
    pub async fn second(&self) -> Result<Db, StoreError> {
        match &self.kind {
            Kind::File(file) => file.reader().await,
            Kind::Server(server) => server.reader().await,
        }
    }

    /// How a transaction begins that is going to write.
    pub fn begin(&self) -> &'static str {
        match self.kind {
            // Taken at once, so that waiting for another writer happens here.
            Kind::File(_) => "BEGIN IMMEDIATE",
            Kind::Server(_) => "BEGIN",
        }
    }

    /// The database's clock, Unix time in milliseconds: leases of workers on
    /// several machines end by one clock.
    pub fn clock(&self) -> &'static str {
        match self.kind {
            Kind::File(_) => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            Kind::Server(_) => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }
}

/// Migrations listed by hand: sqlx's macro for it would build SQLite a second
/// time, for the compiler's side.
pub(super) fn migrator(files: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = files.iter().map(|(version, description, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(
            *version,
            (*description).into(),
            kind,
            (*sql).into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

/// The schema version this program writes, on either.
pub(super) const KNOWN_VERSION: i64 = 3;

/// The oldest one that can be read as it is.
const READABLE_VERSION: i64 = 2;
