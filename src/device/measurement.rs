//! The record of one measured network: every sample, what they amount to, the
//! circumstances, and what should make a reader doubt them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::stats::{Summary, median};
use super::{DeviceFacts, PeakMemory, ProbeError, RunOptions, StopReason, Trace};

/// The reference network may change its latency by this fraction before a
/// measurement is called drifting.
pub const DRIFT_TOLERANCE: f64 = 0.1;

/// Half-width of the interval over the median that passes without a warning.
pub const WIDTH_TOLERANCE: f64 = 0.02;

/// Largest fraction of outliers that passes without a warning.
pub const OUTLIER_TOLERANCE: f64 = 0.1;

/// How many times the 5th percentile the median may be without a warning.
pub const INTERRUPTION_RATIO: f64 = 1.5;

/// A pass confirms the fastest one when it is slower by at most this fraction.
pub const PASS_TOLERANCE: f64 = 0.05;

/// A reason to doubt a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Warning {
    /// Warm-up reached its limit before latencies settled.
    UnstableWarmup { runs: usize },
    /// Sampling stopped early and left a wide interval.
    WideInterval { relative_half_width: f64 },
    /// The reference network's latency changed by this factor.
    Drift { ratio: f64 },
    /// Many samples were interrupted.
    Outliers { outliers: usize, samples: usize },
    /// Most samples were interrupted, so that even their median is no longer the
    /// network's own: it is this many times the 5th percentile.
    Interrupted { ratio: f64 },
    /// No other pass confirms the fastest; the next is slower by this fraction.
    PassesDisagree { gap: f64 },
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
            Warning::Interrupted { ratio } => write!(
                f,
                "most samples were interrupted: their median is {ratio:.1} times the fastest"
            ),
            Warning::PassesDisagree { gap } => write!(
                f,
                "no pass over this network confirms another: they differ by {:.0} % or more",
                100.0 * gap
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

/// One stretch of sampling; a survey makes several of each network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    pub median_ms: f64,
    /// How many of the measurement's samples are this pass's.
    pub samples: usize,
    /// The device's pace meanwhile; see [`Measurement::drift`].
    pub drift: Option<f64>,
}

