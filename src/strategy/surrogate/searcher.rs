//! The ask/tell of every model-based strategy: a design first, then the row
//! that the strategy's own acquisition chooses by what the model believes.

use std::collections::VecDeque;

use super::{Belief, Model, Study};
use crate::strategy::{Answer, Candidate, Settings, Strategy};

/// Evaluations before the model is asked.
pub(in crate::strategy) const DESIGN: usize = 10;
/// Under way at once where no population is set.
const WINDOW: usize = 8;

/// Chooses what to ask next by what the model believes.
pub(in crate::strategy) trait Acquisition: Send {
    /// A free row; none where none is left. Beliefs are by objective, `None`
    /// for those that are not modelled.
    fn choose(&mut self, study: &mut Study, beliefs: &[Option<Belief>]) -> Option<usize>;
}

/// A strategy made of a study, a model and an acquisition.
pub(in crate::strategy) struct Searcher<A> {
    study: Study,
    window: usize,
    /// Rows to begin with.
    design: VecDeque<usize>,
    model: Model,
    acquisition: A,
}

impl<A: Acquisition> Searcher<A> {
    /// Begins with the rows of `design`; `modelled` says by objective whether
    /// the model is to learn it.
    pub fn new(
        study: Study,
        settings: &Settings,
        design: Vec<usize>,
        modelled: Vec<bool>,
        acquisition: A,
    ) -> Self {
        Searcher {
            study,
            window: settings.population(WINDOW),
            design: design.into(),
            model: Model::new(modelled),
            acquisition,
        }
    }

    /// The row to ask next, if there is one.
    fn pick(&mut self) -> Option<usize> {
        if let Some(row) = self.study.nearest() {
            return Some(row);
        }
        while let Some(row) = self.design.pop_front() {
            if self.study.is_free(row) {
                return Some(row);
            }
        }
        if self.study.succeeded().nth(1).is_none() {
            return self.study.any_free();
        }
        let beliefs = self.model.beliefs(&mut self.study);
        self.acquisition.choose(&mut self.study, &beliefs)
    }
}

impl<A: Acquisition> Strategy for Searcher<A> {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let mut asked = Vec::new();
        while asked.len() < limit && self.study.pending().len() < self.window {
            let Some(row) = self.pick() else {
                break;
            };
            let generation = self.study.asked() / self.window.max(1);
            asked.push(self.study.issue(row, generation));
        }
        asked
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        self.study.tell(id, answer);
    }

    fn is_exhausted(&self) -> bool {
        self.study.is_spent()
    }
}
