//! A known device: the non-negative costs of operators that explain its table.

use nalgebra::{DMatrix, DVector};

use crate::predict::features::{Execution, Features, N_COSTS};
use crate::predict::nnls::nnls;

/// Non-negative costs of operators that best explain a device's latencies in
/// relative error. Latencies far below the median (networks that an engine
/// optimised away) count by a tenth of the median. The execution that explains
/// the device better is taken to be its own.
pub(super) fn operator_costs(features: &[Features], latency_ms: &[f64]) -> Vec<f64> {
    let (written, loss) = costs_on(Execution::Written, features, latency_ms);
    if features.iter().all(|f| f.optimised.is_none()) {
        return written;
    }
    let (optimised, other) = costs_on(Execution::Optimised, features, latency_ms);
    if other < loss { optimised } else { written }
}

/// The costs under one execution, with their mean robust loss.
fn costs_on(execution: Execution, features: &[Features], latency_ms: &[f64]) -> (Vec<f64>, f64) {
    const RIDGE: f64 = 1e-5;
    // Relative error from which on a latency counts for less (Cauchy's loss,
    // by reweighting).
    const OUTLYING: f64 = 0.2;
    const ROBUST_ROUNDS: usize = 4;
    let n = features.len();
    let mut sorted = latency_ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let floor = 0.1 * sorted[n / 2];
    let mut relative = DMatrix::from_fn(n, N_COSTS, |i, j| {
        features[i].on(execution)[j] / latency_ms[i].max(floor)
    });
    let target = DVector::from_fn(n, |i, _| latency_ms[i] / latency_ms[i].max(floor));
    let scale: Vec<f64> = (0..N_COSTS)
        .map(|j| (relative.column(j).norm_squared() / n as f64).sqrt())
        .collect();
    let used: Vec<usize> = (0..N_COSTS).filter(|j| scale[*j] > 1e-12).collect();
    for j in &used {
        relative.column_mut(*j).scale_mut(1.0 / scale[*j]);
    }
    let relative = relative.select_columns(&used);
    let mut trust = DVector::from_element(n, 1.0);
    let mut solution = DVector::zeros(used.len());
    let mut loss = 0.0;
    for _ in 0..ROBUST_ROUNDS {
        let mut rows = relative.clone();
        for (mut row, trust) in rows.row_iter_mut().zip(&trust) {
            row.scale_mut(*trust);
        }
        let gram =
            rows.tr_mul(&relative) / n as f64 + DMatrix::identity(used.len(), used.len()) * RIDGE;
        solution = nnls(&gram, &(rows.tr_mul(&target) / n as f64));
        let residual = &relative * &solution - &target;
        let excess = residual.map(|r| (r / OUTLYING).powi(2));
        loss = excess.map(f64::ln_1p).mean();
        trust = excess.map(|e| 1.0 / (1.0 + e));
    }
    let mut weights = vec![0.0; N_COSTS];
    for (k, j) in used.iter().enumerate() {
        weights[*j] = solution[k] / scale[*j];
    }
    (weights, loss)
}
