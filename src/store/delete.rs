//! Taking away: a run with all its events, and files that no run refers to.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::artefacts::DIRECTORY;
use super::{Artefact, Event, Liveness, RunId, Status, Store, StoreError};

/// What a collection took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Artefacts that no run refers to, and files left unfinished.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// By how much the database file shrank, in bytes.
    pub database_bytes: u64,
}

impl Store {
    /// Removes a run and its events for good; its artefacts stay until the next
    /// [`collect`](Self::collect).
    ///
    /// # Errors
    /// [`StoreError::InUse`] while the process that writes it is alive.
    pub fn delete_run(&self, run: &RunId) -> Result<(), StoreError> {
        let summary = self.summary(run)?;
        if let Some(writer) = summary.writer
            && summary.status == Status::Running
            && writer.liveness() == Liveness::Alive
        {
            return Err(StoreError::InUse {
                run: run.to_string(),
                pid: writer.pid,
            });
        }
        self.transact(async |connection| {
            sqlx::query("DELETE FROM runs WHERE id = $1")
                .bind(run.as_str())
                .execute(connection)
                .await
        })?;
        Ok(())
    }

    /// Removes artefacts that no run refers to, if they are older than `age` (a
    /// run in progress writes a file before it records it), and gives the space
    /// of what was deleted back to the file system.
    pub fn collect(&self, age: Duration) -> Result<Collected, StoreError> {
        let kept = self.referenced()?;
        let mut collected = Collected::default();
        if !self.location.is_file() {
            self.collect_rows(&kept, &mut collected)?;
            return Ok(collected);
        }
        let directory = self.directory().join(DIRECTORY);
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries.filter_map(Result::ok).collect(),
            Err(_) => Vec::new(),
        };
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(meta) = entry.metadata() else { continue };
            let is_ours = name
                .chars()
                .take(64)
                .filter(char::is_ascii_hexdigit)
                .count()
                == 64
                && (name.len() == 64 || name.ends_with(".part"));
            let is_old = meta.modified().is_ok_and(|at| {
                let elapsed = SystemTime::now().duration_since(at);
                elapsed.unwrap_or_default() >= age
            });
            if meta.is_file() && is_ours && is_old && !kept.contains(&name) {
                std::fs::remove_file(entry.path())
                    .map_err(|e| StoreError::from_io("remove", &entry.path(), e))?;
                collected.files += 1;
                collected.bytes += meta.len();
            }
        }
        let size = || std::fs::metadata(self.path()).map_or(0, |meta| meta.len());
        let before = size();
        self.write(async |connection| {
            sqlx::raw_sql("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(connection)
                .await
        })?;
        collected.database_bytes = before.saturating_sub(size());
        Ok(collected)
    }

    fn collect_rows(
        &self,
        kept: &HashSet<String>,
        collected: &mut Collected,
    ) -> Result<(), StoreError> {
        let rows: Vec<(String, i64)> = self.read(async |connection| {
            sqlx::query_as("SELECT sha256, CAST(length(content) AS BIGINT) FROM artefacts")
                .fetch_all(connection)
                .await
        })?;
        for (sha256, bytes) in rows.into_iter().filter(|(name, _)| !kept.contains(name)) {
            self.transact(async |connection| {
                sqlx::query("DELETE FROM artefacts WHERE sha256 = $1")
                    .bind(&sha256)
                    .execute(connection)
                    .await
            })?;
            collected.files += 1;
            collected.bytes += bytes as u64;
        }
        Ok(())
    }

    /// Hashes of the artefacts of every run.
    fn referenced(&self) -> Result<HashSet<String>, StoreError> {
        let payloads: Vec<String> = self.read(async |connection| {
            sqlx::query_scalar(
                "SELECT payload FROM events WHERE candidate IS NULL AND kind = 'artefact'",
            )
            .fetch_all(connection)
            .await
        })?;
        let event = |text: &String| {
            let mut value: serde_json::Value = serde_json::from_str(text).ok()?;
            value["kind"] = "artefact".into();
            match Event::from_json(value) {
                Event::Artefact(Artefact { sha256, .. }) => Some(sha256),
                _ => None,
            }
        };
        Ok(payloads.iter().filter_map(event).collect())
    }
}
