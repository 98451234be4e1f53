//! Trains one network by stochastic gradient descent.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::Device;

use super::accuracy::{accuracy, check_fit};
use super::batches::{Normaliser, epoch_rng, shuffled};
use super::schedule::learning_rate;
use super::step::Trainer;
use super::{EpochRecord, Outcome, TrainConfig, TrainError};
use crate::data::Dataset;
use crate::network::{Network, Weights};

/// Trains `network` from `init` on the dataset's training images, resized where
/// the network takes another resolution. `on_epoch` sees each epoch's record and
/// may stop the run.
///
/// Equal arguments give equal outcomes (but for the seconds), whatever the
/// number of threads of the rayon pool it is called in.
///
/// # Errors
/// When network, weights, data and configuration do not fit together, when the
/// loss stops being finite, or when `on_epoch` breaks.
pub fn train(
    network: &Network,
    init: &Weights,
    dataset: &Dataset,
    config: &TrainConfig,
    device: &Device,
    on_epoch: &mut dyn FnMut(&EpochRecord) -> ControlFlow<()>,
) -> Result<Outcome, TrainError> {
    check_fit(network, dataset)?;
    check(config)?;
    let limited = config
        .train_images
        .filter(|limit| *limit < dataset.train.len())
        .map(|limit| dataset.train.limit(limit));
    let train_split = limited.as_ref().unwrap_or(&dataset.train);
    if train_split.is_empty() {
        return Err(TrainError::Config("there are no training images".into()));
    }
    let normaliser = Normaliser::new(dataset, network.input_shape());
    let mut trainer = Trainer::new(network, init, config, device)?;
    let device = trainer.device().clone();
    let batch_size = config.batch_size.min(train_split.len());
    // An incomplete last batch would have noisy normalisation statistics.
    let steps_per_epoch = train_split.len() / batch_size;
    let steps = steps_per_epoch * config.epochs;
    let mut curve: Vec<EpochRecord> = Vec::new();
    for epoch in 1..=config.epochs {
        let start = Instant::now();
        let mut rng = epoch_rng(config.seed, epoch);
        let order = shuffled(train_split.len(), &mut rng);
        let (mut loss_sum, mut right) = (0.0, 0);
        for (step, indices) in order.chunks_exact(batch_size).enumerate() {
            let augmentation = config.augment.then_some(&mut rng);
            let images = normaliser.batch(train_split, indices, augmentation, &device);
            let labels: Vec<u8> = indices.iter().map(|i| train_split.labels[*i]).collect();
            let now = (epoch - 1) * steps_per_epoch + step;
            let rate = learning_rate(now, steps, config.learning_rate);
            let seen = trainer.step(images, &labels, rate);
            if !seen.loss.is_finite() {
                let step = step + 1;
                return Err(TrainError::Diverged { epoch, step });
            }
            loss_sum += seen.loss;
            right += seen.right;
        }
        let validate = config.validate_each_epoch || epoch == config.epochs;
        let validation_accuracy = validate
            .then(|| {
                accuracy(
                    network,
                    &trainer.weights(),
                    dataset,
                    &dataset.validation,
                    &device,
                )
            })
            .transpose()?;
        let record = EpochRecord {
            epoch,
            train_loss: loss_sum / steps_per_epoch as f64,
            train_accuracy: right as f64 / (steps_per_epoch * batch_size) as f64,
            validation_accuracy,
            seconds: start.elapsed().as_secs_f64(),
        };
        let flow = on_epoch(&record);
        curve.push(record);
        if flow.is_break() {
            return Err(TrainError::Cancelled);
        }
    }
    let validation_accuracy = curve
        .last()
        .and_then(|record| record.validation_accuracy)
        .expect("the last epoch is validated");
    Ok(Outcome {
        weights: trainer.weights(),
        curve,
        validation_accuracy,
    })
}

fn check(config: &TrainConfig) -> Result<(), TrainError> {
    let positive = |value: f64| value.is_finite() && value > 0.0;
    let share = |value: f64| (0.0..1.0).contains(&value);
    let problem = if config.epochs == 0 {
        "`epochs` must be at least 1"
    } else if config.batch_size < 2 {
        "`batch_size` must be at least 2, as batch norm needs more than one image"
    } else if !positive(config.learning_rate) {
        "`learning_rate` must be above 0"
    } else if !share(config.momentum) {
        "`momentum` must be at least 0 and below 1"
    } else if !share(config.label_smoothing) {
        "`label_smoothing` must be at least 0 and below 1"
    } else if !(config.weight_decay.is_finite() && config.weight_decay >= 0.0) {
        "`weight_decay` must be at least 0"
    } else {
        return Ok(());
    };
    Err(TrainError::Config(problem.into()))
}