/// One measured network. Latencies are of one inference of the whole batch.
///
/// Whatever else a device does only ever adds time, so of several passes the
/// fastest is the least disturbed, and it is believed once another pass confirms
/// it (see [`PASS_TOLERANCE`]). `summary` and `drift` are those of the passes
/// that agree with the fastest; where none does, of all passes, with a warning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Name of the network.
    pub network: String,
    pub engine: String,
    /// As the engine tells it.
    #[serde(default)]
    pub engine_version: Option<String>,
    /// Whether a model of a device computed the latencies.
    #[serde(default)]
    pub simulated: bool,
    pub device: DeviceFacts,
    pub batch: usize,
    pub threads: usize,
    /// Loading, in ms: with the first run, what an application waits for at its
    /// start. Of several passes, the first.
    #[serde(default)]
    pub load_ms: Option<f64>,
    /// The very first run after loading.
    pub cold_ms: f64,
    pub warmup_runs: usize,
    /// Runs averaged into each sample.
    pub inner_runs: usize,
    /// All samples of all passes, in order of time.
    pub samples_ms: Vec<f64>,
    pub passes: Vec<Pass>,
    /// Median, interval, 95th percentile, deviation and outliers. Of several
    /// passes, the median is that of their medians and the interval holds them
    /// all: samples close in time share their noise, and only the passes tell
    /// how much.
    #[serde(flatten)]
    pub summary: Summary,
    /// Latencies of the reference network, interleaved with the samples.
    pub reference_ms: Vec<f64>,
    /// Median of `reference_ms` over the reference's latency at the outset:
    /// above 1 where the device had become slower. `None` without a reference.
    pub drift: Option<f64>,
    pub stop: StopReason,
    /// Peak memory of the process that ran it; `None` where nothing tells.
    #[serde(default)]
    pub memory: Option<PeakMemory>,
    /// Energy of one inference; `None` where there is no meter. That of a
    /// machine's own meter is of the whole machine meanwhile.
    #[serde(default)]
    pub energy_mj: Option<f64>,
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
            engine_version: None,
            simulated: false,
            device,
            batch: options.batch,
            threads: options.threads,
            load_ms: None,
            cold_ms: trace.cold_ms,
            warmup_runs: trace.warmup_runs,
            inner_runs: trace.inner_runs,
            passes: vec![Pass {
                median_ms: summary.median_ms,
                samples: trace.samples_ms.len(),
                drift,
            }],
            samples_ms: trace.samples_ms,
            summary,
            reference_ms: trace.reference_ms,
            drift,
            stop: trace.stop,
            memory: None,
            energy_mj: None,
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
        self.samples_ms.extend(later.samples_ms);
        self.reference_ms.extend(later.reference_ms);
        self.passes.extend(later.passes);
        self.warmup_runs += later.warmup_runs;
        self.stop = self.stop.max(later.stop);
        self.memory = match (self.memory, later.memory) {
            (Some(a), Some(b)) => Some(a.larger(b)),
            (a, b) => a.or(b),
        };
        // Other work only ever adds energy.
        self.energy_mj = match (self.energy_mj, later.energy_mj) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.summarise()?;
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

    /// How much slower, as a fraction, the second-fastest pass is than the
    /// fastest; `None` after a single pass.
    pub fn pass_gap(&self) -> Option<f64> {
        let mut medians: Vec<f64> = self.passes.iter().map(|p| p.median_ms).collect();
        medians.sort_by(f64::total_cmp);
        match medians[..] {
            [fastest, second, ..] => Some(second / fastest - 1.0),
            _ => None,
        }
    }

    /// Whether the fastest pass stands alone.
    pub fn is_unconfirmed(&self) -> bool {
        self.pass_gap().is_some_and(|gap| gap > PASS_TOLERANCE)
    }

    /// Whether a pass agrees with the fastest; where none does, all count.
    fn counts(&self) -> impl Fn(&Pass) -> bool + use<> {
        let medians = self.passes.iter().map(|p| p.median_ms);
        let fastest = medians.fold(f64::INFINITY, f64::min);
        let all = self.is_unconfirmed();
        move |p| all || p.median_ms <= fastest * (1.0 + PASS_TOLERANCE)
    }

    /// Medians, in ms, of the passes that count.
    pub(super) fn counted_ms(&self) -> Vec<f64> {
        let counts = self.counts();
        let counted = self.passes.iter().filter(|p| counts(p));
        counted.map(|p| p.median_ms).collect()
    }

    /// Sums up the passes that count.
    fn summarise(&mut self) -> Result<(), ProbeError> {
        let counts = self.counts();
        let mut rest = self.samples_ms.as_slice();
        let mut samples = Vec::new();
        for pass in &self.passes {
            let (own, later) = rest.split_at(pass.samples);
            if counts(pass) {
                samples.extend_from_slice(own);
            }
            rest = later;
        }
        let counted = self.passes.iter().filter(|p| counts(p));
        let drifts: Vec<f64> = counted.filter_map(|p| p.drift).collect();
        let medians = self.counted_ms();
        self.summary = Summary::of(&samples)?;
        self.summary.median_ms = median(&medians);
        for pass in medians {
            self.summary.ci95_ms.0 = self.summary.ci95_ms.0.min(pass);
            self.summary.ci95_ms.1 = self.summary.ci95_ms.1.max(pass);
        }
        self.drift = (!drifts.is_empty()).then(|| median(&drifts));
        Ok(())
    }

    /// Adds the warnings that the samples themselves give rise to.
    fn judge_samples(&mut self) {
        let samples = self.summary.samples;
        let outliers = self.summary.outliers;
        if outliers as f64 > OUTLIER_TOLERANCE * samples as f64 {
            self.warnings.push(Warning::Outliers { outliers, samples });
        }
        let ratio = self.summary.median_ms / self.summary.p05_ms;
        if ratio > INTERRUPTION_RATIO {
            self.warnings.push(Warning::Interrupted { ratio });
        }
        let relative_half_width = self.summary.relative_half_width();
        if self.stop != StopReason::Precise && relative_half_width > WIDTH_TOLERANCE {
            self.warnings.push(Warning::WideInterval {
                relative_half_width,
            });
        }
        if let Some(ratio) = self.drift.filter(|d| (d - 1.0).abs() > DRIFT_TOLERANCE) {
            self.warnings.push(Warning::Drift { ratio });
        }
        if let Some(gap) = self.pass_gap().filter(|_| self.is_unconfirmed()) {
            self.warnings.push(Warning::PassesDisagree { gap });
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
