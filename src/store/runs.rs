//! Finding runs: the list with its figures, and the run a person means by the
//! first letters of an id, by a name, or by `latest`.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::header::normalise;
use super::{Event, RunHeader, RunId, Status, Store, StoreError, Writer};

/// Which runs to list; the default is all of them.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Text that the name contains, whatever its case.
    pub name: Option<String>,
    pub status: Option<Status>,
    /// Only the latest so many.
    pub limit: Option<usize>,
}

/// One line of the list of runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    pub id: RunId,
    pub name: String,
    /// The recorded status; see [`status_word`](Self::status_word).
    pub status: Status,
    /// Unix time, milliseconds.
    pub created_ms: i64,
    pub last_event_ms: i64,
    pub evaluated: u64,
    pub failed: u64,
    pub measured: u64,
    /// Best validation accuracy, a fraction.
    pub best_accuracy: Option<f64>,
    /// Least predicted latency.
    pub least_latency_ms: Option<f64>,
    pub dataset: String,
    pub device: String,
    pub engine: String,
    #[serde(skip)]
    pub writer: Option<Writer>,
}

impl RunSummary {
    /// The word to show for the status, after a look whether the writer lives.
    pub fn status_word(&self) -> &'static str {
        let looked = match self.status {
            Status::Running => self.writer.as_ref().map(Writer::liveness),
            _ => None,
        };
        self.status.word(looked)
    }
}

/// Only columns that the index `events_by_kind` holds, apart from the few
/// status events, so that a million evaluations list quickly.
const SUMMARIES: &str = "
SELECT r.id, r.name, r.created_ms, r.dataset_name, r.device, r.engine,
       (SELECT COUNT(DISTINCT candidate) FROM events
         WHERE run = r.key AND kind = 'evaluated') AS evaluated,
       (SELECT COUNT(*) FROM events WHERE run = r.key AND kind = 'failed') AS failed,
       (SELECT COUNT(*) FROM events WHERE run = r.key AND kind = 'measured') AS measured,
       (SELECT MAX(accuracy) FROM events
         WHERE run = r.key AND kind = 'evaluated') AS best_accuracy,
       (SELECT MIN(latency_ms) FROM events
         WHERE run = r.key AND kind = 'evaluated') AS least_latency_ms,
       (SELECT at_ms FROM events WHERE run = r.key ORDER BY seq DESC LIMIT 1) AS last_event_ms,
       (SELECT kind FROM events WHERE run = r.key
           AND kind IN ('started', 'resumed', 'interrupted', 'finished', 'aborted')
         ORDER BY seq DESC LIMIT 1) AS status,
       (SELECT payload FROM events WHERE run = r.key AND kind IN ('started', 'resumed')
         ORDER BY seq DESC LIMIT 1) AS writer
FROM runs r";

fn summary(row: &SqliteRow) -> Result<RunSummary, sqlx::Error> {
    let count = |name| row.try_get::<i64, _>(name).map(|n| n as u64);
    let created_ms: i64 = row.try_get("created_ms")?;
    let status: Option<&str> = row.try_get("status")?;
    let writer: Option<&str> = row.try_get("writer")?;
    let writer = writer
        .and_then(|text| serde_json::from_str(text).ok())
        .map(Event::from_json)
        .and_then(|event| match event {
            Event::Started { writer } | Event::Resumed { writer } => Some(writer),
            _ => None,
        });
    Ok(RunSummary {
        id: RunId(row.try_get("id")?),
        name: row.try_get("name")?,
        status: status.and_then(Status::after).unwrap_or(Status::Running),
        created_ms,
        last_event_ms: row
            .try_get::<Option<i64>, _>("last_event_ms")?
            .unwrap_or(created_ms),
        evaluated: count("evaluated")?,
        failed: count("failed")?,
        measured: count("measured")?,
        best_accuracy: row.try_get("best_accuracy")?,
        least_latency_ms: row.try_get("least_latency_ms")?,
        dataset: row.try_get("dataset_name")?,
        device: row.try_get("device")?,
        engine: row.try_get("engine")?,
        writer,
    })
}

