//! Measurements have spikes: now and then one is far above (seldom below) what
//! the same network usually takes. Each is taken for a draw from a mixture: the
//! usual noise, a spike several times as wide, or a gross error of the clock or
//! of its user. What the others expect of it, averaged over the hypotheses,
//! tells how probable each is, and its noise is raised accordingly: a few rounds
//! of expectation maximisation.

use super::posterior::{Candidate, Evidence};

/// Below so many measurements, nothing tells a spike from a sound one.
pub const FEWEST: usize = 5;
pub const ROUNDS: usize = 2;

/// Prior share of a kind of error, and its deviation in deviations of the usual
/// noise.
const SPIKE: (f64, f64) = (0.15, 6.0);
const GROSS: (f64, f64) = (0.005, 100.0);
/// Spikes upwards are so many times as probable as downwards.
const UPWARDS: f64 = 3.0;

/// Noise factor from which on a measurement counts as a gross error.
pub const GROSS_FACTOR: f64 = 1e3;

/// What multiplies each measurement's noise variance, beyond `given`.
pub fn noise_factors(candidates: &[Candidate], seen: &Evidence, given: &[f64]) -> Vec<f64> {
    let n = given.len();
    // Probability densities as usual, spike and gross.
    let mut densities = vec![[0.0; 3]; n];
    for c in candidates {
        for (i, (error, variance)) in c.left_out.iter().enumerate() {
            let noise = c.noise() * given[i];
            let under = |factor: f64| normal(*error, variance + noise * factor);
            // The hypothesis's weight was learned from this measurement too.
            let now = normal(*error, variance + c.noise() * seen.noise_factor[i]);
            let weight = c.weight / now.max(1e-12);
            densities[i][0] += weight * under(1.0);
            let side = match *error > 0.0 {
                true => 2.0 * UPWARDS / (1.0 + UPWARDS),
                false => 2.0 / (1.0 + UPWARDS),
            };
            densities[i][1] += weight * side * under(SPIKE.1 * SPIKE.1);
            densities[i][2] += weight * under(GROSS.1 * GROSS.1);
        }
    }
    densities
        .iter()
        .zip(given)
        .map(|(density, given)| {
            let spike = SPIKE.0 * density[1];
            let gross = GROSS.0 * density[2];
            let usual = (1.0 - SPIKE.0 - GROSS.0) * density[0];
            let total = (usual + spike + gross).max(1e-300);
            // The expected precision.
            let precision = usual + spike / (SPIKE.1 * SPIKE.1) + gross / (GROSS.1 * GROSS.1);
            given * total / precision.max(1e-9 * total)
        })
        .collect()
}

/// Density of a normal distribution, up to a constant.
fn normal(error: f64, variance: f64) -> f64 {
    let variance = variance.max(1e-18);
    (-0.5 * error * error / variance).exp() / variance.sqrt()
}
