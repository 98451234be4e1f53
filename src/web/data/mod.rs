//! What the page shows, read from the database: plain data out, no HTTP. Runs
//! that someone looks at are kept as they were last read, so that looking again
//! only reads what came since. Calls block.

mod columns;
mod drawing;
mod views;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use columns::{Columns, Cost};
pub use drawing::DrawingError;
pub use views::{CandidateView, Counts, Course, DeviceOfRuns, Measurement, Overview, Pair, RunRow};

use crate::report::{EventLine, Followed};
use crate::store::{Event, RunFilter, RunId, Store, StoreError};

/// Points that a page is sent; of a run with more, a sample with all fronts.
const MOST_POINTS: usize = 50_000;
/// Runs kept in memory; the one not looked at for longest makes room.
const KEPT_RUNS: usize = 8;

/// The runs of a database, for showing.
pub struct Data {
    /// None only while being dropped.
    store: Option<Store>,
    kept: Mutex<Kept>,
    drawings: drawing::Spaces,
}

#[derive(Default)]
struct Kept {
    runs: HashMap<RunId, Entry>,
    /// Counts looks, to know which was longest ago.
    looks: u64,
}

struct Entry {
    run: Arc<Mutex<Option<Followed>>>,
    looked: u64,
}

/// What came to a run after some place.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct News {
    /// The last place; what comes next comes after it.
    pub seq: u64,
    pub status: &'static str,
    pub last_event_ms: i64,
    pub counts: Counts,
    /// The evaluations among it.
    pub columns: Columns,
    pub lines: Vec<EventLine>,
    /// Whether more than evaluations came, so that the rest of the page is old.
    pub overview_changed: bool,
}

impl Data {
    pub fn new(store: Store) -> Self {
        Data {
            store: Some(store),
            kept: Mutex::default(),
            drawings: drawing::Spaces::default(),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open until dropped")
    }

    /// The run that a text from an address means; see [`Store::find_run`].
    pub fn find(&self, typed: &str) -> Result<RunId, StoreError> {
        self.store().find_run(typed)
    }

    /// All runs, the latest first.
    pub fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        let runs = self.store().runs(&RunFilter::default())?;
        Ok(runs.iter().map(RunRow::from).collect())
    }

    /// The devices that runs were made for.
    pub fn devices_of_runs(&self) -> Result<Vec<DeviceOfRuns>, StoreError> {
        let runs = self.store().runs(&RunFilter::default())?;
        Ok(views::devices_of(&runs))
    }

    pub fn overview(&self, run: &RunId) -> Result<Overview, StoreError> {
        self.with(run, Overview::of)
    }

    /// Evaluations as columns (all of them, up to some tens of thousands), with
    /// the place up to which they go.
    pub fn columns(&self, run: &RunId) -> Result<(u64, Columns), StoreError> {
        let all = |followed: &Followed| (followed.seq, Columns::of(&followed.state));
        let (seq, columns) = self.with(run, all)?;
        Ok((seq, columns.thinned(MOST_POINTS)))
    }

    /// All about a candidate; none where there is no such one.
    pub fn candidate(&self, run: &RunId, id: u64) -> Result<Option<CandidateView>, StoreError> {
        self.with(run, |followed| CandidateView::of(&followed.state, id))
    }

    /// A candidate's network as SVG; none where there is no such candidate.
    pub fn drawing(
        &self,
        run: &RunId,
        id: u64,
    ) -> Result<Option<Result<String, DrawingError>>, StoreError> {
        let found = self.with(run, |followed| {
            let state = &followed.state;
            let candidate = state.candidates.get(&id)?;
            let header = &state.header;
            Some((
                header.space_hash.clone(),
                header.space_text.clone(),
                candidate.genotype.clone(),
            ))
        })?;
        Ok(found.map(|(hash, text, genotype)| self.drawings.draw(&hash, &text, &genotype)))
    }

