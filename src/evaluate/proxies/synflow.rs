//! Synflow (Tanaka et al. 2020, arXiv 2006.05467) as a score of architectures
//! (Abdelfattah et al. 2021, arXiv 2101.08134): with absolute weights, without
//! normalisation and with an input of ones, the sum over filters of
//! `weight * d(sum of outputs) / d(weight)`. No data are needed.
//!
//! A deep network multiplies some ten numbers above ten, so the sum overflows 32
//! bits. The surrogate is linear in each tensor: each is scaled to a maximum of
//! one and its scale kept as a logarithm, brought to a common one where tensors
//! are added. The gradient of the scaled output is then the true one divided by
//! the output's scale, and nothing is lost but what rounding loses anyway. The
//! score is `ln(1 + sum)`, in the order of the sum.

use burn::tensor::{Tensor, TensorData};

use super::gradient::filters;
use super::linear::linear;
use super::{Proxy, ProxyError, Task};
use crate::model::{Model, Watch};
use crate::network::{Network, NodeId, Op, Role, Weights};

pub(super) const SYNFLOW: Proxy = Proxy {
    name: "synflow",
    about: "strength of all paths through absolute weights, as ln(1 + sum)",
    paper: "Tanaka et al. 2020, arXiv 2006.05467",
    score,
};

fn score(task: &Task) -> Result<f64, ProxyError> {
    let network = linear(task.network)?;
    let sum = log_sum(&network, &absolute(&network, task.seed), task)?;
    // ln(1 + e^sum), without overflow.
    Ok(match sum > 0.0 {
        true => sum + (-sum).exp().ln_1p(),
        false => sum.exp().ln_1p(),
    })
}

/// Random weights without signs, and without biases.
fn absolute(network: &Network, seed: u64) -> Weights {
    let mut weights = Weights::random(network, seed);
    for spec in network.param_specs() {
        let array = weights.tensors.get_mut(&spec.name());
        let data = &mut array.expect("every parameter has its weights").data;
        match spec.role {
            Role::Bias => data.fill(0.0),
            _ => data.iter_mut().for_each(|w| *w = w.abs()),
        }
    }
    weights
}

/// The logarithm of the sum; minus infinity where no path leads to the output.
fn log_sum(network: &Network, weights: &Weights, task: &Task) -> Result<f64, ProxyError> {
    let model = Model::new(network, weights, &task.device)?;
    let dims = Model::input_dims(network.input_shape(), 1);
    let ones = vec![1.0; network.input_shape().elements()];
    let ones = Tensor::from_data(TensorData::new(ones, dims), &task.device);
    let mut scales = Scales {
        network,
        logs: vec![0.0; network.nodes().len()],
        next: 0.0,
    };
    let output = model.forward_watched(ones, &mut scales).sum();
    let scale = scales.logs[network.output().0];
    // Without anything to learn there is nothing to differentiate.
    if !output.is_tracked() {
        return Ok(f64::NEG_INFINITY);
    }
    let gradients = model.gradients(&output.backward());
    let mut total = 0.0;
    for spec in filters(network) {
        let name = spec.name();
        if let Some(gradient) = gradients.tensors.get(&name) {
            let pairs = weights.tensors[&name].data.iter().zip(&gradient.data);
            total += pairs.map(|(w, g)| *w as f64 * *g as f64).sum::<f64>();
        }
    }
    match total.is_nan() {
        true => Err(ProxyError::NotFinite(total)),
        false => Ok(total.ln() + scale),
    }
}

/// Keeps every tensor's maximum at one.
struct Scales<'a> {
    network: &'a Network,
    /// Of each node, the logarithm of what its tensor is to be multiplied by.
    logs: Vec<f64>,
    /// Of the node that is being computed.
    next: f64,
}

impl Watch for Scales<'_> {
    fn before(&mut self, node: NodeId, inputs: &[usize], values: &mut [Tensor<4>]) {
        let logs = inputs.iter().map(|input| self.logs[*input]);
        if let Op::Mul = self.network.node(node).op {
            self.next = logs.sum();
            return;
        }
        self.next = logs.clone().fold(f64::NEG_INFINITY, f64::max);
        if self.next == f64::NEG_INFINITY {
            // All are zeros.
            self.next = 0.0;
            return;
        }
        for (value, log) in values.iter_mut().zip(logs) {
            if log < self.next {
                *value = value.clone() * (log - self.next).exp() as f32;
            }
        }
    }

    fn after(&mut self, node: NodeId, value: Tensor<4>) -> Tensor<4> {
        let max = value.clone().detach().max().into_scalar::<f32>();
        if max == 0.0 {
            self.logs[node.0] = f64::NEG_INFINITY;
            return value;
        }
        self.logs[node.0] = self.next + (max as f64).ln();
        value / max
    }
}
