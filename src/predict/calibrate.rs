//! Adapting the predictor to a device from a few measured networks: the
//! posterior, what of the measurements does not deserve trust, and how wide the
//! intervals must be by the errors of predictions from the other measurements.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::calibrated::{Calibrated, LeftOut};
use super::features::{Features, N_COSTS};
use super::posterior::{self, Evidence};
use super::resolution::Resolution;
use super::warning::Warning;
use super::{Predictor, ToFeatures, checks, robust, widths};

/// Fewest measurements that say anything about a device: one tells its speed.
pub const MIN_MEASUREMENTS: usize = 1;

/// Settings of a calibration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Whether a measurement that contradicts all others is distrusted.
    pub reject_outliers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            reject_outliers: true,
        }
    }
}

/// Why measurements cannot calibrate a predictor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    #[error("{found} measurements are too few: measure at least one network, better ten")]
    TooFew { found: usize },
    #[error(
        "measurement {index} (counted from 0) has latency {latency_ms} ms; latencies must be positive and finite, from 1e-6 to 1e9: measure it again, leave it out or check the unit"
    )]
    BadLatency { index: usize, latency_ms: f64 },
    #[error(
        "measurement {index} (counted from 0) has {found} features where this version uses {N_COSTS}: compute them again with Features::of"
    )]
    BadFeatures { index: usize, found: usize },
    #[error(
        "measurement {index} (counted from 0) has a cost `{name}` that is no non-negative number: compute its features again with Features::of"
    )]
    BadCost { index: usize, name: String },
    #[error(
        "{measurements} measurements of only {distinct} different networks say too little: measure at least 3 different ones"
    )]
    TooFewDistinct {
        measurements: usize,
        distinct: usize,
    },
}

impl Predictor {
    /// Adapts to a device from networks (or their features) and their measured
    /// latencies in milliseconds. Ten well-chosen ones are usually enough; see
    /// [`choose_references`](Predictor::choose_references).
    ///
    /// # Errors
    /// When there is none, fewer than three different networks are measured
    /// three times or more, or a latency is not positive.
    pub fn calibrate<T: ToFeatures>(
        &self,
        measurements: &[(T, f64)],
        options: &Options,
    ) -> Result<Calibrated, CalibrationError> {
        if measurements.len() < MIN_MEASUREMENTS {
            return Err(CalibrationError::TooFew {
                found: measurements.len(),
            });
        }
        let features: Vec<_> = measurements.iter().map(|(t, _)| t.to_features()).collect();
        let mut log_latency = Vec::with_capacity(measurements.len());
        for (index, (_, latency_ms)) in measurements.iter().enumerate() {
            if !checks::PLAUSIBLE.contains(latency_ms) {
                return Err(CalibrationError::BadLatency {
                    index,
                    latency_ms: *latency_ms,
                });
            }
            let found = features[index].costs.len();
            if found != N_COSTS {
                return Err(CalibrationError::BadFeatures { index, found });
            }
            log_latency.push(latency_ms.ln());
        }
        let features: Vec<&Features> = features.iter().map(|f| &**f).collect();
        checks::refuse(&features)?;
        Ok(self.calibrate_valid(&features, &log_latency, options))
    }

