//! Whole milliseconds: the step of a clock, told from what it showed.

use serde::{Deserialize, Serialize};

/// The clock's resolution in milliseconds: the largest power of ten that all
/// latencies are whole multiples of. Phones' tables hold whole milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Resolution(f64);

impl Resolution {
    pub fn of(log_latency: &[f64]) -> Self {
        let whole = |step: f64| {
            log_latency.iter().all(|l| {
                let multiple = l.exp() / step;
                multiple > 0.5 && (multiple - multiple.round()).abs() < 1e-6
            })
        };
        let step = (-6..=3).rev().map(|k| 10f64.powi(k)).find(|s| whole(*s));
        Resolution(step.unwrap_or(0.0))
    }

    /// Variance of a logarithm from rounding: uniform over one step.
    pub fn variance(self, log_latency: f64) -> f64 {
        (self.0 / log_latency.exp()).powi(2).min(1.0) / 12.0
    }

    pub fn variances(self, log_latency: &[f64]) -> Vec<f64> {
        log_latency.iter().map(|l| self.variance(*l)).collect()
    }
}
