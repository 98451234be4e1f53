//! The record of one measured network: every sample, what they amount to, the
//! circumstances, and what should make a reader doubt them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::stats::{Summary, median};
use super::{DeviceFacts, ProbeError, RunOptions, StopReason, Trace};

/// The reference network may change its latency by this fraction before a
/// measurement is called drifting.
pub const DRIFT_TOLERANCE: f64 = 0.1;

/// Largest fraction of outliers that passes without a warning.
pub const OUTLIER_TOLERANCE: f64 = 0.1;

/// How far the medians of two passes may differ without a warning.
pub const PASS_TOLERANCE: f64 = 0.1;

/// A reason to doubt a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Warning {
    /// Warm-up reached its limit before latencies settled.
    UnstableWarmup { runs: usize },
    /// Sampling stopped before the interval was as narrow as asked.
    WideInterval { relative_half_width: f64 },
    /// The reference network's latency changed by this factor.
    Drift { ratio: f64 },
    /// Many samples were interrupted.
    Outliers { outliers: usize, samples: usize },
    /// The passes over this network disagree; the fraction is their spread over
    /// the mean of their medians.
    PassesDisagree { spread: f64 },
    /// The governor may lower the clock between runs.
    Governor { governor: String },
    /// Other processes compete for the cores.
    Busy { load_1min: f64 },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::UnstableWarmup { runs } => {
                write!(f, "latency had not settled after {runs} warm-up runs")
            }
            Warning::WideInterval {
                relative_half_width,
            } => write!(
                f,
                "the median is known only to ±{:.1} %",
                100.0 * relative_half_width
            ),
            Warning::Drift { ratio } => write!(
                f,
                "the device itself became {:.2} times as slow while measuring",
                ratio
            ),
            Warning::Outliers { outliers, samples } => {
                write!(f, "{outliers} of {samples} samples are outliers")
            }
            Warning::PassesDisagree { spread } => write!(
                f,
                "two passes over this network differ by {:.0} %",
                100.0 * spread
            ),
            Warning::Governor { governor } => write!(
                f,
                "the frequency governor is `{governor}`; `performance` measures more steadily"
            ),
            Warning::Busy { load_1min } => write!(
                f,
                "other processes keep the cores busy (load {load_1min:.1})"
            ),
        }
    }
}

/// One measured network. Latencies are of one inference of the whole batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Name of the network.
    pub network: String,
    pub engine: String,
    pub device: DeviceFacts,
    pub batch: usize,
    pub threads: usize,
    /// The very first run after loading.
    pub cold_ms: f64,
    pub warmup_runs: usize,
    /// Runs averaged into each sample.
    pub inner_runs: usize,
    pub samples_ms: Vec<f64>,
    /// Median, interval, 95th percentile, deviation and outliers of the
    /// samples. After several passes the interval is widened to hold every
    /// pass's median: samples close in time share their noise, and only the
    /// passes tell how much.
    #[serde(flatten)]
    pub summary: Summary,
    /// Median of each pass over the network, in order.
    pub passes_ms: Vec<f64>,
    /// Latencies of the reference network, interleaved with the samples.
    pub reference_ms: Vec<f64>,
    /// Median of `reference_ms` over the reference's latency at the outset:
    /// above 1 where the device had become slower. `None` without a reference.
    pub drift: Option<f64>,
    pub stop: StopReason,
    pub warnings: Vec<Warning>,
}

impl Measurement {
    /// Sums up one pass.
    ///
    /// # Errors
    /// When a latency is not a positive finite number.
    pub fn from_trace(
        network: &str,
        engine: String,
        device: DeviceFacts,
        options: &RunOptions,
        trace: Trace,
        baseline_ms: Option<f64>,
    ) -> Result<Self, ProbeError> {
        let summary = Summary::of(&trace.samples_ms)?;
        let drift = baseline_ms
            .filter(|_| !trace.reference_ms.is_empty())
            .map(|baseline| median(&trace.reference_ms) / baseline);
        let mut warnings = circumstances(&device);
        if !trace.warmup_stable {
            warnings.push(Warning::UnstableWarmup {
                runs: trace.warmup_runs,
            });
        }
        let mut measurement = Measurement {
            network: network.into(),
            engine,
            device,
            batch: options.batch,
            threads: options.threads,
            cold_ms: trace.cold_ms,
            warmup_runs: trace.warmup_runs,
            inner_runs: trace.inner_runs,
            samples_ms: trace.samples_ms,
            summary,
            passes_ms: vec![summary.median_ms],
            reference_ms: trace.reference_ms,
            drift,
            stop: trace.stop,
            warnings,
        };
        measurement.judge_samples();
        Ok(measurement)
    }

