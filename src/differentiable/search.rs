//! The search: weights and architecture parameters take turns, each on images of
//! their own.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::alphas::{Adam, Alphas, through_softmax};
use super::config::GradientConfig;
use super::goal::Pressure;
use super::latency::{Cost, ExpectedLatency};
use super::method::{Draw, Method};
use super::{Collapse, Derived, GradientError, derive};
use crate::data::{Dataset, Split};
use crate::evaluate::{check_fit, count_right, epoch_rng, shuffled};
use crate::network::Weights;
use crate::space::Space;
use crate::space::mixed::{MixedNetwork, Paths};
use crate::supernet::{
    Batch, Batches, Descent, SharedWeights, SupernetError, Wanted, augmentation, fair, limited,
    pass,
};

/// How a search went in one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GradientRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean cross-entropy while weights were trained, in nats.
    pub weight_loss: f64,
    /// The same on the architecture's images, once it is trained.
    pub alpha_loss: Option<f64>,
    /// Share of the architecture's images classified right.
    pub accuracy: Option<f64>,
    /// Mean expected latency, in ms.
    pub expected_ms: Option<f64>,
    /// Of the target's augmented Lagrangian.
    pub multiplier: f64,
    /// Mean entropy of the choices, 1 where all options are alike.
    pub entropy: f64,
    /// The most probable architecture.
    pub genotype: String,
    /// Its choices of operators that end in one without weights.
    pub weightless: usize,
    pub seconds: f64,
}

/// A differentiable search on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientSearch {
    pub config: GradientConfig,
    pub(super) weights: SharedWeights,
    pub(super) alphas: Alphas,
    pub(super) pressure: Option<Pressure>,
    pub curve: Vec<GradientRecord>,
}

/// Random paths that are tried before anything is trained.
const TRIED: usize = 64;
/// Draws for the latency that a weighted one is relative to.
const REFERENCE_DRAWS: usize = 64;
/// The step of second-order DARTS's difference quotient, over the gradient's norm.
const DIFFERENCE: f64 = 0.01;

impl GradientSearch {
    /// A search that has not begun.
    ///
    /// # Errors
    /// When the configuration makes no sense, the data do not fit, or the space
    /// has a choice that cannot be relaxed.
    pub fn new(
        space: &Space,
        dataset: &Dataset,
        config: GradientConfig,
    ) -> Result<Self, GradientError> {
        config.check()?;
        let mut search = GradientSearch {
            weights: SharedWeights::new(config.seed),
            alphas: Alphas::new(space),
            pressure: None,
            curve: Vec::new(),
            config,
        };
        let mut rng = epoch_rng(search.config.seed, 0);
        let tries = match search.config.method.mixes() {
            true => 1,
            false => TRIED,
        };
        for _ in 0..tries {
            let mut draw = search.draw(space, 1.0, &mut rng);
            let mixed = space.mixed(&mut draw.for_alphas())?;
            check_fit(&mixed.network, dataset).map_err(SupernetError::from)?;
            search.weights.reserve(&mixed);
        }
        Ok(search)
    }

    fn draw(&self, space: &Space, temperature: f64, rng: &mut ChaCha8Rng) -> Draw {
        let choices = space.choices().len();
        Draw::new(self.config.method, &self.alphas, choices, temperature, rng)
    }

    /// Goes on to the last epoch. `cost` tells a network's latency in ms where the
    /// goal is about latency. `on_epoch` sees the search after each epoch, to keep
    /// it, and may stop. Stopped and gone on with is the same as unbroken.
    ///
    /// # Errors
    /// A loss that is not finite, or that `on_epoch` broke.
    pub fn run(
        &mut self,
        space: &Space,
        dataset: &Dataset,
        device: &Device,
        cost: Option<Cost>,
        on_epoch: &mut dyn FnMut(&GradientSearch) -> ControlFlow<()>,
    ) -> Result<(), GradientError> {
        let mut expected = cost.map(|cost| ExpectedLatency::new(space, cost));
        if let (Some(expected), None) = (&mut expected, &self.pressure) {
            let mut rng = epoch_rng(self.config.seed, 0);
            let reference = expected.expected_mean(&self.alphas, REFERENCE_DRAWS, &mut rng);
            self.pressure = Some(Pressure::new(self.config.latency, reference));
        }
        let (own, its) = halves(dataset, &self.config);
        let mut turn = Turn {
            space,
            device,
            batches: Batches::new(dataset, 0.0),
            expected,
            split: limited(dataset, self.config.train_images),
            dataset,
            mixed: None,
        };
        for epoch in self.curve.len() + 1..=self.config.epochs {
            let record = self.epoch(epoch, &own, &its, &mut turn)?;
            self.curve.push(record);
            if on_epoch(self).is_break() {
                return Err(SupernetError::Cancelled.into());
            }
        }
        Ok(())
    }