impl Store {
    /// Runs with their figures, the latest first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        let rows = self.read(async |connection| {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "{SUMMARIES} ORDER BY r.created_ms DESC, r.key DESC"
            )))
            .fetch_all(connection)
            .await?
            .iter()
            .map(summary)
            .collect::<Result<Vec<_>, _>>()
        })?;
        let wanted = filter.name.as_ref().map(|name| name.to_lowercase());
        Ok(rows
            .into_iter()
            .filter(|run| {
                let name = run.name.to_lowercase();
                wanted.as_ref().is_none_or(|wanted| name.contains(wanted))
                    && filter.status.is_none_or(|status| run.status == status)
            })
            .take(filter.limit.unwrap_or(usize::MAX))
            .collect())
    }

    /// One run's line of the list.
    pub fn summary(&self, run: &RunId) -> Result<RunSummary, StoreError> {
        let row = self.read(async |connection| {
            sqlx::query(sqlx::AssertSqlSafe(format!("{SUMMARIES} WHERE r.id = ?")))
                .bind(run.as_str())
                .fetch_optional(connection)
                .await?
                .map(|row| summary(&row))
                .transpose()
        })?;
        row.ok_or_else(|| self.unknown_run(run.as_str()))
    }

    /// The run a person means: an id, the first letters of one, a name that
    /// only one run has, or `latest`.
    pub fn find_run(&self, typed: &str) -> Result<RunId, StoreError> {
        let names = self.names()?;
        if let ("latest", Some((id, _))) = (typed, names.first()) {
            return Ok(id.clone());
        }
        let prefix = normalise(typed);
        let of = |matches: &dyn Fn(&RunId, &str) -> bool| -> Vec<RunId> {
            names
                .iter()
                .filter(|(id, name)| matches(id, name))
                .map(|(id, _)| id.clone())
                .collect()
        };
        let exact = of(&|id, _| id.as_str() == prefix);
        let by_prefix = of(&|id, _| !prefix.is_empty() && id.as_str().starts_with(&prefix));
        let by_name = of(&|_, name| name == typed);
        let matches = [exact, by_prefix, by_name]
            .into_iter()
            .find(|found| !found.is_empty());
        match matches.as_deref() {
            None => Err(self.unknown_run(typed)),
            Some([id]) => Ok(id.clone()),
            Some(several) => Err(StoreError::AmbiguousRun {
                wanted: typed.to_owned(),
                matches: several.iter().map(RunId::to_string).collect(),
            }),
        }
    }

    /// The run's header and when it was created (Unix time, milliseconds).
    pub fn header(&self, run: &RunId) -> Result<(RunHeader, i64), StoreError> {
        let row = self.read(async |connection| {
            sqlx::query("SELECT * FROM runs WHERE id = ?")
                .bind(run.as_str())
                .fetch_optional(connection)
                .await
        })?;
        let row = row.ok_or_else(|| self.unknown_run(run.as_str()))?;
        self.decode_header(&row)
    }

    fn decode_header(&self, row: &SqliteRow) -> Result<(RunHeader, i64), StoreError> {
        let text = |name| {
            row.try_get::<String, _>(name)
                .map_err(|e| self.location.explain(e))
        };
        let damaged = |detail: String| StoreError::Damaged {
            path: self.path().to_owned(),
            detail,
        };
        let experiment = serde_json::from_str(&text("experiment")?)
            .map_err(|e| damaged(format!("a run's experiment is not JSON: {e}")))?;
        let seed = text("seed")?
            .parse()
            .map_err(|e| damaged(format!("a run's seed is not a number: {e}")))?;
        let other = |e| self.location.explain(e);
        let header = RunHeader {
            name: text("name")?,
            experiment,
            space_text: text("space_text")?,
            space_hash: text("space_hash")?,
            seed,
            bespoke_version: text("bespoke_version")?,
            git_commit: row.try_get("git_commit").map_err(other)?,
            dataset_name: text("dataset_name")?,
            dataset_hash: text("dataset_hash")?,
            device: text("device")?,
            engine: text("engine")?,
        };
        Ok((header, row.try_get("created_ms").map_err(other)?))
    }

    /// Ids and names, the latest first.
    fn names(&self) -> Result<Vec<(RunId, String)>, StoreError> {
        self.read(async |connection| {
            sqlx::query("SELECT id, name FROM runs ORDER BY created_ms DESC, key DESC")
                .fetch_all(connection)
                .await?
                .iter()
                .map(|row| Ok((RunId(row.try_get("id")?), row.try_get("name")?)))
                .collect()
        })
    }

    /// The error for a run that does not exist, with those most like it.
    pub(super) fn unknown_run(&self, wanted: &str) -> StoreError {
        let prefix = normalise(wanted);
        let mut names = match self.names() {
            Ok(names) => names,
            Err(error) => return error,
        };
        let alike = |id: &RunId| {
            let same = id.as_str().chars().zip(prefix.chars());
            same.take_while(|(a, b)| a == b).count()
        };
        // A stable sort: among equals the latest stay first.
        names.sort_by_key(|(id, _)| std::cmp::Reverse(alike(id)));
        StoreError::UnknownRun {
            path: self.path().to_owned(),
            wanted: wanted.to_owned(),
            near: names
                .iter()
                .take(5)
                .map(|(id, name)| format!("{id} ({name})"))
                .collect(),
        }
    }
}

/// Adds a run; false where its id is taken.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    id: &RunId,
    header: &RunHeader,
    created_ms: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO runs (id, created_ms, name, experiment, space_text, space_hash, seed,
                           bespoke_version, git_commit, dataset_name, dataset_hash, device, engine)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(id.as_str())
    .bind(created_ms)
    .bind(&header.name)
    .bind(header.experiment.to_string())
    .bind(&header.space_text)
    .bind(&header.space_hash)
    .bind(header.seed.to_string())
    .bind(&header.bespoke_version)
    .bind(&header.git_commit)
    .bind(&header.dataset_name)
    .bind(&header.dataset_hash)
    .bind(&header.device)
    .bind(&header.engine)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
