//! Which networks to measure: greedily those that most reduce the mean
//! posterior variance over the candidates (A-optimal design) under the prior,
//! before any latency of the device is known. Whether the engine optimises
//! graphs is one more thing not known, so that a network is measured which tells
//! it. Networks with a constant output tell nothing of others and are passed over.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::basis::N_GROUPS;
use super::features::Features;
use super::lens::{Prepared, dot, mean_of};
use super::{Predictor, ToFeatures};

/// Candidates considered; more are thinned at random.
const MAX_CANDIDATES: usize = 600;
/// Typical variances: group multipliers, devices' deviations, cost shares,
/// the device's speed and noise of a measurement.
const GROUPS: f64 = 0.5;
const DEVICES: f64 = 0.25;
const SHARES: f64 = 0.25;
const SPEED: f64 = 4.0;
const NOISE: f64 = 0.05 * 0.05;
/// Of an engine optimising graphs: one in ten does.
const OPTIMISES: f64 = 0.1 * 0.9;

impl Predictor {
    /// Indices of `n` candidates to measure, in the order of their worth: a
    /// prefix of the answer is the answer for a smaller `n`. Equal seeds give
    /// equal choices. Fewer than `n` come back only when there are fewer
    /// candidates.
    pub fn choose_references<T: ToFeatures>(
        &self,
        candidates: &[T],
        n: usize,
        seed: u64,
    ) -> Vec<usize> {
        let mut pool: Vec<usize> = (0..candidates.len()).collect();
        pool.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut features = Vec::new();
        let mut constant = Vec::new();
        pool.retain(|i| {
            if features.len() >= MAX_CANDIDATES.max(n) {
                return false;
            }
            let own = candidates[*i].to_features();
            if own.is_constant() {
                constant.push(*i);
                return false;
            }
            features.push(own);
            true
        });
        let features: Vec<&Features> = features.iter().map(|f| &**f).collect();
        if features.is_empty() {
            constant.truncate(n);
            return constant;
        }
        let mut covariance = self.prior_covariance(&features);
        let mut chosen = Vec::with_capacity(n);
        let mut taken = vec![false; pool.len()];
        while chosen.len() < n.min(pool.len()) {
            // Measuring c lowers the variances' sum by |cov(., c)|² / var(c).
            let gain = |c: usize| {
                dot(&covariance[c], &covariance[c]) / (covariance[c][c].max(0.0) + NOISE)
            };
            let best = (0..pool.len())
                .filter(|c| !taken[*c])
                .max_by(|a, b| gain(*a).total_cmp(&gain(*b)))
                .expect("candidates remain");
            taken[best] = true;
            chosen.push(pool[best]);
            let column = covariance[best].clone();
            let scale = 1.0 / (column[best].max(0.0) + NOISE);
            for (row, ci) in covariance.iter_mut().zip(&column) {
                for (slot, cj) in row.iter_mut().zip(&column) {
                    *slot -= ci * cj * scale;
                }
            }
        }
        constant.truncate(n - chosen.len());
        chosen.extend(constant);
        chosen
    }

    /// Prior covariance of the log-latencies, averaged over the bases that
    /// know such networks (the generic one where none does).
    fn prior_covariance(&self, features: &[&Features]) -> Vec<Vec<f64>> {
        let costs: Vec<&[f64]> = features.iter().map(|f| &f.costs[..]).collect();
        let costs = &costs[..];
        let n = costs.len();
        let generic = self.bases.last().expect("the generic basis");
        let centre = mean_of(&costs.iter().map(|c| c.to_vec()).collect::<Vec<_>>());
        let home: Vec<_> = self
            .bases
            .iter()
            .filter(|b| costs.iter().all(|c| b.covers(c)))
            .collect();
        let used = if home.is_empty() { vec![generic] } else { home };
        let mut covariance = vec![vec![SPEED; n]; n];
        for basis in &used {
            let prepared = Prepared::new(basis, generic, &centre);
            let (lens, _, mut rows) = prepared.lens(&[0.0; N_GROUPS], costs);
            // How much less an engine that optimises graphs takes.
            let saved: Vec<f64> = match features.iter().any(|f| f.optimised.is_some()) {
                true => {
                    let saved = features.iter().map(|f| lens.saved(f)).collect::<Vec<f64>>();
                    let mean = saved.iter().sum::<f64>() / n as f64;
                    saved
                        .iter()
                        .map(|s| (s - mean) * OPTIMISES.sqrt())
                        .collect()
                }
                false => Vec::new(),
            };
            let devices = lens.device_range();
            for row in &mut rows {
                for (d, value) in row.iter_mut().enumerate() {
                    *value *= if d < N_GROUPS {
                        GROUPS
                    } else if devices.contains(&d) {
                        DEVICES
                    } else {
                        SHARES
                    }
                    .sqrt();
                }
            }
            for (row, saved) in rows.iter_mut().zip(saved) {
                row.push(saved);
            }
            for i in 0..n {
                for j in 0..=i {
                    let value = dot(&rows[i], &rows[j]) / used.len() as f64;
                    covariance[i][j] += value;
                    if i != j {
                        covariance[j][i] += value;
                    }
                }
            }
        }
        covariance
    }
}
