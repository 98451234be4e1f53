//! What further measurements of memory are expected to bring. The model is
//! linear, so what they do to its uncertainty does not depend on their outcomes;
//! those are only drawn to see how far the ranking would change.

use nalgebra::Vector3;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Fit, MemoryModel, Row, Z90, apply, terms};
use crate::network::Costs;
use crate::predict::gain::{Gain, GainOptions, normal};
use crate::predict::metrics::spearman;

impl MemoryModel {
    /// Simulates measuring `options.more` of the candidates, chosen greedily to
    /// make all candidates' predictions as certain as possible. Deterministic by
    /// seed.
    pub(in crate::predict) fn expected_gain(
        &self,
        measured: &[(Costs, f64)],
        candidates: &[Costs],
        options: &GainOptions,
    ) -> Gain {
        let seen: Vec<Row> = measured.iter().map(|(c, b)| (terms(c), *b)).collect();
        let pool: Vec<Vector3<f64>> = candidates.iter().map(terms).collect();
        let now = Fit::of(&seen);
        let (mut then, next) = self.chosen(&now, &pool, options.more);
        let judged: Vec<&Vector3<f64>> = match pool.is_empty() {
            true => seen.iter().map(|(terms, _)| terms).collect(),
            false => pool.iter().collect(),
        };
        let values = |fit: &Fit| -> Vec<f64> {
            let of = |t: &&Vector3<f64>| apply(&fit.factors, t);
            judged.iter().map(of).collect()
        };
        let deviation = |fit: &Fit| -> f64 {
            let sum: f64 = judged
                .iter()
                .map(|t| self.deviation(fit.predict(t).1))
                .sum();
            sum / judged.len().max(1) as f64
        };
        let (sd_now, sd_then) = (deviation(&now), deviation(&then));
        let values_now = values(&now);
        let mut ranking = 0.0;
        let draws = options.draws.max(1);
        for draw in 0..draws as u64 {
            let mut rng = ChaCha8Rng::seed_from_u64(options.seed ^ (draw + 1) << 24);
            let mut rows = seen.clone();
            for index in &next {
                let (bytes, variance) = Fit::of(&rows).predict(&pool[*index]);
                let outcome = bytes * (self.deviation(variance) * normal(&mut rng)).exp();
                rows.push((pool[*index], outcome));
            }
            then = Fit::of(&rows);
            ranking += spearman(&values_now, &values(&then)) / draws as f64;
        }
        // A normal error's mean size is sqrt(2 / π) deviations.
        let error = |sd: f64| sd * std::f64::consts::FRAC_2_PI.sqrt();
        let interval = |sd: f64| (2.0 * Z90 * sd).exp();
        Gain {
            measurements: measured.len(),
            more: next.len(),
            next,
            error_now: error(sd_now),
            error_then: error(sd_then),
            interval_now: interval(sd_now),
            interval_then: interval(sd_then),
            ranking,
        }
    }

    /// The fit with `more` of the pool measured as expected, and which.
    fn chosen(&self, now: &Fit, pool: &[Vector3<f64>], more: usize) -> (Fit, Vec<usize>) {
        let rows: Vec<Vector3<f64>> = pool.iter().map(|t| t / apply(&now.factors, t)).collect();
        let mut fit = Fit {
            factors: now.factors,
            covariance: now.covariance,
        };
        let mut next: Vec<usize> = Vec::new();
        while next.len() < more.min(pool.len()) {
            // Measuring c lowers each variance by its squared covariance with c.
            let gain = |c: usize| {
                let column = fit.covariance * rows[c];
                let sum: f64 = rows.iter().map(|r| r.dot(&column).powi(2)).sum();
                sum / (1.0 + rows[c].dot(&column))
            };
            let best = (0..pool.len())
                .filter(|c| !next.contains(c))
                .max_by(|a, b| gain(*a).total_cmp(&gain(*b)))
                .expect("candidates remain");
            let column = fit.covariance * rows[best];
            fit.covariance -= column * column.transpose() / (1.0 + rows[best].dot(&column));
            next.push(best);
        }
        (fit, next)
    }
}