    fn epoch(
        &mut self,
        epoch: usize,
        own: &[usize],
        its: &[usize],
        turn: &mut Turn,
    ) -> Result<GradientRecord, GradientError> {
        let start = Instant::now();
        let mut rng = epoch_rng(self.config.seed, epoch);
        let order = permuted(own, &mut rng);
        let others = permuted(its, &mut rng);
        let batch_size = self.config.batch_size.min(own.len()).min(its.len());
        let steps = own.len() / batch_size;
        let moves_alphas = epoch > self.config.warm_up;
        let (mut weight_loss, mut alpha_loss, mut right, mut seen) = (0.0, 0.0, 0.0, 0.0);
        let mut expected_ms = 0.0;
        for step in 0..steps {
            let progress =
                ((epoch - 1) * steps + step) as f64 / (self.config.epochs * steps) as f64;
            let indices = &order[step * batch_size..(step + 1) * batch_size];
            let diverged = |what| GradientError::Diverged {
                what,
                epoch,
                step: step + 1,
            };
            let temperature = self.temperature(progress);
            let rate =
                0.5 * self.config.learning_rate * (1.0 + (std::f64::consts::PI * progress).cos());
            if moves_alphas {
                let at = step * batch_size % (others.len() - batch_size + 1);
                let held = &others[at..at + batch_size];
                let seen_now =
                    self.move_alphas(held, indices, rate, temperature, &mut rng, turn)?;
                let Some(passed) = seen_now else {
                    return Err(diverged("architecture"));
                };
                alpha_loss += passed.loss;
                right += passed.right;
                seen += batch_size as f64;
                expected_ms += passed.expected_ms;
            }
            let loss =
                self.move_weights(indices, rate, temperature, &mut rng, turn, !moves_alphas)?;
            weight_loss += loss.ok_or_else(|| diverged("weights"))?;
        }
        let best = self.alphas.most_probable(turn.space);
        let collapse = best.as_ref().map(|best| Collapse::of(turn.space, best));
        let steps = steps as f64;
        Ok(GradientRecord {
            epoch,
            weight_loss: weight_loss / steps,
            alpha_loss: moves_alphas.then_some(alpha_loss / steps),
            accuracy: (seen > 0.0).then(|| right / seen),
            expected_ms: (moves_alphas && turn.expected.is_some()).then_some(expected_ms / steps),
            multiplier: self.pressure.map_or(0.0, |p| p.multiplier),
            entropy: self.alphas.entropy(),
            genotype: best.map_or_else(String::new, |best| turn.space.genotype(&best)),
            weightless: collapse.map_or(0, |c| c.weightless),
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    fn temperature(&self, progress: f64) -> f64 {
        let [from, to] = self.config.temperature;
        match self.config.method {
            Method::Fbnet => from * (to / from).powf(progress),
            _ => from + (to - from) * progress,
        }
    }

    /// One step of the weights; none where the loss is not finite.
    fn move_weights(
        &mut self,
        indices: &[usize],
        rate: f64,
        temperature: f64,
        rng: &mut ChaCha8Rng,
        turn: &mut Turn,
        is_warm_up: bool,
    ) -> Result<Option<f64>, GradientError> {
        let mut draw = self.draw(turn.space, temperature, rng);
        // Before options are compared, all of a choice learn equally often where a
        // step otherwise trains one.
        let networks = match self.config.method == Method::Proxyless && is_warm_up {
            true => fair(turn.space, rng)
                .iter()
                .map(|architecture| Arc::new(turn.space.placed(architecture)))
                .collect(),
            false => vec![turn.network(self.config.method, &mut draw.for_weights())?],
        };
        let changes = self.config.augment.then(|| augmentation(rng));
        let share = 1.0 / networks.len() as f32;
        let mut loss = 0.0;
        for mixed in &networks {
            let batch = turn.batch(indices, mixed, changes.clone());
            self.weights.reserve(mixed);
            let passed =
                self.pass_with(&self.weights, mixed, &batch, &draw, Wanted::Weights, turn)?;
            if !passed.loss.is_finite() {
                return Ok(None);
            }
            loss += passed.loss * f64::from(share);
            self.weights.accumulate(mixed, &passed.weights, share);
        }
        self.weights.update(&Descent {
            learning_rate: rate,
            momentum: self.config.momentum,
            weight_decay: self.config.weight_decay,
            clip: self.config.clip,
        });
        Ok(Some(loss))
    }

    /// One step of the architecture parameters.
    fn move_alphas(
        &mut self,
        held: &[usize],
        indices: &[usize],
        rate: f64,
        temperature: f64,
        rng: &mut ChaCha8Rng,
        turn: &mut Turn,
    ) -> Result<Option<Seen>, GradientError> {
        let method = self.config.method;
        let mut draw = self.draw(turn.space, temperature, rng);
        let mixed = turn.network(method, &mut draw.for_alphas())?;
        self.weights.reserve(&mixed);
        let batch = turn.batch(held, &mixed, None);
        let ahead = match method {
            Method::DartsSecond => {
                let train = turn.batch(indices, &mixed, None);
                let look =
                    self.pass_with(&self.weights, &mixed, &train, &draw, Wanted::Weights, turn)?;
                let mut ahead = self.weights.clone();
                ahead.accumulate(&mixed, &look.weights, 1.0);
                ahead.shift(rate);
                Some((ahead, train))
            }
            _ => None,
        };
        let weights = ahead.as_ref().map_or(&self.weights, |(ahead, _)| ahead);
        let passed = self.pass_with(weights, &mixed, &batch, &draw, Wanted::Gates, turn)?;
        let mut by_gates = passed.gates;
        if let Some((ahead, train)) = &ahead {
            let steep = self.pass_with(ahead, &mixed, &batch, &draw, Wanted::Weights, turn)?;
            let second = self.curvature(&mixed, &steep.weights, train, &draw, turn)?;
            for (choice, gradient) in &mut by_gates {
                for (option, value) in gradient.iter_mut().enumerate() {
                    *value -= rate * second[choice][option];
                }
            }
        }
        let labels = held.iter().map(|index| turn.images().labels[*index]);
        let right = count_right(&passed.logits, labels.collect::<Vec<_>>().into_iter()) as f64;
        if !passed.loss.is_finite() || by_gates.values().flatten().any(|g| !g.is_finite()) {
            return Ok(None);
        }
        let mut gradient: Vec<Option<Vec<f64>>> = vec![None; turn.space.choices().len()];
        for (choice, by_gate) in &by_gates {
            if mixed.mixes.values().any(|mix| mix.choice == *choice) {
                gradient[*choice] = Some(draw.through_gates(*choice, by_gate));
            }
        }
        let mut expected_ms = 0.0;
        if let (Some(expected), Some(pressure)) = (&mut turn.expected, &mut self.pressure) {
            let found = expected.expected(&self.alphas, self.config.latency_draws, rng);
            expected_ms = found.mean_ms;
            let slope = pressure.slope(found.mean_ms);
            pressure.rise(found.mean_ms);
            let probabilities = self.alphas.probabilities();
            for (choice, by_option) in found.by_option.iter().enumerate() {
                let priced: Vec<f64> = by_option.iter().map(|ms| slope * ms).collect();
                if slope == 0.0 || by_option.iter().all(|ms| *ms == 0.0) {
                    continue;
                }
                let own = through_softmax(&probabilities[choice], &priced, 1.0);
                match &mut gradient[choice] {
                    Some(sum) => sum.iter_mut().zip(own).for_each(|(sum, g)| *sum += g),
                    None => gradient[choice] = Some(own),
                }
            }
        }
        self.step_alphas(&gradient, &draw);
        Ok(Some(Seen {
            loss: passed.loss,
            right,
            expected_ms,
        }))
    }

    fn step_alphas(&mut self, gradient: &[Option<Vec<f64>>], draw: &Draw) {
        let adam = Adam {
            learning_rate: self.config.alpha_rate,
            betas: match self.config.method {
                Method::Proxyless => [0.0, 0.999],
                _ => [0.5, 0.999],
            },
            weight_decay: match self.config.method {
                Method::Proxyless => 0.0,
                _ => self.config.alpha_decay,
            },
        };
        if self.config.method != Method::Proxyless {
            self.alphas.update(gradient, &adam);
            return;
        }
        // Only what was compared moves.
        for (choice, picked) in &draw.picked {
            if let ([Some(active), Some(passive)], Some(own)) = (picked, &gradient[*choice]) {
                let pair = [*active, *passive];
                let slopes = pair.map(|option| own[option]);
                self.alphas.update_pair(*choice, pair, slopes, &adam);
            }
        }
    }

    fn pass_with(
        &self,
        weights: &SharedWeights,
        mixed: &MixedNetwork,
        batch: &Batch,
        draw: &Draw,
        wanted: Wanted,
        turn: &Turn,
    ) -> Result<crate::supernet::Passed, GradientError> {
        let own = weights.slice(mixed);
        let passed = pass(mixed, &own, batch, &draw.gates(), wanted, turn.device);
        Ok(passed.map_err(SupernetError::from)?)
    }

    /// The product of the second derivative by gates and weights with a vector, as
    /// a difference quotient.
    fn curvature(
        &self,
        mixed: &MixedNetwork,
        vector: &Weights,
        train: &Batch,
        draw: &Draw,
        turn: &Turn,
    ) -> Result<std::collections::BTreeMap<usize, Vec<f64>>, GradientError> {
        let mut scaled = self.weights.clone();
        scaled.accumulate(mixed, vector, 1.0);
        let step = DIFFERENCE / scaled.gradient_norm().max(1e-12);
        let side = |sign: f64| {
            let mut moved = self.weights.clone();
            moved.accumulate(mixed, vector, 1.0);
            moved.shift(-sign * step);
            self.pass_with(&moved, mixed, train, draw, Wanted::Gates, turn)
        };
        let (plus, mut minus) = (side(1.0)?, side(-1.0)?);
        for (choice, values) in &mut minus.gates {
            for (option, value) in values.iter_mut().enumerate() {
                *value = (plus.gates[choice][option] - *value) / (2.0 * step);
            }
        }
        Ok(minus.gates)
    }

    /// The `count` most probable architectures; with a target in ms, of those whose
    /// `cost` meets it.
    pub fn derive(
        &self,
        space: &Space,
        cost: Option<Cost>,
        target: Option<f64>,
        count: usize,
    ) -> Vec<Derived> {
        let mut rng = epoch_rng(self.config.seed, usize::MAX);
        let mut expected = cost.map(|cost| ExpectedLatency::new(space, cost));
        let latency = expected.as_mut().map(|expected| (expected, target));
        derive(space, &self.alphas, latency, count, &mut rng)
    }

    /// The probability of each option, by choice.
    pub fn probabilities(&self) -> super::ByOption {
        self.alphas.probabilities()
    }
}

/// What one step of the architecture parameters saw.
struct Seen {
    loss: f64,
    /// Images classified right.
    right: f64,
    expected_ms: f64,
}

/// What steps read.
struct Turn<'a> {
    space: &'a Space,
    device: &'a Device,
    dataset: &'a Dataset,
    batches: Batches<'a>,
    expected: Option<ExpectedLatency<'a>>,
    split: Option<Split>,
    /// The network of all options, which is the same in every step.
    mixed: Option<Arc<MixedNetwork>>,
}

impl Turn<'_> {
    fn images(&self) -> &Split {
        self.split.as_ref().unwrap_or(&self.dataset.train)
    }

    fn batch(
        &mut self,
        indices: &[usize],
        mixed: &MixedNetwork,
        mut changes: Option<ChaCha8Rng>,
    ) -> Batch {
        let split = self.split.as_ref().unwrap_or(&self.dataset.train);
        let input = mixed.network.input_shape();
        self.batches.of(split, indices, input, changes.as_mut())
    }

    /// The network of a step along paths of the draw.
    fn network(
        &mut self,
        method: Method,
        paths: &mut impl Paths,
    ) -> Result<Arc<MixedNetwork>, GradientError> {
        if let Some(known) = &self.mixed {
            return Ok(known.clone());
        }
        let mixed = Arc::new(self.space.mixed(paths)?);
        if method.mixes() {
            self.mixed = Some(mixed.clone());
        }
        Ok(mixed)
    }
}

/// The images that weights learn from and those that the architecture does.
fn halves(dataset: &Dataset, config: &GradientConfig) -> (Vec<usize>, Vec<usize>) {
    let count = config
        .train_images
        .unwrap_or(usize::MAX)
        .min(dataset.train.len());
    let mut all = shuffled(count, &mut epoch_rng(config.seed, usize::MAX));
    let own = ((count as f64 * config.weight_share).round() as usize).clamp(1, count - 1);
    let its = all.split_off(own);
    (all, its)
}

fn permuted(indices: &[usize], rng: &mut ChaCha8Rng) -> Vec<usize> {
    let order = shuffled(indices.len(), rng);
    order.into_iter().map(|i| indices[i]).collect()
}

/// A seed for each of several searches.
pub fn seed_of(seed: u64, trial: usize) -> u64 {
    match trial {
        0 => seed,
        _ => epoch_rng(seed, trial).random(),
    }
}
