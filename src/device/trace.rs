//! The measuring itself: one session, one clock, and the protocol's rules for
//! when to stop. Nothing is summarised here; a [`Trace`] is what was seen.

use serde::{Deserialize, Serialize};

use super::stats::{check_sample, median, median_ci95};
use super::{Clock, ProbeError, Protocol, Reference, Session};

/// Most runs one sample may take, so that a clock that stands still cannot
/// hang the measurement.
const MAX_INNER_RUNS: usize = 1_000_000;

/// A budget exceeded by this factor before the fewest samples are in is an
/// error, not a slow measurement.
const HOPELESS: f64 = 10.0;

/// Why sampling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The interval of the median is as narrow as asked.
    Precise,
    /// The greatest number of samples was taken first.
    MaxSamples,
    /// The time ran out first.
    Budget,
}

/// Everything that was timed for one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The very first run after loading.
    pub cold_ms: f64,
    /// Runs after the first and before sampling.
    pub warmup_runs: usize,
    /// Whether warm-up ended because latencies had settled.
    pub warmup_stable: bool,
    /// Runs averaged into each sample.
    pub inner_runs: usize,
    /// One inference of the batch, in order of time.
    pub samples_ms: Vec<f64>,
    /// The reference network, interleaved with the samples.
    pub reference_ms: Vec<f64>,
    pub stop: StopReason,
}

/// Measures a loaded network.
///
/// # Errors
/// When the protocol contradicts itself, the engine fails, the clock misbehaves
/// or the network is far too slow for the budget.
pub fn trace(
    session: &mut dyn Session,
    protocol: &Protocol,
    mut reference: Option<&mut Reference>,
    clock: &dyn Clock,
) -> Result<Trace, ProbeError> {
    protocol.check()?;
    if session.is_simulated() {
        return simulated(session, protocol, clock);
    }
    let cold_ms = session.time(1, clock)?;
    let warmup = warm_up(session, protocol, clock)?;
    if warmup.run_ms * protocol.min_samples as f64 > HOPELESS * protocol.budget_ms {
        return Err(ProbeError::TooSlow {
            run_ms: warmup.run_ms,
            min_samples: protocol.min_samples,
            budget_ms: protocol.budget_ms,
        });
    }
    let inner_runs = inner_runs(warmup.run_ms, protocol.min_sample_ms);
    let mut samples_ms = Vec::new();
    let mut reference_ms = Vec::new();
    let start = clock.now_ns();
    let mut next_reference_ms = 0.0;
    let mut next_check = protocol.min_samples;
    let stop = loop {
        if let Some(reference) = reference.as_deref_mut()
            && since_ms(start, clock) >= next_reference_ms
        {
            reference_ms.push(reference.sample(clock)?);
            next_reference_ms = since_ms(start, clock) + protocol.reference_every_ms;
        }
        let sample_ms = session.time(inner_runs, clock)?;
        check_sample(sample_ms)?;
        samples_ms.push(sample_ms);
        let count = samples_ms.len();
        if count < protocol.min_samples {
            continue;
        }
        let elapsed_ms = since_ms(start, clock);
        // The interval is looked at now and then only: each look costs time and
        // is another chance to stop on a narrow interval by luck.
        if count >= next_check && elapsed_ms >= protocol.min_sampling_ms {
            let (low, high) = median_ci95(&samples_ms);
            if (high - low) / 2.0 <= protocol.target_half_width * median(&samples_ms) {
                break StopReason::Precise;
            }
            next_check = count + (count / 10).max(1);
        }
        if count >= protocol.max_samples {
            break StopReason::MaxSamples;
        }
        if elapsed_ms >= protocol.budget_ms {
            break StopReason::Budget;
        }
    };
    if let Some(reference) = reference {
        reference_ms.push(reference.sample(clock)?);
    }
    Ok(Trace {
        cold_ms,
        warmup_runs: warmup.runs,
        warmup_stable: warmup.stable,
        inner_runs,
        samples_ms,
        reference_ms,
        stop,
    })
}

/// What warm-up found.
pub(super) struct Warmup {
    pub runs: usize,
    pub stable: bool,
    /// Median of the last window.
    pub run_ms: f64,
}

/// Runs until latencies settle; see [`Protocol`] for the rule.
pub(super) fn warm_up(
    session: &mut dyn Session,
    protocol: &Protocol,
    clock: &dyn Clock,
) -> Result<Warmup, ProbeError> {
    let start = clock.now_ns();
    let mut runs_ms: Vec<f64> = Vec::new();
    loop {
        runs_ms.push(session.time(1, clock)?);
        let runs = runs_ms.len();
        let elapsed_ms = since_ms(start, clock);
        let long_enough = runs >= protocol.min_warmup_runs && elapsed_ms >= protocol.min_warmup_ms;
        let stable = long_enough && settled(&runs_ms, protocol);
        if stable || runs >= protocol.max_warmup_runs || elapsed_ms >= protocol.max_warmup_ms {
            let window = &runs_ms[runs.saturating_sub(protocol.warmup_window)..];
            return Ok(Warmup {
                runs,
                stable,
                run_ms: median(window),
            });
        }
    }
}

/// Whether the last two windows of runs agree.
fn settled(runs_ms: &[f64], protocol: &Protocol) -> bool {
    let window = protocol.warmup_window;
    let Some(from) = runs_ms.len().checked_sub(2 * window) else {
        return false;
    };
    let (earlier, later) = runs_ms[from..].split_at(window);
    let (earlier, later) = (median(earlier), median(later));
    (later - earlier).abs() <= protocol.warmup_tolerance * earlier
}

/// How many runs fill one sample.
pub(super) fn inner_runs(run_ms: f64, min_sample_ms: f64) -> usize {
    // A run too short for the clock to see makes this infinite: `as` saturates.
    ((min_sample_ms / run_ms).ceil() as usize).clamp(1, MAX_INNER_RUNS)
}

/// Mean duration of `runs` consecutive runs; zero where the clock did not move.
pub(super) fn time_loop(
    run: &mut dyn FnMut() -> Result<(), ProbeError>,
    runs: usize,
    clock: &dyn Clock,
) -> Result<f64, ProbeError> {
    let start = clock.now_ns();
    for _ in 0..runs {
        run()?;
    }
    let end = clock.now_ns();
    let Some(elapsed_ns) = end.checked_sub(start) else {
        return Err(ProbeError::BadSample {
            value_ms: -((start - end) as f64) / 1e6,
            reason: "the clock went backwards",
        });
    };
    Ok(elapsed_ns as f64 / 1e6 / runs as f64)
}

/// A computed latency needs neither warm-up nor a budget: a device that takes
/// seconds is simulated in no time, and repeats would all be equal.
fn simulated(
    session: &mut dyn Session,
    protocol: &Protocol,
    clock: &dyn Clock,
) -> Result<Trace, ProbeError> {
    let cold_ms = session.time(1, clock)?;
    let samples_ms: Vec<f64> = (0..protocol.min_samples)
        .map(|_| session.time(1, clock))
        .collect::<Result<_, _>>()?;
    for sample in &samples_ms {
        check_sample(*sample)?;
    }
    Ok(Trace {
        cold_ms,
        warmup_runs: 0,
        warmup_stable: true,
        inner_runs: 1,
        samples_ms,
        reference_ms: Vec::new(),
        stop: StopReason::Precise,
    })
}

pub(super) fn since_ms(start_ns: u64, clock: &dyn Clock) -> f64 {
    clock.now_ns().saturating_sub(start_ns) as f64 / 1e6
}
