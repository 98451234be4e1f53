//! How carefully to measure: when warm-up is over, when enough samples are in,
//! and how much time it may all take. A protocol is plain data so that a run
//! can record the one it used.

use serde::{Deserialize, Serialize};

use super::ProbeError;

/// Fewest samples from which a 95 % interval of the median exists: with five,
/// the median lies outside their range with probability 2/32.
pub const FEWEST_SAMPLES: usize = 6;

/// The measuring protocol of one network.
///
/// *Warm-up* runs the network until it is stable: both `min_warmup_runs` and
/// `min_warmup_ms` have passed, and the medians of the last two windows of
/// `warmup_window` runs differ by at most `warmup_tolerance` of the earlier. It
/// gives up, with a warning, at `max_warmup_runs` or `max_warmup_ms`.
///
/// *Sampling* then stops at the first of: the 95 % interval of the median is
/// narrow enough, `max_samples`, or `budget_ms`; always with `min_samples`. A
/// sample is the mean of as many consecutive runs as fill `min_sample_ms`,
/// where the clock's own cost and resolution no longer matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    pub min_warmup_runs: usize,
    /// Clocks ramp up and caches fill over time, not over runs.
    pub min_warmup_ms: f64,
    pub max_warmup_runs: usize,
    pub max_warmup_ms: f64,
    pub warmup_window: usize,
    pub warmup_tolerance: f64,
    /// Half-width of the 95 % interval over the median at which sampling stops.
    pub target_half_width: f64,
    pub min_samples: usize,
    pub max_samples: usize,
    /// Least time to sample for: a burst of samples shares one moment's noise,
    /// so that its interval is narrow and wrong.
    pub min_sampling_ms: f64,
    pub budget_ms: f64,
    /// Least duration of one sample.
    pub min_sample_ms: f64,
    /// Time between two runs of the reference network.
    pub reference_every_ms: f64,
    /// How often a list of networks is gone through, each time in a new order.
    pub passes: usize,
    /// How often at most, going again through those networks whose fastest pass
    /// no other confirms, or through all of them where passes differ much.
    pub max_passes: usize,
    /// Standard error, as a fraction, that the passes should leave of a latency:
    /// loaded anew a network lies elsewhere in memory, which alone can be worth
    /// some percent, and no number of samples of one pass tells it.
    #[serde(default = "target_pass_error")]
    pub target_pass_error: f64,
}

fn target_pass_error() -> f64 {
    Protocol::quick().target_pass_error
}

impl Protocol {
    /// For searching: under half a second a network and pass.
    pub fn quick() -> Self {
        Protocol {
            min_warmup_runs: 3,
            min_warmup_ms: 10.0,
            max_warmup_runs: 1_000,
            max_warmup_ms: 60.0,
            warmup_window: 5,
            warmup_tolerance: 0.05,
            target_half_width: 0.01,
            min_samples: 20,
            max_samples: 2_000,
            min_sampling_ms: 100.0,
            budget_ms: 250.0,
            min_sample_ms: 0.2,
            reference_every_ms: 10.0,
            passes: 2,
            max_passes: 5,
            target_pass_error: 0.015,
        }
    }

    /// For results that will be published: some seconds a network.
    pub fn thorough() -> Self {
        Protocol {
            min_warmup_runs: 10,
            min_warmup_ms: 200.0,
            max_warmup_ms: 1_000.0,
            target_half_width: 0.005,
            min_samples: 50,
            max_samples: 10_000,
            min_sampling_ms: 500.0,
            budget_ms: 2_000.0,
            passes: 3,
            max_passes: 9,
            target_pass_error: 0.0075,
            ..Self::quick()
        }
    }

    /// Checks that the numbers make a protocol.
    ///
    /// # Errors
    /// Names the first field that does not.
    pub fn check(&self) -> Result<(), ProbeError> {
        let positive = "must be a positive number";
        for (field, value) in [
            ("warmup_tolerance", self.warmup_tolerance),
            ("target_half_width", self.target_half_width),
            ("budget_ms", self.budget_ms),
            ("min_sample_ms", self.min_sample_ms),
            ("reference_every_ms", self.reference_every_ms),
            ("target_pass_error", self.target_pass_error),
        ] {
            require(value.is_finite() && value > 0.0, field, positive)?;
        }
        let not_negative = "must be zero or a positive number";
        for (field, value) in [
            ("min_warmup_ms", self.min_warmup_ms),
            ("max_warmup_ms", self.max_warmup_ms),
            ("min_sampling_ms", self.min_sampling_ms),
        ] {
            require(value.is_finite() && value >= 0.0, field, not_negative)?;
        }
        require(
            self.warmup_window > 0,
            "warmup_window",
            "must be at least 1",
        )?;
        require(
            self.max_warmup_runs > 0,
            "max_warmup_runs",
            "must be at least 1",
        )?;
        require(self.passes > 0, "passes", "must be at least 1")?;
        require(
            self.max_passes >= self.passes,
            "max_passes",
            "must not be below passes",
        )?;
        require(
            self.min_samples >= FEWEST_SAMPLES,
            "min_samples",
            "must be at least 6, or the median has no 95 % interval",
        )?;
        require(
            self.max_samples >= self.min_samples,
            "max_samples",
            "must not be below min_samples",
        )?;
        require(
            self.min_warmup_runs <= self.max_warmup_runs
                && self.min_warmup_ms <= self.max_warmup_ms,
            "min_warmup_runs or min_warmup_ms",
            "must not exceed its maximum",
        )?;
        require(
            self.min_sampling_ms <= self.budget_ms,
            "min_sampling_ms",
            "must not exceed budget_ms",
        )
    }
}

impl Default for Protocol {
    fn default() -> Self {
        Self::quick()
    }
}

fn require(holds: bool, field: &'static str, reason: &'static str) -> Result<(), ProbeError> {
    if holds {
        Ok(())
    } else {
        Err(ProbeError::Protocol { field, reason })
    }
}
