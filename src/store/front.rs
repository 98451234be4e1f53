//! The fronts of a run without a replay of all its evaluations. Every so many
//! evaluations the places of those on a front are put down; from there, only
//! what was recorded since has to be looked at. A front is that of everything
//! exactly: what is dominated by a member stays so, unless the member's genotype
//! is evaluated again, and then everything is looked at.

use std::collections::BTreeSet;

use sqlx::Row;

use super::{Detail, Evaluated, Event, Recorded, RunId, RunState, Store, StoreError, Writer};

/// Evaluations after which this process puts the members down again.
pub(super) const EVERY: u32 = 256;

/// What was put down.
#[derive(Debug, Clone, PartialEq)]
struct Checkpoint {
    /// The last event that it counts.
    seq: i64,
    /// Places of the evaluations on any front.
    members: Vec<i64>,
}

/// A state of few candidates, with the places of their evaluations.
struct Thin {
    state: RunState,
    places: Vec<(u64, i64)>,
    last: i64,
}

impl Thin {
    fn new(run: &RunId, header: super::RunHeader, created_ms: i64) -> Self {
        Thin {
            state: RunState::new(run.clone(), header, created_ms),
            places: Vec::new(),
            last: 0,
        }
    }

    fn apply(&mut self, recorded: Recorded) {
        if let Event::Evaluated(e) = &recorded.event {
            self.places.push((e.candidate, recorded.seq as i64));
        }
        self.last = self.last.max(recorded.seq as i64);
        self.state.apply(recorded);
    }

    /// Candidates on the front of the run's objectives or on that of an engine.
    fn members(&self) -> BTreeSet<u64> {
        let mut members: BTreeSet<u64> = BTreeSet::new();
        let mut add = |front: Vec<super::FrontMember<'_>>| {
            members.extend(front.iter().map(|m| m.evaluated.candidate));
        };
        add(self.state.front());
        add(self.state.front_on(&self.state.header.engine));
        for engine in self.state.other_engines() {
            add(self.state.front_on(&engine));
        }
        members
    }

    fn checkpoint(&self) -> Checkpoint {
        let members = self.members();
        // The latest evaluation of a candidate is the one that counts.
        let latest: std::collections::BTreeMap<u64, i64> = self.places.iter().copied().collect();
        let mut places: Vec<i64> = members
            .iter()
            .filter_map(|m| latest.get(m).copied())
            .collect();
        places.sort_unstable();
        Checkpoint {
            seq: self.last,
            members: places,
        }
    }
}

impl Store {
    /// A run's state with no other candidates than those on one of its fronts
    /// and those evaluated since the fronts were last put down; everything else
    /// is as in [`state`](Self::state), apart from training curves. For a long
    /// run it is there at once. Its `front` and `front_on` are those of the
    /// whole run, for the run's objectives and the engines it measures.
    pub fn front_state(&self, run: &RunId) -> Result<RunState, StoreError> {
        Ok(self.thin(run)?.state)
    }

    /// Puts the members down, so that fronts are read quickly.
    pub(super) fn put_front_down(&self, run: &RunId) -> Result<(), StoreError> {
        let checkpoint = self.thin(run)?.checkpoint();
        let key = self.key(run)?;
        let members = serde_json::to_string(&checkpoint.members).expect("numbers");
        self.write(async |connection| {
            sqlx::query(
                "INSERT INTO fronts (run, seq, members) VALUES ($1, $2, $3)
                 ON CONFLICT (run) DO UPDATE SET seq = excluded.seq, members = excluded.members
                 WHERE fronts.seq < excluded.seq",
            )
            .bind(key)
            .bind(checkpoint.seq)
            .bind(members)
            .execute(connection)
            .await
            .map(drop)
        })
    }

    fn thin(&self, run: &RunId) -> Result<Thin, StoreError> {
        let (header, created_ms) = self.header(run)?;
        let key = self.key(run)?;
        let mut thin = Thin::new(run, header, created_ms);
        match self.checkpoint(key)? {
            Some(checkpoint) if self.go_on_from(run, key, &checkpoint, &mut thin)? => {}
            _ => {
                thin = Thin::new(run, thin.state.header, created_ms);
                self.visit(run, 0, Detail::Figures, |recorded| thin.apply(recorded))?;
            }
        }
        thin.state.events = thin.last as u64;
        thin.state.writer_liveness = thin.state.writer.as_ref().map(Writer::liveness);
        Ok(thin)
    }

    /// Replays from a checkpoint; false where that does not tell the front.
    fn go_on_from(
        &self,
        run: &RunId,
        key: i64,
        checkpoint: &Checkpoint,
        thin: &mut Thin,
    ) -> Result<bool, StoreError> {
        let members = self.at(key, &checkpoint.members)?;
        let kept: Vec<(String, u64, f64)> = members
            .iter()
            .filter_map(|recorded| match &recorded.event {
                Event::Evaluated(e) => Some((e.genotype.clone(), e.candidate, e.fidelity)),
                _ => None,
            })
            .collect();
        if kept.is_empty() || kept.len() != checkpoint.members.len() {
            return Ok(false);
        }
        let mut before = self.others(key, checkpoint.seq)?;
        before.extend(members);
        before.sort_by_key(|recorded| recorded.seq);
        for recorded in before {
            thin.apply(recorded);
        }
        let replaces = |e: &Evaluated| {
            kept.iter().any(|(genotype, candidate, _)| {
                *genotype == e.genotype || *candidate == e.candidate
            })
        };
        let mut is_exact = true;
        let last = self.visit(run, checkpoint.seq as u64, Detail::Figures, |recorded| {
            if let Event::Evaluated(e) = &recorded.event {
                is_exact &= !replaces(e);
            }
            thin.apply(recorded);
        })?;
        thin.last = last as i64;
        Ok(is_exact)
    }

    fn checkpoint(&self, key: i64) -> Result<Option<Checkpoint>, StoreError> {
        let row: Option<(i64, String)> = self.read(async |connection| {
            sqlx::query("SELECT seq, members FROM fronts WHERE run = $1")
                .bind(key)
                .fetch_optional(connection)
                .await?
                .map(|row| Ok((row.try_get("seq")?, row.try_get("members")?)))
                .transpose()
        })?;
        Ok(row.and_then(|(seq, members)| {
            let members = serde_json::from_str(&members).ok()?;
            Some(Checkpoint { seq, members })
        }))
    }
}
