//! Counts how often a network is right.

use burn::tensor::Device;

use super::TrainError;
use super::batches::Normaliser;
use crate::data::{Dataset, Split};
use crate::model::{Model, ModelError, fold_batch_norm};
use crate::network::{Network, Shape, Weights};

/// Images for each forward pass; enough to be efficient, and no setting, as the
/// answer does not depend on it.
const BATCH: usize = 128;

/// The share of a split's images that a network classifies right, `0..=1`.
/// `split` is one of the dataset's own.
///
/// # Errors
/// When network, weights and data do not fit together.
pub fn accuracy(
    network: &Network,
    weights: &Weights,
    dataset: &Dataset,
    split: &Split,
    device: &Device,
) -> Result<f64, TrainError> {
    check_fit(network, dataset)?;
    let device = device.clone().without_autodiff();
    let (network, weights) = fold_batch_norm(network, weights).map_err(ModelError::from)?;
    let model = Model::new(&network, &weights, &device)?;
    let normaliser = Normaliser::new(dataset, network.input_shape());
    let order: Vec<usize> = (0..split.len()).collect();
    let mut right = 0;
    for indices in order.chunks(BATCH) {
        let images = normaliser.batch(split, indices, None, &device);
        let logits: Vec<f32> = model
            .forward(images)
            .into_data()
            .try_into_vec()
            .expect("logits are f32");
        let labels = indices.iter().map(|index| split.labels[*index]);
        right += count_right(&logits, labels);
    }
    Ok(right as f64 / split.len().max(1) as f64)
}

/// How many rows of logits are largest at their label.
pub(crate) fn count_right(logits: &[f32], labels: impl ExactSizeIterator<Item = u8>) -> usize {
    let classes = logits.len() / labels.len().max(1);
    logits
        .chunks_exact(classes)
        .zip(labels)
        .filter(|(row, label)| {
            let best = (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
            best == *label as usize
        })
        .count()
}

/// Whether a network can classify a dataset's images, resized where need be.
pub(crate) fn check_fit(network: &Network, dataset: &Dataset) -> Result<(), TrainError> {
    let input = network.input_shape();
    if !dataset.feeds(input) {
        let (network, data) = (input, dataset.shape);
        return Err(match input {
            Shape::Image { .. } => TrainError::InputShape { network, data },
            _ => TrainError::NotImages { network, data },
        });
    }
    if network.output_shape().elements() != dataset.classes.len() {
        return Err(TrainError::Classes {
            network: network.output_shape().elements(),
            data: dataset.classes.len(),
        });
    }
    Ok(())
}