    /// Measurements, each beside what was predicted.
    pub fn pairs(&self, run: &RunId) -> Result<Vec<Pair>, StoreError> {
        self.with(run, |followed| views::pairs(&followed.state))
    }

    /// The front members' training curves.
    pub fn courses(&self, run: &RunId) -> Result<Vec<Course>, StoreError> {
        self.with(run, |followed| views::courses(&followed.state))
    }

    /// The latest events, the newest last.
    pub fn lines(&self, run: &RunId) -> Result<Vec<EventLine>, StoreError> {
        self.with(run, |followed| followed.lines.iter().cloned().collect())
    }

    /// What came to a run after the place `after`; none where nothing did and
    /// its status word is still `status`.
    pub fn news(&self, run: &RunId, after: u64, status: &str) -> Result<Option<News>, StoreError> {
        let found = self.with(run, |followed| {
            let state = &followed.state;
            let word = state.status_word();
            (followed.seq > after || word != status).then(|| News {
                seq: followed.seq,
                status: word,
                last_event_ms: state.last_event_ms,
                counts: Counts::of(state),
                columns: Columns::default(),
                lines: followed
                    .lines
                    .iter()
                    .filter(|line| line.seq > after)
                    .cloned()
                    .collect(),
                overview_changed: word != status,
            })
        })?;
        let Some(mut news) = found else {
            return Ok(None);
        };
        if news.seq <= after {
            return Ok(Some(news));
        }
        let limits = self.with(run, |followed| followed.state.constraints())?;
        let mut seen = after;
        self.store().for_each_event(run, after, |recorded| {
            // What came while this was put together is told the next time.
            if recorded.seq > news.seq {
                return;
            }
            seen = recorded.seq;
            match &recorded.event {
                Event::Evaluated(e) => news.columns.push(e, &limits, false),
                Event::Asked(_) => {}
                _ => news.overview_changed = true,
            }
        })?;
        news.seq = seen;
        Ok(Some(news))
    }

    /// Adds a note to a run.
    pub fn note(&self, run: &RunId, text: &str) -> Result<u64, StoreError> {
        let text = text.to_owned();
        self.store().append(run, &Event::Note { text })
    }

    /// Reads what came to a run since it was last looked at, then reads it.
    fn with<T>(&self, run: &RunId, read: impl FnOnce(&Followed) -> T) -> Result<T, StoreError> {
        let entry = self.entry(run);
        // A panic while a state was being changed may have left it half done.
        let mut kept = entry.lock().unwrap_or_else(|poisoned| {
            let mut kept = poisoned.into_inner();
            *kept = None;
            kept
        });
        let advanced = match kept.as_mut() {
            Some(followed) => followed.advance(self.store()),
            None => Followed::open(self.store(), run).map(|followed| *kept = Some(followed)),
        };
        if let Err(error) = advanced {
            *kept = None;
            return Err(error);
        }
        entry.clear_poison();
        Ok(read(kept.as_ref().expect("opened above")))
    }

    fn entry(&self, run: &RunId) -> Arc<Mutex<Option<Followed>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.looks += 1;
        let now = kept.looks;
        if !kept.runs.contains_key(run)
            && kept.runs.len() >= KEPT_RUNS
            && let Some(oldest) = kept.runs.iter().min_by_key(|(_, e)| e.looked)
        {
            let oldest = oldest.0.clone();
            kept.runs.remove(&oldest);
        }
        let entry = kept.runs.entry(run.clone()).or_insert_with(|| Entry {
            run: Arc::default(),
            looked: now,
        });
        entry.looked = now;
        entry.run.clone()
    }
}

impl Drop for Data {
    /// A store blocks while it is closed, which an async task must not: a thread
    /// closes it.
    fn drop(&mut self) {
        let store = self.store.take();
        // Nothing is lost should the thread panic: the log is folded in later.
        let _ = std::thread::spawn(move || drop(store)).join();
    }
}

#[cfg(test)]
mod tests;
