//! What comes of a job: everything that was timed, or a failure with its cause.
//! A device's word is not taken for it: what it reports is checked against the
//! job and against the time that passed here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{JobSpec, plain};
use crate::device::{Observation, ProbeError};

/// Latencies below a millionth of a millisecond are no latencies: no network
/// runs within a nanosecond.
const SHORTEST_MS: f64 = 1e-6;

/// Most runs averaged into one sample.
const MOST_INNER_RUNS: usize = 1_000_000;

/// Longest explanation that is kept of a failure, in characters.
const LONGEST_REASON: usize = 2_000;

/// More time than a network is simulated for.
const LONGEST_SIMULATED_MS: f64 = 86_400_000.0;

/// What a device measured.
pub type Report = Observation;

/// More memory than any device has.
const MOST_BYTES: u64 = 1 << 50;

/// Why there is no measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    #[error("engine `{engine}` cannot load the network: {reason}")]
    Load { engine: String, reason: String },
    #[error("engine `{engine}` failed while running the network: {reason}")]
    Run { engine: String, reason: String },
    #[error("engine `{engine}` does not support {what}")]
    Unsupported {
        engine: String,
        what: String,
        remedy: String,
    },
    #[error("engine `{engine}`: the network exceeds the device's limits: {reason}")]
    Limit { engine: String, reason: String },
    /// The engine is a plugin that hung, printed rubbish or ended.
    #[error("plugin `{plugin}` failed {reason}")]
    Plugin { plugin: String, reason: String },
    /// NaN, negative or absurd samples, or fewer than were asked for.
    #[error("its measurement is not believable: {reason}")]
    Unbelievable { reason: String },
    #[error("the measurement took longer than {limit_s:.0} s and was ended")]
    TimedOut { limit_s: f64 },
    #[error("the measuring process took more than {limit_mib} MiB of memory and was ended")]
    Memory { limit_mib: u64 },
    #[error("the measuring process ended: {reason}")]
    Crashed { reason: String },
    #[error("the device refuses the job: {reason}")]
    Refused { reason: String },
    #[error("the device vanished {attempts} times while measuring this network")]
    Vanished { attempts: u32 },
    #[error("the device was revoked")]
    Revoked,
    #[error("the measurement failed: {reason}")]
    Other { reason: String },
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Measured(Box<Report>),
    Failed(Failure),
}

impl Report {
    /// Checks that this can be what a device saw that was busy with the job for
    /// `elapsed` at most.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&self, spec: &JobSpec, elapsed: Duration) -> Result<(), Failure> {
        let trace = &self.trace;
        let protocol = &spec.protocol;
        let count = trace.samples_ms.len();
        let wanted = protocol.min_samples..=protocol.max_samples;
        require(wanted.contains(&count), || {
            format!(
                "it has {count} samples, not between {} and {}",
                protocol.min_samples, protocol.max_samples
            )
        })?;
        require(trace.reference_ms.len() <= count + 1, || {
            "it has more samples of the reference than of the network".into()
        })?;
        require((1..=MOST_INNER_RUNS).contains(&trace.inner_runs), || {
            format!("each sample is the mean of {} runs", trace.inner_runs)
        })?;
        require(trace.warmup_runs <= protocol.max_warmup_runs, || {
            format!("it warmed up for {} runs", trace.warmup_runs)
        })?;
        let all = trace.samples_ms.iter().chain(&trace.reference_ms);
        for &ms in all.chain(&self.baseline_ms) {
            require(ms.is_finite() && ms >= SHORTEST_MS, || {
                format!("a latency of {ms} ms is none")
            })?;
        }
        let cold = trace.cold_ms;
        require(cold.is_finite() && cold >= 0.0, || {
            format!("a first run of {cold} ms is none")
        })?;
        let load = self.load_ms.unwrap_or(0.0);
        require(load.is_finite() && load >= 0.0, || {
            format!("loading for {load} ms is none")
        })?;
        let energy = self.energy_mj.unwrap_or(0.0);
        require(energy.is_finite() && energy >= 0.0, || {
            format!("an energy of {energy} mJ is none")
        })?;
        let bytes = self.memory.map_or(0, |m| m.peak_bytes.max(m.before_bytes));
        require(bytes <= MOST_BYTES, || {
            format!("{bytes} bytes of memory are more than any device has")
        })?;
        let runs = trace.inner_runs as f64;
        let sampled_ms = trace.samples_ms.iter().sum::<f64>() * runs + cold + load;
        if self.simulated {
            // A model of a slower device computes its latencies in no time.
            return require(sampled_ms <= LONGEST_SIMULATED_MS, || {
                format!("a simulated {sampled_ms:.0} ms are more than a day")
            });
        }
        // Clocks of two machines may differ, but not by so much.
        let most_ms = elapsed.as_secs_f64() * 1e3 * 1.05 + 1_000.0;
        require(sampled_ms <= most_ms, || {
            format!("it says that it ran for {sampled_ms:.0} ms, but only {most_ms:.0} ms passed")
        })
    }
}

