//! A database on a Postgres server. The tables live in a schema of their own,
//! `bespoke`, so that the database may serve others as well.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::StoreError;
use super::open::{Db, KNOWN_VERSION, migrator};

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    migrator(&[
        (
            2,
            "runs",
            include_str!("../../migrations/postgres/0002_runs.sql"),
        ),
        (
            3,
            "curves without names",
            include_str!("../../migrations/postgres/0003_curves_without_names.sql"),
        ),
    ])
});

/// Held while the schema is made, so that two programs do not make it at once.
const SCHEMA_LOCK: i64 = 1_651_732_587;

#[derive(Debug, Clone)]
pub(super) struct Server {
    options: AnyConnectOptions,
    lock_timeout: Duration,
}

impl Server {
    pub fn new(url: &str, lock_timeout: Duration) -> Result<Self, StoreError> {
        let options = url
            .parse::<AnyConnectOptions>()
            .map_err(|e| StoreError::Unreachable {
                path: PathBuf::from("postgres://…"),
                detail: e.to_string(),
            })?;
        Ok(Server {
            options: options.disable_statement_logging(),
            lock_timeout,
        })
    }

    /// The URL without user, password and parameters.
    pub fn name(&self) -> String {
        let url = &self.options.database_url;
        let host = url.host_str().unwrap_or("localhost");
        let port = url.port().map_or(String::new(), |port| format!(":{port}"));
        format!("postgres://{host}{port}{}", url.path())
    }

    fn explain(&self, error: sqlx::Error) -> StoreError {
        let waited_ms = self.lock_timeout.as_millis() as u64;
        StoreError::from_sqlx(&PathBuf::from(self.name()), waited_ms, error)
    }

    async fn connect(&self) -> Result<Db, StoreError> {
        let connected = self.options.connect().await;
        let mut connection = connected.map_err(|e| self.explain(e))?;
        let settings = format!(
            "SET search_path TO bespoke; SET lock_timeout TO {}",
            self.lock_timeout.as_millis()
        );
        sqlx::raw_sql(AssertSqlSafe(settings))
            .execute(&mut connection)
            .await
            .map_err(|e| self.explain(e))?;
        Ok(connection)
    }

    pub async fn reader(&self) -> Result<Db, StoreError> {
        let mut connection = self.connect().await?;
        let version = self.version(&mut connection).await?;
        if version.is_none() {
            return Err(StoreError::Missing {
                path: PathBuf::from(self.name()),
            });
        }
        sqlx::raw_sql("SET default_transaction_read_only TO on")
            .execute(&mut connection)
            .await
            .map_err(|e| self.explain(e))?;
        Ok(connection)
    }

    pub async fn writer(&self) -> Result<Db, StoreError> {
        let mut connection = self.connect().await?;
        let is_current = self.version(&mut connection).await? == Some(KNOWN_VERSION);
        if !is_current {
            let begun = connection.begin().await;
            let mut transaction = begun.map_err(|e| self.explain(e))?;
            let schema = format!(
                "SELECT pg_advisory_xact_lock({SCHEMA_LOCK}); CREATE SCHEMA IF NOT EXISTS bespoke"
            );
            sqlx::raw_sql(AssertSqlSafe(schema))
                .execute(&mut *transaction)
                .await
                .map_err(|e| self.explain(e))?;
            MIGRATIONS
                .run(&mut *transaction)
                .await
                .map_err(|e| match e {
                    sqlx::migrate::MigrateError::Execute(e)
                    | sqlx::migrate::MigrateError::ExecuteMigration(e, _) => self.explain(e),
                    other => StoreError::Damaged {
                        path: PathBuf::from(self.name()),
                        detail: format!("its schema cannot be used: {other}"),
                    },
                })?;
            transaction.commit().await.map_err(|e| self.explain(e))?;
        }
        Ok(connection)
    }

    /// The schema's version; none where it has not been made yet.
    async fn version(&self, connection: &mut Db) -> Result<Option<i64>, StoreError> {
        let exists: bool =
            sqlx::query_scalar("SELECT to_regclass('bespoke._sqlx_migrations') IS NOT NULL")
                .fetch_one(&mut *connection)
                .await
                .map_err(|e| self.explain(e))?;
        if !exists {
            return Ok(None);
        }
        let found: i64 =
            sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
                .fetch_one(connection)
                .await
                .map_err(|e| self.explain(e))?;
        match found {
            0 => Ok(None),
            found if found > KNOWN_VERSION => Err(StoreError::NewerSchema {
                path: PathBuf::from(self.name()),
                found,
                known: KNOWN_VERSION,
            }),
            found => Ok(Some(found)),
        }
    }
}
