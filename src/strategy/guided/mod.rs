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

mod improvement;
mod tradeoff;

use std::collections::VecDeque;

use super::surrogate::{Incumbents, Kernel, Process, Study, Warp, allowed};
use super::{Answer, Candidate, Metric, Problem, Settings, Strategy};
use improvement::{Staircase, nodes};
use tradeoff::Tradeoff;

/// Evaluations before the model is asked.
const DESIGN: usize = 10;
/// Under way at once where no population is set.
const WINDOW: usize = 8;
/// The pool of a large space follows the front after so many answers.
const RENEWAL: usize = 8;
/// Kernels are fitted anew when answers have grown by this factor.
const REFIT: f64 = 1.5;

/// The state of a search.
pub struct Guided {
    study: Study,
    window: usize,
    /// Rows to begin with.
    design: VecDeque<usize>,
    /// By objective: whether it is foretold.
    foretold: Vec<bool>,
    model: Option<Model>,
}

/// What is thought of the objectives that are not foretold.
struct Model {
    /// By objective; `None` for those foretold.
    processes: Vec<Option<Process>>,
    /// Indices of the answers behind them, in their order.
    observed: Vec<usize>,
    /// Answers it has seen; when its kernels were fitted; and when the pool was
    /// renewed.
    answers: usize,
    fitted: usize,
    renewed: usize,
}

/// What an objective's model says, in normal scores.
struct Belief {
    warp: Warp,
    means: Vec<f32>,
}

impl Guided {
    pub(super) fn of(problem: Problem, settings: &Settings) -> Self {
        let mut study = Study::new(problem, settings);
        let goals = study.problem().goals.clone();
        let foretold: Vec<bool> = goals.objectives().iter().map(|m| study.knows(m)).collect();
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
            foretold,
            model: None,
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
        let answers = self.study.told.len();
        if self
            .model
            .as_ref()
            .is_none_or(|m| answers >= m.renewed + RENEWAL)
        {
            self.study.renew();
        }
        if self.study.succeeded().count() < 2 {
            return self.study.any_free();
        }
        self.learn();
        let model = self.model.as_mut().expect("learned just now");
        // What is under way is as good as known to the deviations.
        let settled = model.observed.len();
        for row in self.study.pending() {
            for process in model.processes.iter_mut().flatten() {
                process.push(&self.study.table.points, row);
            }
        }
        let beliefs: Vec<Option<Belief>> = (0..self.foretold.len())
            .map(|objective| self.belief(objective))
            .collect();
        let best = self.best(&beliefs);
        let model = self.model.as_mut().expect("learned just now");
        for process in model.processes.iter_mut().flatten() {
            process.truncate(settled);
        }
        best
    }

    /// Brings the model up to the answers.
    fn learn(&mut self) {
        let answers = self.study.told.len();
        let points = &self.study.table.points;
        let (kernels, refit) = match &mut self.model {
            Some(model) => {
                let refit = answers as f64 >= model.fitted as f64 * REFIT;
                let renewed = !self.study.is_whole() && answers >= model.renewed + RENEWAL;
                if !refit && !renewed {
                    for index in model.answers..answers {
                        for process in model.processes.iter_mut().flatten() {
                            process.push(points, self.study.told[index].0);
                        }
                        model.observed.push(index);
                    }
                    model.answers = answers;
                    return;
                }
                (model.processes.iter().map(kernel).collect(), refit)
            }
            None => (vec![Kernel::default(); self.foretold.len()], true),
        };
        let observed = self.study.observed();
        let rows: Vec<usize> = observed.iter().map(|i| self.study.told[*i].0).collect();
        let processes = kernels.into_iter().enumerate().map(|(objective, kernel)| {
            if self.foretold[objective] {
                return None;
            }
            let kernel = match refit {
                true => kernel.fitted(points, &rows, &self.targets(objective, &observed).1),
                false => kernel,
            };
            let mut process = Process::new(kernel, points);
            rows.iter().for_each(|row| process.push(points, *row));
            Some(process)
        });
        self.model = Some(Model {
            processes: processes.collect(),
            observed,
            answers,
            fitted: match (&self.model, refit) {
                (Some(model), false) => model.fitted,
                _ => answers,
            },
            renewed: answers,
        });
    }

