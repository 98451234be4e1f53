//! Whether measurements deserve trust. What no calibration can be built on is
//! an error with its place; what merely makes the answer doubtful is a warning
//! that widens the intervals, so that a bad input never comes back as a sound
//! figure.

use super::calibrate::CalibrationError;
use super::features::Features;
use super::warning::Warning;
use crate::network::{Network, Op};

/// Accepted measurements, in milliseconds (or millijoules): a nanosecond to
/// eleven days. Anything else is a slip of the unit or of the clock.
pub const PLAUSIBLE: std::ops::RangeInclusive<f64> = 1e-6..=1e9;

/// Fewest different networks among so many measurements or more: repeats do not
/// replace them.
pub(super) const MIN_DISTINCT: usize = 3;
/// Below so many, a bad measurement among them cannot be recognised.
pub(super) const FEW: usize = 5;
/// Repeats of one network that differ by this factor contradict each other.
const REPEAT_RATIO: f64 = 1.3;
/// An error of the logarithm that no sound measurement has, 30 %, and how many
/// deviations it must be.
const CONTRADICTION: (f64, f64) = (0.3, 4.0);
/// Typical error of the logarithm above which a user should know.
const SCATTER: f64 = 0.25;
/// Multiply-accumulates a second between which devices exist: a slow
/// microcontroller, and a rack of accelerators.
const SPEEDS: (f64, f64) = (1e5, 2e14);

/// Refuses features that are no numbers, and networks that are all alike.
pub(super) fn refuse(features: &[&Features]) -> Result<(), CalibrationError> {
    for (index, row) in features.iter().enumerate() {
        let mut all = row.costs.iter().chain(row.optimised.iter().flatten());
        if let Some(at) = all.position(|c| !c.is_finite() || *c < 0.0) {
            let at = at % row.costs.len();
            let name = super::features::cost_names().swap_remove(at);
            return Err(CalibrationError::BadCost { index, name });
        }
    }
    let mut distinct: Vec<&Features> = Vec::new();
    for row in features {
        if !distinct.contains(row) {
            distinct.push(row);
            if distinct.len() >= MIN_DISTINCT.min(features.len()) {
                return Ok(());
            }
        }
    }
    Err(CalibrationError::TooFewDistinct {
        measurements: features.len(),
        distinct: distinct.len(),
    })
}

/// Further warnings about measurements beside what the others expect of them
/// (mean and deviation of the logarithm), and the factor by which they widen
/// the intervals.
pub(super) fn review(
    features: &[&Features],
    log_latency: &[f64],
    left_out: &[(f64, f64)],
    noise_factor: &[f64],
) -> (Vec<Warning>, f64) {
    let mut warnings = Vec::new();
    let mut widen = 1.0f64;
    let n = features.len();
    if n < FEW {
        warnings.push(Warning::Few { measurements: n });
    }
    for warning in disagreeing_repeats(features, log_latency) {
        warnings.push(warning);
        widen = widen.max(1.5);
    }
    let contradicting: Vec<usize> = (0..n)
        .filter(|i| noise_factor[*i] == 1.0)
        .filter(|i| {
            let (mean, sd) = left_out[*i];
            let error = (log_latency[*i] - mean).abs();
            error > CONTRADICTION.0 && error > CONTRADICTION.1 * sd
        })
        .collect();
    if !contradicting.is_empty() {
        warnings.push(Warning::Contradictory {
            indices: contradicting,
        });
        widen = widen.max(2.0);
    }
    if let Some(warning) = hardly_varies(features, log_latency) {
        warnings.push(warning);
        widen = widen.max(2.0);
    } else if let Some((error, error_of_mean)) = errors(log_latency, left_out, noise_factor) {
        // Knowing the network must help more than knowing the others' mean.
        if error > 0.85 * error_of_mean && work_spread(features) > 0.4 && error_of_mean > 1e-3 {
            warnings.push(Warning::Unrelated {
                error,
                error_of_mean,
            });
            widen = widen.max(2.0);
        } else if error > SCATTER {
            // The errors themselves bound the intervals from below.
            warnings.push(Warning::Scattered { error });
        }
    }
    if let Some(warning) = implausible_speed(features, log_latency) {
        warnings.push(warning);
    }
    (warnings, widen)
}

/// The measurements by network: indices of those the predictor cannot tell apart.
pub(super) fn repeats(features: &[&Features]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for i in 0..features.len() {
        match groups.iter_mut().find(|g| features[g[0]] == features[i]) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    groups
}

pub(super) fn duplicates(features: &[&Features]) -> Vec<Warning> {
    repeats(features)
        .into_iter()
        .filter(|g| g.len() > 1)
        .map(|indices| Warning::Duplicates { indices })
        .collect()
}

/// Latencies within 0.1 % of each other while the networks' work differs by
/// more than 20 %.
pub(super) fn constant_latency(features: &[&Features], log_latency: &[f64]) -> Option<Warning> {
    let spread = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(v), h.max(v))
        });
        high - low
    };
    let work = work_spread(features);
    (work > 0.2 && spread(&mut log_latency.iter().copied()) < 1e-3).then(|| {
        Warning::ConstantLatency {
            latency_ms: log_latency[0].exp(),
        }
    })
}

