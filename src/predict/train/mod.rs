//! Meta-training: known devices become bases of non-negative operator costs,
//! and by holding out one family of training devices at a time, calibrating
//! it like a new device and averaging the evidence, the prior over hypotheses
//! is learned (expectation maximisation of the marginal likelihood). Interval
//! widths are set on these and the validation devices. Deterministic by seed.

mod episodes;
mod known;
mod measured;
mod prior;
mod widths;

pub use measured::Measured;

use super::Predictor;
use super::basis::Basis;
use super::protocol::{family, split};
use super::tables::{TableError, TableSpace};
use crate::space::codec::CodecError;

/// What meta-training needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    pub seed: u64,
    /// Spaces whose tables are used.
    pub spaces: Vec<TableSpace>,
    /// Reference sets drawn for each training device.
    pub draws: usize,
    /// Measurements in each.
    pub references: usize,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            seed: 0,
            spaces: TableSpace::ALL.to_vec(),
            draws: 12,
            references: 10,
        }
    }
}

/// Why meta-training stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("{path}, architecture {index}: {source}")]
    Architecture {
        path: String,
        index: usize,
        source: CodecError,
    },
    #[error("the {space} table lacks device `{device}`, which the protocol names")]
    Device { space: &'static str, device: String },
}

/// Meta-trains a predictor on tables read before. Never looks at a test
/// device.
pub fn train(measured: &[Measured], options: &TrainOptions) -> Predictor {
    let measured: Vec<&Measured> = measured
        .iter()
        .filter(|m| options.spaces.contains(&m.table.space))
        .collect();
    let mut predictor = Predictor::untrained();
    let known: Vec<Basis> = measured
        .iter()
        .map(|m| m.basis(split(m.table.space).train))
        .collect();
    predictor.prior = prior::learn_prior(&measured, &known, options);
    predictor.bases = known;
    predictor.bases.push(Basis::generic());
    predictor.interval = widths::learn(&predictor, &measured, options);
    predictor
}

impl Predictor {
    /// The predictor as if no relative of this device (its GPU at another batch
    /// size, its processor's line) had been known: what a method may be judged
    /// by while it is being chosen, where the test devices must not be looked
    /// at.
    pub fn without_family(&self, device: &str) -> Predictor {
        Predictor {
            bases: self
                .bases
                .iter()
                .map(|b| b.retain(|d| family(d) != family(device)))
                .collect(),
            ..self.clone()
        }
    }
}
