//! The covariance of two architectures' values: a smooth function of what
//! describes their networks, and one of the decisions that differ. How much of
//! each is learned by maximum a posteriori.

use super::points::{Difference, Points};

/// Numbers that shape the kernel, all logarithms.
const PARAMETERS: usize = 5;
/// Most observations a fit looks at.
const FITTED: usize = 120;

/// A sum of two covariances and noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::strategy) struct Kernel {
    /// Variance and length of the Matérn 5/2 over features, variance and
    /// length (in decisions) of the exponential over decisions, noise.
    log: [f64; PARAMETERS],
}

/// Where the prior has its mode, for targets of variance 1, and its standard
/// deviation.
const MODE: [f64; PARAMETERS] = [0.0, 0.0, -1.0, 1.0, -4.0];
const SPREAD: f64 = 1.5;

impl Default for Kernel {
    fn default() -> Self {
        Kernel { log: MODE }
    }
}

impl Kernel {
    /// With its exponentials taken, for many evaluations over points of so many
    /// choices.
    pub fn prepared(&self, choices: usize) -> Prepared {
        let p = self.log.map(f64::exp);
        Prepared {
            smooth: p[0] as f32,
            // Matérn 5/2 of the distance over the length.
            per_square: (5.0 / (p[1] * p[1])) as f32,
            by_decisions: (0..=choices)
                .map(|differ| (p[2] * (-(differ as f64) / p[3]).exp()) as f32)
                .collect(),
        }
    }

    /// Variance of an observation about its value.
    pub fn noise(&self) -> f32 {
        (self.log[4].exp() + 1e-4) as f32
    }

    /// The kernel that explains observations best: maximum a posteriori by a
    /// pattern search from this one on, at up to 120 observations.
    pub fn fitted(self, points: &Points, rows: &[usize], targets: &[f64]) -> Kernel {
        // Evenly over the order of observing, so that all times count.
        let n = rows.len().min(FITTED);
        let taken: Vec<usize> = (0..n).map(|i| i * rows.len() / n.max(1)).collect();
        let targets: Vec<f64> = taken.iter().map(|i| targets[*i]).collect();
        let differences: Vec<Difference> = (0..n)
            .flat_map(|i| (0..=i).map(move |j| (i, j)))
            .map(|(i, j)| points.difference(rows[taken[i]], rows[taken[j]]))
            .collect();
        let choices = points.choices();
        let cost = |kernel: &Kernel| kernel.cost(&differences, &targets, choices);
        let (mut best, mut step) = (self, 0.8);
        let mut least = cost(&best);
        while step > 0.15 {
            let before = least;
            for parameter in 0..PARAMETERS {
                for sign in [1.0, -1.0] {
                    let mut next = best;
                    next.log[parameter] += sign * step;
                    let here = cost(&next);
                    if here < least {
                        (best, least) = (next, here);
                        break;
                    }
                }
            }
            if before - least < 0.05 {
                step *= 0.5;
            }
        }
        best
    }

    /// Negative logarithm of the posterior, but for a constant; differences
    /// stand in the order of a lower triangle.
    fn cost(&self, differences: &[Difference], targets: &[f64], choices: usize) -> f64 {
        let n = targets.len();
        let prepared = self.prepared(choices);
        let noise = f64::from(self.noise());
        let mut lower: Vec<f64> = differences
            .iter()
            .map(|d| f64::from(prepared.at(*d)))
            .collect();
        let start = |i: usize| i * (i + 1) / 2;
        let (mut fit, mut determinant) = (0.0, 0.0);
        let mut solved = vec![0.0; n];
        for i in 0..n {
            for j in 0..i {
                let (above, row) = lower.split_at_mut(start(i));
                let other = &above[start(j)..start(j) + j + 1];
                let sum: f64 = row[..j].iter().zip(other).map(|(x, y)| x * y).sum();
                row[j] = (row[j] - sum) / other[j];
            }
            let row = &mut lower[start(i)..start(i) + i + 1];
            let squares: f64 = row[..i].iter().map(|x| x * x).sum();
            let pivot = (row[i] + noise - squares).max(1e-12).sqrt();
            row[i] = pivot;
            let sum: f64 = row[..i].iter().zip(&solved).map(|(x, y)| x * y).sum();
            solved[i] = (targets[i] - sum) / pivot;
            fit += 0.5 * solved[i] * solved[i];
            determinant += pivot.ln();
        }
        let prior: f64 = self
            .log
            .iter()
            .zip(MODE)
            .map(|(p, m)| (p - m).powi(2))
            .sum();
        fit + determinant + 0.5 * prior / (SPREAD * SPREAD)
    }
}

/// A kernel ready to be evaluated many times.
#[derive(Debug, Clone)]
pub(in crate::strategy) struct Prepared {
    smooth: f32,
    per_square: f32,
    /// The part of so many differing decisions.
    by_decisions: Vec<f32>,
}

impl Prepared {
    /// Covariance of two values without noise.
    pub fn at(&self, d: Difference) -> f32 {
        let r = (self.per_square * d.features).sqrt();
        let matern = (1.0 + r + r * r / 3.0) * (-r).exp();
        self.smooth * matern + self.by_decisions[d.decisions]
    }
}
