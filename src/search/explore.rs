//! The exploring phase of a search: the strategy asks, candidates are trained
//! side by side and recorded as they finish, the strategy is told.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use super::knowledge::{Calibrations, Scores, SearchKnowledge};
use super::share::{LOOK, Turns, Worker};
use super::{Report, Search, SearchError, Searcher};
use crate::device::fits_training;
use crate::evaluate::{Outcome, TrainConfig, TrainError, train};
use crate::network::{Network, Weights};
use crate::space::Architecture;
use crate::store::{self, Asked, Evaluated, Event, Lease};
use crate::strategy::{
    self, Answer, Budget, Candidate, Estimate, Goals, Kind, Metric, Problem, Settings, Strategy,
    Timed, drive,
};

/// What an evaluation needs beside the candidate.
pub(super) struct Exploration {
    goals: Goals,
    calibrations: Arc<Calibrations>,
    device: burn::tensor::Device,
    /// What the run has recorded, by genotype and fidelity.
    recorded: HashMap<(String, u64), Recalled>,
    worker: Worker,
    /// Training side by side on this machine.
    turns: Turns,
}

/// Candidates that are waited for at the same time beside those trained here.
const WAITING: usize = 64;

enum Recalled {
    Evaluated(Box<Evaluated>),
    Failed,
}

