//! A strategy of our own, for searches in which most objectives and limits are
//! foretold before anything is trained: only what is not (the accuracy) costs
//! evaluations, so only that is modelled, and each evaluation goes where it is
//! expected to add most to the front.
//!
//! The model is an exact Gaussian process on normal scores of the losses, over
//! the network's graph, zero-cost scores where there are some, and the
//! decisions. With one foretold objective beside it a
//! candidate's worth is its expected hypervolume improvement, an integral over
//! one dimension; with one objective alone it is expected improvement; with
//! more it is expected improvement of a random augmented Tchebycheff sum, as
//! in ParEGO (Knowles 2006). Limits enter as the chance of keeping them
//! (Gardner et al. 2014), which for a foretold latency comes from its interval;
//! on a front the middle of the interval counts, since counting the luck of a
//! wide one led searches of the tabular benchmark away from the front.

mod worth;

use super::surrogate::{Acquisition, Belief, DESIGN, Searcher, Study, allowed};
use super::{Metric, Problem, Settings, Strategy};

/// Asks for what is expected to add most.
pub(super) struct Improvement;

/// The strategy for a problem.
pub(super) fn of(problem: Problem, settings: &Settings) -> impl Strategy + use<> {
    let mut study = Study::new(problem, settings);
    let goals = study.problem().goals.clone();
    let modelled = goals.objectives().iter().map(|m| !study.knows(m)).collect();
    // Evenly over what is foretold and wanted or limited, within the limits as
    // far as they can be told.
    let limits = goals.constraints().to_vec();
    let key: Option<Metric> = goals.metrics().into_iter().find(|m| study.knows(m));
    let design = study.design(DESIGN, |study, row| {
        let known = &study.table.known[row];
        let value = key.as_ref().and_then(|m| known.estimate(m));
        (allowed(known, &limits) > 0.1).then(|| value.map_or(0.0, |e| e.value))
    });
    Searcher::new(study, settings, design, modelled, Improvement)
}

impl Acquisition for Improvement {
    fn choose(&mut self, study: &mut Study, beliefs: &[Option<Belief>]) -> Option<usize> {
        let worths = worth::worths(study, beliefs);
        let best = worths.into_iter().max_by(|(a, x), (b, y)| {
            // The first of equals.
            x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1)).then(b.cmp(a))
        });
        best.map(|(row, _)| row)
    }
}

#[cfg(test)]
mod tests;
