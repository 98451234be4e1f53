//! A lens turns a network's costs into the few directions in which a new
//! device may differ from a basis of known ones: every cost group's share of
//! the expected latency, each known device's deviation from the mean, and each
//! single cost's share. Latencies are positive sums and shares are bounded, so
//! what is linear in a lens stays sane far outside the measured networks.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::basis::{Basis, N_GROUPS, group_of_costs};
use super::features::{Execution, Features, N_COSTS};

/// Part of every weight that comes from the generic devices, so that no
/// operator is free and no log ratio between devices grows without bound.
const GENERIC_SHARE: f64 = 0.03;

/// A basis seen through group multipliers `exp(theta)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lens {
    /// Weights of the mean device.
    mean: Vec<f64>,
    /// Weights of each known device.
    devices: Vec<Vec<f64>>,
    groups: Vec<usize>,
    /// Subtracted from the directions: their mean over the references.
    centre: Vec<f64>,
}

/// Normalised weights of a basis before any group is scaled.
pub struct Prepared {
    mean: Vec<f64>,
    devices: Vec<Vec<f64>>,
}

impl Prepared {
    /// Scales every device to 1 at `centre` (the references' mean costs), so
    /// that devices of all speeds count alike.
    pub fn new(basis: &Basis, generic: &Basis, centre: &[f64]) -> Self {
        let unit = |weights: &Vec<f64>| -> Vec<f64> {
            let at_centre = dot(weights, centre).max(1e-12);
            weights.iter().map(|w| w / at_centre).collect()
        };
        let devices: Vec<Vec<f64>> = basis.weights.iter().map(unit).collect();
        let generic: Vec<Vec<f64>> = generic.weights.iter().map(unit).collect();
        let fallback = mean_of(&generic);
        let mean = blend(&mean_of(&devices), &fallback);
        let devices = devices.iter().map(|d| blend(d, &mean)).collect();
        Prepared { mean, devices }
    }

    /// Directions a lens of this basis has.
    pub fn dimensions(&self) -> usize {
        N_GROUPS + self.devices.len() + N_COSTS
    }

    /// The group multipliers' logarithms that best explain the references up
    /// to a common factor, under a normal prior of deviation `tau`: the most
    /// probable roofline. Found by damped Gauss-Newton steps.
    pub fn most_probable_theta(
        &self,
        costs: &[&[f64]],
        log_latency: &[f64],
        noise_factor: &[f64],
        tau: f64,
    ) -> [f64; N_GROUPS] {
        const NOISE: f64 = 0.05;
        let groups = group_of_costs();
        let n = costs.len();
        let mut sums = DMatrix::zeros(n, N_GROUPS);
        for (i, c) in costs.iter().enumerate() {
            for (j, group) in groups.iter().enumerate() {
                sums[(i, *group)] += self.mean[j] * c[j];
            }
        }
        // Precisions, and residuals about their weighted mean.
        let precision: Vec<f64> = noise_factor
            .iter()
            .map(|f| 1.0 / (NOISE * NOISE * f))
            .collect();
        let total_precision: f64 = precision.iter().sum();
        let centred = |values: DVector<f64>| {
            let mean = values
                .iter()
                .zip(&precision)
                .map(|(v, p)| v * p)
                .sum::<f64>()
                / total_precision;
            values.add_scalar(-mean)
        };
        let residual = |theta: &DVector<f64>| -> DVector<f64> {
            let total: DVector<f64> = &sums * theta.map(f64::exp);
            centred(DVector::from_fn(n, |i, _| {
                log_latency[i] - total[i].max(1e-300).ln()
            }))
        };
        let objective = |theta: &DVector<f64>| {
            let r = residual(theta);
            r.iter()
                .zip(&precision)
                .map(|(r, p)| r * r * p)
                .sum::<f64>()
                + theta.norm_squared() / (tau * tau)
        };
        let mut theta = DVector::zeros(N_GROUPS);
        let mut current = objective(&theta);
        for _ in 0..30 {
            let scale = theta.map(f64::exp);
            let total: DVector<f64> = &sums * &scale;
            let mut shares = DMatrix::from_fn(n, N_GROUPS, |i, g| {
                sums[(i, g)] * scale[g] / total[i].max(1e-300)
            });
            for g in 0..N_GROUPS {
                let column = centred(shares.column(g).into_owned());
                shares.set_column(g, &column);
            }
            let weighted = DMatrix::from_fn(n, N_GROUPS, |i, g| shares[(i, g)] * precision[i]);
            let normal = shares.transpose() * &weighted
                + DMatrix::identity(N_GROUPS, N_GROUPS) / (tau * tau);
            let target = residual(&theta) + &shares * &theta;
            let Some(cholesky) = normal.cholesky() else {
                break;
            };
            let aim = cholesky.solve(&(weighted.transpose() * target));
            let mut step = 1.0;
            let mut gain = 0.0;
            while step > 0.02 {
                let candidate = &theta + (&aim - &theta) * step;
                let value = objective(&candidate);
                if value < current {
                    gain = current - value;
                    theta = candidate;
                    current = value;
                    break;
                }
                step /= 2.0;
            }
            if gain < 1e-4 {
                break;
            }
        }
        std::array::from_fn(|g| theta[g])
    }

