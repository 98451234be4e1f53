//! Synchronous inference on one fixed input, as a deployment would run it:
//! batch normalisation folded, activations fused, no gradients. This is what
//! the latency probe times.

use burn::tensor::{Device, Tensor, TensorData};

use super::{Model, ModelError, fold_batch_norm};
use crate::network::{Network, Weights};

/// A network ready to run again and again. On the CPU it uses the calling
/// thread, or the rayon pool it is called in for batches above one image.
#[derive(Debug)]
pub struct InferenceSession {
    model: Model,
    input: Tensor<4>,
    device: Device,
}

impl InferenceSession {
    /// Prepares a session that runs `batch` samples of noise, always the same.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn new(
        network: &Network,
        weights: &Weights,
        device: &Device,
        batch: usize,
    ) -> Result<Self, ModelError> {
        let device = device.clone().without_autodiff();
        let (network, weights) = fold_batch_norm(network, weights)?;
        let model = Model::new(&network, &weights, &device)?;
        let data = network.example(batch, 0);
        let dims = Model::input_dims(network.input_shape(), batch);
        let input = Tensor::from_data(TensorData::new(data, dims), &device);
        Ok(InferenceSession {
            model,
            input,
            device,
        })
    }

    /// One forward pass; returns when the device has finished it.
    ///
    /// # Errors
    /// When the device fails to execute.
    pub fn run(&mut self) -> Result<(), ModelError> {
        let output = self.model.forward(self.input.clone());
        self.device
            .sync()
            .map_err(|error| ModelError::Device(error.to_string()))?;
        drop(output);
        Ok(())
    }

    /// The logits `[batch, classes]` of the session's input, row by row.
    pub fn logits(&self) -> Vec<f32> {
        self.model
            .forward(self.input.clone())
            .into_data()
            .try_into_vec()
            .expect("logits are f32")
    }
}
