//! Memory from a few measurements. A process needs a constant (the engine), a
//! multiple of the peak of live activations, and a multiple of its weights
//! ([`Costs`]); the three factors are fitted non-negatively, in relative
//! terms, and held near what an engine without overhead would need.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::nnls::nnls;
use crate::network::Costs;

/// An engine without overhead: constant in mebibytes, and one byte for each.
const IDEAL: [f64; 3] = [0.1, 1.0, 1.0];
/// Weight of the ideal against one measurement, for each factor.
const RIDGE: f64 = 1e-3;
/// Prior deviation of the logarithm, and its weight in measurements.
const PRIOR: (f64, f64) = (0.1, 3.0);
const Z90: f64 = 1.645;
const MEBIBYTE: f64 = 1048576.0;

/// Bytes as a sum of a constant, activations and weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryModel {
    /// Mebibytes; bytes for each byte of peak activations; for each of weights.
    factors: [f64; 3],
    sd_log: f64,
    /// Measured bytes, and those predicted from the other measurements.
    left_out: Vec<(f64, f64)>,
}

fn terms(costs: &Costs) -> [f64; 3] {
    [
        MEBIBYTE,
        costs.peak_activation_bytes as f64,
        costs.weight_bytes as f64,
    ]
}

fn fit(measured: &[(Costs, f64)], left_out: Option<usize>) -> [f64; 3] {
    let mut gram = DMatrix::zeros(3, 3);
    let mut rhs = DVector::zeros(3);
    let mut add = |row: [f64; 3], aim: f64, weight: f64| {
        for i in 0..3 {
            rhs[i] += weight * row[i] * aim;
            for j in 0..3 {
                gram[(i, j)] += weight * row[i] * row[j];
            }
        }
    };
    for (index, (costs, bytes)) in measured.iter().enumerate() {
        if Some(index) != left_out {
            add(terms(costs).map(|t| t / bytes), 1.0, 1.0);
        }
    }
    // The ideal as pseudo-measurements, scaled like a typical network's terms.
    for k in 0..3 {
        let size = measured
            .iter()
            .map(|(c, bytes)| terms(c)[k] / bytes)
            .fold(1e-9, f64::max);
        let mut row = [0.0; 3];
        row[k] = size;
        add(row, size * IDEAL[k], RIDGE);
    }
    let x = nnls(&gram, &rhs);
    [x[0], x[1], x[2]]
}

fn apply(factors: &[f64; 3], costs: &Costs) -> f64 {
    let t = terms(costs);
    (0..3).map(|k| factors[k] * t[k]).sum::<f64>().max(1.0)
}

impl MemoryModel {
    /// Fits networks' costs to measured bytes, all positive.
    pub(super) fn fit(measured: &[(Costs, f64)]) -> MemoryModel {
        let left_out: Vec<(f64, f64)> = (0..measured.len())
            .map(|i| {
                let (costs, bytes) = &measured[i];
                (*bytes, apply(&fit(measured, Some(i)), costs))
            })
            .collect();
        let (mut sum, mut count): (f64, f64) = (PRIOR.1 * PRIOR.0 * PRIOR.0, PRIOR.1);
        for (bytes, predicted) in &left_out {
            sum += (bytes / predicted).ln().powi(2);
            count += 1.0;
        }
        MemoryModel {
            factors: fit(measured, None),
            sd_log: (sum / count).sqrt(),
            left_out,
        }
    }

    /// Bytes with the 90 % interval.
    pub fn predict(&self, costs: &Costs) -> (f64, f64, f64) {
        let bytes = apply(&self.factors, costs);
        let reach = (Z90 * self.sd_log).exp();
        (bytes, bytes / reach, bytes * reach)
    }

    /// Standard deviation of the logarithm.
    pub fn sd_log(&self) -> f64 {
        self.sd_log
    }

    /// Measured bytes beside those predicted from the other measurements.
    pub fn left_out(&self) -> &[(f64, f64)] {
        &self.left_out
    }
}
