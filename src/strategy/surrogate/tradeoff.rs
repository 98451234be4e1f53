//! One number for several losses: the augmented Tchebycheff sum with random
//! weights, of which each point of a front is the least for some.

use rand::{Rng, RngExt};

/// Share of the plain sum, so that of equal maxima the dominating one is less.
const SUM: f64 = 0.05;
/// Draws of what is not known, half of them mirrored.
const DRAWS: usize = 16;

/// A direction on the front, and common random numbers to judge candidates by.
pub(in crate::strategy) struct Tradeoff {
    weights: Vec<f64>,
    /// Least and greatest loss by objective.
    ranges: Vec<(f64, f64)>,
    /// Standard normal numbers, by draw and objective.
    pub draws: Vec<Vec<f64>>,
}

impl Tradeoff {
    pub fn draw(ranges: Vec<(f64, f64)>, rng: &mut impl Rng) -> Self {
        // Exponential numbers over their sum are uniform on the simplex.
        let raw: Vec<f64> = ranges
            .iter()
            .map(|_| -(1.0 - rng.random::<f64>()).ln())
            .collect();
        let sum: f64 = raw.iter().sum::<f64>().max(1e-12);
        let mut draws: Vec<Vec<f64>> = Vec::with_capacity(DRAWS);
        for _ in 0..DRAWS / 2 {
            let draw: Vec<f64> = ranges.iter().map(|_| gaussian(rng)).collect();
            draws.push(draw.iter().map(|z| -z).collect());
            draws.push(draw);
        }
        Tradeoff {
            weights: raw.iter().map(|w| w / sum).collect(),
            ranges,
            draws,
        }
    }

    /// The sum of losses, each over its range.
    pub fn sum(&self, losses: impl Iterator<Item = f64>) -> f64 {
        let (mut most, mut sum) = (f64::NEG_INFINITY, 0.0);
        for ((loss, weight), (low, high)) in losses.zip(&self.weights).zip(&self.ranges) {
            let width = (high - low).max(1e-12);
            let part = weight * (loss - low) / width;
            most = most.max(part);
            sum += part;
        }
        most + SUM * sum
    }
}

/// A standard normal number (Box and Muller 1958).
pub(in crate::strategy) fn gaussian(rng: &mut impl Rng) -> f64 {
    let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}