impl Search<'_> {
    /// Spends the budget of evaluations.
    pub(super) fn explore(
        &self,
        pool: Vec<(Architecture, Network)>,
        calibrations: Calibrations,
    ) -> Result<(), SearchError> {
        let experiment = &self.experiment;
        let calibrations = Arc::new(calibrations);
        let device = crate::model::backend::device(experiment.backend)?;
        // What this search's own earlier process had, if it was cut short.
        self.store.end_leases_of_the_gone(&self.run)?;
        let exploration = Exploration {
            goals: experiment.goals()?,
            calibrations: calibrations.clone(),
            device: device.clone().autodiff(),
            recorded: self.recorded(),
            worker: Worker::new(self.lease),
            turns: Turns::new(experiment.threads),
        };
        let worker = &exploration.worker;
        worker.keeping(&self.store, &self.run, || match experiment.strategy {
            Searcher::Asking(kind) => self.let_ask(kind, pool, &exploration, device),
            Searcher::Gradient(method) => {
                self.descend(method, &calibrations, &exploration, &device)
            }
        })
    }

    /// Lets a strategy ask until the budget is spent.
    fn let_ask(
        &self,
        kind: Kind,
        pool: Vec<(Architecture, Network)>,
        exploration: &Exploration,
        device: burn::tensor::Device,
    ) -> Result<(), SearchError> {
        let experiment = &self.experiment;
        let problem = Problem {
            space: self.space.clone(),
            goals: exploration.goals.clone(),
            knowledge: Arc::new(SearchKnowledge {
                space: self.space.clone(),
                calibrations: exploration.calibrations.clone(),
                scores: Scores {
                    proxies: experiment.proxies()?,
                    dataset: self.dataset.clone(),
                    seed: experiment.seed,
                    device,
                    known: Mutex::default(),
                },
            }),
        };
        let settings = Settings {
            seed: experiment.seed,
            population: Some(experiment.population.min(experiment.evaluations.max(2))),
            initial: self.first_generation(pool, &problem),
            fidelities: experiment.fidelities,
        };
        let started = std::time::Instant::now();
        let mut strategy = Timed::new(|| strategy::build(kind, problem, &settings))?;
        self.send(Report::Phase {
            name: "training candidates",
            steps: experiment.evaluations,
        });
        let budget = Budget {
            evaluations: experiment.evaluations as f64,
            window: experiment.window,
            // All that is asked for is offered to other workers at once; how
            // many train here is a matter of turns.
            threads: experiment.window.min(experiment.threads + WAITING),
        };
        drive(
            &mut strategy,
            budget,
            |candidate| self.evaluate(candidate, exploration),
            |_| {},
        )?;
        self.send(Report::PhaseDone);
        let (taken, whole) = (strategy.taken(), started.elapsed());
        self.say(format!(
            "{kind} took {:.1} s of the {:.1} s in which candidates were trained ({:.2} %)",
            taken.as_secs_f64(),
            whole.as_secs_f64(),
            100.0 * taken.as_secs_f64() / whole.as_secs_f64(),
        ));
        if strategy.is_exhausted() {
            self.say("every architecture the strategy could find has been evaluated".into());
        }
        Ok(())
    }

    /// Spread evenly over the predicted latencies of what keeps the limits, so
    /// that the first generation already spans the front.
    fn first_generation(
        &self,
        pool: Vec<(Architecture, Network)>,
        problem: &Problem,
    ) -> Vec<Architecture> {
        let mut pool: Vec<(f64, Architecture)> = pool
            .into_iter()
            .filter_map(|(architecture, _)| {
                let known = problem.knowledge.known(&architecture);
                let latency = known.estimate(&Metric::LATENCY)?.value;
                (problem.known_violation(&known) == 0.0).then_some((latency, architecture))
            })
            .collect();
        pool.sort_by(|a, b| a.0.total_cmp(&b.0));
        evenly(pool, self.experiment.population)
            .into_iter()
            .map(|p| p.1)
            .collect()
    }

    fn recorded(&self) -> HashMap<(String, u64), Recalled> {
        let candidates = self.state.candidates.values();
        candidates
            .filter_map(|c| {
                let (fidelity, recalled) = match &c.outcome {
                    store::Outcome::Evaluated(e) => (e.fidelity, Recalled::Evaluated(e.clone())),
                    store::Outcome::Failed { .. } => (c.fidelity, Recalled::Failed),
                    store::Outcome::Pending => return None,
                };
                Some(((c.genotype.clone(), fidelity.to_bits()), recalled))
            })
            .collect()
    }

    /// Evaluates one candidate, or recalls what was recorded of it.
    pub(super) fn evaluate(
        &self,
        candidate: &Candidate,
        exploration: &Exploration,
    ) -> Result<Answer, SearchError> {
        let genotype = self.space.genotype(&candidate.architecture);
        let key = (genotype, candidate.fidelity.to_bits());
        match exploration.recorded.get(&key) {
            Some(Recalled::Evaluated(e)) => {
                self.send(Report::Step("recalled".into()));
                return Ok(exploration.goals.worth(|metric| e.value(metric)));
            }
            Some(Recalled::Failed) => return Ok(None),
            None => {}
        }
        if self.stopped() {
            return Err(self.interrupted());
        }
        let network = self.network(&candidate.architecture);
        let asked = Asked {
            candidate: candidate.id,
            generation: candidate.generation as u64,
            genotype: key.0,
            network_hash: network.hash().to_string(),
            fidelity: candidate.fidelity,
        };
        self.ask(&asked)?;
        loop {
            let turn = exploration.turns.wait(candidate.id, LOOK, self.stop);
            if self.stopped() {
                return Err(self.interrupted());
            }
            let lease = match turn {
                Some(_) => self.lease_of(candidate.id, exploration)?,
                // Another worker may have done it in the meantime.
                None => Lease::Answered,
            };
            match lease {
                Lease::Granted => {
                    let (calibrations, device) = (&exploration.calibrations, &exploration.device);
                    let event = self.trained(&asked, &network, calibrations, device)?;
                    self.answer(&event)?;
                }
                Lease::Held => {
                    drop(turn);
                    self.store.end_leases_of_the_gone(&self.run)?;
                    std::thread::sleep(LOOK);
                }
                Lease::Answered => {}
            }
            match self.store.outcome(&self.run, candidate.id)? {
                Some(store::Outcome::Evaluated(e)) => {
                    self.send(Report::Step(format!(
                        "{:.1} % at {:.3} ms",
                        100.0 * e.accuracy,
                        e.latency_ms
                    )));
                    return Ok(exploration.goals.worth(|metric| e.value(metric)));
                }
                Some(store::Outcome::Failed { cause }) => {
                    self.send(Report::Step(format!("failed: {cause}")));
                    return Ok(None);
                }
                Some(store::Outcome::Pending) | None => {}
            }
        }
    }

    fn lease_of(&self, candidate: u64, exploration: &Exploration) -> Result<Lease, SearchError> {
        let Worker { name, lease } = &exploration.worker;
        Ok(self.store.lease(&self.run, candidate, name, *lease)?)
    }

    /// Records that a candidate is asked for, unless a process that was cut
    /// short has.
    fn ask(&self, asked: &Asked) -> Result<(), SearchError> {
        let is_waiting = self
            .state
            .candidates
            .get(&asked.candidate)
            .is_some_and(|c| {
                c.outcome == store::Outcome::Pending
                    && c.genotype == asked.genotype
                    && c.fidelity == asked.fidelity
            });
        if !is_waiting {
            self.store.append(&self.run, &Event::Asked(asked.clone()))?;
        }
        Ok(())
    }

    /// Trains a candidate; the event that says what came of it.
    pub(super) fn trained(
        &self,
        asked: &Asked,
        network: &Network,
        calibrations: &Calibrations,
        device: &burn::tensor::Device,
    ) -> Result<Event, SearchError> {
        let started = std::time::Instant::now();
        let epochs = self.experiment.epochs;
        let outcome = match self.train(network, epochs, asked.fidelity, device) {
            Ok(outcome) => outcome,
            Err(TrainError::Cancelled) => return Err(self.interrupted()),
            Err(error) => {
                return Ok(Event::Failed {
                    candidate: asked.candidate,
                    genotype: asked.genotype.clone(),
                    cause: error.to_string(),
                });
            }
        };
        let (latency, predictions) = split(calibrations.estimates(network));
        let costs = network.costs();
        Ok(Event::Evaluated(Evaluated {
            candidate: asked.candidate,
            generation: asked.generation,
            genotype: asked.genotype.clone(),
            network_hash: asked.network_hash.clone(),
            accuracy: outcome.validation_accuracy,
            fidelity: asked.fidelity,
            curve: serde_json::to_value(&outcome.curve).expect("plain data"),
            latency_ms: latency.value,
            latency_low_ms: latency.low,
            latency_high_ms: latency.high,
            predictions,
            macs: costs.macs,
            params: costs.params,
            peak_activation_bytes: costs.peak_activation_bytes,
            seconds: started.elapsed().as_secs_f64(),
        }))
    }

    /// Trains from the run's initial weights, until done or stopped: for a
    /// share of `epochs`, the last of them on fewer images.
    pub(super) fn train(
        &self,
        network: &Network,
        epochs: usize,
        fidelity: f64,
        device: &burn::tensor::Device,
    ) -> Result<Outcome, TrainError> {
        let images = self
            .experiment
            .train_images
            .map_or(self.dataset.train.len(), |n| {
                n.min(self.dataset.train.len())
            });
        let (epochs, images) = share(epochs, images, fidelity);
        let config = TrainConfig {
            epochs,
            train_images: Some(images),
            seed: self.experiment.seed,
            validate_each_epoch: false,
            ..TrainConfig::default()
        };
        fits_training(network, config.batch_size as u64)?;
        let init = Weights::random(network, self.experiment.seed);
        train(
            network,
            &init,
            &self.dataset,
            &config,
            device,
            &mut |_| match self.stopped() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            },
        )
    }

    /// Whether a latency in ms is within the run's limit, if it has one.
    pub(super) fn within_limit(&self, latency_ms: f64) -> bool {
        self.experiment
            .max_latency_ms
            .is_none_or(|limit| latency_ms <= limit)
    }
}

