//! The Gaussian-process head: a closed-form posterior over a new device's
//! log-latency from a few measurements. Hypotheses (which basis, how far the
//! device may stray from it, how noisy it is) are averaged by their evidence
//! and a prior learned from the training devices, so that a bad set of
//! references is held by the prior instead of being fitted.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::basis::{Basis, N_GROUPS};
use super::features::{Execution, Features};
use super::lens::{Lens, Prepared, dot, mean_of};
use super::robust;

/// Deviation of the group multipliers' logarithms.
pub const TAUS: [f64; 3] = [0.0, 1.0, 3.0];
/// Deviation of the weights of known devices' deviations.
pub const DEVICE_SCALES: [f64; 4] = [0.1, 0.3, 0.8, 2.0];
/// Deviation of the weights of single costs' shares.
pub const SHARE_SCALES: [f64; 3] = [0.05, 0.3, 1.5];
/// Deviation of a measurement's logarithm.
pub const NOISES: [f64; 6] = [0.005, 0.015, 0.04, 0.08, 0.16, 0.32];
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

/// Share of the evidence from which on a hypothesis has a say in what is a spike.
const LEAST_WEIGHT: f64 = 1e-4;

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

/// Variances of one hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Scales {
    groups: f64,
    devices: f64,
    shares: f64,
    noise: f64,
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
    /// Weighted posterior mean, already times `weight`.
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