    /// The lens at these multipliers, centred on the references, with the
    /// references' logarithms of mean latency and centred directions.
    pub fn lens(
        &self,
        theta: &[f64; N_GROUPS],
        references: &[&[f64]],
    ) -> (Lens, Vec<f64>, Vec<Vec<f64>>) {
        let groups = group_of_costs();
        let scaled = |weights: &Vec<f64>| -> Vec<f64> {
            weights
                .iter()
                .zip(&groups)
                .map(|(w, g)| w * theta[*g].exp())
                .collect()
        };
        let mut lens = Lens {
            mean: scaled(&self.mean),
            devices: self.devices.iter().map(scaled).collect(),
            groups: groups.to_vec(),
            centre: vec![0.0; self.dimensions()],
        };
        let mut directions = vec![0.0; self.dimensions()];
        let mut log_means = Vec::with_capacity(references.len());
        let mut all = Vec::with_capacity(references.len());
        for reference in references {
            log_means.push(lens.look(reference, &mut directions));
            all.push(directions.clone());
        }
        let centre = mean_of(&all);
        for row in &mut all {
            for (value, c) in row.iter_mut().zip(&centre) {
                *value -= c;
            }
        }
        lens.centre = centre;
        (lens, log_means, all)
    }
}

impl Lens {
    /// Writes the centred directions of a network (group shares, devices'
    /// deviations, cost shares) and returns the logarithm of its latency on
    /// the mean device.
    pub fn look(&self, costs: &[f64], directions: &mut [f64]) -> f64 {
        let total = dot(&self.mean, costs).max(1e-300);
        let log_mean = total.ln();
        directions.copy_from_slice(&self.centre);
        for d in directions.iter_mut() {
            *d = -*d;
        }
        let (group_part, rest) = directions.split_at_mut(N_GROUPS);
        let (device_part, cost_part) = rest.split_at_mut(self.devices.len());
        let scale = 1.0 / total;
        for (j, slot) in cost_part.iter_mut().enumerate() {
            let share = self.mean[j] * costs[j] * scale;
            *slot += share;
            group_part[self.groups[j]] += share;
        }
        for (slot, device) in device_part.iter_mut().zip(&self.devices) {
            *slot += dot(device, costs).max(1e-300).ln() - log_mean;
        }
        log_mean
    }

    pub fn dimensions(&self) -> usize {
        self.centre.len()
    }

    /// Where the devices' deviations stand among the directions.
    pub fn device_range(&self) -> std::ops::Range<usize> {
        N_GROUPS..N_GROUPS + self.devices.len()
    }
}

fn blend(own: &[f64], other: &[f64]) -> Vec<f64> {
    own.iter()
        .zip(other)
        .map(|(a, b)| (1.0 - GENERIC_SHARE) * a + GENERIC_SHARE * b)
        .collect()
}

pub(super) fn mean_of(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut mean = vec![0.0; rows.first().map_or(0, Vec::len)];
    for row in rows {
        for (m, v) in mean.iter_mut().zip(row) {
            *m += v / rows.len() as f64;
        }
    }
    mean
}

