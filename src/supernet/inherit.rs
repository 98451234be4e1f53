//! What an architecture inherits of a supernet, and what it is worth with it.

use std::borrow::Cow;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::train::limited;
use super::{Batches, Supernet, SupernetError};
use crate::data::{Dataset, Split};
use crate::evaluate::{accuracy, check_fit, shuffled};
use crate::model::Model;
use crate::network::{Network, Weights};
use crate::space::{Architecture, Space};

/// Batches that running statistics are the means over.
const RECALIBRATED: usize = 16;
/// Images of each.
const BATCH: usize = 64;

impl Supernet {
    /// The network of an architecture with inherited weights, its batch
    /// normalisations recalibrated on training images.
    ///
    /// # Errors
    /// When the data do not fit the network.
    pub fn extract(
        &self,
        space: &Space,
        architecture: &Architecture,
        dataset: &Dataset,
        device: &Device,
    ) -> Result<(Network, Weights), SupernetError> {
        let limited = limited(dataset, self.config.train_images);
        let split = limited.as_ref().unwrap_or(&dataset.train);
        self.extract_by(space, architecture, dataset, split, device)
    }

    /// The same, recalibrated on images of `split`.
    fn extract_by(
        &self,
        space: &Space,
        architecture: &Architecture,
        dataset: &Dataset,
        split: &Split,
        device: &Device,
    ) -> Result<(Network, Weights), SupernetError> {
        let placed = space.placed(architecture);
        check_fit(&placed.network, dataset)?;
        // Of an architecture whose tensors are larger than any seen, the rest is
        // as the supernet would have started it.
        let mut weights = Cow::Borrowed(&self.weights);
        if !weights.covers(&placed) {
            weights.to_mut().reserve(&placed);
        }
        let inherited = weights.slice(&placed);
        let mut model = Model::new(&placed.network, &inherited, &device.clone().autodiff())?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        let order = shuffled(split.len(), &mut rng);
        let mut batches = Batches::new(dataset, 0.0);
        let input = placed.network.input_shape();
        model.recalibrate(order.chunks(BATCH).take(RECALIBRATED).map(|indices| {
            let batch = batches.of(split, indices, input, None);
            Tensor::from_data(
                TensorData::new(batch.images, batch.dims),
                &device.clone().autodiff(),
            )
        }));
        Ok((placed.network, model.to_weights()))
    }

    /// The share of validation images that an architecture classifies right with
    /// inherited weights, recalibrated on images of `split`.
    pub(super) fn inherited_accuracy(
        &self,
        space: &Space,
        architecture: &Architecture,
        dataset: &Dataset,
        split: &Split,
        device: &Device,
    ) -> Result<f64, SupernetError> {
        let (network, weights) = self.extract_by(space, architecture, dataset, split, device)?;
        Ok(accuracy(
            &network,
            &weights,
            dataset,
            &dataset.validation,
            device,
        )?)
    }
}
