//! A run that is watched while it goes on: its state by replay, brought up to
//! date with the events that came since, and the last of them as lines.

use std::collections::VecDeque;

use serde::Serialize;

use super::events::event_text;
use crate::store::{Recorded, RunId, RunState, Store, StoreError, Writer};

/// Lines kept of the latest events.
const KEPT: usize = 200;

/// One of the latest events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventLine {
    /// Place in the run.
    pub seq: u64,
    /// Unix time, milliseconds.
    pub at_ms: i64,
    pub kind: String,
    pub candidate: Option<u64>,
    pub text: String,
}

impl From<&Recorded> for EventLine {
    fn from(recorded: &Recorded) -> Self {
        EventLine {
            seq: recorded.seq,
            at_ms: recorded.at_ms,
            kind: recorded.event.kind().to_owned(),
            candidate: recorded.event.candidate(),
            text: event_text(&recorded.event),
        }
    }
}

/// A run as far as it has been read.
pub struct Followed {
    pub state: RunState,
    /// Place of the last event read; 0 before the first.
    pub seq: u64,
    /// The latest events, the newest last.
    pub lines: VecDeque<EventLine>,
}

impl Followed {
    /// Reads all of a run.
    ///
    /// # Errors
    /// When there is no such run, or the database cannot be read.
    pub fn open(store: &Store, run: &RunId) -> Result<Self, StoreError> {
        let (header, created_ms) = store.header(run)?;
        let mut followed = Followed {
            state: RunState::new(run.clone(), header, created_ms),
            seq: 0,
            lines: VecDeque::with_capacity(KEPT),
        };
        followed.advance(store)?;
        Ok(followed)
    }

    /// Reads what came since, and looks whether the run's writer lives.
    ///
    /// # Errors
    /// When the run is gone, or the database cannot be read.
    pub fn advance(&mut self, store: &Store) -> Result<(), StoreError> {
        let Followed { state, seq, lines } = self;
        let run = state.id.clone();
        // The place moves with the state, so that a failure between two pages
        // does not apply the first of them twice.
        store.for_each_event(&run, *seq, |recorded| {
            *seq = recorded.seq;
            // What is asked for says nothing that its answer does not.
            if recorded.event.kind() != "asked" {
                if lines.len() == KEPT {
                    lines.pop_front();
                }
                lines.push_back(EventLine::from(&recorded));
            }
            state.apply(recorded);
        })?;
        state.writer_liveness = state.writer.as_ref().map(Writer::liveness);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Event;
    use crate::store::test_data::{evaluated, every_event, header};

    #[test]
    fn what_is_followed_equals_what_is_replayed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("x.db")).unwrap();
        let run = store.create_run(&header("a")).unwrap();
        let mut followed = Followed::open(&store, &run).unwrap();
        assert_eq!(followed.seq, 1);
        store.append_all(&run, &every_event()).unwrap();
        followed.advance(&store).unwrap();
        for candidate in 20..320 {
            let event = Event::Evaluated(evaluated(candidate, 0.5, 1.0));
            store.append(&run, &event).unwrap();
        }
        followed.advance(&store).unwrap();
        followed.advance(&store).unwrap();
        assert_eq!(followed.state, store.state(&run).unwrap());
        assert_eq!(followed.lines.len(), KEPT);
        assert_eq!(followed.lines.back().unwrap().seq, followed.seq);
    }
}
