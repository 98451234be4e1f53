//! Random search without repetition, which every other strategy has to beat
//! (Li and Talwalkar 2019, arXiv 1902.07638).

use super::ledger::Ledger;
use super::{Answer, Candidate, Problem, Settings, Strategy};

/// Asked at once where no population is set.
const WINDOW: usize = 64;

/// The state of a search.
pub struct Random {
    ledger: Ledger,
    window: usize,
}

impl Random {
    pub(super) fn of(problem: Problem, settings: &Settings) -> Self {
        Random {
            ledger: Ledger::new(problem, settings),
            window: settings.population(WINDOW),
        }
    }
}

impl Strategy for Random {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let room = self.window.saturating_sub(self.ledger.open());
        let mut asked = Vec::new();
        while asked.len() < limit.min(room) {
            let Some(architecture) = self.ledger.drawn() else {
                break;
            };
            asked.push(self.ledger.issue(architecture, 0));
        }
        asked
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        self.ledger.settle(id, answer);
    }

    fn is_exhausted(&self) -> bool {
        self.ledger.is_spent() && self.ledger.open() == 0
    }
}
