//! What an architecture is worth: trains a network for a budget and counts how
//! often it is right. Plain data in, plain data out; tensors stay inside. Equal
//! configurations give equal results whatever the number of threads.

mod accuracy;
mod batches;
mod many;
pub mod proxies;
mod resize;
mod schedule;
mod step;
pub mod throughput;
mod train;

use serde::{Deserialize, Serialize};

use crate::model::ModelError;
use crate::network::{Shape, Weights};

pub use accuracy::accuracy;
pub(crate) use accuracy::{check_fit, count_right};
pub(crate) use batches::{Normaliser, epoch_rng, shuffled};
pub use many::{TrainJob, train_many};
pub(crate) use schedule::learning_rate;
pub use train::train;

/// How to train. The defaults are tuned for small networks and a few epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images for each step.
    pub batch_size: usize,
    /// Peak of the learning rate: it rises linearly over the first tenth of
    /// the steps and falls along a cosine to zero (Loshchilov and Hutter 2017).
    pub learning_rate: f64,
    /// Decay of filters (not of biases and normalisations).
    pub weight_decay: f64,
    /// Nesterov momentum.
    pub momentum: f64,
    /// Seeds the order of images and their augmentation.
    pub seed: u64,
    /// Train on at most so many images, class-balanced.
    pub train_images: Option<usize>,
    /// Shift and mirror the training images at random.
    pub augment: bool,
    /// Share of each target spread evenly over all classes.
    pub label_smoothing: f64,
    /// Validate after each epoch; else only after the last.
    pub validate_each_epoch: bool,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            epochs: 2,
            batch_size: 32,
            learning_rate: 0.1,
            weight_decay: 5e-4,
            momentum: 0.9,
            seed: 0,
            train_images: None,
            augment: false,
            label_smoothing: 0.0,
            validate_each_epoch: true,
        }
    }
}

/// How training went in one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean cross-entropy over the epoch's steps, in nats.
    pub train_loss: f64,
    /// Share of training images classified right, while training.
    pub train_accuracy: f64,
    /// Share of validation images classified right after the epoch.
    pub validation_accuracy: Option<f64>,
    /// Wall time of the epoch with its validation, in seconds.
    pub seconds: f64,
}

/// What training yields.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub weights: Weights,
    pub curve: Vec<EpochRecord>,
    /// Share of validation images classified right after the last epoch.
    pub validation_accuracy: f64,
}

/// Why a network was not trained to the end.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(
        "training diverged: the loss is not finite at step {step} of epoch {epoch}; a lower learning rate may help"
    )]
    Diverged { epoch: usize, step: usize },
    #[error("training was cancelled")]
    Cancelled,
    #[error("the network takes {network} images, but the data are {data}")]
    InputShape { network: Shape, data: Shape },
    #[error(
        "the network takes {}, but the data are {data} images, and only networks of images can be \
         trained on them",
        network.kind()
    )]
    NotImages { network: Shape, data: Shape },
    #[error("the network tells {network} classes apart, but the data have {data}")]
    Classes { network: usize, data: usize },
    #[error("the network is too large to be trained: {0}")]
    Memory(#[from] crate::device::TooLarge),
    #[error("the training configuration cannot work: {0}")]
    Config(String),
    #[error(transparent)]
    Model(#[from] ModelError),
}

#[cfg(test)]
mod tests;
