//! Recording: an event, its place in the run and the run's figures, in one
//! transaction.

use std::sync::PoisonError;

use sqlx::{AnyConnection, AssertSqlSafe};

use super::encode::{self, Identity};
use super::{Event, Liveness, RunHeader, RunId, Status, Store, StoreError, Writer};
use super::{front, now, runs};

/// What became of an event that was to be recorded.
pub(super) enum Inserted {
    At(i64),
    NoSuchRun,
    /// It was to be the first outcome of its candidate, and is not.
    Answered,
}

impl Store {
    /// Registers a run and records that this process has started it.
    pub fn create_run(&self, header: &RunHeader) -> Result<RunId, StoreError> {
        let started = Event::Started {
            writer: Writer::current(),
        };
        self.transact(async |connection| {
            let now = now();
            let (id, key) = loop {
                let id = RunId::fresh(now.as_nanos());
                let created_ms = now.as_millis() as i64;
                if let Some(key) = runs::insert(connection, &id, header, created_ms).await? {
                    break (id, key);
                }
            };
            insert(connection, key, &started, false).await?;
            Ok(id)
        })
    }

    /// Records that this process goes on with a run. Refuses while the process
    /// that recorded it last is alive on this machine, unless it is this one.
    pub fn resume_run(&self, run: &RunId) -> Result<(), StoreError> {
        let here = Writer::current();
        let summary = self.summary(run)?;
        if let Some(writer) = summary.writer
            && writer != here
            && summary.status == Status::Running
            && writer.liveness() == Liveness::Alive
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
        self.append_one(run, event, false)
    }

    /// Records the outcome of a candidate that was asked for, unless it has one.
    ///
    /// # Errors
    /// [`StoreError::Answered`] where another outcome was recorded first; as
    /// [`append`](Self::append) otherwise.
    pub fn answer(&self, run: &RunId, event: &Event) -> Result<u64, StoreError> {
        recordable(event)?;
        self.append_one(run, event, true)
    }

    fn append_one(&self, run: &RunId, event: &Event, once: bool) -> Result<u64, StoreError> {
        let key = self.key(run)?;
        let inserted = self.transact_if(
            async |connection| insert(connection, key, event, once).await,
            |inserted| matches!(inserted, Inserted::At(_)),
        )?;
        let seq = self.place(run, inserted, event)?;
        self.count(run, std::slice::from_ref(event));
        Ok(seq)
    }

    /// Records events together: all of them or, on an error, none.
    pub fn append_all(&self, run: &RunId, events: &[Event]) -> Result<(), StoreError> {
        events.iter().try_for_each(recordable)?;
        let key = self.key(run)?;
        let failed = self.transact_if(
            async |connection| {
                for event in events {
                    match insert(connection, key, event, false).await? {
                        Inserted::At(_) => {}
                        other => return Ok(Some((other, event))),
                    }
                }
                Ok(None)
            },
            Option::is_none,
        )?;
        if let Some((inserted, event)) = failed {
            self.place(run, inserted, event)?;
        }
        self.count(run, events);
        Ok(())
    }

    fn place(&self, run: &RunId, inserted: Inserted, event: &Event) -> Result<u64, StoreError> {
        match inserted {
            Inserted::At(seq) => Ok(seq as u64),
            Inserted::NoSuchRun => Err(self.unknown_run(run.as_str())),
            Inserted::Answered => Err(StoreError::Answered {
                run: run.to_string(),
                candidate: event.candidate().unwrap_or_default(),
            }),
        }
    }

    /// Puts the run's fronts down where enough evaluations have come in.
    fn count(&self, run: &RunId, events: &[Event]) {
        let evaluated = events.iter().filter(|e| matches!(e, Event::Evaluated(_)));
        let evaluated = evaluated.count() as u32;
        if evaluated == 0 {
            return;
        }
        let is_due = {
            let mut since = self
                .since_front
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let since = since.entry(run.clone()).or_default();
            *since += evaluated;
            let is_due = *since >= front::EVERY;
            if is_due {
                *since = 0;
            }
            is_due
        };
        if is_due {
            // What is put down is only for speed: nothing is lost without it.
            let _ = self.put_front_down(run);
        }
    }
}

pub(super) fn recordable(event: &Event) -> Result<(), StoreError> {
    match event.unreadable() {
        None => Ok(()),
        Some(detail) => Err(StoreError::Unrecordable {
            kind: event.kind().to_owned(),
            detail,
        }),
    }
}

/// Adds an event to a run; `once` refuses an outcome of a candidate that is not
/// waiting for one.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    key: i64,
    event: &Event,
    once: bool,
) -> Result<Inserted, sqlx::Error> {
    insert_at(connection, key, event, now().as_millis() as i64, once).await
}

/// Adds an event at the place and time that it had elsewhere.
pub(super) async fn put_at(
    connection: &mut AnyConnection,
    key: i64,
    (seq, at_ms): (i64, i64),
    event: &Event,
) -> Result<Inserted, sqlx::Error> {
    sqlx::query("UPDATE progress SET last_seq = $2 WHERE run = $1")
        .bind(key)
        .bind(seq - 1)
        .execute(&mut *connection)
        .await?;
    insert_at(connection, key, event, at_ms, false).await
}