    fn calibrate_valid(
        &self,
        features: &[&Features],
        log_latency: &[f64],
        options: &Options,
    ) -> Calibrated {
        let n = features.len();
        let mut warnings = checks::duplicates(features);
        let usual = vec![1.0; n];
        let resolution = Resolution::of(log_latency);
        let rounding = resolution.variances(log_latency);
        let bases = super::basis::relevant(&self.bases, features);
        let seen = Evidence {
            features,
            log_latency,
            noise_factor: &usual,
            rounding: &rounding,
        };
        let fit = |seen: &Evidence| {
            let fit = match options.reject_outliers {
                true => posterior::fit(&bases, &self.prior, seen),
                false => posterior::fit_trusting(&bases, &self.prior, seen),
            };
            let trusted = Evidence {
                noise_factor: &fit.noise_factor,
                ..*seen
            };
            let left_out = self.leave_one_out(&bases, &trusted);
            (fit, left_out)
        };
        let (mut fitted, mut left_out) = fit(&seen);
        let gross = match options.reject_outliers {
            true => gross_errors(&fitted.noise_factor, log_latency, &left_out),
            false => Vec::new(),
        };
        let mut noise_factor = usual.clone();
        if !gross.is_empty() {
            gross
                .iter()
                .for_each(|i| noise_factor[*i] = OUTLIER_NOISE_FACTOR);
            (fitted, left_out) = fit(&Evidence {
                noise_factor: &noise_factor,
                ..seen
            });
        }
        warnings.extend(gross.into_iter().map(|index| Warning::Outlier {
            index,
            measured_ms: log_latency[index].exp(),
            expected_ms: left_out[index].0.exp(),
        }));
        let home = bases.iter().any(|b| b.range.is_some());
        let width = self.interval.width(home, n);
        let trusted = (0..n).filter(|i| noise_factor[*i] == 1.0 && n > 1);
        let log_scale = widths::log_scale(trusted.map(|i| {
            let (mean, sd) = left_out[i];
            (log_latency[i] - mean) / sd.hypot(rounding[i].sqrt())
        }));
        let mut widen = 1.0;
        if let Some(warning) = checks::constant_latency(features, log_latency) {
            warnings.push(warning);
            widen *= 3.0;
        }
        let (more, by) = checks::review(features, log_latency, &left_out, &noise_factor);
        warnings.extend(more);
        widen *= by;
        // Some hypothesis may fit by chance what the others' predictions miss.
        let scatter = warnings.iter().find_map(|warning| match warning {
            Warning::Scattered { error } => Some(SCATTER_SHARE * error),
            _ => None,
        });
        let mut calibrated = Calibrated {
            posterior: fitted.posterior,
            resolution,
            noise_factor: fitted.noise_factor,
            sd_factor: width.factor(log_scale) * widen,
            sd_floor: scatter.unwrap_or(0.0),
            log_scale,
            widen,
            z90: width.z90(),
            left_out: Vec::new(),
            warnings,
        };
        calibrated.left_out = (0..n)
            .map(|i| LeftOut {
                measured_ms: log_latency[i].exp(),
                predicted: calibrated.prediction(left_out[i].0, left_out[i].1),
            })
            .collect();
        calibrated
    }

    /// Mean and deviation of each measurement's logarithm given the others
    /// (in at most ten folds).
    pub(super) fn leave_one_out(&self, bases: &[Basis], seen: &Evidence) -> Vec<(f64, f64)> {
        let n = seen.features.len();
        if n < 2 {
            // Nothing is left to predict it from.
            return seen.log_latency.iter().map(|l| (*l, 1.0)).collect();
        }
        let folds = n.min(10);
        let parts: Vec<Vec<(usize, (f64, f64))>> = (0..folds)
            .into_par_iter()
            .map(|fold| {
                let kept: Vec<usize> = (0..n).filter(|i| i % folds != fold).collect();
                let of = |values: &[f64]| kept.iter().map(|i| values[*i]).collect::<Vec<_>>();
                let fit = posterior::fit_trusting(
                    bases,
                    &self.prior,
                    &Evidence {
                        features: &kept.iter().map(|i| seen.features[*i]).collect::<Vec<_>>(),
                        log_latency: &of(seen.log_latency),
                        noise_factor: &of(seen.noise_factor),
                        rounding: &of(seen.rounding),
                    },
                );
                (fold..n)
                    .step_by(folds)
                    .map(|i| (i, fit.posterior.log_mean_and_sd(seen.features[i])))
                    .collect()
            })
            .collect();
        let mut out = vec![(0.0, 0.0); n];
        for (i, moments) in parts.into_iter().flatten() {
            out[i] = moments;
        }
        out
    }
}

/// Of the error of predictions from the other measurements, where it is large:
/// no interval is narrower.
const SCATTER_SHARE: f64 = 0.6;

/// Noise variance of a distrusted measurement relative to a trusted one.
const OUTLIER_NOISE_FACTOR: f64 = 1e4;

/// A measurement so many times what the others expect is no spike of the device.
const GROSS_RATIO: f64 = 5.0;

/// Measurements that no device gives: the worst, at most one in five. They are
/// many times what the others expect, or so far from it that their noise was
/// raised to that of a gross error.
fn gross_errors(noise_factor: &[f64], log_latency: &[f64], left_out: &[(f64, f64)]) -> Vec<usize> {
    let n = log_latency.len();
    let error = |i: usize| log_latency[i] - left_out[i].0;
    let mut found: Vec<usize> = (0..n)
        .filter(|i| {
            let many_times = error(*i) > GROSS_RATIO.ln().max(4.0 * left_out[*i].1);
            many_times || (noise_factor[*i] >= robust::GROSS_FACTOR && error(*i).abs() > 0.3)
        })
        .collect();
    found.sort_by(|i, j| error(*j).abs().total_cmp(&error(*i).abs()));
    found.truncate(n / 5);
    found
}
