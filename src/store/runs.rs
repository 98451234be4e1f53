//! Finding runs: the list with its figures, and the run a person means by the
//! first letters of an id, by a name, or by `latest`.

use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

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

const SUMMARIES: &str = "
SELECT r.id, r.name, r.created_ms, r.dataset_name, r.device, r.engine,
       p.evaluated, p.failed, p.measured, p.best_accuracy, p.least_latency_ms,
       p.last_event_ms, p.status, p.writer
FROM runs r JOIN progress p ON p.run = r.key";

fn summary(row: &AnyRow) -> Result<RunSummary, sqlx::Error> {
    let count = |name| row.try_get::<i64, _>(name).map(|n| n as u64);
    let created_ms: i64 = row.try_get("created_ms")?;
    let status: Option<String> = row.try_get("status")?;
    let writer: Option<String> = row.try_get("writer")?;
    let writer = writer
        .and_then(|text| serde_json::from_str(&text).ok())
        .map(Event::from_json)
        .and_then(|event| match event {
            Event::Started { writer } | Event::Resumed { writer } => Some(writer),
            _ => None,
        });
    Ok(RunSummary {
        id: RunId(row.try_get("id")?),
        name: row.try_get("name")?,
        status: status
            .as_deref()
            .and_then(Status::after)
            .unwrap_or(Status::Running),
        created_ms,
        last_event_ms: row.try_get("last_event_ms")?,
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
            sqlx::query(sqlx::AssertSqlSafe(format!("{SUMMARIES} WHERE r.id = $1")))
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
            sqlx::query("SELECT * FROM runs WHERE id = $1")
                .bind(run.as_str())
                .fetch_optional(connection)
                .await
        })?;
        let row = row.ok_or_else(|| self.unknown_run(run.as_str()))?;
        decode_header(&row).map_err(|error| match error {
            Undecodable::Column(e) => self.location.explain(e),
            Undecodable::Text(detail) => StoreError::Damaged {
                path: self.path().to_owned(),
                detail,
            },
        })
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

/// Why a row is no header.
pub(super) enum Undecodable {
    Column(sqlx::Error),
    Text(String),
}

/// A run's header and when it was created, from its row.
pub(super) fn decode_header(row: &AnyRow) -> Result<(RunHeader, i64), Undecodable> {
    let text = |name| row.try_get::<String, _>(name).map_err(Undecodable::Column);
    let experiment = serde_json::from_str(&text("experiment")?)
        .map_err(|e| Undecodable::Text(format!("a run's experiment is not JSON: {e}")))?;
    let seed = text("seed")?
        .parse()
        .map_err(|e| Undecodable::Text(format!("a run's seed is not a number: {e}")))?;
    let header = RunHeader {
        name: text("name")?,
        experiment,
        space_text: text("space_text")?,
        space_hash: text("space_hash")?,
        seed,
        bespoke_version: text("bespoke_version")?,
        git_commit: row.try_get("git_commit").map_err(Undecodable::Column)?,
        dataset_name: text("dataset_name")?,
        dataset_hash: text("dataset_hash")?,
        device: text("device")?,
        engine: text("engine")?,
    };
    let created_ms = row.try_get("created_ms").map_err(Undecodable::Column)?;
    Ok((header, created_ms))
}

/// Adds a run and returns its key; none where its id is taken.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    id: &RunId,
    header: &RunHeader,
    created_ms: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let keys: Vec<i64> = sqlx::query_scalar(
        "INSERT INTO runs (id, created_ms, name, experiment, space_text, space_hash, seed,
                           bespoke_version, git_commit, dataset_name, dataset_hash, device, engine)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (id) DO NOTHING RETURNING key",
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
    .fetch_all(&mut *connection)
    .await?;
    let Some(key) = keys.first().copied() else {
        return Ok(None);
    };
    sqlx::query(
        "INSERT INTO progress (run, last_seq, last_event_ms, evaluated, failed, measured)
         VALUES ($1, 0, $2, 0, 0, 0)",
    )
    .bind(key)
    .bind(created_ms)
    .execute(connection)
    .await?;
    Ok(Some(key))
}
