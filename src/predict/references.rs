//! Which networks to measure: greedily those that most reduce the mean
//! posterior variance over the candidates (A-optimal design) under the prior,
//! before any latency of the device is known.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::basis::N_GROUPS;
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
        pool.truncate(MAX_CANDIDATES.max(n));
        let features: Vec<_> = pool.iter().map(|i| candidates[*i].to_features()).collect();
        let costs: Vec<&[f64]> = features.iter().map(|f| &f.costs[..]).collect();
        if costs.is_empty() {
            return Vec::new();
        }
        let mut covariance = self.prior_covariance(&costs);
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
        chosen
    }

    /// Prior covariance of the log-latencies, averaged over the bases that
    /// know such networks (the generic one where none does).
    fn prior_covariance(&self, costs: &[&[f64]]) -> Vec<Vec<f64>> {
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
