//! The exploring phase of a search: the strategy asks, candidates are trained
//! side by side and recorded as they finish, the strategy is told.

use std::ops::ControlFlow;

use super::{Report, Search, SearchError};
use crate::device::fits_training;
use crate::evaluate::{Outcome, TrainConfig, TrainError, in_parallel, train};
use crate::network::{Network, Weights};
use crate::predict::Calibrated;
use crate::space::Architecture;
use crate::store::{self, Asked, Evaluated, Event};
use crate::strategy::{Candidate, Nsga2, Nsga2Config, Strategy, Worth};

impl Search<'_> {
    /// Spends the budget of evaluations.
    pub(super) fn explore(
        &self,
        pool: Vec<(Architecture, Network)>,
        calibrated: &Calibrated,
    ) -> Result<(), SearchError> {
        let experiment = &self.experiment;
        let mut strategy = Nsga2::new(
            self.space.clone(),
            Nsga2Config {
                population: experiment.population.min(experiment.evaluations.max(2)),
                seed: experiment.seed,
                initial: self.first_generation(pool, calibrated),
                ..Nsga2Config::default()
            },
        );
        let device = crate::model::backend::device(experiment.backend)?.autodiff();
        self.send(Report::Phase {
            name: "training candidates",
            steps: experiment.evaluations,
        });
        let mut asked = 0;
        while asked < experiment.evaluations {
            let batch = strategy.ask(experiment.evaluations - asked);
            if batch.is_empty() {
                break;
            }
            asked += batch.len();
            let answers = in_parallel(batch.len(), experiment.threads, |index| {
                self.evaluate(&batch[index], calibrated, &device)
            });
            for (candidate, answer) in batch.iter().zip(answers) {
                strategy.tell(candidate.id, answer?);
            }
        }
        self.send(Report::PhaseDone);
        if strategy.is_exhausted() {
            self.say("every architecture the strategy could find has been evaluated".into());
        }
        Ok(())
    }

    /// Spread evenly over the predicted latencies within the limit, so that the
    /// first generation already spans the front.
    fn first_generation(
        &self,
        pool: Vec<(Architecture, Network)>,
        calibrated: &Calibrated,
    ) -> Vec<Architecture> {
        let mut pool: Vec<(f64, Architecture)> = pool
            .into_iter()
            .map(|(architecture, network)| (calibrated.predict(&network).latency_ms, architecture))
            .filter(|(ms, _)| self.within_limit(*ms))
            .collect();
        pool.sort_by(|a, b| a.0.total_cmp(&b.0));
        evenly(pool, self.experiment.population)
            .into_iter()
            .map(|p| p.1)
            .collect()
    }

    /// Evaluates one candidate, or recalls what was recorded of it.
    fn evaluate(
        &self,
        candidate: &Candidate,
        calibrated: &Calibrated,
        device: &burn::tensor::Device,
    ) -> Result<Option<Worth>, SearchError> {
        let genotype = self.space.genotype(&candidate.architecture);
        match self.state.candidate_of(&genotype).map(|c| &c.outcome) {
            Some(store::Outcome::Evaluated(e)) => {
                self.send(Report::Step("recalled".into()));
                return Ok(Some(self.worth(e.accuracy, e.latency_ms)));
            }
            Some(store::Outcome::Failed { .. }) => return Ok(None),
            Some(store::Outcome::Pending) | None => {}
        }
        if self.stopped() {
            return Err(self.interrupted());
        }
        let started = std::time::Instant::now();
        let network = self.network(&candidate.architecture);
        let network_hash = network.hash().to_string();
        let prediction = calibrated.predict(&network);
        self.store.append(
            &self.run,
            &Event::Asked(Asked {
                candidate: candidate.id,
                generation: candidate.generation as u64,
                genotype: genotype.clone(),
                network_hash: network_hash.clone(),
            }),
        )?;
        let outcome = match self.train(&network, self.experiment.epochs, device) {
            Ok(outcome) => outcome,
            Err(TrainError::Cancelled) => return Err(self.interrupted()),
            Err(error) => {
                let cause = error.to_string();
                self.send(Report::Step(format!("failed: {cause}")));
                let event = Event::Failed {
                    candidate: candidate.id,
                    genotype,
                    cause,
                };
                self.store.append(&self.run, &event)?;
                return Ok(None);
            }
        };
        let costs = network.costs();
        self.store.append(
            &self.run,
            &Event::Evaluated(Evaluated {
                candidate: candidate.id,
                generation: candidate.generation as u64,
                genotype,
                network_hash,
                accuracy: outcome.validation_accuracy,
                curve: serde_json::to_value(&outcome.curve).expect("plain data"),
                latency_ms: prediction.latency_ms,
                latency_low_ms: prediction.low_ms,
                latency_high_ms: prediction.high_ms,
                macs: costs.macs,
                params: costs.params,
                peak_activation_bytes: costs.peak_activation_bytes,
                seconds: started.elapsed().as_secs_f64(),
            }),
        )?;
        self.send(Report::Step(format!(
            "{:.1} % at {:.3} ms",
            100.0 * outcome.validation_accuracy,
            prediction.latency_ms
        )));
        Ok(Some(
            self.worth(outcome.validation_accuracy, prediction.latency_ms),
        ))
    }

    /// Trains from the run's initial weights, until done or stopped.
    pub(super) fn train(
        &self,
        network: &Network,
        epochs: usize,
        device: &burn::tensor::Device,
    ) -> Result<Outcome, TrainError> {
        let config = TrainConfig {
            epochs,
            train_images: self.experiment.train_images,
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

    fn worth(&self, accuracy: f64, latency_ms: f64) -> Worth {
        let excess = self
            .experiment
            .max_latency_ms
            .map_or(0.0, |limit| (latency_ms / limit - 1.0).max(0.0));
        Worth {
            objectives: vec![1.0 - accuracy, latency_ms],
            violation: excess,
        }
    }

    /// Whether a latency in ms is within the run's limit, if it has one.
    pub(super) fn within_limit(&self, latency_ms: f64) -> bool {
        self.experiment
            .max_latency_ms
            .is_none_or(|limit| latency_ms <= limit)
    }
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
