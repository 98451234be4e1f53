//! Every hypothesis about a device with its evidence: which basis it resembles,
//! how the engine executes graphs, how far the device strays and how noisy it
//! is.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::{
    DEVICE_SCALES, EXECUTIONS, Evidence, FittedLens, HOME_BONUS, HyperPrior, N_HYPOTHESES, NOISES,
    SHARE_SCALES, SPEED_VARIANCE, TAUS,
};
use crate::predict::basis::{Basis, N_GROUPS};
use crate::predict::lens::{Lens, Prepared, dot, mean_of};

/// Share of the evidence from which on a hypothesis has a say in what is a spike.
const LEAST_WEIGHT: f64 = 1e-4;

/// Variances of one hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Scales {
    pub groups: f64,
    pub devices: f64,
    pub shares: f64,
    pub noise: f64,
}

/// One hypothesis, fitted.
pub struct Candidate {
    pub(super) lens: usize,
    log_weight: f64,
    /// Its share of all hypotheses' evidence.
    pub weight: f64,
    pub(super) scales: Scales,
    pub(super) cell: usize,
    pub(super) alpha: DVector<f64>,
    /// Each measurement's error against the prediction of the others, and that
    /// prediction's variance without the measurement's own noise.
    pub left_out: Vec<(f64, f64)>,
}

impl Candidate {
    /// Variance of a trusted measurement's noise.
    pub fn noise(&self) -> f64 {
        self.scales.noise
    }
}

/// Every hypothesis with its evidence; the lenses, and the basis of each.
pub(super) fn candidates(
    bases: &[Basis],
    prior: &HyperPrior,
    seen: &Evidence,
) -> (Vec<Candidate>, Vec<FittedLens>, Vec<usize>) {
    let n = seen.features.len();
    let both = seen.features.iter().any(|f| f.optimised.is_some());
    let executions = if both {
        &EXECUTIONS[..]
    } else {
        &EXECUTIONS[..1]
    };
    let generic = bases.last().expect("the generic basis");
    let mut lens_bases = Vec::new();
    let mut lenses = Vec::new();
    let mut grams_of = Vec::new();
    let mut candidates = Vec::new();
    for (basis_index, (basis, (execution, share))) in bases
        .iter()
        .enumerate()
        .flat_map(|(i, b)| executions.iter().map(move |e| (i, (b, *e))))
    {
        let costs: Vec<&[f64]> = seen.features.iter().map(|f| f.on(execution)).collect();
        let centre = mean_of(&costs.iter().map(|c| c.to_vec()).collect::<Vec<_>>());
        let prepared = Prepared::new(basis, generic, &centre);
        let home = seen.features.iter().all(|f| basis.covers(&f.costs));
        let (cells, bonus) = if home {
            (&prior.home, HOME_BONUS)
        } else {
            (&prior.away, 0.0)
        };
        let bonus = bonus + share.ln();
        for (tau_index, tau) in TAUS.into_iter().enumerate() {
            let theta = if tau > 0.0 {
                prepared.most_probable_theta(&costs, seen.log_latency, seen.noise_factor, tau)
            } else {
                [0.0; N_GROUPS]
            };
            let (lens, log_means, references) = prepared.lens(&theta, &costs);
            let gap: Vec<f64> = (0..n).map(|i| seen.log_latency[i] - log_means[i]).collect();
            let offset = gap.iter().sum::<f64>() / n as f64;
            let residual = DVector::from_fn(n, |i, _| {
                gap[i] - offset + dot(&references[i][..N_GROUPS], &theta)
            });
            let grams = Grams::new(&lens, &references);
            for cell in 0..N_HYPOTHESES / TAUS.len() {
                let scales = scales_of(tau, cell);
                let covariance = grams.covariance(&scales, seen);
                let Some(cholesky) = covariance.cholesky() else {
                    continue;
                };
                let alpha = cholesky.solve(&residual);
                let log_determinant: f64 = (0..n).map(|i| cholesky.l_dirty()[(i, i)].ln()).sum();
                let cell = tau_index * (N_HYPOTHESES / TAUS.len()) + cell;
                candidates.push(Candidate {
                    weight: 0.0,
                    left_out: Vec::new(),
                    lens: lenses.len(),
                    log_weight: cells[cell] + bonus - 0.5 * residual.dot(&alpha) - log_determinant,
                    scales,
                    cell,
                    alpha,
                });
            }
            lens_bases.push(basis_index);
            grams_of.push(grams);
            lenses.push(FittedLens {
                execution,
                coefficients: vec![0.0; lens.dimensions()],
                lens,
                weight: 0.0,
                offset,
                theta,
                intercept: 0.0,
                references,
            });
        }
    }
    normalise(&mut candidates);
    // Closed form of leaving one out (Rasmussen and Williams 2006, 5.4.2).
    for c in candidates.iter_mut().filter(|c| c.weight > LEAST_WEIGHT) {
        let Some(cholesky) = grams_of[c.lens].covariance(&c.scales, seen).cholesky() else {
            continue;
        };
        let inverse = cholesky.inverse();
        c.left_out = (0..n)
            .map(|i| {
                let variance = 1.0 / inverse[(i, i)];
                let noise = c.scales.noise * seen.noise_factor[i];
                (c.alpha[i] * variance, (variance - noise).max(0.0))
            })
            .collect();
    }
    (candidates, lenses, lens_bases)
}

/// Gives the candidates weights that sum to one.
fn normalise(candidates: &mut [Candidate]) {
    let best = candidates
        .iter()
        .map(|c| c.log_weight)
        .fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for candidate in candidates.iter_mut() {
        candidate.weight = (candidate.log_weight - best).exp();
        total += candidate.weight;
    }
    candidates.iter_mut().for_each(|c| c.weight /= total);
}

fn scales_of(tau: f64, cell: usize) -> Scales {
    let noise = NOISES[cell % NOISES.len()];
    let rest = cell / NOISES.len();
    Scales {
        groups: tau * tau,
        devices: DEVICE_SCALES[rest / SHARE_SCALES.len()].powi(2),
        shares: SHARE_SCALES[rest % SHARE_SCALES.len()].powi(2),
        noise: noise * noise,
    }
}

/// Inner products between the references, by block of directions.
pub(super) struct Grams {
    groups: DMatrix<f64>,
    devices: DMatrix<f64>,
    shares: DMatrix<f64>,
}

impl Grams {
    pub fn new(lens: &Lens, rows: &[Vec<f64>]) -> Self {
        let n = rows.len();
        let devices = lens.device_range();
        let block = |range: std::ops::Range<usize>| {
            DMatrix::from_fn(n, n, |i, j| {
                dot(&rows[i][range.clone()], &rows[j][range.clone()])
            })
        };
        Grams {
            groups: block(0..N_GROUPS),
            devices: block(devices.clone()),
            shares: block(devices.end..lens.dimensions()),
        }
    }

    pub fn covariance(&self, scales: &Scales, seen: &Evidence) -> DMatrix<f64> {
        let n = seen.features.len();
        DMatrix::from_fn(n, n, |i, j| {
            let noise = if i == j {
                scales.noise * seen.noise_factor[i] + seen.rounding[i]
            } else {
                0.0
            };
            SPEED_VARIANCE
                + scales.groups * self.groups[(i, j)]
                + scales.devices * self.devices[(i, j)]
                + scales.shares * self.shares[(i, j)]
                + noise
        })
    }
}
