//! How good predictions are: rank correlations and relative errors.

use serde::{Deserialize, Serialize};

/// Agreement between predicted and measured latencies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Spearman's rank correlation; 0 where either side is constant.
    pub spearman: f64,
    /// Kendall's tau-b; 0 where either side is constant.
    pub kendall: f64,
    /// Mean absolute error relative to the measurement (0.1 is 10 %).
    pub mape: f64,
    /// Median absolute error relative to the measurement, which a few
    /// near-zero measurements cannot dominate.
    pub median_ape: f64,
    /// Share of predictions within 10 % of the measurement.
    pub within_10_percent: f64,
}

/// Compares predictions with measurements, in the same order and both positive.
///
/// # Panics
/// When the lengths differ.
pub fn agreement(predicted: &[f64], measured: &[f64]) -> Agreement {
    assert_eq!(predicted.len(), measured.len());
    let errors: Vec<f64> = predicted
        .iter()
        .zip(measured)
        .map(|(p, m)| ((p - m) / m).abs())
        .collect();
    let n = errors.len().max(1) as f64;
    let mut sorted = errors.clone();
    sorted.sort_by(f64::total_cmp);
    Agreement {
        spearman: spearman(predicted, measured),
        kendall: kendall_tau_b(predicted, measured),
        mape: errors.iter().sum::<f64>() / n,
        median_ape: sorted.get(sorted.len() / 2).copied().unwrap_or(0.0),
        within_10_percent: errors.iter().filter(|e| **e <= 0.1).count() as f64 / n,
    }
}

/// Spearman's rank correlation with mean ranks for ties; 0 where either side
/// is constant.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    crate::correlation::spearman(a, b).unwrap_or(0.0)
}

/// Kendall's tau-b by Knight's O(n log n) method.
pub fn kendall_tau_b(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| a[*i].total_cmp(&a[*j]).then(b[*i].total_cmp(&b[*j])));
    let pairs = |count: usize| (count * count.saturating_sub(1) / 2) as f64;
    let runs = |same: &dyn Fn(usize, usize) -> bool, order: &[usize]| {
        let (mut total, mut length) = (0.0, 1);
        for w in order.windows(2) {
            if same(w[0], w[1]) {
                length += 1;
            } else {
                total += pairs(length);
                length = 1;
            }
        }
        total + pairs(length)
    };
    let ties_a = runs(&|i, j| a[i] == a[j], &order);
    let ties_both = runs(&|i, j| a[i] == a[j] && b[i] == b[j], &order);
    let mut sequence: Vec<f64> = order.iter().map(|i| b[*i]).collect();
    let swaps = merge_sort_swaps(&mut sequence);
    let mut by_b: Vec<usize> = (0..n).collect();
    by_b.sort_by(|i, j| b[*i].total_cmp(&b[*j]));
    let ties_b = runs(&|i, j| b[i] == b[j], &by_b);
    let all = pairs(n);
    let scale = ((all - ties_a) * (all - ties_b)).sqrt();
    if scale > 0.0 {
        (all - ties_a - ties_b + ties_both - 2.0 * swaps) / scale
    } else {
        0.0
    }
}

/// Sorts and counts the exchanges of neighbours a bubble sort would need.
fn merge_sort_swaps(values: &mut [f64]) -> f64 {
    let n = values.len();
    if n < 2 {
        return 0.0;
    }
    let (left, right) = values.split_at_mut(n / 2);
    let mut swaps = merge_sort_swaps(left) + merge_sort_swaps(right);
    let mut merged = Vec::with_capacity(n);
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        if j == right.len() || (i < left.len() && left[i] <= right[j]) {
            merged.push(left[i]);
            i += 1;
        } else {
            swaps += (left.len() - i) as f64;
            merged.push(right[j]);
            j += 1;
        }
    }
    values.copy_from_slice(&merged);
    swaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_match_values_worked_by_hand() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        let b = [1.0, 3.0, 2.0, 5.0, 4.0];
        assert!((spearman(&a, &b) - 0.8).abs() < 1e-12);
        assert!((kendall_tau_b(&a, &b) - 0.6).abs() < 1e-12);
        // Ties: SciPy gives 0.9486833 and 0.9128709 for these.
        let c = [1.0, 2.0, 2.0, 3.0];
        let d = [1.0, 2.0, 3.0, 4.0];
        assert!((spearman(&c, &d) - 0.948_683_3).abs() < 1e-6);
        assert!((kendall_tau_b(&c, &d) - 0.912_870_9).abs() < 1e-6);
        assert_eq!(spearman(&c, &[2.0; 4]), 0.0);
    }

    #[test]
    fn errors_are_relative_to_the_measurement() {
        let a = agreement(&[1.05, 3.0], &[1.0, 2.0]);
        assert!((a.mape - 0.275).abs() < 1e-12);
        assert_eq!(a.within_10_percent, 0.5);
    }
}
