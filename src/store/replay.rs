//! Reading a run's events and its state. A long run is read by three threads:
//! the database gives a page while the one before is parsed and the one before
//! that is replayed.

use std::sync::mpsc;

use rustc_hash::FxHashMap;

use super::encode::{self, Half, Identity};
use super::page::{self, Page, Which};
use super::{Event, Recorded, RunId, RunState, Store, StoreError, Writer};

/// How much of each event to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Everything,
    /// All but the training curves of evaluations, which are null then: what a
    /// search needs to go on, and much quicker.
    Figures,
}

/// Identities of candidates asked for and not evaluated yet, by the place of the
/// event that asked.
type Identities = FxHashMap<u64, Identity>;

/// Pages that wait for the next thread.
const WAITING: usize = 2;

impl Store {
    /// Every event of a run, in order.
    pub fn events(&self, run: &RunId) -> Result<Vec<Recorded>, StoreError> {
        let mut events = Vec::new();
        self.for_each_event(run, 0, |recorded| events.push(recorded))?;
        Ok(events)
    }

    /// Calls `visit` with every event after place `after` (0: all of them), in
    /// order, without holding them all in memory. Returns the last place seen,
    /// from which a follower can go on.
    pub fn for_each_event(
        &self,
        run: &RunId,
        after: u64,
        visit: impl FnMut(Recorded),
    ) -> Result<u64, StoreError> {
        self.visit(run, after, Detail::Everything, visit)
    }

    /// [`for_each_event`](Self::for_each_event) in less detail.
    pub fn visit(
        &self,
        run: &RunId,
        after: u64,
        detail: Detail,
        mut visit: impl FnMut(Recorded),
    ) -> Result<u64, StoreError> {
        let key = self.key(run)?;
        let mut identities = Identities::default();
        let first = self.page(key, after as i64, Which::All, detail)?;
        let (mut last, is_full) = (first.last, first.is_full);
        self.tell(key, self.parse(first)?, &mut identities, &mut visit)?;
        if !is_full {
            return Ok(last as u64);
        }
        let (fetched, pages) = mpsc::sync_channel(WAITING);
        let (parsed, events) = mpsc::sync_channel(WAITING);
        std::thread::scope(|scope| {
            let mut after = last;
            // Each ends when the one that it feeds has, or when all is read.
            scope.spawn(move || {
                loop {
                    let page = self.page(key, after, Which::All, detail);
                    let go_on = page.as_ref().is_ok_and(|page| page.is_full);
                    after = page.as_ref().map_or(after, |page| page.last);
                    if fetched.send(page).is_err() || !go_on {
                        return;
                    }
                }
            });
            scope.spawn(move || {
                for page in pages {
                    let events = page.and_then(|page| Ok((page.last, self.parse(page)?)));
                    if parsed.send(events).is_err() {
                        return;
                    }
                }
            });
            for page in events {
                let (upto, halves) = page?;
                self.tell(key, halves, &mut identities, &mut visit)?;
                last = upto;
            }
            Ok(last as u64)
        })
    }

    /// The events that are not about a candidate, up to a place.
    pub(super) fn others(&self, key: i64, upto: i64) -> Result<Vec<Recorded>, StoreError> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = self.page(key, after, Which::Others(upto), Detail::Everything)?;
            let is_full = page.is_full;
            after = page.last;
            let halves = self.parse(page)?;
            self.tell(key, halves, &mut Identities::default(), &mut |e| {
                events.push(e)
            })?;
            if !is_full {
                return Ok(events);
            }
        }
    }

    /// The events at some places, without their curves.
    pub(super) fn at(&self, key: i64, places: &[i64]) -> Result<Vec<Recorded>, StoreError> {
        let mut events = Vec::new();
        for places in places.chunks(500) {
            let halves = self.parse(self.page_of(key, places)?)?;
            self.tell(key, halves, &mut Identities::default(), &mut |e| {
                events.push(e)
            })?;
        }
        Ok(events)
    }

    fn damaged(&self, detail: String) -> StoreError {
        StoreError::Damaged {
            path: self.path().to_owned(),
            detail,
        }
    }

    fn parse(&self, page: Page) -> Result<Vec<Half>, StoreError> {
        page::parse(page).map_err(|detail| self.damaged(detail))
    }

    /// Puts identities into events and hands them on.
    fn tell(
        &self,
        key: i64,
        halves: Vec<Half>,
        identities: &mut Identities,
        visit: &mut dyn FnMut(Recorded),
    ) -> Result<(), StoreError> {
        for mut half in halves {
            let seq = half.recorded.seq;
            if let Some(asked) = half.asked {
                let identity = match identities.remove(&asked) {
                    Some(identity) => identity,
                    None => self.identity(key, asked)?.ok_or_else(|| {
                        self.damaged(format!(
                            "event {seq} refers to event {asked}, which is lost"
                        ))
                    })?,
                };
                half.put_identity(identity);
            }
            if let Event::Asked(asked) = &half.recorded.event {
                let identity = Identity {
                    genotype: asked.genotype.clone(),
                    network_hash: asked.network_hash.clone(),
                };
                identities.insert(seq, identity);
            }
            visit(half.recorded);
        }
        Ok(())
    }

    fn identity(&self, key: i64, seq: u64) -> Result<Option<Identity>, StoreError> {
        let payload: Option<String> = self.read(async |connection| {
            sqlx::query_scalar("SELECT payload FROM events WHERE run = $1 AND seq = $2")
                .bind(key)
                .bind(seq as i64)
                .fetch_optional(connection)
                .await
        })?;
        Ok(payload.as_deref().and_then(encode::identity))
    }

    /// The run's state: the replay of its events, and whether its writer lives.
    pub fn state(&self, run: &RunId) -> Result<RunState, StoreError> {
        self.state_in(run, Detail::Everything)
    }

    /// The run's state in less detail.
    pub fn state_in(&self, run: &RunId, detail: Detail) -> Result<RunState, StoreError> {
        let (header, created_ms) = self.header(run)?;
        let mut state = RunState::new(run.clone(), header, created_ms);
        self.visit(run, 0, detail, |recorded| state.apply(recorded))?;
        state.writer_liveness = state.writer.as_ref().map(Writer::liveness);
        Ok(state)
    }
}