/// Inner product in four strands, so that it vectorises.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let tail: f64 = a4
        .remainder()
        .iter()
        .zip(b4.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a4.zip(b4) {
        for k in 0..4 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f64>() + tail
}

impl Lens {
    /// Adds to `gradient` the derivative, with respect to each cost, of
    /// `weight * log_mean + coefficients · directions` as
    /// [`look`](Self::look) gives them.
    pub fn add_gradient(
        &self,
        costs: &[f64],
        weight: f64,
        coefficients: &[f64],
        gradient: &mut [f64],
    ) {
        let total = dot(&self.mean, costs).max(1e-300);
        let devices = &coefficients[self.device_range()];
        let of_shares = &coefficients[self.device_range().end..];
        // A cost's share counts for itself and in its group's.
        let of_share = |j: usize| of_shares[j] + coefficients[self.groups[j]];
        let mean_share: f64 = (0..costs.len())
            .map(|j| of_share(j) * self.mean[j] * costs[j] / total)
            .sum();
        let of_log_mean = weight - devices.iter().sum::<f64>();
        for (j, slot) in gradient.iter_mut().enumerate() {
            *slot += self.mean[j] / total * (of_log_mean + of_share(j) - mean_share);
        }
        for (coefficient, device) in devices.iter().zip(&self.devices) {
            let scale = coefficient / dot(device, costs).max(1e-300);
            for (slot, w) in gradient.iter_mut().zip(device) {
                *slot += scale * w;
            }
        }
    }
}

/// A term of a lens's mean as a function of costs.
pub enum LogTerm {
    /// `above · costs / below · costs + log * ln(below · costs)`.
    Ratio {
        above: Vec<f64>,
        below: Vec<f64>,
        log: f64,
    },
    /// `weight * ln(of · costs)`.
    Logarithm { of: Vec<f64>, weight: f64 },
}

impl Lens {
    /// What [`mean`](Self::mean) sums.
    pub fn terms(&self, weight: f64, coefficients: &[f64]) -> Vec<LogTerm> {
        let of_devices = &coefficients[self.device_range()];
        let of_shares = &coefficients[self.device_range().end..];
        let above = (0..self.mean.len())
            .map(|j| (of_shares[j] + coefficients[self.groups[j]]) * self.mean[j])
            .collect();
        let mut terms = vec![LogTerm::Ratio {
            above,
            below: self.mean.clone(),
            log: weight - of_devices.iter().sum::<f64>(),
        }];
        // What weighs nothing costs a logarithm all the same.
        terms.extend(
            of_devices
                .iter()
                .zip(&self.devices)
                .filter(|(coefficient, _)| coefficient.abs() > 1e-6)
                .map(|(coefficient, device)| LogTerm::Logarithm {
                    of: device.clone(),
                    weight: *coefficient,
                }),
        );
        terms
    }

    /// `weight * log_mean + coefficients · directions` as [`look`](Self::look)
    /// gives them, without writing down the directions; these not centred.
    pub fn mean(&self, costs: &[f64], weight: f64, coefficients: &[f64]) -> f64 {
        let total = dot(&self.mean, costs).max(1e-300);
        let log_mean = total.ln();
        let of_devices = &coefficients[self.device_range()];
        let of_shares = &coefficients[self.device_range().end..];
        let shares: f64 = (0..costs.len())
            .map(|j| (of_shares[j] + coefficients[self.groups[j]]) * self.mean[j] * costs[j])
            .sum();
        let devices: f64 = of_devices
            .iter()
            .zip(&self.devices)
            .map(|(c, device)| c * (dot(device, costs).max(1e-300).ln() - log_mean))
            .sum();
        weight * log_mean + shares / total + devices
    }

    /// Logarithm of how much longer the mean device takes as written than with
    /// the graph optimised.
    pub fn saved(&self, features: &Features) -> f64 {
        let log_mean = |execution| dot(&self.mean, features.on(execution)).max(1e-300).ln();
        log_mean(Execution::Written) - log_mean(Execution::Optimised)
    }

    /// `coefficients · centre`: what centring subtracts from the mean.
    pub fn centred(&self, coefficients: &[f64]) -> f64 {
        dot(coefficients, &self.centre)
    }
}
