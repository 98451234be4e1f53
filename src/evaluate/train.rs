//! Trains one network by stochastic gradient descent.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::module::Module;
use burn::module::{ModuleVisitor, Param, ParamGroup};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::accuracy::{accuracy, check_fit, count_right};
use super::batches::{Normaliser, epoch_rng, shuffled};
use super::schedule::learning_rate;
use super::{EpochRecord, Outcome, TrainConfig, TrainError};
use crate::data::Dataset;
use crate::model::Model;
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
    let device = device.clone().autodiff();
    let normaliser = Normaliser::new(dataset, network.input_shape());
    let mut model = Model::new(network, init, &device)?;
    let mut optimiser = optimiser(config, &model);
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
            let logits = model.forward(images);
            let values: Vec<f32> = logits
                .clone()
                .detach()
                .into_data()
                .try_into_vec()
                .expect("logits are f32");
            right += count_right(&values, labels.iter().copied());
            let targets = targets(
                &labels,
                dataset.classes.len(),
                config.label_smoothing,
                &device,
            );
            let loss = -(log_softmax(logits, 1) * targets).sum() / batch_size as f32;
            let value = loss.clone().detach().into_scalar::<f32>() as f64;
            if !value.is_finite() {
                let step = step + 1;
                return Err(TrainError::Diverged { epoch, step });
            }
            loss_sum += value;
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            let now = (epoch - 1) * steps_per_epoch + step;
            let rate = learning_rate(now, steps, config.learning_rate);
            model = optimiser.step(rate, model, gradients);
        }
        let validate = config.validate_each_epoch || epoch == config.epochs;
        let validation_accuracy = validate
            .then(|| {
                accuracy(
                    network,
                    &model.to_weights(),
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
        weights: model.to_weights(),
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

/// Nesterov momentum; decay for filters only, as shrinking a normalisation or a
/// bias does not simplify a network (He et al. 2019, arXiv 1812.01187).
fn optimiser(config: &TrainConfig, model: &Model) -> ModuleOptimizer {
    let momentum = MomentumConfig::new()
        .with_momentum(config.momentum)
        .with_dampening(0.0)
        .with_nesterov(config.momentum > 0.0);
    let plain = SgdConfig::new().with_momentum(Some(momentum));
    let decay = WeightDecayConfig::new(config.weight_decay as f32);
    let decayed = plain.clone().with_weight_decay(Some(decay));
    let mut filters = FilterIds::default();
    model.visit(&mut filters);
    plain
        .init()
        .with_group(ParamGroup::from_ids(filters.ids), decayed.build(), None)
}

/// Collects the parameters that are filters: those of rank above 1.
#[derive(Default)]
struct FilterIds {
    ids: Vec<burn::module::ParamId>,
}

impl ModuleVisitor for FilterIds {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D > 1 {
            self.ids.push(param.id);
        }
    }
}

/// One row of target probabilities for each label.
pub(super) fn targets(labels: &[u8], classes: usize, smoothing: f64, device: &Device) -> Tensor<2> {
    let off = (smoothing / classes as f64) as f32;
    let on = off + (1.0 - smoothing) as f32;
    let mut data = vec![off; labels.len() * classes];
    for (row, label) in data.chunks_exact_mut(classes).zip(labels) {
        row[*label as usize] = on;
    }
    Tensor::from_data(TensorData::new(data, [labels.len(), classes]), device)
}