    /// Normal scores of the observed answers; failures are as bad as the worst.
    fn targets(&self, objective: usize, observed: &[usize]) -> (Warp, Vec<f64>) {
        let loss = |index: &usize| {
            let answer = self.study.told[*index].1.as_ref();
            answer.map(|worth| worth.objectives[objective])
        };
        let losses: Vec<Option<f64>> = observed.iter().map(loss).collect();
        let worst = losses.iter().flatten().copied().fold(f64::MIN, f64::max);
        let losses: Vec<f64> = losses.into_iter().map(|l| l.unwrap_or(worst)).collect();
        let warp = Warp::of(&losses);
        let targets = losses.iter().map(|l| warp.score(*l)).collect();
        (warp, targets)
    }

    fn belief(&self, objective: usize) -> Option<Belief> {
        let model = self.model.as_ref()?;
        let process = model.processes[objective].as_ref()?;
        let (warp, targets) = self.targets(objective, &model.observed);
        Some(Belief {
            means: process.means(&targets),
            warp,
        })
    }

    /// The free row of the highest worth.
    fn best(&mut self, beliefs: &[Option<Belief>]) -> Option<usize> {
        let limits = self.study.problem().goals.constraints().to_vec();
        let chances: Vec<f64> = match limits.is_empty() {
            true => Vec::new(),
            false => {
                let known = self.study.table.known.iter();
                known.map(|known| allowed(known, &limits)).collect()
            }
        };
        let chance = |row: usize| chances.get(row).copied().unwrap_or(1.0);
        let worths = match (beliefs, &self.foretold[..]) {
            ([Some(belief)], _) => self.single(belief, &chance),
            ([Some(belief), None], [_, true]) => self.front(0, 1, belief, &chance),
            ([None, Some(belief)], [true, _]) => self.front(1, 0, belief, &chance),
            _ => self.traded(beliefs, &chance),
        };
        let best = worths.into_iter().max_by(|a, b| {
            let by_worth = a.1.0.total_cmp(&b.1.0).then(a.1.1.total_cmp(&b.1.1));
            // The first of equals.
            by_worth.then(b.0.cmp(&a.0))
        });
        best.map(|(row, _)| row)
    }

    fn process(&self, objective: usize) -> &Process {
        let model = self.model.as_ref().expect("asked for after learning");
        model.processes[objective].as_ref().expect("it is modelled")
    }

    /// The chance that an answered row keeps the limits: by what is foretold,
    /// and none where the answer shows a violation that it does not explain.
    fn answered(&self, row: usize, violation: f64, chance: &dyn Fn(usize) -> f64) -> f64 {
        let foretold = self
            .study
            .problem()
            .known_violation(&self.study.table.known[row]);
        match violation > foretold + 1e-9 {
            true => 0.0,
            false => chance(row),
        }
    }

    /// One objective: expected improvement, in normal scores.
    fn single(&self, belief: &Belief, chance: &dyn Fn(usize) -> f64) -> Vec<(usize, Worth)> {
        let process = self.process(0);
        let told = self.study.succeeded().map(|(row, worth)| {
            let score = belief.warp.score(worth.objectives[0]);
            (score, self.answered(row, worth.violation, chance))
        });
        let told: Vec<(f64, f64)> = told.collect();
        let worst = told.iter().map(|t| t.0).fold(0.0, f64::max) + 0.5;
        let incumbents = Incumbents::new(told, worst);
        let best = incumbents.best();
        let worth = |row: usize| {
            let (mean, sd) = (f64::from(belief.means[row]), f64::from(process.sd(row)));
            let gain = chance(row) * incumbents.improvement(mean, sd);
            (row, (gain, chance(row).ln() + (best - mean) / sd))
        };
        self.study.free().map(worth).collect()
    }