/// One hypothesis, fitted.
pub(super) struct Candidate {
    lens: usize,
    log_weight: f64,
    /// Its share of all hypotheses' evidence.
    pub weight: f64,
    scales: Scales,
    cell: usize,
    alpha: DVector<f64>,
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

/// Every hypothesis with its evidence; the lenses, and the basis of each.
fn candidates(
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

fn average(
    mut lenses: Vec<FittedLens>,
    candidates: Vec<Candidate>,
    lens_bases: &[usize],
    seen: &Evidence,
) -> (Posterior, Vec<Vec<f64>>) {
    let weights: Vec<f64> = candidates.iter().map(|c| c.weight).collect();
    let mut cells = vec![vec![0.0; N_HYPOTHESES]; lens_bases.last().map_or(0, |b| b + 1)];
    for (candidate, weight) in candidates.iter().zip(&weights) {
        let fitted = &mut lenses[candidate.lens];
        cells[lens_bases[candidate.lens]][candidate.cell] += weight;
        fitted.weight += weight;
        if *weight < 1e-7 {
            continue;
        }
        fitted.intercept += weight * SPEED_VARIANCE * candidate.alpha.sum();
        let devices = fitted.lens.device_range();
        for (reference, alpha) in fitted.references.iter().zip(&candidate.alpha) {
            for (d, slot) in fitted.coefficients.iter_mut().enumerate() {
                let scale = if d < N_GROUPS {
                    candidate.scales.groups
                } else if devices.contains(&d) {
                    candidate.scales.devices
                } else {
                    candidate.scales.shares
                };
                *slot += weight * scale * alpha * reference[d];
            }
        }
    }
    for fitted in &mut lenses {
        fitted.intercept += fitted.weight * fitted.offset;
        for g in 0..N_GROUPS {
            fitted.coefficients[g] -= fitted.weight * fitted.theta[g];
        }
    }
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|i, j| weights[*j].total_cmp(&weights[*i]));
    order.truncate(KEPT_HYPOTHESES);
    let kept_weight: f64 = order.iter().map(|i| weights[*i]).sum();
    // Lenses without weight only cost time.
    let keep: Vec<bool> = (0..lenses.len())
        .map(|l| lenses[l].weight > 1e-3 || order.iter().any(|i| candidates[*i].lens == l))
        .collect();
    let mut new_index = vec![0; lenses.len()];
    let mut kept = Vec::new();
    for (index, fitted) in lenses.into_iter().enumerate() {
        new_index[index] = kept.len();
        if keep[index] {
            kept.push(fitted);
        }
    }
    let lens_weight: f64 = kept.iter().map(|l| l.weight).sum();
    for fitted in &mut kept {
        fitted.weight /= lens_weight;
        fitted.intercept /= lens_weight;
        fitted
            .coefficients
            .iter_mut()
            .for_each(|c| *c /= lens_weight);
    }
    let hypotheses = order
        .into_iter()
        .filter_map(|i| {
            let candidate = &candidates[i];
            let lens = new_index[candidate.lens];
            let grams = Grams::new(&kept[lens].lens, &kept[lens].references);
            let inverse = grams
                .covariance(&candidate.scales, seen)
                .cholesky()?
                .inverse();
            Some(Hypothesis {
                lens,
                weight: weights[i] / kept_weight,
                scales: candidate.scales,
                alpha: candidate.alpha.iter().copied().collect(),
                inverse: inverse.iter().copied().collect(),
            })
        })
        .collect();
    (
        Posterior {
            lenses: kept,
            hypotheses,
        },
        cells,
    )
}

/// Inner products between the references, by block of directions.
struct Grams {
    groups: DMatrix<f64>,
    devices: DMatrix<f64>,
    shares: DMatrix<f64>,
}

impl Grams {
    fn new(lens: &Lens, rows: &[Vec<f64>]) -> Self {
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

    fn covariance(&self, scales: &Scales, seen: &Evidence) -> DMatrix<f64> {
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

impl Posterior {
    /// Posterior mean of the log-latency.
    pub fn log_mean(&self, features: &Features) -> f64 {
        let mut directions = Vec::new();
        self.lenses
            .iter()
            .map(|fitted| {
                directions.resize(fitted.lens.dimensions(), 0.0);
                let log_mean = fitted
                    .lens
                    .look(features.on(fitted.execution), &mut directions);
                fitted.mean(log_mean, &directions)
            })
            .sum()
    }

    /// Posterior mean and standard deviation of a measurement's log-latency.
    pub fn log_mean_and_sd(&self, features: &Features) -> (f64, f64) {
        let mut mean = 0.0;
        let views: Vec<View> = self
            .lenses
            .iter()
            .map(|fitted| {
                let mut directions = vec![0.0; fitted.lens.dimensions()];
                let log_mean = fitted
                    .lens
                    .look(features.on(fitted.execution), &mut directions);
                mean += fitted.mean(log_mean, &directions);
                View::new(fitted, log_mean, &directions)
            })
            .collect();
        let mut moments = (0.0, 0.0);
        for hypothesis in &self.hypotheses {
            let view = &views[hypothesis.lens];
            let s = &hypothesis.scales;
            let k: Vec<f64> = view
                .with_references
                .iter()
                .map(|p| SPEED_VARIANCE + s.groups * p[0] + s.devices * p[1] + s.shares * p[2])
                .collect();
            let own = &view.with_itself;
            let prior = SPEED_VARIANCE + s.groups * own[0] + s.devices * own[1] + s.shares * own[2];
            let explained: f64 = hypothesis
                .inverse
                .chunks_exact(k.len())
                .zip(&k)
                .map(|(row, ki)| ki * dot(row, &k))
                .sum();
            let variance = (prior - explained).max(0.0) + s.noise;
            let centre = view.prior_mean + dot(&k, &hypothesis.alpha);
            moments.0 += hypothesis.weight * variance;
            moments.1 += hypothesis.weight * (centre - mean).powi(2);
        }
        (mean, (moments.0 + moments.1).sqrt())
    }
}

impl FittedLens {
    fn mean(&self, log_mean: f64, directions: &[f64]) -> f64 {
        self.weight * log_mean + self.intercept + dot(&self.coefficients, directions)
    }
}

/// A network's inner products with the references through one lens, by block.
struct View {
    prior_mean: f64,
    with_references: Vec<[f64; 3]>,
    with_itself: [f64; 3],
}

impl View {
    fn new(fitted: &FittedLens, log_mean: f64, directions: &[f64]) -> Self {
        let devices = fitted.lens.device_range();
        let blocks = |row: &[f64]| {
            [
                dot(&row[..N_GROUPS], &directions[..N_GROUPS]),
                dot(&row[devices.clone()], &directions[devices.clone()]),
                dot(&row[devices.end..], &directions[devices.end..]),
            ]
        };
        View {
            prior_mean: log_mean + fitted.offset - dot(&directions[..N_GROUPS], &fitted.theta),
            with_references: fitted.references.iter().map(|r| blocks(r)).collect(),
            with_itself: blocks(directions),
        }
    }
}

impl Posterior {
    /// Posterior mean of the log-latency and its derivative with respect to
    /// each cost, as written and as optimised.
    pub fn log_mean_and_gradient(&self, features: &Features) -> (f64, Features) {
        let zeros = |costs: &Vec<f64>| vec![0.0; costs.len()];
        let mut gradient = Features {
            costs: zeros(&features.costs),
            optimised: features.optimised.as_ref().map(zeros),
        };
        for fitted in &self.lenses {
            let slopes = match (fitted.execution, &mut gradient.optimised) {
                (Execution::Optimised, Some(optimised)) => optimised,
                _ => &mut gradient.costs,
            };
            fitted.lens.add_gradient(
                features.on(fitted.execution),
                fitted.weight,
                &fitted.coefficients,
                slopes,
            );
        }
        (self.log_mean(features), gradient)
    }
}
