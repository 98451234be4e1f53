//! What a user should know about measurements, and how it is said.

use serde::{Deserialize, Serialize};

use super::checks::{FEW, MIN_DISTINCT};

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
    /// Nothing was measured: so many known devices speak.
    Unmeasured { devices: usize },
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

impl Warning {
    /// The warning with measurement `i` called `numbers[i]`.
    pub(super) fn renumbered(mut self, numbers: &[usize]) -> Warning {
        match &mut self {
            Warning::Duplicates { indices }
            | Warning::DisagreeingRepeats { indices, .. }
            | Warning::Contradictory { indices } => {
                indices.iter_mut().for_each(|i| *i = numbers[*i]);
            }
            Warning::Outlier { index, .. } => *index = numbers[*index],
            _ => {}
        }
        self
    }

    /// The warning in a sentence, for measurements in `unit` that `name` names
    /// by their index (such as the line of a file).
    pub fn describe(&self, unit: &str, name: &dyn Fn(usize) -> String) -> String {
        let names = |indices: &[usize]| {
            let all: Vec<String> = indices.iter().map(|i| name(*i)).collect();
            all.join(", ")
        };
        match self {
            Warning::Duplicates { indices } => format!(
                "measurements {} are of networks with equal features and teach little more than one of them",
                names(indices)
            ),
            Warning::Outlier {
                index,
                measured_ms,
                expected_ms,
            } => format!(
                "measurement {} ({measured_ms:.4} {unit}) contradicts the others, which expect {expected_ms:.4} {unit}; it was given little weight: measure it again",
                name(*index)
            ),
            Warning::ConstantLatency { latency_ms } => format!(
                "all measurements are {latency_ms:.4} {unit} although the networks differ: the device, or its clock, may not see the network; intervals were widened"
            ),
            Warning::Unmeasured { devices } => format!(
                "nothing was measured on this device: values are the mean of {devices} known devices, to compare networks by; the intervals are as wide as these devices differ: calibrate with ten measurements"
            ),
            Warning::Few { measurements } if *measurements < MIN_DISTINCT => format!(
                "with {measurements} of {FEW} measurements little more than the device's speed is known, and the devices known before tell the rest: measure at least {FEW}, better ten"
            ),
            Warning::Few { measurements } => format!(
                "with {measurements} measurements a bad one among them cannot be recognised: measure at least {FEW}, better ten"
            ),
            Warning::DisagreeingRepeats {
                indices,
                low_ms,
                high_ms,
            } => format!(
                "measurements {} are of equal networks but range from {low_ms:.4} to {high_ms:.4} {unit}; intervals were widened: measure them again on an idle device",
                names(indices)
            ),
            Warning::Contradictory { indices } => format!(
                "measurements {} contradict the others beyond what noise explains; intervals were widened: measure them again",
                names(indices)
            ),
            Warning::Unrelated {
                error,
                error_of_mean,
            } => format!(
                "the measurements do not follow the networks: predicting each from the others errs by {:.0} %, their mean alone by {:.0} %; intervals were widened: is the device busy, or the work hidden by a constant cost?",
                100.0 * error,
                100.0 * error_of_mean
            ),
            Warning::HardlyVaries {
                latency_ratio,
                work_ratio,
            } => format!(
                "the networks' work differs {work_ratio:.1}-fold, the measurements only {latency_ratio:.3}-fold: the device hardly sees the network, and the ranking is mostly noise; intervals were widened"
            ),
            Warning::Scattered { error } => format!(
                "predicting each measurement from the others errs by {:.0} %: the measurements are noisy or the device is unusual; measure more, on an idle device",
                100.0 * error
            ),
            Warning::ConstantOutput { indices } => format!(
                "the networks of measurements {} have an output that does not depend on their input; they say nothing of others and were left out",
                names(indices)
            ),
            Warning::ImplausibleSpeed { macs_per_second } => format!(
                "the measurements mean {macs_per_second:.1e} multiply-accumulates a second, which no device does: check the unit ({unit} is meant)"
            ),
        }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe("ms", &|index| index.to_string()))
    }
}