    /// Two objectives of which one is foretold: expected hypervolume
    /// improvement.
    fn front(
        &self,
        modelled: usize,
        foretold: usize,
        belief: &Belief,
        chance: &dyn Fn(usize) -> f64,
    ) -> Vec<(usize, Worth)> {
        let process = self.process(modelled);
        let metric = &self.study.problem().goals.objectives()[foretold];
        let estimate = |row: usize| {
            let known = &self.study.table.known[row];
            known.estimate(metric).expect("every row has one")
        };
        let costs: Vec<f64> = (0..self.study.table.len())
            .map(|row| metric.loss(estimate(row).value))
            .collect();
        let told: Vec<(f64, f64)> = self
            .study
            .succeeded()
            .filter(|(row, worth)| self.answered(*row, worth.violation, chance) >= 0.5)
            .map(|(row, worth)| (costs[row], worth.objectives[modelled]))
            .collect();
        let losses = self.study.succeeded().map(|(_, w)| w.objectives[modelled]);
        let dearest = costs.iter().copied().fold(f64::MIN, f64::max);
        let end = (dearest, losses.fold(f64::MIN, f64::max));
        let stairs = Staircase::new(told, end);
        let floor = self.floor(modelled);
        let nodes = nodes();
        let worth = |row: usize| {
            let (mean, sd) = (f64::from(belief.means[row]), f64::from(process.sd(row)));
            let cost = costs[row];
            let height = belief.warp.score(stairs.height(cost));
            // Where even luck would not do, the distance from it ranks.
            let reach = chance(row).ln() + (height - mean) / sd;
            if mean - 3.5 * sd >= height {
                return (row, (0.0, reach));
            }
            let gain =
                |(z, w): (f64, f64)| w * stairs.gain(cost, belief.warp.loss(mean + z * sd, floor));
            let gain: f64 = nodes.into_iter().map(gain).sum();
            (row, (chance(row) * gain, reach))
        };
        self.study.free().map(worth).collect()
    }

    /// Any other objectives.
    fn traded(
        &mut self,
        beliefs: &[Option<Belief>],
        chance: &dyn Fn(usize) -> f64,
    ) -> Vec<(usize, Worth)> {
        let goals = self.study.problem().goals.clone();
        let ranges: Vec<(f64, f64)> = (0..beliefs.len())
            .map(|objective| {
                let told = self.study.succeeded().map(|(_, w)| w.objectives[objective]);
                told.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)))
            })
            .collect();
        let tradeoff = Tradeoff::draw(ranges, &mut self.study.ledger.rng);
        let incumbent = self
            .study
            .succeeded()
            .filter(|(row, worth)| self.answered(*row, worth.violation, chance) >= 0.5)
            .map(|(_, worth)| tradeoff.sum(worth.objectives.iter().copied()))
            .fold(f64::MAX, f64::min);
        let floors: Vec<f64> = (0..beliefs.len()).map(|o| self.floor(o)).collect();
        let worth = |row: usize| {
            let known = &self.study.table.known[row];
            let values = tradeoff.draws.iter().map(|draw| {
                tradeoff.sum(beliefs.iter().enumerate().map(|(objective, belief)| {
                    let metric = &goals.objectives()[objective];
                    match belief {
                        Some(belief) => {
                            let sd = f64::from(self.process(objective).sd(row));
                            let score = f64::from(belief.means[row]) + draw[objective] * sd;
                            belief.warp.loss(score, floors[objective])
                        }
                        None => {
                            let estimate = known.estimate(metric);
                            metric.loss(estimate.map_or(f64::INFINITY, |e| e.value))
                        }
                    }
                }))
            });
            let values: Vec<f64> = values.collect();
            let mean = |of: &dyn Fn(f64) -> f64| {
                values.iter().map(|v| of(*v)).sum::<f64>() / values.len() as f64
            };
            let gain = match incumbent < f64::MAX {
                true => mean(&|v| (incumbent - v).max(0.0)),
                false => 0.0,
            };
            (row, (chance(row) * gain, chance(row).ln() - mean(&|v| v)))
        };
        self.study.free().map(worth).collect()
    }

    /// No loss is less: of what cannot be negative, none.
    fn floor(&self, objective: usize) -> f64 {
        let metric = &self.study.problem().goals.objectives()[objective];
        let told = self.study.succeeded().map(|(_, w)| w.objectives[objective]);
        // Losses below 0 mean what has another scale than its metric.
        match told.fold(f64::MAX, f64::min) < 0.0 {
            true => f64::NEG_INFINITY,
            false => metric.loss(if metric.is_maximised() { 1.0 } else { 0.0 }),
        }
    }
}

/// What is expected of a row; and, where that is nothing, how close it comes.
type Worth = (f64, f64);

fn kernel(process: &Option<Process>) -> Kernel {
    process.as_ref().map_or_else(Kernel::default, |p| p.kernel)
}

impl Strategy for Guided {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let room = self.window.saturating_sub(self.study.pending().len());
        let mut asked = Vec::new();
        while asked.len() < limit.min(room) {
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
