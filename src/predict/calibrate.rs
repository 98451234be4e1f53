//! Adapting the predictor to a device from a few measured networks, and what
//! comes of it: predictions with 90 % intervals, leave-one-out errors, and
//! warnings where the measurements do not deserve trust.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::features::{Features, N_COSTS};
use super::posterior::{self, Evidence, Posterior};
use super::{Agreement, Predictor, ToFeatures, agreement, checks, robust};

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

/// Something the user should know about the measurements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// These measurements are of networks the predictor cannot tell apart.
    Duplicates { indices: Vec<usize> },
    /// The measurement contradicts all others and was distrusted.
    Outlier {
        index: usize,
        measured_ms: f64,
        expected_ms: f64,
    },
    /// The latency does not depend on the network, though the networks differ.
    ConstantLatency { latency_ms: f64 },
    /// Too few to recognise a bad one among them.
    Few { measurements: usize },
    /// Repeats of equal networks that differ more than noise explains.
    DisagreeingRepeats {
        indices: Vec<usize>,
        low_ms: f64,
        high_ms: f64,
    },
    /// These contradict the others, and are too many to be left out.
    Contradictory { indices: Vec<usize> },
    /// The latencies vary, but not with the networks. Typical (root mean
    /// square) errors of the logarithm: of predictions from the other
    /// measurements, and of their mean.
    Unrelated { error: f64, error_of_mean: f64 },
    /// The latencies vary, by this factor from least to most, far less than
    /// the networks' work does.
    HardlyVaries { latency_ratio: f64, work_ratio: f64 },
    /// Predicting each measurement from the others typically (root mean
    /// square) errs by this much of the logarithm.
    Scattered { error: f64 },
    /// Networks whose output does not depend on their input.
    ConstantOutput { indices: Vec<usize> },
    /// No device is so fast or slow: the unit is probably another.
    ImplausibleSpeed { macs_per_second: f64 },
}

/// What a network is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Posterior median, in milliseconds.
    pub latency_ms: f64,
    /// Lower end of the 90 % interval.
    pub low_ms: f64,
    /// Upper end of the 90 % interval.
    pub high_ms: f64,
    /// Standard deviation of the natural logarithm of the latency.
    pub sd_log: f64,
}

/// A measurement beside the prediction of the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    pub measured_ms: f64,
    pub predicted: Prediction,
}