fn require(holds: bool, reason: impl FnOnce() -> String) -> Result<(), Failure> {
    match holds {
        true => Ok(()),
        false => Err(Failure::Unbelievable { reason: reason() }),
    }
}

impl Outcome {
    /// What is kept of an outcome: nothing that a log or a terminal should not
    /// see, and a failure in the place of a measurement that cannot be.
    pub fn checked(self, spec: &JobSpec, elapsed: Duration) -> Outcome {
        match self {
            Outcome::Measured(mut report) => match report.check(spec, elapsed) {
                Ok(()) => {
                    super::clean(&mut report.facts);
                    let version = report.engine_version.as_mut();
                    if let Some(version) = version {
                        *version = plain(version, 64);
                    }
                    Outcome::Measured(report)
                }
                Err(failure) => Outcome::Failed(failure),
            },
            Outcome::Failed(failure) => Outcome::Failed(failure.cleaned()),
        }
    }
}

impl Failure {
    /// The failure as the probe's error.
    pub fn into_error(self, device: &str) -> ProbeError {
        match self {
            Failure::Load { engine, reason } => ProbeError::Load { engine, reason },
            Failure::Run { engine, reason } => ProbeError::Run { engine, reason },
            Failure::Unsupported {
                engine,
                what,
                remedy,
            } => ProbeError::Unsupported {
                engine,
                what,
                remedy,
            },
            Failure::Limit { engine, reason } => ProbeError::Limit { engine, reason },
            other => ProbeError::Remote {
                device: device.into(),
                remedy: other.remedy().into(),
                reason: other.to_string(),
            },
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Failure::TimedOut { .. } => "choose a smaller network or a protocol with less to do",
            Failure::Memory { .. } => "choose a smaller network, or raise the agent's --memory",
            Failure::Plugin { .. } => {
                "try its profile there with `bespoke-probe facts --device FILE.toml`"
            }
            Failure::Unbelievable { .. } => "check the device's clock and engine",
            Failure::Revoked => "enrol it again with `bespoke devices enrol`",
            Failure::Vanished { .. } => "see what the agent says on the device",
            _ => "see what the agent says on the device, and measure again",
        }
    }

    fn cleaned(self) -> Failure {
        let text = |t: String| plain(&t, LONGEST_REASON);
        match self {
            Failure::Load { engine, reason } => Failure::Load {
                engine: text(engine),
                reason: text(reason),
            },
            Failure::Run { engine, reason } => Failure::Run {
                engine: text(engine),
                reason: text(reason),
            },
            Failure::Unsupported {
                engine,
                what,
                remedy,
            } => Failure::Unsupported {
                engine: text(engine),
                what: text(what),
                remedy: text(remedy),
            },
            Failure::Limit { engine, reason } => Failure::Limit {
                engine: text(engine),
                reason: text(reason),
            },
            Failure::Plugin { plugin, reason } => Failure::Plugin {
                plugin: text(plugin),
                reason: text(reason),
            },
            Failure::Unbelievable { reason } => Failure::Unbelievable {
                reason: text(reason),
            },
            Failure::Crashed { reason } => Failure::Crashed {
                reason: text(reason),
            },
            Failure::Refused { reason } => Failure::Refused {
                reason: text(reason),
            },
            Failure::Other { reason } => Failure::Other {
                reason: text(reason),
            },
            plain @ (Failure::TimedOut { .. }
            | Failure::Memory { .. }
            | Failure::Vanished { .. }
            | Failure::Revoked) => plain,
        }
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Load { engine, reason } => Failure::Load { engine, reason },
            ProbeError::Run { engine, reason } => Failure::Run { engine, reason },
            ProbeError::Unsupported {
                engine,
                what,
                remedy,
            } => Failure::Unsupported {
                engine,
                what,
                remedy,
            },
            ProbeError::Limit { engine, reason } => Failure::Limit { engine, reason },
            ProbeError::Plugin {
                plugin,
                doing,
                failure,
            } => Failure::Plugin {
                plugin,
                reason: format!("{doing}: {failure}"),
            },
            bad @ ProbeError::BadSample { .. } => Failure::Unbelievable {
                reason: bad.to_string(),
            },
            other => Failure::Other {
                reason: other.to_string(),
            },
        }
    }
}
