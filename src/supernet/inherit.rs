//! What an architecture inherits of a supernet, and what it is worth with it.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::train::limited;
use super::{Batches, Supernet, SupernetError};
use crate::data::Dataset;
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
        let placed = space.placed(architecture);
        check_fit(&placed.network, dataset)?;
        // Of an architecture whose tensors are larger than any seen, the rest is
        // as the supernet would have started it.
        let mut weights = self.weights.clone();
        weights.reserve(&placed);
        let inherited = weights.slice(&placed);
        let mut model = Model::new(&placed.network, &inherited, &device.clone().autodiff())?;
        let limited = limited(dataset, self.config.train_images);
        let split = limited.as_ref().unwrap_or(&dataset.train);
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
    /// inherited weights.
    ///
    /// # Errors
    /// When the data do not fit the network.
    pub fn inherited_accuracy(
        &self,
        space: &Space,
        architecture: &Architecture,
        dataset: &Dataset,
        device: &Device,
    ) -> Result<f64, SupernetError> {
        let (network, weights) = self.extract(space, architecture, dataset, device)?;
        Ok(accuracy(
            &network,
            &weights,
            dataset,
            &dataset.validation,
            device,
        )?)
    }
}
