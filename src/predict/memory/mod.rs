//! Memory from a few measurements. A process needs a constant (the engine), a
//! multiple of the peak of live activations, and a multiple of its weights
//! ([`Costs`]); the three factors are fitted non-negatively, in relative
//! terms, and held near what an engine without overhead would need.

mod gain;

use nalgebra::{Matrix3, Vector3};
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
    /// Deviation of a measurement's logarithm where the factors are known.
    sd_log: f64,
    /// Covariance of the factors, in squares of that deviation.
    covariance: [[f64; 3]; 3],
    /// Measured bytes, and those predicted from the other measurements.
    left_out: Vec<(f64, f64)>,
}

/// A measured network's terms and bytes.
type Row = (Vector3<f64>, f64);

fn terms(costs: &Costs) -> Vector3<f64> {
    Vector3::new(
        MEBIBYTE,
        costs.peak_activation_bytes as f64,
        costs.weight_bytes as f64,
    )
}

fn apply(factors: &Vector3<f64>, terms: &Vector3<f64>) -> f64 {
    factors.dot(terms).max(1.0)
}

/// Least squares in relative terms: each measurement is one equation
/// `terms / bytes · factors = 1`, and the ideal one for each factor.
struct Fit {
    factors: Vector3<f64>,
    covariance: Matrix3<f64>,
}

impl Fit {
    fn of(rows: &[Row]) -> Fit {
        let mut gram = Matrix3::zeros();
        let mut rhs = Vector3::zeros();
        for (terms, bytes) in rows {
            let row = terms / *bytes;
            gram += row * row.transpose();
            rhs += row;
        }
        for k in 0..3 {
            // Scaled like a typical network's term.
            let size = rows.iter().map(|(t, b)| t[k] / b).fold(1e-9, f64::max);
            gram[(k, k)] += RIDGE * size * size;
            rhs[k] += RIDGE * size * size * IDEAL[k];
        }
        let dynamic = |m: &[f64], columns| nalgebra::DMatrix::from_column_slice(3, columns, m);
        let x = nnls(
            &dynamic(gram.as_slice(), 3),
            &dynamic(rhs.as_slice(), 1).column(0).into_owned(),
        );
        Fit {
            factors: Vector3::new(x[0], x[1], x[2]),
            // Positive definite by the ideal's equations.
            covariance: gram.try_inverse().unwrap_or_else(Matrix3::zeros),
        }
    }

    /// Bytes, and the variance of their logarithm from not knowing the factors.
    fn predict(&self, terms: &Vector3<f64>) -> (f64, f64) {
        let bytes = apply(&self.factors, terms);
        let row = terms / bytes;
        (bytes, row.dot(&(self.covariance * row)).max(0.0))
    }
}

impl MemoryModel {
    /// Fits networks' costs to measured bytes, all positive.
    pub(super) fn fit(measured: &[(Costs, f64)]) -> MemoryModel {
        let rows: Vec<Row> = measured.iter().map(|(c, b)| (terms(c), *b)).collect();
        let (mut sum, mut count): (f64, f64) = (PRIOR.1 * PRIOR.0 * PRIOR.0, PRIOR.1);
        let mut left_out = Vec::with_capacity(rows.len());
        for index in 0..rows.len() {
            let mut others = rows.clone();
            let (terms, bytes) = others.remove(index);
            let (predicted, variance) = Fit::of(&others).predict(&terms);
            left_out.push((bytes, predicted));
            sum += (bytes / predicted).ln().powi(2) / (1.0 + variance);
            count += 1.0;
        }
        let fit = Fit::of(&rows);
        MemoryModel {
            factors: fit.factors.into(),
            sd_log: (sum / count).sqrt(),
            covariance: fit.covariance.into(),
            left_out,
        }
    }

    /// Bytes with the 90 % interval.
    pub fn predict(&self, costs: &Costs) -> (f64, f64, f64) {
        let fit = Fit {
            factors: self.factors.into(),
            covariance: self.covariance.into(),
        };
        let (bytes, variance) = fit.predict(&terms(costs));
        let reach = (Z90 * self.deviation(variance)).exp();
        (bytes, bytes / reach, bytes * reach)
    }

    /// Deviation of a measurement's logarithm, of which not knowing the factors
    /// makes `variance`.
    fn deviation(&self, variance: f64) -> f64 {
        self.sd_log * (1.0 + variance).sqrt()
    }

    /// Measured bytes beside those predicted from the other measurements.
    pub fn left_out(&self) -> &[(f64, f64)] {
        &self.left_out
    }
}
