//! Exploring by gradient descent: differentiable searches one after another, each
//! ending in a few architectures that are trained as any candidate is.

use std::ops::ControlFlow;
use std::path::PathBuf;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::explore::Exploration;
use super::knowledge::Calibrations;
use super::{Report, Search, SearchError};
use crate::differentiable::{
    Collapse, Derived, GradientConfig, GradientError, GradientSearch, LatencyGoal, Method, seed_of,
};
use crate::network::Network;
use crate::predict::Features;
use crate::space::Architecture;
use crate::store::{Asked, Event, Purpose};
use crate::strategy::{Candidate, Metric};
use crate::supernet::SupernetError;
use crate::workers::in_parallel;

/// How differentiable strategies are run in a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Differentiable {
    /// Searches, each from a seed of its own and at another price of latency.
    pub trials: usize,
    /// Architectures that each ends in, which are trained.
    pub candidates: usize,
    /// The latency that networks are to have, in ms; none for a price.
    pub target_latency_ms: Option<f64>,
    /// The price of the latency that equal probabilities make, in nats of the loss;
    /// of several trials, the one in the middle, others differ by factors of four.
    pub latency_weight: f64,
    /// Passes of a search over its half of the training images.
    pub epochs: usize,
    /// Of these, how many train the weights alone; by the strategy where absent.
    pub warm_up: Option<usize>,
    /// Images for each step; by the strategy where absent.
    pub batch_size: Option<usize>,
    /// Of the weights.
    pub learning_rate: f64,
    /// Of the architecture parameters.
    pub alpha_rate: f64,
    /// Shift and mirror the training images at random.
    pub augment: bool,
}

impl Default for Differentiable {
    fn default() -> Self {
        let usual = GradientConfig::default();
        Differentiable {
            trials: 3,
            candidates: 2,
            target_latency_ms: None,
            latency_weight: 0.2,
            epochs: usual.epochs,
            warm_up: None,
            batch_size: None,
            learning_rate: usual.learning_rate,
            alpha_rate: usual.alpha_rate,
            augment: usual.augment,
        }
    }
}

/// How near a measured latency is to be to a target, as a share of it.
const NEAR: f64 = 0.05;
/// Architectures measured at once when a target is to be met.
const MEASURED: usize = 4;
/// How often predictions are corrected by what was measured.
const CORRECTIONS: usize = 4;

