//! A predictor for one device: predictions with 90 % intervals, and how well it
//! foretells each of its own measurements from the others.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::posterior::Posterior;
use super::resolution::Resolution;
use super::warning::Warning;
use super::{Agreement, Features, ToFeatures, agreement, widths};

/// What a network is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Posterior median, in milliseconds.
    pub latency_ms: f64,
    /// Lower end of the 90 % interval.
    pub low_ms: f64,
    /// Upper end of the 90 % interval.
    pub high_ms: f64,
    /// Standard deviation of the natural logarithm of the latency.
    pub sd_log: f64,
}

/// A measurement beside the prediction of the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    pub measured_ms: f64,
    pub predicted: Prediction,
}

/// A predictor for one device. Serialisable, to be stored with a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    pub(super) posterior: Posterior,
    #[serde(default)]
    pub(super) resolution: Resolution,
    /// What multiplies each measurement's noise variance.
    #[serde(default)]
    pub(super) noise_factor: Vec<f64>,
    /// Logarithm of the leave-one-out errors' scale, in deviations.
    pub(super) log_scale: f64,
    /// What warnings multiply deviations by.
    pub(super) widen: f64,
    /// Multiplies standard deviations, by that scale and the warnings.
    pub(super) sd_factor: f64,
    /// Least standard deviation, where the measurements do not agree.
    #[serde(default)]
    pub(super) sd_floor: f64,
    pub(super) z90: f64,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) warnings: Vec<Warning>,
}

impl Calibrated {
    /// Predicts a network's latency with its 90 % interval.
    pub fn predict<T: ToFeatures + ?Sized>(&self, network: &T) -> Prediction {
        let (mean, sd) = self.posterior.log_mean_and_sd(&network.to_features());
        self.prediction(mean, sd)
    }

    /// Predicts many networks on all cores, in their order.
    pub fn predict_batch<T: ToFeatures + Sync>(&self, networks: &[T]) -> Vec<Prediction> {
        networks.par_iter().map(|n| self.predict(n)).collect()
    }

    /// The latency alone, in milliseconds: much faster than
    /// [`predict`](Self::predict), for searchers that rank many candidates.
    pub fn latency_ms<T: ToFeatures + ?Sized>(&self, network: &T) -> f64 {
        self.posterior.log_mean(&network.to_features()).exp()
    }

    /// The latencies of many networks, in milliseconds and their order, on one
    /// core: several times as fast as one by one, in single precision.
    pub fn latencies_ms(&self, networks: &[&Features]) -> Vec<f64> {
        let mut values = self.posterior.log_means(networks);
        values.iter_mut().for_each(|v| *v = v.exp());
        values
    }

    /// Each measurement beside the prediction of a calibration without it
    /// (without its fold, beyond ten measurements).
    pub fn leave_one_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Agreement of the leave-one-out predictions with the measurements.
    pub fn leave_one_out_agreement(&self) -> Agreement {
        let predicted: Vec<f64> = self
            .left_out
            .iter()
            .map(|l| l.predicted.latency_ms)
            .collect();
        let measured: Vec<f64> = self.left_out.iter().map(|l| l.measured_ms).collect();
        agreement(&predicted, &measured)
    }

    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(super) fn prediction(&self, mean: f64, sd: f64) -> Prediction {
        let sd = (sd * self.sd_factor).max(self.sd_floor);
        let rounding_sd = self.resolution.variance(mean).sqrt();
        let reach = widths::with_rounding(self.z90 * sd, rounding_sd);
        Prediction {
            latency_ms: mean.exp(),
            low_ms: (mean - reach).exp(),
            high_ms: (mean + reach).exp(),
            sd_log: sd.hypot(rounding_sd),
        }
    }

    /// A measurement's error beyond rounding, in the posterior's deviations as
    /// warnings widen them.
    pub(super) fn standardised_error(&self, features: &Features, latency_ms: f64) -> f64 {
        let (mean, sd) = self.posterior.log_mean_and_sd(features);
        let rounding = self.resolution.variance(mean);
        widths::beyond_rounding(latency_ms.ln() - mean, rounding) / (sd * self.widen)
    }
}
