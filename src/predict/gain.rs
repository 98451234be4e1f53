//! Whether further measurements would help, before they are made: outcomes of
//! the next measurements are drawn from the calibration's own posterior, the
//! predictor is calibrated again with each, and what becomes of the intervals
//! and of the ranking is averaged. Draws are sequential, each from the
//! posterior given those before it, so they are drawn jointly.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::features::Features;
use super::metrics::spearman;
use super::{Calibrated, CalibrationError, Options, Predictor, ToFeatures, posterior};

/// Settings of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GainOptions {
    /// Further measurements to simulate.
    pub more: usize,
    /// Simulated outcomes.
    pub draws: usize,
    pub seed: u64,
}

impl Default for GainOptions {
    fn default() -> Self {
        GainOptions {
            more: 5,
            draws: 8,
            seed: 0,
        }
    }
}

/// What further measurements are expected to bring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// Measurements already made, and those simulated.
    pub measurements: usize,
    pub more: usize,
    /// Indices of the candidates that should be measured next.
    pub next: Vec<usize>,
    /// Expected mean absolute error (0.1 is 10 %) now, and with them.
    pub error_now: f64,
    pub error_then: f64,
    /// Mean of the intervals' upper over lower end, now and with them.
    pub interval_now: f64,
    pub interval_then: f64,
    /// Expected Spearman correlation of the ranking now with that after them.
    pub ranking: f64,
}

/// Candidates over which errors are averaged.
const JUDGED: usize = 100;

impl Gain {
    /// Whether the error is expected to fall by a tenth of itself or the
    /// ranking to change visibly.
    pub fn is_worthwhile(&self) -> bool {
        self.error_then < 0.9 * self.error_now || self.ranking < 0.98
    }
}

impl std::fmt::Display for Gain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} more measurements: expected error {:.1} % instead of {:.1} %, interval high / low {:.2} instead of {:.2}, ranking the same to Spearman {:.3}: {}",
            self.more,
            100.0 * self.error_then,
            100.0 * self.error_now,
            self.interval_then,
            self.interval_now,
            self.ranking,
            match self.is_worthwhile() {
                true => "worth it",
                false => "little to gain",
            }
        )
    }
}

/// Expected error, mean interval ratio and the predicted values.
fn outlook(calibrated: &Calibrated, judged: &[&Features]) -> (f64, f64, Vec<f64>) {
    let (mut error, mut ratio) = (0.0, 0.0);
    let values = judged
        .iter()
        .map(|features| {
            let p = calibrated.predict(*features);
            error += deviation(calibrated, features).0;
            ratio += (p.high_ms / p.low_ms).ln();
            p.latency_ms
        })
        .collect();
    let n = judged.len() as f64;
    // A normal error's mean size is sqrt(2 / π) deviations.
    let error = error / n * std::f64::consts::FRAC_2_PI.sqrt();
    (error, (ratio / n).exp(), values)
}

/// Deviation that the 90 % interval stands for, and the median's logarithm.
fn deviation(calibrated: &Calibrated, features: &Features) -> (f64, f64) {
    let p = calibrated.predict(features);
    (
        (p.high_ms / p.low_ms).ln() / (2.0 * 1.645),
        p.latency_ms.ln(),
    )
}

impl Predictor {
    /// Simulates measuring `options.more` of the candidates beside those
    /// measured (with latencies in milliseconds). Deterministic by seed. Takes
    /// about `more * draws` fits.
    ///
    /// # Errors
    /// When the measurements cannot calibrate a predictor.
    pub fn expected_gain<T: ToFeatures, U: ToFeatures>(
        &self,
        measured: &[(T, f64)],
        candidates: &[U],
        options: &GainOptions,
    ) -> Result<Gain, CalibrationError> {
        let seen: Vec<(Features, f64)> = measured
            .iter()
            .map(|(t, ms)| (t.to_features().into_owned(), *ms))
            .collect();
        let now = self.calibrate(&seen, &Options::default())?;
        let next = self.next_references(&seen, candidates, options.more, options.seed);
        let simulated: Vec<Features> = next
            .iter()
            .map(|i| candidates[*i].to_features().into_owned())
            .collect();
        let judged: Vec<_> = (0..candidates.len())
            .filter(|i| !next.contains(i))
            .map(|i| candidates[i].to_features())
            .filter(|f| seen.iter().all(|(s, _)| s.costs != f.costs))
            .take(JUDGED)
            .collect();
        let mut judged: Vec<&Features> = judged.iter().map(|f| &**f).collect();
        if judged.is_empty() {
            judged = simulated.iter().collect();
        }
        let measured = seen.len();
        if judged.is_empty() {
            judged = seen.iter().map(|(f, _)| f).collect();
        }
        let (error_now, interval_now, values) = outlook(&now, &judged);
        let outcomes: Vec<(f64, f64, f64)> = (0..options.draws.max(1) as u64)
            .into_par_iter()
            .map(|draw| {
                let mut rng = ChaCha8Rng::seed_from_u64(options.seed ^ (draw + 1) << 24);
                let mut seen = seen.clone();
                let mut then = now.clone();
                for features in &simulated {
                    let (sd, log_median) = deviation(&then, features);
                    let value = (log_median + sd * normal(&mut rng)).exp();
                    seen.push((features.clone(), value.clamp(1e-6, 1e9)));
                    then = self.refit(&now, &seen);
                }
                let (error, interval, after) = outlook(&then, &judged);
                (error, interval, spearman(&values, &after))
            })
            .collect();
        let mean = |f: &dyn Fn(&(f64, f64, f64)) -> f64| {
            outcomes.iter().map(f).sum::<f64>() / outcomes.len() as f64
        };
        Ok(Gain {
            measurements: measured,
            more: next.len(),
            next,
            error_now,
            // Knowing more never raises the expected error; where the few
            // draws say so it is chance.
            error_then: mean(&|o| o.0).min(error_now),
            interval_now,
            interval_then: mean(&|o| o.1.ln()).exp().min(interval_now),
            ranking: mean(&|o| o.2),
        })
    }

    /// The posterior with further measurements, in all else as it was: how far
    /// the model's deviations are off is not learned from values drawn from it.
    fn refit(&self, now: &Calibrated, seen: &[(Features, f64)]) -> Calibrated {
        let features: Vec<&Features> = seen.iter().map(|(f, _)| f).collect();
        let log_latency: Vec<f64> = seen.iter().map(|(_, ms)| ms.ln()).collect();
        let mut noise_factor = now.noise_factor.clone();
        noise_factor.resize(seen.len(), 1.0);
        let fit = posterior::fit_trusting(
            &super::basis::relevant(&self.bases, &features),
            &self.prior,
            &posterior::Evidence {
                features: &features,
                log_latency: &log_latency,
                noise_factor: &noise_factor,
                rounding: &now.resolution.variances(&log_latency),
            },
        );
        Calibrated {
            posterior: fit.posterior,
            ..now.clone()
        }
    }

    /// Candidates to measure next, in the order of
    /// [`choose_references`](Self::choose_references), without those measured.
    pub fn next_references<U: ToFeatures>(
        &self,
        measured: &[(Features, f64)],
        candidates: &[U],
        n: usize,
        seed: u64,
    ) -> Vec<usize> {
        let known = |i: usize| {
            let features = candidates[i].to_features();
            measured.iter().any(|(m, _)| m.costs == features.costs)
        };
        self.choose_references(candidates, measured.len() + n, seed)
            .into_iter()
            .filter(|i| !known(*i))
            .take(n)
            .collect()
    }
}

/// A standard normal number: twelve uniform draws are nearly that.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random_range(-0.5..0.5)).sum()
}