fn disagreeing_repeats(features: &[&Features], log_latency: &[f64]) -> Vec<Warning> {
    repeats(features)
        .into_iter()
        .filter_map(|indices| {
            let values = || indices.iter().map(|i| log_latency[*i].exp());
            let low = values().fold(f64::INFINITY, f64::min);
            let high = values().fold(0.0, f64::max);
            (high > REPEAT_RATIO * low).then_some(Warning::DisagreeingRepeats {
                indices,
                low_ms: low,
                high_ms: high,
            })
        })
        .collect()
}

/// The work differs at least by half, the latency by a twentieth of that.
fn hardly_varies(features: &[&Features], log_latency: &[f64]) -> Option<Warning> {
    let work = work_spread(features);
    let (low, high) = log_latency
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(*v), h.max(*v))
        });
    // Latencies equal to a thousandth are `ConstantLatency`.
    (work > 0.4 && high - low < 0.05 * work && high - low >= 1e-3).then(|| Warning::HardlyVaries {
        latency_ratio: (high - low).exp(),
        work_ratio: work.exp(),
    })
}

/// Root mean square errors of the logarithm: of each measurement's prediction
/// from the others, and of the others' mean; `None` for few measurements.
fn errors(
    log_latency: &[f64],
    left_out: &[(f64, f64)],
    noise_factor: &[f64],
) -> Option<(f64, f64)> {
    let trusted: Vec<usize> = (0..log_latency.len())
        .filter(|i| noise_factor[*i] == 1.0)
        .collect();
    let n = trusted.len();
    if n < FEW {
        return None;
    }
    let mean = trusted.iter().map(|i| log_latency[*i]).sum::<f64>() / n as f64;
    // Left out of its own mean, a value is n / (n - 1) times as far from it.
    let factor = n as f64 / (n as f64 - 1.0);
    let rms = |f: &dyn Fn(usize) -> f64| {
        (trusted.iter().map(|i| f(*i).powi(2)).sum::<f64>() / n as f64).sqrt()
    };
    let error = rms(&|i| log_latency[i] - left_out[i].0);
    Some((error, rms(&|i| factor * (log_latency[i] - mean))))
}

/// Whether a network's output does not depend on its input: everything on the
/// way to it comes from zeros.
pub(super) fn is_constant(network: &Network) -> bool {
    let mut constant: Vec<bool> = Vec::with_capacity(network.nodes().len());
    for node in network.nodes() {
        constant.push(match node.op {
            Op::Input => false,
            Op::Zero { .. } => true,
            _ => !node.inputs.is_empty() && node.inputs.iter().all(|i| constant[i.0]),
        });
    }
    constant[network.output().0]
}

/// Logarithm of the most over the least work among the networks.
pub(super) fn work_spread(features: &[&Features]) -> f64 {
    let work = features
        .iter()
        .map(|f| (f.mega_macs() + f.mega_bytes() + 1e-9).ln());
    let (low, high) = work.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    high - low
}

fn implausible_speed(features: &[&Features], log_latency: &[f64]) -> Option<Warning> {
    let mut speeds: Vec<f64> = features
        .iter()
        .zip(log_latency)
        .map(|(f, log_ms)| f.mega_macs() * 1e9 / log_ms.exp())
        .collect();
    speeds.sort_by(f64::total_cmp);
    let median = speeds[speeds.len() / 2];
    // A network without multiply-accumulates has no such speed.
    (median > 0.0 && !(SPEEDS.0..=SPEEDS.1).contains(&median)).then_some(
        Warning::ImplausibleSpeed {
            macs_per_second: median,
        },
    )
}

/// Warnings about measured memory: too few, all equal, or far from what the
/// others expect.
pub(super) fn memory(
    measured: &[(crate::network::Costs, f64)],
    model: &super::memory::MemoryModel,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if measured.len() < FEW {
        warnings.push(Warning::Few {
            measurements: measured.len(),
        });
    }
    let values = || measured.iter().map(|(_, bytes)| *bytes);
    let (low, high) = (
        values().fold(f64::INFINITY, f64::min),
        values().fold(0.0, f64::max),
    );
    let peaks = || measured.iter().map(|(c, _)| c.peak_activation_bytes);
    if high - low < 1e-3 * high && peaks().max() > peaks().min() {
        warnings.push(Warning::ConstantLatency { latency_ms: low });
    }
    let contradicting: Vec<usize> = model
        .left_out()
        .iter()
        .enumerate()
        .filter(|(_, (bytes, predicted))| (bytes / predicted).ln().abs() > std::f64::consts::LN_2)
        .map(|(index, _)| index)
        .collect();
    if !contradicting.is_empty() {
        warnings.push(Warning::Contradictory {
            indices: contradicting,
        });
    }
    warnings
}
