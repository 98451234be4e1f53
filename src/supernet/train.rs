//! Trains a supernet: in each step some architectures, all on the same images,
//! whose gradients are added in the weights they share.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::batches::softmax_rows;
use super::{
    Batches, Descent, Extremes, Sampling, SharedWeights, Supernet, SupernetError, Wanted, pass,
};
use crate::data::{Dataset, Split};
use crate::evaluate::{TrainError, check_fit, epoch_rng, learning_rate, shuffled};
use crate::space::Space;

/// How a supernet is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SupernetConfig {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images for each step.
    pub batch_size: usize,
    /// Peak of the learning rate: a linear rise over the first tenth of the steps,
    /// then a cosine to zero.
    pub learning_rate: f64,
    pub momentum: f64,
    /// Decay of filters.
    pub weight_decay: f64,
    /// The largest norm of a step's gradient.
    pub clip: f64,
    pub label_smoothing: f64,
    pub sampling: Sampling,
    /// Whether the other architectures learn from the largest's output (Yu and
    /// Huang 2019, arXiv 1903.05134; Hinton et al. 2015).
    pub distill: bool,
    /// Shift and mirror the training images at random.
    pub augment: bool,
    pub seed: u64,
    /// Train on at most so many images, class-balanced.
    pub train_images: Option<usize>,
}

impl Default for SupernetConfig {
    fn default() -> Self {
        SupernetConfig {
            epochs: 10,
            batch_size: 64,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            clip: 5.0,
            label_smoothing: 0.0,
            sampling: Sampling::default(),
            distill: false,
            augment: false,
            seed: 0,
            train_images: None,
        }
    }
}

/// How training went in one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SupernetRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean over the steps of the first architecture's loss, in nats: the
    /// largest's under the sandwich rule.
    pub train_loss: f64,
    /// Architectures trained, one a step or several.
    pub trained: usize,
    pub seconds: f64,
}

/// Architectures looked at to know how large each shared tensor must be.
const RESERVED: usize = 256;
/// Share of the targets that a teacher gives where the labels give the rest.
const TAUGHT: f32 = 0.5;

impl Supernet {
    /// A supernet that has not been trained.
    ///
    /// # Errors
    /// When the configuration makes no sense, or space and data do not fit.
    pub fn new(
        space: &Space,
        dataset: &Dataset,
        config: SupernetConfig,
    ) -> Result<Supernet, SupernetError> {
        check(&config)?;
        let mut rng = epoch_rng(config.seed, 0);
        let mut weights = SharedWeights::new(config.seed);
        let extremes = Extremes::of(space, &mut rng);
        for architecture in [&extremes.largest, &extremes.smallest] {
            let placed = space.placed(architecture);
            check_fit(&placed.network, dataset)?;
            weights.reserve(&placed);
        }
        for _ in 0..RESERVED {
            weights.reserve(&space.placed(&space.sample(&mut rng)));
        }
        Ok(Supernet {
            space_name: space.name().to_string(),
            space_text: space.text().to_string(),
            dataset: dataset.hash.clone(),
            config,
            curve: Vec::new(),
            weights,
        })
    }

