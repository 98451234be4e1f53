//! One step of stochastic gradient descent: what training repeats, and what
//! [`throughput`](super::throughput) times.

use burn::module::Module;
use burn::module::{ModuleVisitor, Param, ParamGroup};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::TrainConfig;
use super::accuracy::count_right;
use crate::model::{Model, ModelError};
use crate::network::{Network, Weights};

/// A network under training.
pub(super) struct Trainer {
    /// Absent only while the optimiser has it.
    model: Option<Model>,
    optimiser: ModuleOptimizer,
    device: Device,
    classes: usize,
    label_smoothing: f64,
}

/// What a step tells of the batch, before the weights changed.
pub(super) struct Seen {
    /// Mean cross-entropy, in nats; not finite where training has diverged.
    pub loss: f64,
    /// Images classified right.
    pub right: usize,
}

impl Drop for Trainer {
    fn drop(&mut self) {
        crate::model::release_buffers();
    }
}

impl Trainer {
    /// `device` without or with automatic differentiation.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn new(
        network: &Network,
        init: &Weights,
        config: &TrainConfig,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let device = device.clone().autodiff();
        let model = Model::new(network, init, &device)?;
        Ok(Trainer {
            optimiser: optimiser(config, &model),
            model: Some(model),
            device,
            classes: network.output_shape().elements(),
            label_smoothing: config.label_smoothing,
        })
    }

    /// The device that batches are to be on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub fn weights(&self) -> Weights {
        self.model().to_weights()
    }

    fn model(&self) -> &Model {
        self.model.as_ref().expect("given back by the optimiser")
    }

    /// Forward, backward and the update at a learning rate. Where the loss is
    /// not finite the weights stay as they are.
    pub fn step(&mut self, images: Tensor<4>, labels: &[u8], rate: f64) -> Seen {
        let logits = self.model().forward(images);
        let values: Vec<f32> = logits
            .clone()
            .detach()
            .into_data()
            .try_into_vec()
            .expect("logits are f32");
        let right = count_right(&values, labels.iter().copied());
        let targets = targets(labels, self.classes, self.label_smoothing, &self.device);
        let loss = -(log_softmax(logits, 1) * targets).sum() / labels.len() as f32;
        let value = loss.clone().detach().into_scalar::<f32>() as f64;
        let seen = Seen { loss: value, right };
        if value.is_finite() {
            let model = self.model.take().expect("given back by the optimiser");
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            self.model = Some(self.optimiser.step(rate, model, gradients));
        }
        seen
    }
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
