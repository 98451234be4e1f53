//! Bayesian optimisation in the manner of BANANAS (White, Neiswanger and
//! Savani 2021, arXiv 1910.11858), for any number of objectives: a surrogate
//! over the network's graph for each of them, foretold or not, and independent
//! Thompson sampling, in which every candidate draws its losses from its own
//! posterior and the one that would improve most is asked for. BANANAS trains
//! an ensemble of neural networks; ours is the exact Gaussian process that
//! `guided` uses. Two objectives improve by hypervolume, in normal scores; more
//! by a random augmented Tchebycheff sum.

use super::surrogate::{
    Acquisition, Belief, DESIGN, Searcher, Staircase, Study, Tradeoff, allowed, gaussian,
};
use super::{Problem, Settings, Strategy};

/// Draws from every candidate's posterior and takes the best draw.
pub(super) struct Thompson;

/// The strategy for a problem; its design is drawn uniformly.
pub(super) fn of(problem: Problem, settings: &Settings) -> impl Strategy + use<> {
    let mut study = Study::new(problem, settings);
    let design = study.design(DESIGN, |_, _| Some(0.0));
    let modelled = vec![true; study.problem().goals.objectives().len()];
    Searcher::new(study, settings, design, modelled, Thompson)
}

impl Acquisition for Thompson {
    /// The free row whose draw improves most; where none does, whose draw comes
    /// closest.
    fn choose(&mut self, study: &mut Study, beliefs: &[Option<Belief>]) -> Option<usize> {
        let beliefs: Vec<&Belief> = beliefs.iter().flatten().collect();
        let limits = study.problem().goals.constraints().to_vec();
        let front: Vec<Vec<f64>> = study
            .succeeded()
            .filter(|(_, worth)| worth.violation == 0.0)
            .map(|(_, worth)| {
                let losses = worth.objectives.iter().zip(&beliefs);
                losses.map(|(l, b)| b.warp.score(*l)).collect()
            })
            .collect();
        // Normal scores of hundreds of answers end about 3.
        let ranges = vec![(-3.0, 3.0); beliefs.len()];
        let free: Vec<usize> = study.free().collect();
        let rng = &mut study.ledger.rng;
        let tradeoff = Tradeoff::draw(ranges, rng);
        let stairs = (beliefs.len() == 2).then(|| {
            let points = front.iter().map(|f| (f[0], f[1])).collect();
            Staircase::new(points, (3.5, 3.5))
        });
        let mut best: Option<(f64, f64, usize)> = None;
        for row in free {
            let draw: Vec<f64> = beliefs
                .iter()
                .map(|belief| {
                    let (mean, sd) = belief.of(row);
                    mean + sd * gaussian(rng)
                })
                .collect();
            let gain = stairs.as_ref().map_or(0.0, |s| s.gain(draw[0], draw[1]));
            let chance = allowed(&study.table.known[row], &limits);
            let closeness = -tradeoff.sum(draw.into_iter()) + chance.ln();
            let worth = (chance * gain, closeness);
            if best.is_none_or(|b| worth > (b.0, b.1)) {
                best = Some((worth.0, worth.1, row));
            }
        }
        best.map(|(_, _, row)| row)
    }
}
