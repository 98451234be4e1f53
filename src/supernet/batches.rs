//! Batches for networks of any of a space's resolutions.

use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;

use super::Batch;
use crate::data::{Dataset, Split};
use crate::evaluate::Normaliser;
use crate::network::Shape;

/// Makes batches of a dataset's images.
pub struct Batches<'a> {
    dataset: &'a Dataset,
    normalisers: HashMap<Shape, Normaliser>,
    smoothing: f64,
}

impl<'a> Batches<'a> {
    /// `smoothing` is the share of each target spread over all classes.
    pub fn new(dataset: &'a Dataset, smoothing: f64) -> Self {
        Batches {
            dataset,
            normalisers: HashMap::new(),
            smoothing,
        }
    }

    /// The images at `indices` for a network of this input; shifted and mirrored
    /// by `augmentation` where there is one.
    pub fn of(
        &mut self,
        split: &Split,
        indices: &[usize],
        input: Shape,
        augmentation: Option<&mut ChaCha8Rng>,
    ) -> Batch {
        let dataset = self.dataset;
        let normaliser = self
            .normalisers
            .entry(input)
            .or_insert_with(|| Normaliser::new(dataset, input));
        let classes = dataset.classes.len();
        let off = (self.smoothing / classes as f64) as f32;
        let mut targets = vec![off; indices.len() * classes];
        for (row, index) in targets.chunks_exact_mut(classes).zip(indices) {
            row[split.labels[*index] as usize] += (1.0 - self.smoothing) as f32;
        }
        let (height, width) = input.spatial();
        Batch {
            images: normaliser.floats(split, indices, augmentation),
            dims: [indices.len(), input.channels(), height, width],
            targets,
        }
    }
}

/// Probabilities of classes from logits.
pub fn softmax_rows(logits: &[f32], classes: usize) -> Vec<f32> {
    let mut probabilities = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(classes) {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials = row.iter().map(|x| (x - most).exp());
        let sum: f32 = exponentials.clone().sum();
        probabilities.extend(exponentials.map(|e| e / sum));
    }
    probabilities
}