/// The own engine's latency, and other latencies and energies by metric name.
fn split(estimates: Vec<(Metric, Estimate)>) -> (Estimate, BTreeMap<String, [f64; 3]>) {
    let mut own = Estimate::exact(f64::NAN);
    let mut others = BTreeMap::new();
    for (metric, e) in estimates {
        match metric {
            Metric::Latency { device: None } => own = e,
            Metric::Latency { .. } | Metric::Energy { .. } => {
                others.insert(metric.to_string(), [e.value, e.low, e.high]);
            }
            _ => {}
        }
    }
    (own, others)
}

/// Epochs and images that make the share `fidelity` of `epochs` over `images`:
/// as few epochs as reach it, over fewer images where it is not whole.
fn share(epochs: usize, images: usize, fidelity: f64) -> (usize, usize) {
    // Shares such as 1/3 times 3 must not become 1 plus rounding.
    const ROUNDING: f64 = 1e-9;
    let exact = epochs as f64 * fidelity;
    let whole = (exact - ROUNDING).ceil().max(1.0);
    let images = (images as f64 * exact / whole).round().max(1.0);
    (whole as usize, images as usize)
}

/// At most `n >= 2` of the items, evenly spaced, both ends among them.
pub(super) fn evenly<T>(items: Vec<T>, n: usize) -> Vec<T> {
    if items.len() <= n {
        return items;
    }
    let last = items.len() - 1;
    let kept: Vec<usize> = (0..n).map(|i| i * last / (n - 1)).collect();
    items
        .into_iter()
        .enumerate()
        .filter(|(index, _)| kept.binary_search(index).is_ok())
        .map(|(_, item)| item)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_training_costs_that_share() {
        assert_eq!(share(9, 1000, 1.0), (9, 1000));
        assert_eq!(share(9, 1000, 1.0 / 3.0), (3, 1000));
        assert_eq!(share(2, 1000, 0.25), (1, 500));
        assert_eq!(share(4, 900, 1.0 / 3.0), (2, 600));
        assert_eq!(share(1, 10, 1e-6), (1, 1));
    }
}
