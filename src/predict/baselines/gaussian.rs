//! A Gaussian process on the new device's measurements alone (Rasmussen and
//! Williams 2006): a linear plus a squared-exponential kernel over standardised
//! logarithms of the operator costs; scales and noise by marginal likelihood on
//! a grid.

use nalgebra::{DMatrix, DVector};

use super::linear::standardise;
use super::{Baseline, World};

pub struct GaussianProcess {
    inputs: Vec<Vec<f64>>,
    fallback: Vec<f64>,
}

/// Length-scales in units of the inputs' typical distance; shares of the
/// linear kernel; noise variances relative to the signal's.
const LENGTHS: [f64; 4] = [0.3, 0.6, 1.2, 2.5];
const LINEAR_SHARES: [f64; 3] = [0.0, 0.5, 0.95];
const NOISES: [f64; 3] = [1e-3, 1e-2, 1e-1];

struct Kernel {
    length: f64,
    linear: f64,
}

impl Kernel {
    fn of(&self, a: &[f64], b: &[f64]) -> f64 {
        let d = a.len().max(1) as f64;
        let (mut dot, mut square) = (0.0, 0.0);
        for (x, y) in a.iter().zip(b) {
            dot += x * y;
            square += (x - y) * (x - y);
        }
        self.linear * dot / d
            + (1.0 - self.linear) * (-square / (4.0 * d * self.length * self.length)).exp()
    }
}

impl GaussianProcess {
    pub fn new(world: &World) -> Self {
        let mut inputs: Vec<Vec<f64>> = world
            .features
            .iter()
            .map(|f| f.costs.iter().map(|c| (1e-3 + c).ln()).collect())
            .collect();
        standardise(&mut inputs);
        GaussianProcess {
            inputs,
            fallback: world.macs.clone(),
        }
    }
}

impl Baseline for GaussianProcess {
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64> {
        let n = rows.len();
        if n == 0 {
            return self.fallback.clone();
        }
        let logs = DVector::from_fn(n, |i, _| latency_ms[i].ln());
        let mean = logs.mean();
        let target = logs.add_scalar(-mean);
        let mut best: Option<(f64, Kernel, DVector<f64>)> = None;
        for length in LENGTHS {
            for linear in LINEAR_SHARES {
                let kernel = Kernel { length, linear };
                let gram = DMatrix::from_fn(n, n, |i, j| {
                    kernel.of(&self.inputs[rows[i]], &self.inputs[rows[j]])
                });
                for noise in NOISES {
                    let k = &gram + DMatrix::identity(n, n) * noise;
                    let Some(cholesky) = k.cholesky() else {
                        continue;
                    };
                    let alpha = cholesky.solve(&target);
                    // The signal's variance has its best value in closed form.
                    let variance = (target.dot(&alpha) / n as f64).max(1e-12);
                    let log_det: f64 = cholesky.l_dirty().diagonal().map(f64::ln).sum();
                    let score = -0.5 * n as f64 * variance.ln() - log_det;
                    if best.as_ref().is_none_or(|b| score > b.0) {
                        let kernel = Kernel { length, linear };
                        best = Some((score, kernel, alpha));
                    }
                }
            }
        }
        let Some((_, kernel, alpha)) = best else {
            return vec![mean.exp(); self.inputs.len()];
        };
        self.inputs
            .iter()
            .map(|x| {
                let sum: f64 = rows
                    .iter()
                    .zip(alpha.iter())
                    .map(|(i, a)| a * kernel.of(x, &self.inputs[*i]))
                    .sum();
                (mean + sum).clamp(-50.0, 50.0).exp()
            })
            .collect()
    }
}
