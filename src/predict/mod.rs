//! Latency predictors: operator-level features, known devices as bases of
//! non-negative operator costs, and a Gaussian-process head that adapts them
//! to a new device from a few measurements, with intervals. The shipped
//! predictor is meta-trained on public tables by [`train`] and judged by
//! [`eval`].

pub mod baselines;
pub mod basis;
mod calibrate;
mod calibrated;
mod checkpoint;
mod checks;
pub mod device_model;
pub mod eval;
pub mod features;
pub mod gain;
pub mod gradient;
pub mod judge;
mod kernels;
mod lens;
pub mod measurements;
pub mod memory;
pub mod metrics;
mod model_file;
mod nnls;
mod optimise;
mod posterior;
pub mod protocol;
pub mod quantity;
pub mod range;
mod references;
mod resolution;
mod robust;
pub mod tables;
pub mod train;
pub mod unmeasured;
mod warning;
mod widths;

pub use calibrate::{CalibrationError, Options};
pub use calibrated::{Calibrated, LeftOut, Prediction};
pub use checkpoint::{CheckpointError, OpenError, checkpoint_version};
pub use device_model::{DeviceModel, Estimate, ModelError, Origin, Sample};
pub use features::Features;
pub use metrics::{Agreement, agreement};
pub use model_file::ModelFileError;
pub use quantity::Quantity;
pub use warning::Warning;

use serde::{Deserialize, Serialize};

use basis::Basis;
use posterior::HyperPrior;
use widths::IntervalPrior;

/// A meta-trained predictor: what devices in general are like. Adapt it to one
/// device with [`calibrate`](Predictor::calibrate).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predictor {
    /// Known devices by table; the generic basis stands last.
    bases: Vec<Basis>,
    prior: HyperPrior,
    interval: IntervalPrior,
}

impl Predictor {
    /// The predictor that comes with this crate; `predictors/README.md` is its
    /// model card.
    pub fn shipped() -> &'static Predictor {
        static SHIPPED: std::sync::OnceLock<Predictor> = std::sync::OnceLock::new();
        SHIPPED.get_or_init(|| {
            Predictor::load(include_bytes!("../../predictors/latency.bespoke"))
                .expect("the shipped checkpoint is whole; a test checks it")
        })
    }

    /// A predictor that has seen no device, only the idealised ones.
    pub fn untrained() -> Predictor {
        Predictor {
            bases: vec![Basis::generic()],
            prior: HyperPrior::uniform(),
            interval: IntervalPrior::default(),
        }
    }

    /// The known devices, table by table.
    pub fn bases(&self) -> &[Basis] {
        &self.bases
    }
}

/// Anything a predictor can look at: a network, or features computed before.
pub trait ToFeatures {
    fn to_features(&self) -> std::borrow::Cow<'_, Features>;
}

impl ToFeatures for Features {
    fn to_features(&self) -> std::borrow::Cow<'_, Features> {
        std::borrow::Cow::Borrowed(self)
    }
}

impl ToFeatures for crate::network::Network {
    fn to_features(&self) -> std::borrow::Cow<'_, Features> {
        std::borrow::Cow::Owned(Features::of(self))
    }
}

impl<T: ToFeatures + ?Sized> ToFeatures for &T {
    fn to_features(&self) -> std::borrow::Cow<'_, Features> {
        (**self).to_features()
    }
}

#[cfg(test)]
mod product_tests;
#[cfg(test)]
mod tests;
