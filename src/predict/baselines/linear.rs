//! Ridge regression of the log-latency (Hoerl and Kennard 1970), with the
//! penalty chosen by leave-one-out error in closed form: on one-hot choices,
//! the simplest thing that learns from the new device alone; and on the
//! smoothed log-latencies of the known devices, the simplest that transfers.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::{Baseline, World, floored_logs};

/// Ridge on fixed inputs, centred and scaled over the table.
pub struct Ridge {
    inputs: Vec<Vec<f64>>,
    /// Ranks where nothing is measured.
    fallback: Vec<f64>,
}

/// On one-hot choices.
pub fn one_hot(world: &World) -> Ridge {
    Ridge::new(world.one_hot.clone(), world.macs.clone())
}

/// On the known devices' log-latencies, each smoothed by a linear model of the
/// operator costs, as single measurements are noisy.
pub fn known_devices(world: &World) -> Ridge {
    let mut inputs: Vec<Vec<f64>> = world
        .features
        .iter()
        .zip(&world.one_hot)
        .map(|(f, one_hot)| {
            let costs = f.costs.iter().map(|c| (1.0 + c).ln());
            costs.chain(one_hot.iter().copied()).collect()
        })
        .collect();
    standardise(&mut inputs);
    let smooth: Vec<Vec<f64>> = world
        .known
        .par_iter()
        .map(|latency| smoothed(&inputs, &floored_logs(latency)))
        .collect();
    let rows = (0..world.len())
        .map(|i| smooth.iter().map(|s| s[i]).collect())
        .collect();
    Ridge::new(
        rows,
        world.common_log_latency().iter().map(|l| l.exp()).collect(),
    )
}

/// Fitted values of a lightly penalised linear model.
fn smoothed(inputs: &[Vec<f64>], target: &[f64]) -> Vec<f64> {
    let (n, d) = (inputs.len(), inputs[0].len());
    let mean = target.iter().sum::<f64>() / n as f64;
    let mut gram = DMatrix::<f64>::identity(d, d) * (1e-3 * n as f64);
    let mut rhs = DVector::zeros(d);
    const BLOCK: usize = 1024;
    for (rows, values) in inputs.chunks(BLOCK).zip(target.chunks(BLOCK)) {
        let x = DMatrix::from_fn(rows.len(), d, |i, j| rows[i][j]);
        gram += x.tr_mul(&x);
        rhs += x.tr_mul(&DVector::from_fn(values.len(), |i, _| values[i] - mean));
    }
    let weights = gram.cholesky().map_or(DVector::zeros(d), |c| c.solve(&rhs));
    inputs
        .iter()
        .map(|x| {
            mean + x
                .iter()
                .zip(weights.iter())
                .map(|(a, b)| a * b)
                .sum::<f64>()
        })
        .collect()
}

/// Centres every column and scales it to unit variance.
pub fn standardise(inputs: &mut [Vec<f64>]) {
    let n = inputs.len().max(1) as f64;
    for j in 0..inputs.first().map_or(0, Vec::len) {
        let mean = inputs.iter().map(|x| x[j]).sum::<f64>() / n;
        let variance = inputs.iter().map(|x| (x[j] - mean).powi(2)).sum::<f64>() / n;
        let scale = if variance > 1e-16 {
            variance.sqrt().recip()
        } else {
            0.0
        };
        inputs.iter_mut().for_each(|x| x[j] = (x[j] - mean) * scale);
    }
}

impl Ridge {
    fn new(mut inputs: Vec<Vec<f64>>, fallback: Vec<f64>) -> Self {
        standardise(&mut inputs);
        Ridge { inputs, fallback }
    }
}

impl Baseline for Ridge {
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64> {
        let n = rows.len();
        if n == 0 {
            return self.fallback.clone();
        }
        let d = self.inputs[0].len();
        let logs = DVector::from_fn(n, |i, _| latency_ms[i].ln());
        let mean = logs.mean();
        let target = logs.add_scalar(-mean);
        let x = DMatrix::from_fn(n, d, |i, j| self.inputs[rows[i]][j]);
        // Dual form; the intercept is the references' mean on both sides.
        let centre = x.row_mean();
        let x = DMatrix::from_fn(n, d, |i, j| x[(i, j)] - centre[j]);
        let gram = &x * x.transpose() / d as f64;
        let best = (-12..=6)
            .map(|e| f64::from(e).exp2())
            .filter_map(|penalty| {
                let dual = (&gram + DMatrix::identity(n, n) * penalty).try_inverse()?;
                let alpha = &dual * &target;
                // Leave-one-out residual: alpha_i / inverse_ii, less the
                // intercept's share.
                let error: f64 = (0..n).map(|i| (alpha[i] / dual[(i, i)]).powi(2)).sum();
                Some((error, alpha))
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, alpha)) = best else {
            return vec![mean.exp(); self.inputs.len()];
        };
        let weights = x.tr_mul(&alpha) / d as f64;
        self.inputs
            .iter()
            .map(|row| {
                let dot: f64 = row
                    .iter()
                    .zip(weights.iter().zip(centre.iter()))
                    .map(|(v, (w, c))| (v - c) * w)
                    .sum();
                (mean + dot).clamp(-50.0, 50.0).exp()
            })
            .collect()
    }
}
