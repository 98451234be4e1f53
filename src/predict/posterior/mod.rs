//! The Gaussian-process head: a closed-form posterior over a new device's
//! log-latency from a few measurements. Hypotheses (which basis, how far the
//! device may stray from it, how noisy it is) are averaged by their evidence
//! and a prior learned from the training devices, so that a bad set of
//! references is held by the prior instead of being fitted.

mod average;
mod batch;
mod hypotheses;
mod predict;

use serde::{Deserialize, Serialize};

use average::average;
pub(super) use hypotheses::Candidate;
use hypotheses::{Scales, candidates};

use super::basis::{Basis, N_GROUPS};
use super::features::{Execution, Features};
use super::lens::Lens;
use super::robust;

/// Deviation of the group multipliers' logarithms.
pub const TAUS: [f64; 3] = [0.0, 1.0, 3.0];
/// Deviation of the weights of known devices' deviations.
pub const DEVICE_SCALES: [f64; 4] = [0.1, 0.3, 0.8, 2.0];
/// Deviation of the weights of single costs' shares.
pub const SHARE_SCALES: [f64; 3] = [0.05, 0.3, 1.5];
/// Deviation of a measurement's logarithm.
pub const NOISES: [f64; 7] = [0.001, 0.004, 0.015, 0.04, 0.08, 0.16, 0.32];
/// Hypotheses of one basis.
pub const N_HYPOTHESES: usize =
    TAUS.len() * DEVICE_SCALES.len() * SHARE_SCALES.len() * NOISES.len();

/// Prior variance of the device's overall log speed.
const SPEED_VARIANCE: f64 = 4.0;
/// Advantage, in nats, of a basis measured on networks like the references.
const HOME_BONUS: f64 = 3.0;
/// How engines execute graphs, with the prior share of each among devices.
const EXECUTIONS: [(Execution, f64); 2] = [(Execution::Written, 0.9), (Execution::Optimised, 0.1)];
/// Hypotheses kept for the variance; the mean uses all.
const KEPT_HYPOTHESES: usize = 8;

/// Log prior weights of the hypotheses, learned by meta-training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HyperPrior {
    /// Where the basis was measured on networks like the references.
    pub home: Vec<f64>,
    /// Anywhere else.
    pub away: Vec<f64>,
}

impl HyperPrior {
    pub fn uniform() -> Self {
        let flat = vec![-(N_HYPOTHESES as f64).ln(); N_HYPOTHESES];
        HyperPrior {
            home: flat.clone(),
            away: flat,
        }
    }
}

/// One hypothesis kept for the predictive variance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Hypothesis {
    lens: usize,
    weight: f64,
    scales: Scales,
    alpha: Vec<f64>,
    /// Inverse of the references' covariance, row-major.
    inverse: Vec<f64>,
}

/// A lens with the posterior mean of its directions' weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FittedLens {
    execution: Execution,
    lens: Lens,
    weight: f64,
    /// Prior mean is `log mean latency + offset - theta · group shares`.
    offset: f64,
    theta: [f64; N_GROUPS],
    /// Weighted posterior mean over directions that are not centred, already
    /// times `weight`.
    intercept: f64,
    coefficients: Vec<f64>,
    /// Centred directions of the references.
    references: Vec<Vec<f64>>,
}

/// The posterior over one device's log-latency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Posterior {
    lenses: Vec<FittedLens>,
    hypotheses: Vec<Hypothesis>,
}

/// What was measured, as the head needs it.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    pub features: &'a [&'a Features],
    /// Natural logarithm of milliseconds.
    pub log_latency: &'a [f64],
    /// Multiplies each measurement's noise variance; 1 for a trusted one.
    pub noise_factor: &'a [f64],
    /// Variance that the clock's resolution adds to each.
    pub rounding: &'a [f64],
}

/// What came of fitting.
pub struct Fit {
    pub posterior: Posterior,
    /// Posterior weights of hypothesis cells, by basis.
    pub cells: Vec<Vec<f64>>,
    /// What multiplies each measurement's noise variance: what was given, and
    /// more where the other measurements make a spike of it.
    pub noise_factor: Vec<f64>,
}

/// Fits the posterior, distrusting measurements that the others contradict.
/// The last of `bases` must be the generic one.
pub fn fit(bases: &[Basis], prior: &HyperPrior, seen: &Evidence) -> Fit {
    let mut noise_factor = seen.noise_factor.to_vec();
    let rounds = match seen.features.len() {
        n if n < robust::FEWEST => 0,
        _ => robust::ROUNDS,
    };
    for _ in 0..rounds {
        let trusted = Evidence {
            noise_factor: &noise_factor,
            ..*seen
        };
        let (candidates, ..) = candidates(bases, prior, &trusted);
        noise_factor = robust::noise_factors(&candidates, &trusted, seen.noise_factor);
    }
    fit_trusting(
        bases,
        prior,
        &Evidence {
            noise_factor: &noise_factor,
            ..*seen
        },
    )
}

/// Fits the posterior with the measurements' noise as it is given.
pub fn fit_trusting(bases: &[Basis], prior: &HyperPrior, seen: &Evidence) -> Fit {
    let (candidates, lenses, lens_bases) = candidates(bases, prior, seen);
    let (posterior, cells) = average(lenses, candidates, &lens_bases, seen);
    Fit {
        posterior,
        cells,
        noise_factor: seen.noise_factor.to_vec(),
    }
}