async fn insert_at(
    connection: &mut AnyConnection,
    key: i64,
    event: &Event,
    at_ms: i64,
    once: bool,
) -> Result<Inserted, sqlx::Error> {
    let Some(seq) = advance(connection, key, event, at_ms).await? else {
        return Ok(Inserted::NoSuchRun);
    };
    let candidate = event.candidate().unwrap_or_default() as i64;
    match event {
        Event::Asked(_) => {
            sqlx::query(
                "INSERT INTO pending (run, candidate, asked, worker, deadline_ms)
                 VALUES ($1, $2, $3, '', 0) ON CONFLICT (run, candidate) DO NOTHING",
            )
            .bind(key)
            .bind(candidate)
            .bind(seq)
            .execute(&mut *connection)
            .await?;
        }
        Event::Evaluated(_) | Event::Failed { .. } => {
            let done = sqlx::query("DELETE FROM pending WHERE run = $1 AND candidate = $2")
                .bind(key)
                .bind(candidate)
                .execute(&mut *connection)
                .await?;
            if once && done.rows_affected() == 0 {
                // The transaction that this is part of is undone.
                return Ok(Inserted::Answered);
            }
        }
        _ => {}
    }
    let asked = asked_by(connection, key, event).await?;
    put(connection, key, (seq, at_ms), event, asked).await?;
    Ok(Inserted::At(seq))
}

/// Writes the row of an event.
async fn put(
    connection: &mut AnyConnection,
    key: i64,
    (seq, at_ms): (i64, i64),
    event: &Event,
    asked: Option<i64>,
) -> Result<(), sqlx::Error> {
    let columns = encode::columns(event, asked.is_some()).map_err(sqlx::Error::Io)?;
    // A number that is absent is left out of the statement, as the driver
    // would give it a type that the column does not have.
    let (mut names, mut values) = (String::new(), String::new());
    let numbers = [
        ("accuracy", columns.accuracy),
        ("latency_ms", columns.latency_ms),
    ];
    let present: Vec<f64> = numbers.iter().filter_map(|(_, value)| *value).collect();
    let given = numbers.iter().filter(|(_, value)| value.is_some());
    for (index, (name, _)) in given.enumerate() {
        names += &format!(", {name}");
        values += &format!(", ${}", index + 9);
    }
    let sql = format!(
        "INSERT INTO events (run, seq, at_ms, kind, candidate, asked, payload, packed{names})
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8{values})"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(key)
        .bind(seq)
        .bind(at_ms)
        .bind(columns.kind)
        .bind(columns.candidate)
        .bind(asked)
        .bind(columns.payload)
        .bind(columns.packed);
    for number in present {
        query = query.bind(number);
    }
    query.execute(connection).await?;
    Ok(())
}

/// Takes the run's next place and brings its figures up to date; none where
/// there is no such run. Other writers of the run wait from here on.
async fn advance(
    connection: &mut AnyConnection,
    key: i64,
    event: &Event,
    at_ms: i64,
) -> Result<Option<i64>, sqlx::Error> {
    const ALWAYS: &str = "last_seq = last_seq + 1, last_event_ms = $2";
    let returning = "WHERE run = $1 RETURNING last_seq";
    let sql = |set: &str| AssertSqlSafe(format!("UPDATE progress SET {ALWAYS}{set} {returning}"));
    let rows: Vec<i64> = match event {
        Event::Evaluated(e) => {
            sqlx::query_scalar(sql(", evaluated = evaluated + CASE WHEN EXISTS (
                    SELECT 1 FROM events WHERE run = $1 AND candidate = $3 AND kind = 'evaluated'
                ) THEN 0 ELSE 1 END,
                best_accuracy = CASE WHEN best_accuracy >= $4 THEN best_accuracy ELSE $4 END,
                least_latency_ms = CASE WHEN least_latency_ms <= $5 THEN least_latency_ms
                    ELSE $5 END"))
            .bind(key)
            .bind(at_ms)
            .bind(e.candidate as i64)
            .bind(e.accuracy)
            .bind(e.latency_ms)
            .fetch_all(connection)
            .await?
        }
        Event::Failed { .. } | Event::Measured(_) => {
            let set = match event {
                Event::Failed { .. } => ", failed = failed + 1",
                _ => ", measured = measured + 1",
            };
            sqlx::query_scalar(sql(set))
                .bind(key)
                .bind(at_ms)
                .fetch_all(connection)
                .await?
        }
        Event::Started { .. } | Event::Resumed { .. } => {
            sqlx::query_scalar(sql(", status = $3, writer = $4"))
                .bind(key)
                .bind(at_ms)
                .bind(event.kind().to_owned())
                .bind(event.to_json().to_string())
                .fetch_all(connection)
                .await?
        }
        other if Status::after(other.kind()).is_some() => {
            sqlx::query_scalar(sql(", status = $3"))
                .bind(key)
                .bind(at_ms)
                .bind(other.kind().to_owned())
                .fetch_all(connection)
                .await?
        }
        _ => {
            sqlx::query_scalar(sql(""))
                .bind(key)
                .bind(at_ms)
                .fetch_all(connection)
                .await?
        }
    };
    Ok(rows.first().copied())
}

/// The place of the event that asked for what was evaluated, where it has the
/// same identity.
async fn asked_by(
    connection: &mut AnyConnection,
    key: i64,
    event: &Event,
) -> Result<Option<i64>, sqlx::Error> {
    let (Some(identity), Some(candidate)) = (Identity::of(event), event.candidate()) else {
        return Ok(None);
    };
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT seq, payload FROM events
         WHERE run = $1 AND candidate = $2 AND kind = 'asked' ORDER BY seq DESC LIMIT 1",
    )
    .bind(key)
    .bind(candidate as i64)
    .fetch_all(connection)
    .await?;
    Ok(rows
        .first()
        .filter(|(_, payload)| encode::identity(payload).as_ref() == Some(&identity))
        .map(|(seq, _)| *seq))
}