    /// Trains the epochs that are left. `on_epoch` sees the supernet after each,
    /// to keep it, and may stop. Stopped and gone on with is the same as unbroken.
    ///
    /// # Errors
    /// A diverged loss, the data of another training, or that `on_epoch` broke.
    pub fn train(
        &mut self,
        space: &Space,
        dataset: &Dataset,
        device: &Device,
        on_epoch: &mut dyn FnMut(&Supernet) -> ControlFlow<()>,
    ) -> Result<(), SupernetError> {
        let config = self.config.clone();
        if self.dataset != dataset.hash {
            return Err(SupernetError::Dataset {
                name: dataset.name.clone(),
            });
        }
        let limited = limited(dataset, config.train_images);
        let split = limited.as_ref().unwrap_or(&dataset.train);
        let batch_size = config.batch_size.min(split.len());
        if batch_size < 2 {
            return Err(SupernetError::Config(
                "at least 2 training images are needed".into(),
            ));
        }
        let extremes = Extremes::of(space, &mut epoch_rng(config.seed, 0));
        let mut batches = Batches::new(dataset, config.label_smoothing);
        let per_epoch = split.len() / batch_size;
        let steps = per_epoch * config.epochs;
        let classes = dataset.classes.len();
        let none = BTreeMap::new();
        for epoch in self.curve.len() + 1..=config.epochs {
            let start = Instant::now();
            let mut rng = epoch_rng(config.seed, epoch);
            let order = shuffled(split.len(), &mut rng);
            let (mut losses, mut trained) = (0.0, 0);
            for (step, indices) in order.chunks_exact(batch_size).enumerate() {
                let now = (epoch - 1) * per_epoch + step;
                let progress = now as f64 / steps as f64;
                let architectures = config.sampling.step(space, &extremes, progress, &mut rng);
                let share = 1.0 / architectures.len() as f32;
                // All see the same images, changed alike.
                let changes = config.augment.then(|| augmentation(&mut rng));
                let mut taught: Option<Vec<f32>> = None;
                let teach = |weights: &SharedWeights, batches: &mut Batches| {
                    let placed = space.placed(&extremes.largest);
                    let input = placed.network.input_shape();
                    let batch = batches.of(split, indices, input, changes.clone().as_mut());
                    let own = weights.slice(&placed);
                    let seen = pass(&placed, &own, &batch, &none, Wanted::Nothing, device)?;
                    Ok::<_, SupernetError>(softmax_rows(&seen.logits, classes))
                };
                for (index, architecture) in architectures.iter().enumerate() {
                    let placed = space.placed(architecture);
                    self.weights.reserve(&placed);
                    let input = placed.network.input_shape();
                    let mut batch = batches.of(split, indices, input, changes.clone().as_mut());
                    let is_teacher = *architecture == extremes.largest;
                    if config.distill && !is_teacher {
                        let soft = match &mut taught {
                            Some(soft) => soft,
                            None => taught.insert(teach(&self.weights, &mut batches)?),
                        };
                        for (target, soft) in batch.targets.iter_mut().zip(soft) {
                            *target += TAUGHT * (*soft - *target);
                        }
                    }
                    let own = self.weights.slice(&placed);
                    let passed = pass(&placed, &own, &batch, &none, Wanted::Weights, device)?;
                    if !passed.loss.is_finite() {
                        let step = step + 1;
                        return Err(TrainError::Diverged { epoch, step }.into());
                    }
                    if is_teacher && config.distill {
                        taught = Some(softmax_rows(&passed.logits, classes));
                    }
                    if index == 0 {
                        losses += passed.loss;
                    }
                    trained += 1;
                    self.weights.accumulate(&placed, &passed.weights, share);
                }
                self.weights.update(&Descent {
                    learning_rate: learning_rate(now, steps, config.learning_rate),
                    momentum: config.momentum,
                    weight_decay: config.weight_decay,
                    clip: config.clip,
                });
            }
            self.curve.push(SupernetRecord {
                epoch,
                train_loss: losses / per_epoch as f64,
                trained,
                seconds: start.elapsed().as_secs_f64(),
            });
            if on_epoch(self).is_break() {
                return Err(SupernetError::Cancelled);
            }
        }
        Ok(())
    }
}

/// A generator of its own for the changes of one batch.
pub(crate) fn augmentation(rng: &mut ChaCha8Rng) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(rng.random())
}

/// The training images, where fewer than all are wanted.
pub(crate) fn limited(dataset: &Dataset, limit: Option<usize>) -> Option<Split> {
    limit
        .filter(|limit| *limit < dataset.train.len())
        .map(|limit| dataset.train.limit(limit))
}

fn check(config: &SupernetConfig) -> Result<(), SupernetError> {
    let problem = if config.epochs == 0 {
        "`epochs` must be at least 1"
    } else if config.batch_size < 2 {
        "`batch_size` must be at least 2, as batch norm needs more than one image"
    } else if !(config.learning_rate.is_finite() && config.learning_rate > 0.0) {
        "`learning_rate` must be above 0"
    } else if !(config.clip.is_finite() && config.clip > 0.0) {
        "`clip` must be above 0"
    } else if !(0.0..1.0).contains(&config.momentum) {
        "`momentum` must be at least 0 and below 1"
    } else if !(0.0..1.0).contains(&config.label_smoothing) {
        "`label_smoothing` must be at least 0 and below 1"
    } else {
        return Ok(());
    };
    Err(SupernetError::Config(problem.into()))
}
