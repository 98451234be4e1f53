//! Bayesian optimisation in the manner of BANANAS (White, Neiswanger and
//! Savani 2021, arXiv 1910.11858), for any number of objectives: a surrogate
//! over the network's graph for each of them, foretold or not, and independent
//! Thompson sampling, in which every candidate draws its losses from its own
//! posterior and the one that would improve most is asked for. BANANAS trains
//! an ensemble of neural networks; ours is the exact Gaussian process that
//! `guided` uses. Two objectives improve by hypervolume, in normal scores; more
//! by a random augmented Tchebycheff sum.

use std::collections::VecDeque;

use super::surrogate::{Belief, Model, Staircase, Study, Tradeoff, allowed, gaussian};
use super::{Answer, Candidate, Problem, Settings, Strategy};

/// Evaluations drawn uniformly before the model is asked.
const DESIGN: usize = 10;
/// Under way at once where no population is set.
const WINDOW: usize = 8;

/// The state of a search.
pub struct Bayes {
    study: Study,
    window: usize,
    design: VecDeque<usize>,
    model: Model,
}

impl Bayes {
    pub(super) fn of(problem: Problem, settings: &Settings) -> Self {
        let mut study = Study::new(problem, settings);
        let design = study.design(DESIGN, |_, _| Some(0.0));
        let objectives = study.problem().goals.objectives().len();
        Bayes {
            window: settings.population(WINDOW),
            design: design.into(),
            model: Model::new(vec![true; objectives]),
            study,
        }
    }

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
        let beliefs: Vec<Belief> = self
            .model
            .beliefs(&mut self.study)
            .into_iter()
            .flatten()
            .collect();
        self.sampled_best(&beliefs)
    }

    /// The free row whose draw improves most; where none does, whose draw comes
    /// closest.
    fn sampled_best(&mut self, beliefs: &[Belief]) -> Option<usize> {
        let limits = self.study.problem().goals.constraints().to_vec();
        let front: Vec<Vec<f64>> = self
            .study
            .succeeded()
            .filter(|(_, worth)| worth.violation == 0.0)
            .map(|(_, worth)| {
                let losses = worth.objectives.iter().zip(beliefs);
                losses.map(|(l, b)| b.warp.score(*l)).collect()
            })
            .collect();
        // Normal scores of hundreds of answers end about 3.
        let ranges = vec![(-3.0, 3.0); beliefs.len()];
        let free: Vec<usize> = self.study.free().collect();
        let rng = &mut self.study.ledger.rng;
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
            let chance = allowed(&self.study.table.known[row], &limits);
            let closeness = -tradeoff.sum(draw.into_iter()) + chance.ln();
            let worth = (chance * gain, closeness);
            if best.is_none_or(|b| worth > (b.0, b.1)) {
                best = Some((worth.0, worth.1, row));
            }
        }
        best.map(|(_, _, row)| row)
    }
}

impl Strategy for Bayes {
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