/// A predictor for one device. Serialisable, to be stored with a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    pub(super) posterior: Posterior,
    #[serde(default)]
    pub(super) resolution: Resolution,
    /// What multiplies each measurement's noise variance.
    #[serde(default)]
    pub(super) noise_factor: Vec<f64>,
    /// Multiplies standard deviations, from the leave-one-out errors.
    pub(super) sd_factor: f64,
    /// Least standard deviation, where the measurements do not agree.
    #[serde(default)]
    pub(super) sd_floor: f64,
    pub(super) z90: f64,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) warnings: Vec<Warning>,
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
        let mut warnings = duplicates(features);
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
        // Posterior scale of the standardised errors, under a prior worth some
        // measurements; single errors are capped so that one cannot ruin it.
        let trusted = (0..n).filter(|i| noise_factor[*i] == 1.0);
        let (mut sum, mut count) = (self.interval.measurements, self.interval.measurements);
        for i in trusted {
            let (mean, sd) = left_out[i];
            sum += ((log_latency[i] - mean) / sd).powi(2).min(25.0);
            count += 1.0;
        }
        let mut sd_factor = (sum / count).sqrt();
        if let Some(warning) = constant_latency(features, log_latency) {
            warnings.push(warning);
            sd_factor *= 3.0;
        }
        let (more, widen) = checks::review(features, log_latency, &left_out, &noise_factor);
        warnings.extend(more);
        sd_factor *= widen;
        // Some hypothesis may fit by chance what the others' predictions miss.
        let scatter = warnings.iter().find_map(|warning| match warning {
            Warning::Scattered { error } => Some(SCATTER_SHARE * error),
            _ => None,
        });
        let mut calibrated = Calibrated {
            posterior: fitted.posterior,
            resolution,
            noise_factor: fitted.noise_factor,
            sd_factor,
            sd_floor: scatter.unwrap_or(0.0),
            z90: match bases.iter().any(|b| b.range.is_some()) {
                true => self.interval.z90,
                false => self.interval.z90_away,
            },
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
    fn leave_one_out(&self, bases: &[Basis], seen: &Evidence) -> Vec<(f64, f64)> {
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

/// The clock's resolution in milliseconds: the largest power of ten that all
/// latencies are whole multiples of. Phones' tables hold whole milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Resolution(f64);

impl Resolution {
    pub fn of(log_latency: &[f64]) -> Self {
        let whole = |step: f64| {
            log_latency.iter().all(|l| {
                let multiple = l.exp() / step;
                multiple > 0.5 && (multiple - multiple.round()).abs() < 1e-6
            })
        };
        let step = (-6..=3).rev().map(|k| 10f64.powi(k)).find(|s| whole(*s));
        Resolution(step.unwrap_or(0.0))
    }

    /// Variance of a logarithm from rounding: uniform over one step.
    fn variance(self, log_latency: f64) -> f64 {
        (self.0 / log_latency.exp()).powi(2).min(1.0) / 12.0
    }

    pub fn variances(self, log_latency: &[f64]) -> Vec<f64> {
        log_latency.iter().map(|l| self.variance(*l)).collect()
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

fn duplicates(features: &[&Features]) -> Vec<Warning> {
    checks::repeats(features)
        .into_iter()
        .filter(|g| g.len() > 1)
        .map(|indices| Warning::Duplicates { indices })
        .collect()
}

/// Latencies within 0.1 % of each other while the networks' work differs by
/// more than 20 %.
fn constant_latency(features: &[&Features], log_latency: &[f64]) -> Option<Warning> {
    let spread = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(v), h.max(v))
        });
        high - low
    };
    let work = checks::work_spread(features);
    (work > 0.2 && spread(&mut log_latency.iter().copied()) < 1e-3).then(|| {
        Warning::ConstantLatency {
            latency_ms: log_latency[0].exp(),
        }
    })
}

impl Calibrated {
    /// Predicts a network's latency with its 90 % interval.
    pub fn predict<T: ToFeatures + ?Sized>(&self, network: &T) -> Prediction {
        let (mean, sd) = self.posterior.log_mean_and_sd(&network.to_features());
        self.prediction(mean, sd)
    }

    /// Predicts many networks on all cores, in their order.
    pub fn predict_batch<T: ToFeatures + Sync>(&self, networks: &[T]) -> Vec<Prediction> {
        networks.par_iter().map(|n| self.predict(n)).collect()
    }

    /// The latency alone, in milliseconds: much faster than
    /// [`predict`](Self::predict), for searchers that rank many candidates.
    pub fn latency_ms<T: ToFeatures + ?Sized>(&self, network: &T) -> f64 {
        self.posterior.log_mean(&network.to_features()).exp()
    }

    /// Each measurement beside the prediction of a calibration without it
    /// (without its fold, beyond ten measurements).
    pub fn leave_one_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Agreement of the leave-one-out predictions with the measurements.
    pub fn leave_one_out_agreement(&self) -> Agreement {
        let predicted: Vec<f64> = self
            .left_out
            .iter()
            .map(|l| l.predicted.latency_ms)
            .collect();
        let measured: Vec<f64> = self.left_out.iter().map(|l| l.measured_ms).collect();
        agreement(&predicted, &measured)
    }

    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn prediction(&self, mean: f64, sd: f64) -> Prediction {
        let sd = (sd * self.sd_factor).max(self.sd_floor);
        let sd_log = sd.hypot(self.resolution.variance(mean).sqrt());
        let reach = self.z90 * sd_log;
        Prediction {
            latency_ms: mean.exp(),
            low_ms: (mean - reach).exp(),
            high_ms: (mean + reach).exp(),
            sd_log,
        }
    }
}
