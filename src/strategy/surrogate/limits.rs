//! The chance that limits are kept, by what is known before evaluating; and
//! what an improvement is where none of the best so far is sure to be allowed.

use super::warp::{density, normal};
use crate::strategy::{Constraint, Estimate, Known, Side};

/// From the middle of Student's distribution with four degrees of freedom to
/// the ends of its central 90 %.
const T90: f64 = 2.132;

/// Student's distribution function with four degrees of freedom.
fn student(t: f64) -> f64 {
    let u = 1.0 + 0.25 * t * t;
    0.5 + 0.375 * t / u.sqrt() * (1.0 - t * t / (12.0 * u))
}

/// The chance that a figure so estimated keeps a limit. Its logarithm is taken
/// to follow Student's distribution, since the interval comes from a handful of
/// measurements and may be wrong itself; each side of the middle is as wide as
/// its half of the interval.
pub fn chance(estimate: Estimate, limit: &Constraint) -> f64 {
    let below = {
        let distance = (limit.bound / estimate.value).ln();
        let half = match distance < 0.0 {
            true => (estimate.value / estimate.low).ln(),
            false => (estimate.high / estimate.value).ln(),
        };
        let sd = half / T90;
        match sd.is_finite() && sd > 1e-9 {
            true => student(distance / sd),
            // Known exactly.
            false => f64::from(limit.violation(estimate.value) == 0.0),
        }
    };
    let exact = estimate.low >= estimate.high;
    match (limit.side, exact) {
        (Side::AtLeast, false) => 1.0 - below,
        _ => below,
    }
}

/// The chance that all limits on what is known are kept.
pub(in crate::strategy) fn allowed(known: &Known, limits: &[Constraint]) -> f64 {
    let of = |limit: &Constraint| known.estimate(&limit.metric).map(|e| chance(e, limit));
    limits.iter().filter_map(of).product()
}

/// The best so far where it is not sure which of the good are allowed: scores
/// with the chance that each is the best allowed one.
#[derive(Debug, Clone)]
pub(in crate::strategy) struct Incumbents(Vec<(f64, f64)>);

impl Incumbents {
    /// From `(score, chance to be allowed)`; less is better. Where nothing may
    /// be allowed, `worst` is what there is to beat.
    pub fn new(mut told: Vec<(f64, f64)>, worst: f64) -> Self {
        told.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut left = 1.0;
        let mut weights = Vec::new();
        for (score, chance) in told {
            if chance > 0.0 {
                weights.push((score, left * chance));
                left *= 1.0 - chance;
            }
            if left < 1e-3 {
                break;
            }
        }
        weights.push((worst, left));
        Incumbents(weights)
    }

    /// The score most likely to be the best allowed.
    pub fn best(&self) -> f64 {
        let likeliest = self.0.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        likeliest.map_or(0.0, |best| best.0)
    }

    /// Expected improvement (Mockus 1975; Jones et al. 1998) by a normal guess.
    pub fn improvement(&self, mean: f64, sd: f64) -> f64 {
        let one = |score: f64| {
            let z = (score - mean) / sd;
            sd * (z * normal(z) + density(z))
        };
        self.0
            .iter()
            .map(|(score, weight)| weight * one(*score))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(value: f64, low: f64, high: f64) -> Estimate {
        Estimate { value, low, high }
    }

    #[test]
    fn the_chance_follows_the_interval() {
        let limit: Constraint = "latency_ms <= 20".parse().unwrap();
        let at = |value: f64, low: f64, high: f64| chance(estimate(value, low, high), &limit);
        assert!((at(20.0, 15.0, 25.0) - 0.5).abs() < 1e-6);
        // The end of the interval has 5 % beyond it.
        assert!((at(16.0, 12.8, 20.0) - 0.95).abs() < 1e-3);
        assert!((at(25.0, 20.0, 30.0) - 0.05).abs() < 1e-3);
        assert_eq!((at(20.0, 20.0, 20.0), at(21.0, 21.0, 21.0)), (1.0, 0.0));
        let least: Constraint = "latency_ms >= 20".parse().unwrap();
        assert!((chance(estimate(25.0, 20.0, 30.0), &least) - 0.95).abs() < 1e-3);
        assert_eq!(chance(Estimate::exact(20.0), &least), 1.0);
    }

    #[test]
    fn the_doubtful_best_leaves_room_for_the_next() {
        let sure = Incumbents::new(vec![(-2.0, 1.0), (0.0, 1.0)], 3.0);
        let doubtful = Incumbents::new(vec![(-2.0, 0.1), (0.0, 1.0)], 3.0);
        assert!(doubtful.improvement(-1.0, 0.1) > 0.8);
        assert!(sure.improvement(-1.0, 0.1) < 1e-6);
        let none = Incumbents::new(vec![(-2.0, 0.0)], 3.0);
        assert!((none.improvement(1.0, 1e-6) - 2.0).abs() < 1e-4);
    }
}
