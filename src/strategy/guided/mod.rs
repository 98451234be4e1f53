//! A strategy of our own, for searches in which most objectives and limits are
//! foretold before anything is trained: only what is not (the accuracy) costs
//! evaluations, so only that is modelled, and each evaluation goes where it is
//! expected to add most to the front.
//!
//! The model is an exact Gaussian process on normal scores of the losses, over
//! the network's graph and the decisions, with zero-cost scores as a linear
//! part where there are some. With one foretold objective beside it a
//! candidate's worth is its expected hypervolume improvement, an integral over
//! one dimension; with one objective alone it is expected improvement; with
//! more it is expected improvement of a random augmented Tchebycheff sum, as
//! in ParEGO (Knowles 2006). Limits enter as the chance of keeping them
//! (Gardner et al. 2014), which for a foretold latency comes from its interval;
//! on a front the middle of the interval counts, since counting the luck of a
//! wide one led searches of the tabular benchmark away from the front.

mod worth;

use std::collections::VecDeque;

use super::surrogate::{Model, Study, allowed};
use super::{Answer, Candidate, Metric, Problem, Settings, Strategy};

/// Evaluations before the model is asked.
const DESIGN: usize = 10;
/// Under way at once where no population is set.
const WINDOW: usize = 8;

/// The state of a search.
pub struct Guided {
    study: Study,
    window: usize,
    /// Rows to begin with.
    design: VecDeque<usize>,
    model: Model,
}

impl Guided {
    pub(super) fn of(problem: Problem, settings: &Settings) -> Self {
        let mut study = Study::new(problem, settings);
        let goals = study.problem().goals.clone();
        let modelled = goals.objectives().iter().map(|m| !study.knows(m));
        let model = Model::new(modelled.collect());
        // Evenly over what is foretold and wanted or limited, within the
        // limits as far as they can be told.
        let limits = goals.constraints().to_vec();
        let key: Option<Metric> = goals.metrics().into_iter().find(|m| study.knows(m));
        let design = study.design(DESIGN, |study, row| {
            let known = &study.table.known[row];
            let value = key.as_ref().and_then(|m| known.estimate(m));
            (allowed(known, &limits) > 0.1).then(|| value.map_or(0.0, |e| e.value))
        });
        Guided {
            window: settings.population(WINDOW),
            design: design.into(),
            model,
            study,
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
        let worths = self.worths(&beliefs);
        let best = worths.into_iter().max_by(|(a, x), (b, y)| {
            // The first of equals.
            x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1)).then(b.cmp(a))
        });
        best.map(|(row, _)| row)
    }
}

impl Strategy for Guided {
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

#[cfg(test)]
mod tests;
