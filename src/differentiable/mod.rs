//! Differentiable architecture search: a supernet whose options are weighed by
//! probabilities that gradient descent moves, with the latency that a calibrated
//! predictor foretells in the loss.

mod alphas;
mod collapse;
mod config;
mod derive;
mod file;
mod goal;
mod latency;
mod method;
mod search;

pub use alphas::{Adam, Alphas, ByOption};
pub use collapse::Collapse;
pub use config::GradientConfig;
pub use derive::{Derived, derive};
pub use goal::{LatencyGoal, Pressure};
pub use latency::{Cost, Expected, ExpectedLatency};
pub use method::Method;
pub use search::{GradientRecord, GradientSearch, seed_of};

use crate::space::SpaceError;
use crate::supernet::SupernetError;

/// Why a differentiable search ended early.
#[derive(Debug, thiserror::Error)]
pub enum GradientError {
    /// What of the space cannot be relaxed.
    #[error(transparent)]
    Space(#[from] Box<SpaceError>),
    #[error(transparent)]
    Supernet(#[from] SupernetError),
    #[error(
        "the search diverged: the loss of the {what} is not finite at step {step} of epoch \
         {epoch}; a lower learning rate may help"
    )]
    Diverged {
        what: &'static str,
        epoch: usize,
        step: usize,
    },
    #[error("the checkpoint cannot be gone on with: {0}")]
    Checkpoint(String),
}

#[cfg(test)]
mod tests;
