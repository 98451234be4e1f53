//! Several workers on one run: what was asked for and has no outcome is taken
//! on a lease, which ends by itself where its worker does not renew it. The
//! first outcome of a candidate is the only one; see [`Store::answer`].

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use super::{Asked, Event, Liveness, Outcome, RunId, RunState, Store, StoreError, Writer};

/// What became of the wish for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// This worker has it.
    Granted,
    /// Another one has it.
    Held,
    /// The candidate has an outcome, or was never asked for.
    Answered,
}

/// A candidate that a worker has on lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Leased {
    pub asked: Asked,
    /// Whether another worker had it, whose lease has ended.
    pub was_abandoned: bool,
}

/// A name that no other worker has, on any machine, and from which it can be
/// told later whether this process still runs.
pub fn worker_name() -> String {
    serde_json::to_string(&Writer::current()).expect("plain data")
}

impl Store {
    /// Takes a candidate on a lease of so long, or renews it.
    pub fn lease(
        &self,
        run: &RunId,
        candidate: u64,
        worker: &str,
        time: Duration,
    ) -> Result<Lease, StoreError> {
        let key = self.key(run)?;
        let clock = self.location.clock();
        let taken = format!(
            "UPDATE pending SET worker = $3, deadline_ms = {clock} + $4
             WHERE run = $1 AND candidate = $2 AND (worker = $3 OR deadline_ms < {clock})"
        );
        self.write(async |connection| {
            let done = sqlx::query(AssertSqlSafe(taken))
                .bind(key)
                .bind(candidate as i64)
                .bind(worker)
                .bind(time.as_millis() as i64)
                .execute(&mut *connection)
                .await?;
            if done.rows_affected() > 0 {
                return Ok(Lease::Granted);
            }
            let waiting = "SELECT candidate FROM pending WHERE run = $1 AND candidate = $2";
            let waiting: Vec<i64> = sqlx::query_scalar(waiting)
                .bind(key)
                .bind(candidate as i64)
                .fetch_all(connection)
                .await?;
            Ok(match waiting.is_empty() {
                true => Lease::Answered,
                false => Lease::Held,
            })
        })
    }

    /// Takes the first candidate that nobody has; none where there is none.
    pub fn lease_next(
        &self,
        run: &RunId,
        worker: &str,
        time: Duration,
    ) -> Result<Option<Leased>, StoreError> {
        let key = self.key(run)?;
        let clock = self.location.clock();
        let free = format!(
            "SELECT candidate, asked, worker, deadline_ms FROM pending
             WHERE run = $1 AND deadline_ms < {clock} ORDER BY candidate LIMIT 8"
        );
        // Where another worker was quicker, its deadline is no longer the one seen.
        let take = format!(
            "UPDATE pending SET worker = $3, deadline_ms = {clock} + $4
             WHERE run = $1 AND candidate = $2 AND deadline_ms = $5"
        );
        let taken = self.write(async |connection| {
            let rows = sqlx::query(AssertSqlSafe(free))
                .bind(key)
                .fetch_all(&mut *connection)
                .await?;
            for row in rows {
                let done = sqlx::query(AssertSqlSafe(take.clone()))
                    .bind(key)
                    .bind(row.try_get::<i64, _>("candidate")?)
                    .bind(worker)
                    .bind(time.as_millis() as i64)
                    .bind(row.try_get::<i64, _>("deadline_ms")?)
                    .execute(&mut *connection)
                    .await?;
                if done.rows_affected() > 0 {
                    let had: String = row.try_get("worker")?;
                    return Ok(Some((row.try_get::<i64, _>("asked")?, !had.is_empty())));
                }
            }
            Ok(None)
        })?;
        let Some((seq, was_abandoned)) = taken else {
            return Ok(None);
        };
        let event = self.at(key, &[seq])?.pop().map(|recorded| recorded.event);
        match event {
            Some(Event::Asked(asked)) => Ok(Some(Leased {
                asked,
                was_abandoned,
            })),
            _ => Err(StoreError::Damaged {
                path: self.path().to_owned(),
                detail: format!(
                    "run {run} waits for a candidate that event {seq} does not ask for"
                ),
            }),
        }
    }

    /// Renews every lease that a worker has in a run. Returns how many.
    pub fn renew(&self, run: &RunId, worker: &str, time: Duration) -> Result<u64, StoreError> {
        let key = self.key(run)?;
        let clock = self.location.clock();
        let sql =
            format!("UPDATE pending SET deadline_ms = {clock} + $3 WHERE run = $1 AND worker = $2");
        self.write(async |connection| {
            let done = sqlx::query(AssertSqlSafe(sql))
                .bind(key)
                .bind(worker)
                .bind(time.as_millis() as i64)
                .execute(connection)
                .await?;
            Ok(done.rows_affected())
        })
    }

    /// Gives back every lease that a worker has in a run. Returns how many.
    pub fn release(&self, run: &RunId, worker: &str) -> Result<u64, StoreError> {
        let key = self.key(run)?;
        self.write(async |connection| {
            let done = sqlx::query(
                "UPDATE pending SET worker = '', deadline_ms = 0 WHERE run = $1 AND worker = $2",
            )
            .bind(key)
            .bind(worker)
            .execute(connection)
            .await?;
            Ok(done.rows_affected())
        })
    }

    /// Ends the leases of workers that ran on this machine and are gone: their
    /// end need not be waited for. Returns how many.
    pub fn end_leases_of_the_gone(&self, run: &RunId) -> Result<u64, StoreError> {
        let key = self.key(run)?;
        let workers: Vec<String> = self.read(async |connection| {
            sqlx::query_scalar(
                "SELECT DISTINCT worker FROM pending
                 WHERE run = $1 AND worker <> '' AND deadline_ms > 0",
            )
            .bind(key)
            .fetch_all(connection)
            .await
        })?;
        let is_gone = |name: &String| {
            let writer: Option<Writer> = serde_json::from_str(name).ok();
            writer.is_some_and(|writer| writer.liveness() == Liveness::Gone)
        };
        let mut ended = 0;
        for worker in workers.into_iter().filter(is_gone) {
            ended += self.write(async |connection| {
                let done = sqlx::query(
                    "UPDATE pending SET deadline_ms = 0 WHERE run = $1 AND worker = $2",
                )
                .bind(key)
                .bind(worker)
                .execute(connection)
                .await?;
                Ok(done.rows_affected())
            })?;
        }
        Ok(ended)
    }

    /// What became of a candidate, as its events say.
    pub fn outcome(&self, run: &RunId, candidate: u64) -> Result<Option<Outcome>, StoreError> {
        let key = self.key(run)?;
        let places: Vec<i64> = self.read(async |connection| {
            sqlx::query_scalar(
                "SELECT seq FROM events WHERE run = $1 AND candidate = $2 ORDER BY seq",
            )
            .bind(key)
            .bind(candidate as i64)
            .fetch_all(connection)
            .await
        })?;
        let (header, created_ms) = self.header(run)?;
        let mut state = RunState::new(run.clone(), header, created_ms);
        for recorded in self.at(key, &places)? {
            state.apply(recorded);
        }
        Ok(state.candidates.remove(&candidate).map(|c| c.outcome))
    }
}
