//! What is expected of a device on which nothing was measured: what networks
//! cost on the geometric mean of the known devices, with an interval as wide as
//! these devices differ. It ranks networks and tells their relative cost; as a
//! time of this device it is hardly more than an order of magnitude.

use serde::{Deserialize, Serialize};

use super::Predictor;
use super::basis::{self, Basis};
use super::calibrated::Prediction;
use super::features::Features;
use super::lens::dot;

/// The known devices as a predictor of an unknown one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unmeasured {
    /// Devices of one table each.
    tables: Vec<Basis>,
    /// For networks that no table has: all known devices pooled, or the
    /// idealised ones where none is known.
    elsewhere: Basis,
    /// Deviations of the devices that hold 90 % of a new one's latencies.
    z90: f64,
}

impl Predictor {
    /// What is expected of a device before anything is measured on it.
    pub fn unmeasured(&self) -> Unmeasured {
        let (generic, tables) = self.bases.split_last().expect("the generic basis");
        Unmeasured {
            tables: tables.to_vec(),
            elsewhere: basis::pool(tables, generic).unwrap_or_else(|| generic.clone()),
            z90: self.interval.z90_unmeasured,
        }
    }
}

impl Unmeasured {
    /// Number of known devices it speaks from, idealised ones where none is
    /// known.
    pub fn devices(&self) -> usize {
        self.elsewhere.devices.len()
    }

    /// A network's latency on the mean device, with the interval of a new one.
    pub fn predict(&self, features: &Features) -> Prediction {
        let (mean, sd) = self.log_mean_and_sd(features);
        let reach = self.z90 * sd;
        Prediction {
            latency_ms: mean.exp(),
            low_ms: (mean - reach).exp(),
            high_ms: (mean + reach).exp(),
            sd_log: sd,
        }
    }

    /// Mean over the devices of the log-latency, and the deviation of a device
    /// that is not among them.
    pub(super) fn log_mean_and_sd(&self, features: &Features) -> (f64, f64) {
        let knows = |b: &&Basis| !b.devices.is_empty() && b.covers(&features.costs);
        let home = self.tables.iter().find(knows);
        let weights = &home.unwrap_or(&self.elsewhere).weights;
        let logs: Vec<f64> = weights
            .iter()
            .map(|w| dot(w, &features.costs).max(1e-9).ln())
            .collect();
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        let squares: f64 = logs.iter().map(|l| (l - mean).powi(2)).sum();
        let variance = squares / (n - 1.0).max(1.0) * (1.0 + 1.0 / n);
        (mean, variance.sqrt())
    }
}