    /// Joins a later pass over the same network to this one.
    ///
    /// # Errors
    /// When a latency is not a positive finite number.
    pub fn join(mut self, later: Measurement) -> Result<Self, ProbeError> {
        self.drift = match (self.drift, later.drift) {
            (Some(a), Some(b)) => {
                let (n, m) = (self.passes_ms.len() as f64, later.passes_ms.len() as f64);
                Some((n * a + m * b) / (n + m))
            }
            (a, b) => a.or(b),
        };
        self.samples_ms.extend(later.samples_ms);
        self.reference_ms.extend(later.reference_ms);
        self.passes_ms.extend(later.passes_ms);
        self.warmup_runs += later.warmup_runs;
        self.stop = self.stop.max(later.stop);
        self.summary = Summary::of(&self.samples_ms)?;
        for pass in &self.passes_ms {
            self.summary.ci95_ms.0 = self.summary.ci95_ms.0.min(*pass);
            self.summary.ci95_ms.1 = self.summary.ci95_ms.1.max(*pass);
        }
        self.warnings.retain(is_about_circumstances);
        for warning in later.warnings {
            if is_about_circumstances(&warning) && !self.has_kind(&warning) {
                self.warnings.push(warning);
            }
        }
        self.judge_samples();
        Ok(self)
    }

    /// Median latency in milliseconds.
    pub fn median_ms(&self) -> f64 {
        self.summary.median_ms
    }

    /// Median latency with the device's drift divided out: what the network
    /// would have taken at the device's pace when the reference was loaded.
    pub fn drift_free_ms(&self) -> f64 {
        self.summary.median_ms / self.drift.unwrap_or(1.0)
    }

    /// Adds the warnings that the samples themselves give rise to.
    fn judge_samples(&mut self) {
        let samples = self.samples_ms.len();
        let outliers = self.summary.outliers;
        if outliers as f64 > OUTLIER_TOLERANCE * samples as f64 {
            self.warnings.push(Warning::Outliers { outliers, samples });
        }
        if self.stop != StopReason::Precise {
            self.warnings.push(Warning::WideInterval {
                relative_half_width: self.summary.relative_half_width(),
            });
        }
        if let Some(ratio) = self.drift.filter(|d| (d - 1.0).abs() > DRIFT_TOLERANCE) {
            self.warnings.push(Warning::Drift { ratio });
        }
        let low = self.passes_ms.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.passes_ms.iter().copied().fold(0.0, f64::max);
        let mean = self.passes_ms.iter().sum::<f64>() / self.passes_ms.len() as f64;
        let spread = (high - low) / mean;
        if spread > PASS_TOLERANCE {
            self.warnings.push(Warning::PassesDisagree { spread });
        }
    }

    fn has_kind(&self, warning: &Warning) -> bool {
        let kind = std::mem::discriminant(warning);
        self.warnings
            .iter()
            .any(|w| std::mem::discriminant(w) == kind)
    }
}

/// Whether a warning is about how a pass went rather than about its samples,
/// which are judged anew when passes are joined.
fn is_about_circumstances(warning: &Warning) -> bool {
    matches!(
        warning,
        Warning::UnstableWarmup { .. } | Warning::Governor { .. } | Warning::Busy { .. }
    )
}

fn circumstances(device: &DeviceFacts) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Some(governor) = device.governor.as_ref().filter(|g| *g != "performance") {
        warnings.push(Warning::Governor {
            governor: governor.clone(),
        });
    }
    if let Some(load_1min) = device.load_1min.filter(|_| device.is_busy()) {
        warnings.push(Warning::Busy { load_1min });
    }
    warnings
}
