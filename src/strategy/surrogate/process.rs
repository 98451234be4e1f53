//! An exact Gaussian process whose posterior is kept for every row of a table
//! at once: an observation costs one pass over the table for each one before
//! it, and no system is ever solved anew.

use super::kernel::Kernel;
use super::points::Points;

/// A posterior given observations at some rows. What was observed there comes
/// in last ([`means`](Process::means)): it changes the means alone.
#[derive(Debug)]
pub(in crate::strategy) struct Process {
    pub kernel: Kernel,
    rows: Vec<usize>,
    /// The Cholesky factor of the observations' covariance, row by row.
    lower: Vec<Vec<f32>>,
    /// Its inverse times the covariance of observations and table; a row an
    /// observation.
    solved: Vec<Vec<f32>>,
    /// Variance left, by row of the table, of the value without noise.
    variance: Vec<f32>,
}

impl Process {
    /// The prior over a table.
    pub fn new(kernel: Kernel, points: &Points) -> Self {
        let prepared = kernel.prepared(points.choices());
        let variance = (0..points.len()).map(|row| prepared.at(points.difference(row, row)));
        Process {
            variance: variance.collect(),
            kernel,
            rows: Vec::new(),
            lower: Vec::new(),
            solved: Vec::new(),
        }
    }

    /// Observes a row.
    pub fn push(&mut self, points: &Points, row: usize) {
        let prepared = self.kernel.prepared(points.choices());
        let mut column: Vec<f32> = (0..points.len())
            .map(|other| prepared.at(points.difference(row, other)))
            .collect();
        let mut lower: Vec<f32> = self.solved.iter().map(|solved| solved[row]).collect();
        for (solved, weight) in self.solved.iter().zip(&lower) {
            for (slot, value) in column.iter_mut().zip(solved) {
                *slot -= weight * value;
            }
        }
        let pivot = (self.variance[row].max(0.0) + self.kernel.noise()).sqrt();
        for (slot, variance) in column.iter_mut().zip(&mut self.variance) {
            *slot /= pivot;
            *variance -= *slot * *slot;
        }
        lower.push(pivot);
        self.rows.push(row);
        self.lower.push(lower);
        self.solved.push(column);
    }

    /// Forgets the latest observations, down to `len`.
    pub fn truncate(&mut self, len: usize) {
        while self.rows.len() > len {
            self.rows.pop();
            self.lower.pop();
            if let Some(column) = self.solved.pop() {
                for (variance, value) in self.variance.iter_mut().zip(column) {
                    *variance += value * value;
                }
            }
        }
    }

    /// Posterior means by row of the table, where the observations turned out
    /// to be `targets` (for the first so many; the rest is not known yet and
    /// does not move the means).
    pub fn means(&self, targets: &[f64]) -> Vec<f32> {
        let mut weights: Vec<f32> = Vec::with_capacity(targets.len());
        for (lower, target) in self.lower.iter().zip(targets) {
            let known: f32 = weights.iter().zip(lower).map(|(w, l)| w * l).sum();
            weights.push((*target as f32 - known) / lower[weights.len()]);
        }
        let mut means = vec![0.0; self.variance.len()];
        for (weight, solved) in weights.iter().zip(&self.solved) {
            for (slot, value) in means.iter_mut().zip(solved) {
                *slot += weight * value;
            }
        }
        means
    }

    /// Posterior standard deviation at a row.
    pub fn sd(&self, row: usize) -> f32 {
        self.variance[row].max(1e-8).sqrt()
    }
}