impl Search<'_> {
    /// The settings of one trial.
    fn trial(&self, method: Method, trial: usize) -> GradientConfig {
        let settings = &self.experiment.differentiable;
        let wants_latency = self.experiment.objectives.contains(&Metric::LATENCY);
        let step = trial as f64 - 0.5 * (settings.trials - 1) as f64;
        let latency = match settings.target_latency_ms {
            Some(ms) => LatencyGoal::Target { ms },
            None if wants_latency && settings.latency_weight > 0.0 => LatencyGoal::Weighted {
                weight: settings.latency_weight * 4f64.powf(step),
            },
            None => LatencyGoal::Ignored,
        };
        let usual = GradientConfig::of(method, settings.epochs);
        GradientConfig {
            latency,
            warm_up: settings.warm_up.unwrap_or(usual.warm_up),
            batch_size: settings.batch_size.unwrap_or(usual.batch_size),
            learning_rate: settings.learning_rate,
            alpha_rate: settings.alpha_rate,
            augment: settings.augment,
            seed: seed_of(self.experiment.seed, trial),
            train_images: self.experiment.train_images,
            ..usual
        }
    }

    /// Refuses a space that cannot be relaxed before anything is measured.
    pub(super) fn check_relaxed(&self, method: Method) -> Result<(), SearchError> {
        GradientSearch::new(&self.space, &self.dataset, self.trial(method, 0))?;
        Ok(())
    }

    /// Runs every trial; what a trial ends in is evaluated before the next begins.
    pub(super) fn descend(
        &self,
        method: Method,
        calibrations: &Calibrations,
        exploration: &Exploration,
        device: &Device,
    ) -> Result<(), SearchError> {
        let settings = &self.experiment.differentiable;
        let cost = |network: &Network| calibrations.own.predict(&Features::of(network)).latency_ms;
        let mut known: Vec<Architecture> = Vec::new();
        for trial in 0..settings.trials {
            let name = format!("{} {} of {}", method.name(), trial + 1, settings.trials);
            self.send(Report::Phase {
                name: &name,
                steps: settings.epochs,
            });
            let searched = self.one_trial(method, trial, &cost, device);
            self.send(Report::PhaseDone);
            let found = match searched {
                Ok(search) => self.ends_of(&search, &cost, &known)?,
                Err((_, GradientError::Supernet(SupernetError::Cancelled))) => {
                    return Err(self.interrupted());
                }
                Err((genotype, error)) => {
                    self.failed_trial(trial, genotype, &format!("{name}: {error}"))?;
                    continue;
                }
            };
            let candidates: Vec<Candidate> = found
                .iter()
                .enumerate()
                .map(|(index, architecture)| Candidate {
                    id: (trial * settings.candidates + index) as u64,
                    generation: trial,
                    architecture: architecture.clone(),
                    fidelity: 1.0,
                })
                .collect();
            self.send(Report::Phase {
                name: "training candidates",
                steps: candidates.len(),
            });
            let answers = in_parallel(candidates.len(), self.experiment.threads, |index| {
                self.evaluate(&candidates[index], exploration)
            });
            self.send(Report::PhaseDone);
            answers.into_iter().collect::<Result<Vec<_>, _>>()?;
            known.extend(found);
        }
        Ok(())
    }

    /// One search, from its checkpoint where there is one. An error comes with the
    /// architecture that was the most probable one.
    fn one_trial(
        &self,
        method: Method,
        trial: usize,
        cost: &(dyn Fn(&Network) -> f64 + Sync),
        device: &Device,
    ) -> Result<GradientSearch, (String, GradientError)> {
        let config = self.trial(method, trial);
        let file = self.checkpoint(trial);
        let kept = std::fs::read(&file).ok();
        let kept = kept.and_then(|bytes| {
            // One that cannot be read is made again from the start.
            GradientSearch::from_bytes(&bytes, &self.space, &config).ok()
        });
        let mut search = match kept {
            Some(search) => search,
            None => GradientSearch::new(&self.space, &self.dataset, config)
                .map_err(|error| (String::new(), error))?,
        };
        if self.stopped() {
            let cancelled = SupernetError::Cancelled;
            return Err((String::new(), cancelled.into()));
        }
        let begun = search.curve.len();
        let cost = (search.config.latency != LatencyGoal::Ignored).then_some(cost);
        let mut unkept = None;
        let done = search.run(&self.space, &self.dataset, device, cost, &mut |search| {
            if let Some(last) = search.curve.last() {
                let latency = last
                    .expected_ms
                    .map_or_else(String::new, |ms| format!(", {ms:.3} ms expected"));
                self.send(Report::Step(format!(
                    "loss {:.3}, entropy {:.2}{latency}",
                    last.alpha_loss.unwrap_or(last.weight_loss),
                    last.entropy
                )));
            }
            if let Err(error) = keep(&file, &search.to_bytes(&self.space)) {
                unkept = Some(error);
            }
            match self.stopped() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if let Some(error) = unkept {
            self.say(format!(
                "the search cannot be kept in {}: {error}; stopped now, its trial begins anew",
                file.display()
            ));
        }
        match done {
            Ok(()) => {
                let finished_now = search.curve.len() > begun;
                if finished_now && let Err(error) = self.record_trial(trial, &search) {
                    self.say(format!(
                        "the course of the search cannot be recorded: {error}"
                    ));
                }
                Ok(search)
            }
            Err(error) => {
                let genotype = search.curve.last().map(|last| last.genotype.clone());
                Err((genotype.unwrap_or_default(), error))
            }
        }
    }

    fn checkpoint(&self, trial: usize) -> PathBuf {
        let folder = self.store.directory().join(self.run.as_str());
        folder.join(format!("differentiable-{trial}.safetensors"))
    }

    /// Keeps the trial's course, and warns of a collapse.
    fn record_trial(&self, trial: usize, search: &GradientSearch) -> Result<(), SearchError> {
        let course = serde_json::json!({
            "config": search.config,
            "curve": search.curve,
            "probabilities": self
                .space
                .choices()
                .iter()
                .zip(search.probabilities())
                .map(|(choice, p)| serde_json::json!({
                    "choice": choice.path, "options": choice.labels, "probabilities": p,
                }))
                .collect::<Vec<_>>(),
        });
        let bytes = serde_json::to_vec_pretty(&course).expect("plain data");
        let name = format!("differentiable-{trial}.json");
        self.store.put_artefact(&self.run, &name, "json", &bytes)?;
        let last = search.curve.last();
        let ended = last.and_then(|last| self.space.parse_genotype(&last.genotype).ok());
        let warning = ended.and_then(|ended| Collapse::of(&self.space, &ended).warning());
        if let Some(text) = warning {
            self.say(text.clone());
            self.store.append(&self.run, &Event::Warning { text })?;
        }
        Ok(())
    }

    /// A trial that came to nothing is a candidate that failed.
    fn failed_trial(&self, trial: usize, genotype: String, cause: &str) -> Result<(), SearchError> {
        let candidate = (trial * self.experiment.differentiable.candidates) as u64;
        let is_known = self.state.candidates.contains_key(&candidate);
        self.say(cause.to_string());
        if is_known {
            return Ok(());
        }
        let asked = Asked {
            candidate,
            generation: trial as u64,
            network_hash: self
                .space
                .parse_genotype(&genotype)
                .map_or_else(|_| String::new(), |a| self.network(&a).hash().to_string()),
            genotype: genotype.clone(),
            fidelity: 1.0,
        };
        self.store.append(&self.run, &Event::Asked(asked))?;
        self.answer(&Event::Failed {
            candidate,
            genotype,
            cause: cause.to_string(),
        })?;
        Ok(())
    }

    /// What a search ends in: its most probable architectures that no trial before
    /// ended in; with a target, those whose measured latency meets it.
    fn ends_of(
        &self,
        search: &GradientSearch,
        cost: &(dyn Fn(&Network) -> f64 + Sync),
        known: &[Architecture],
    ) -> Result<Vec<Architecture>, SearchError> {
        let wanted = self.experiment.differentiable.candidates;
        let new = |derived: Vec<Derived>| -> Vec<Architecture> {
            let all = derived.into_iter().map(|d| d.architecture);
            all.filter(|architecture| !known.contains(architecture))
                .collect()
        };
        match self.experiment.differentiable.target_latency_ms {
            None => {
                let count = wanted + known.len();
                let mut found = new(search.derive(&self.space, None, None, count));
                found.truncate(wanted);
                Ok(found)
            }
            Some(target) => self.at_target(search, cost, target, wanted, &new),
        }
    }

    /// Measures what is predicted to meet the target; where it does not, goes on
    /// with predictions corrected by what was measured.
    fn at_target(
        &self,
        search: &GradientSearch,
        cost: &(dyn Fn(&Network) -> f64 + Sync),
        target: f64,
        wanted: usize,
        new: &dyn Fn(Vec<Derived>) -> Vec<Architecture>,
    ) -> Result<Vec<Architecture>, SearchError> {
        let mut aim = target;
        let mut seen: Vec<(f64, Architecture)> = Vec::new();
        for _ in 0..CORRECTIONS {
            let count = MEASURED + seen.len();
            let mut found = new(search.derive(&self.space, Some(cost), Some(aim), count));
            found.retain(|f| seen.iter().all(|(_, s)| s != f));
            found.truncate(MEASURED);
            let networks: Vec<Network> = found.iter().map(|a| self.network(a)).collect();
            let list: Vec<(&Architecture, &Network, Purpose)> = found
                .iter()
                .zip(&networks)
                .map(|(a, n)| (a, n, Purpose::Front))
                .collect();
            let figures = self.measure(&self.experiment.engine, &list)?;
            let mut ratios = Vec::new();
            for (architecture, network) in found.iter().zip(&networks) {
                if let Some(figure) = figures.get(&self.space.genotype(architecture)) {
                    seen.push((figure.median_ms, architecture.clone()));
                    ratios.push(figure.median_ms / cost(network));
                }
            }
            let met = seen
                .iter()
                .filter(|(ms, _)| (ms / target - 1.0).abs() <= NEAR);
            let met: Vec<Architecture> = met.map(|(_, a)| a.clone()).take(wanted).collect();
            if !met.is_empty() {
                return Ok(met);
            }
            ratios.sort_by(f64::total_cmp);
            match ratios.get(ratios.len() / 2) {
                Some(ratio) => aim = target / ratio,
                None => break,
            }
        }
        seen.sort_by(|a, b| (a.0 - target).abs().total_cmp(&(b.0 - target).abs()));
        if let Some((ms, _)) = seen.first() {
            let text = format!(
                "no architecture was found that measures within {:.0} % of {target} ms; the \
                 nearest measures {ms:.3} ms",
                100.0 * NEAR
            );
            self.say(text.clone());
            self.store.append(&self.run, &Event::Warning { text })?;
        }
        seen.truncate(wanted);
        Ok(seen.into_iter().map(|(_, a)| a).collect())
    }
}

fn keep(file: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    crate::supernet::replace(file, bytes)
}
