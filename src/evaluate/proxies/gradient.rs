//! Proxies that sum over the gradient of the loss at initialisation, after
//! Abdelfattah et al. 2021 (arXiv 2101.08134): cross-entropy of the batch, batch
//! norm by the batch's moments, and the filters of convolutions and linear
//! layers alone.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

use super::{Proxy, ProxyError, Task};
use crate::evaluate::step::targets;
use crate::model::Model;
use crate::network::{Network, Op, ParamSpec, Role, Weights};

/// Lee et al. 2019: the sum of `|weight * gradient|`, what the loss would change
/// by without each connection.
pub(super) const SNIP: Proxy = Proxy {
    name: "snip",
    about: "sum of |weight x gradient of the loss|",
    paper: "Lee et al. 2019, arXiv 1810.02340",
    score: |task| {
        sum(task, |weights, gradient| {
            let pairs = weights.iter().zip(gradient);
            pairs.map(|(w, g)| (*w as f64 * *g as f64).abs()).sum()
        })
    },
};

/// The sum over layers of the gradient's Euclidean norm.
pub(super) const GRAD_NORM: Proxy = Proxy {
    name: "grad_norm",
    about: "sum over layers of the norm of the loss's gradient",
    paper: "Abdelfattah et al. 2021, arXiv 2101.08134",
    score: |task| {
        sum(task, |_, gradient| {
            let squares = gradient.iter().map(|g| (*g as f64).powi(2));
            squares.sum::<f64>().sqrt()
        })
    },
};

/// The filters that proxies count: what a convolution or a linear layer is
/// pruned of.
pub(super) fn filters(network: &Network) -> impl Iterator<Item = ParamSpec> {
    let layer = |spec: &ParamSpec| {
        let op = network.node(spec.node).op;
        matches!(op, Op::Conv(_) | Op::Conv1d(_) | Op::Linear { .. })
    };
    let mut specs = network.param_specs();
    specs.retain(|spec| spec.role == Role::Weight && layer(spec));
    specs.into_iter()
}

/// Sums what `layer` makes of each filter and its gradient. A layer that the loss
/// does not depend on adds nothing.
fn sum(task: &Task, layer: impl Fn(&[f32], &[f32]) -> f64) -> Result<f64, ProxyError> {
    let weights = Weights::random(task.network, task.seed);
    let model = Model::new(task.network, &weights, &task.device)?;
    let outputs = model.forward(task.samples());
    let [count, classes] = outputs.dims();
    let targets = targets(&task.batch.labels, classes, 0.0, &task.device);
    let loss = -(log_softmax(outputs, 1) * targets).sum() / count as f32;
    // Without anything to learn there is nothing to differentiate.
    if !loss.is_tracked() {
        return Ok(0.0);
    }
    let gradients = model.gradients(&loss.backward());
    let mut total = 0.0;
    for spec in filters(task.network) {
        let name = spec.name();
        if let (Some(w), Some(g)) = (weights.tensors.get(&name), gradients.tensors.get(&name)) {
            total += layer(&w.data, &g.data);
        }
    }
    Ok(total)
}

impl Task<'_> {
    /// The batch on the device.
    pub(super) fn samples(&self) -> Tensor<4> {
        let dims = Model::input_dims(self.batch.shape, self.batch.len());
        let data = TensorData::new(self.batch.samples.clone(), dims);
        Tensor::from_data(data, &self.device)
    }
}
