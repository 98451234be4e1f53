//! A supernet: all networks of a space in one set of weights (one-shot search),
//! trained together, ranked by what they inherit, and taken out to be trained on.
//! Weights are plain data here; each step borrows those of the architectures it
//! trains, so that a step takes the memory of one network.

mod batches;
mod file;
mod inherit;
mod pass;
mod rank;
mod sampling;
mod shared;
mod train;

use std::path::PathBuf;

pub(crate) use batches::Batches;
pub(crate) use file::{packed, replace, unpacked};
pub use pass::{Batch, Passed, Wanted, pass};
pub use rank::{Ranked, Ranking};
pub(crate) use sampling::fair;
pub use sampling::{Extremes, Sampling};
pub use shared::{Descent, SharedWeights};
pub use train::{SupernetConfig, SupernetRecord};
pub(crate) use train::{augmentation, limited};

use crate::evaluate::TrainError;
use crate::model::ModelError;

/// A supernet with what it was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Supernet {
    pub space_name: String,
    /// The space's source, whole.
    pub space_text: String,
    /// Hash of the dataset.
    pub dataset: String,
    pub config: SupernetConfig,
    /// One record for each epoch trained.
    pub curve: Vec<SupernetRecord>,
    pub weights: SharedWeights,
}

/// What went wrong with a supernet.
#[derive(Debug, thiserror::Error)]
pub enum SupernetError {
    #[error("the configuration cannot work: {0}")]
    Config(String),
    #[error("training was cancelled")]
    Cancelled,
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(
        "the supernet was trained on other data than {name}; give the directory it was trained \
         on with `--data`"
    )]
    Dataset { name: String },
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is no supernet: {reason}")]
    Format { path: PathBuf, reason: String },
}

impl From<ModelError> for SupernetError {
    fn from(error: ModelError) -> Self {
        SupernetError::Train(error.into())
    }
}

#[cfg(test)]
pub(crate) mod tests;
