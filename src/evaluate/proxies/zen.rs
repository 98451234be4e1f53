//! Zen-score (Lin et al. 2021, arXiv 2102.01063): how much the features before
//! the head react to a small change of a Gaussian input, with Gaussian weights;
//! what batch normalisation divided by is multiplied back in, so that scales of
//! layers count:
//!
//! `ln |f(x) - f(x + a e)| + sum over batch norms of ln sqrt(mean variance)`
//!
//! averaged over draws of weights and input. No data are needed. The paper scores
//! chains without shortcuts; here, as in other benchmarks of the proxy, the
//! network is scored as it is, and the sum is over the batch norms that reach the
//! features. Other normalisations are not undone.

use std::f64::consts::TAU;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Proxy, ProxyError, Task};
use crate::model::{BATCH_NORM_MOMENTUM, Model};
use crate::network::{Network, NodeId, Op, Role, Shape, Weights};

pub(super) const ZEN: Proxy = Proxy {
    name: "zen",
    about: "how much features react to a small change of the input",
    paper: "Lin et al. 2021, arXiv 2102.01063",
    score,
};

/// Samples of a draw.
const SAMPLES: usize = 16;
/// Draws of weights and input; the paper's are 32.
const DRAWS: u64 = 4;
/// `a`, the size of the change.
const CHANGE: f32 = 0.01;

fn score(task: &Task) -> Result<f64, ProxyError> {
    if let Shape::Ids { .. } = task.network.input_shape() {
        let reason = "token ids cannot be changed a little".to_string();
        return Err(ProxyError::Unsupported(reason));
    }
    let features = features(task.network);
    let mut total = 0.0;
    for draw in 0..DRAWS {
        let mut rng = ChaCha8Rng::seed_from_u64(task.seed);
        rng.set_stream(draw);
        total += once(&features, task, &mut rng)?;
    }
    Ok(total / DRAWS as f64)
}

/// The network without its head: what leads to the last tensor of more than one
/// position, or all of it where there is none.
fn features(network: &Network) -> Network {
    let mut at = network.output();
    let positions = |id: NodeId| match network.shape(id) {
        Shape::Image { height, width, .. } => height * width,
        Shape::Tokens { length, .. } => length,
        _ => 1,
    };
    while positions(at) == 1 {
        match network.node(at).inputs[..] {
            [input] => at = input,
            // The input itself, or a head with branches.
            _ => return network.simplify(),
        }
    }
    let mut features = network.clone();
    features.set_output(at);
    features.simplify()
}

/// The score of one draw.
fn once(features: &Network, task: &Task, rng: &mut ChaCha8Rng) -> Result<f64, ProxyError> {
    let weights = gaussian(features, rng);
    let model = Model::new(features, &weights, &task.device)?.no_grad();
    let dims = Model::input_dims(features.input_shape(), SAMPLES);
    let count = dims.iter().product();
    let x = normal(count, rng);
    let e = normal(count, rng);
    let near: Vec<f32> = x.iter().zip(&e).map(|(x, e)| x + CHANGE * e).collect();
    let pass = |samples: Vec<f32>| -> Vec<f32> {
        let samples = Tensor::from_data(TensorData::new(samples, dims), &task.device);
        let out = model.forward(samples).detach().into_data();
        out.try_into_vec().expect("features are f32")
    };
    // The second pass would blend into the statistics of the first.
    let at = pass(x);
    let scale = log_scale(features, &model.to_weights());
    let near = pass(near);
    let rows = at.len() / SAMPLES;
    let distances = at.chunks_exact(rows).zip(near.chunks_exact(rows));
    let distance = distances
        .map(|(a, b)| {
            let squares = a
                .iter()
                .zip(b)
                .map(|(a, b)| (*a as f64 - *b as f64).powi(2));
            squares.sum::<f64>().sqrt()
        })
        .sum::<f64>();
    match distance == 0.0 {
        true => Err(ProxyError::Degenerate(
            "its features do not change with the input",
        )),
        false => Ok((distance / SAMPLES as f64).ln() + scale),
    }
}

/// Filters of the standard normal law; running variances of zero, so that after
/// one pass they are the batch's times the momentum.
fn gaussian(network: &Network, rng: &mut ChaCha8Rng) -> Weights {
    let mut weights = Weights::random(network, rng.random());
    for spec in network.param_specs() {
        let array = weights.tensors.get_mut(&spec.name());
        let data = &mut array.expect("every parameter has its weights").data;
        let layer = matches!(
            network.node(spec.node).op,
            Op::Conv(_) | Op::Conv1d(_) | Op::Linear { .. }
        );
        match spec.role {
            Role::Weight if layer => *data = normal(data.len(), rng),
            Role::RunningVar => data.fill(0.0),
            _ => {}
        }
    }
    weights
}

/// What batch norms divided by, as a logarithm. A batch norm of a constant, which
/// no input reaches, divided by nothing that counts.
fn log_scale(network: &Network, after: &Weights) -> f64 {
    let specs = network.param_specs();
    let variances = specs.iter().filter(|spec| spec.role == Role::RunningVar);
    let logs = variances.map(|spec| {
        let data = &after.tensors[&spec.name()].data;
        let sum = data.iter().map(|v| *v as f64).sum::<f64>();
        sum / data.len() as f64 / BATCH_NORM_MOMENTUM as f64
    });
    logs.filter(|mean| *mean > 0.0)
        .map(|mean| 0.5 * mean.ln())
        .sum()
}

/// Numbers of the standard normal law (Box and Muller 1958), the same on every
/// platform.
fn normal(count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(count + 1);
    while numbers.len() < count {
        // 1 - [0, 1) is never zero.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - rng.random::<f64>()));
        let angle = TAU * rng.random::<f64>();
        numbers.push((radius * libm::cos(angle)) as f32);
        numbers.push((radius * libm::sin(angle)) as f32);
    }
    numbers.truncate(count);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_normal_and_of_the_length_asked() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        assert_eq!(normal(5, &mut rng).len(), 5);
        let numbers = normal(20_000, &mut rng);
        let moment = |p: i32| {
            numbers.iter().map(|x| (*x as f64).powi(p)).sum::<f64>() / numbers.len() as f64
        };
        for (power, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
            let found = moment(power);
            assert!((found - expected).abs() < 0.15, "moment {power}: {found}");
        }
    }
}
