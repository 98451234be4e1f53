//! One forward and backward pass of a network that borrows its weights: the loss
//! with its gradients as plain data.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use crate::model::{Gates, Model, ModelError};
use crate::network::Weights;
use crate::space::ChoiceId;
use crate::space::mixed::MixedNetwork;

/// Images with what the network should say of them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[N, C, H, W]`, normalised.
    pub images: Vec<f32>,
    pub dims: [usize; 4],
    /// Probabilities of the classes, `[N, classes]`.
    pub targets: Vec<f32>,
}

/// What gradients a pass is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Weights,
    Gates,
    Nothing,
}

/// What came of a pass.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Mean cross-entropy with the targets, in nats.
    pub loss: f64,
    /// `[N, classes]`.
    pub logits: Vec<f32>,
    /// Gradients by the network's names, where they were wanted.
    pub weights: Weights,
    /// The loss's derivative by each option's weight, where wanted.
    pub gates: BTreeMap<ChoiceId, Vec<f64>>,
}

/// Runs a network on a batch. `gates` has a weight for every option of each
/// choice that is weighed.
///
/// # Errors
/// When the weights do not fit the network.
pub fn pass(
    mixed: &MixedNetwork,
    weights: &Weights,
    batch: &Batch,
    gates: &BTreeMap<ChoiceId, Vec<f64>>,
    wanted: Wanted,
    device: &Device,
) -> Result<Passed, ModelError> {
    let device = device.clone().autodiff();
    let mut model = Model::new(&mixed.network, weights, &device)?;
    if wanted != Wanted::Weights {
        model = model.no_grad();
    }
    let gates: Gates = gates
        .iter()
        .map(|(choice, weights)| {
            let values: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
            let tensor = Tensor::<1>::from_floats(values.as_slice(), &device);
            let tensor = match wanted {
                Wanted::Gates => tensor.require_grad(),
                _ => tensor,
            };
            (*choice, tensor)
        })
        .collect();
    let images = Tensor::from_data(TensorData::new(batch.images.clone(), batch.dims), &device);
    let logits = model.forward_mixed(images, mixed, &gates);
    let [count, classes] = logits.dims();
    let values = logits.clone().detach().into_data();
    let targets = TensorData::new(batch.targets.clone(), [count, classes]);
    let targets = Tensor::<2>::from_data(targets, &device);
    let loss = -(log_softmax(logits, 1) * targets).sum() / count as f32;
    let mut passed = Passed {
        loss: f64::from(loss.clone().detach().into_scalar::<f32>()),
        logits: values.try_into_vec().expect("logits are f32"),
        weights: Weights::default(),
        gates: BTreeMap::new(),
    };
    if wanted == Wanted::Nothing || !passed.loss.is_finite() {
        return Ok(passed);
    }
    let gradients = loss.backward();
    if wanted == Wanted::Weights {
        passed.weights = model.gradients(&gradients);
        return Ok(passed);
    }
    for (choice, gate) in &gates {
        let zeros = || vec![0.0; gate.dims()[0]];
        let gradient = gate.grad(&gradients).map_or_else(zeros, |g| {
            let values: Vec<f32> = g.into_data().try_into_vec().expect("gates are f32");
            values.into_iter().map(f64::from).collect()
        });
        passed.gates.insert(*choice, gradient);
    }
    Ok(passed)
}
