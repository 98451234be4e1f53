//! What the measured networks span, so that a prediction far outside says so.

use serde::{Deserialize, Serialize};

use super::features::{Features, N_COSTS, cost_names};

/// How far beyond the measured networks a total may lie without a note.
const SLACK: f64 = 1.5;

/// Smallest and largest of the measured networks' totals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredRange {
    low: [f64; 3],
    high: [f64; 3],
    /// Kernel kinds the networks had.
    kinds: Vec<String>,
}

/// Why a prediction is an extrapolation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Note {
    /// `ratio` times the largest measured network's (above 1), or the
    /// smallest's (below).
    Outside { what: String, ratio: f64 },
    /// No measured network had such a kernel.
    NewKernel { kernel: String },
    /// Nothing was measured on the device at all.
    Unmeasured,
    /// Its output does not depend on its input: an engine that folds constants
    /// runs nothing, another everything.
    ConstantOutput,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Note::Outside { what, ratio } if *ratio > 1.0 => {
                write!(f, "{ratio:.1} times the {what} of any measured network")
            }
            Note::Outside { what, ratio } => {
                write!(f, "{ratio:.2} times the {what} of any measured network")
            }
            Note::NewKernel { kernel } => {
                write!(f, "no measured network had a {kernel} kernel")
            }
            Note::Unmeasured => f.write_str("nothing was measured on this device"),
            Note::ConstantOutput => f.write_str(
                "its output does not depend on its input, so the device may run nothing of it",
            ),
        }
    }
}

const TOTALS: [&str; 3] = ["multiply-accumulates", "bytes moved", "kernels"];

fn totals(features: &Features) -> [f64; 3] {
    [
        features.mega_macs(),
        features.mega_bytes(),
        features.kernels(),
    ]
}

fn kinds(features: &Features) -> Vec<String> {
    cost_names()
        .iter()
        .zip(&features.costs)
        .filter(|(_, cost)| **cost > 0.0)
        .filter_map(|(name, _)| name.strip_suffix(".count"))
        .filter(|kind| !matches!(*kind, "path" | "live" | "zero"))
        .map(|kind| kind.replace('_', " "))
        .collect()
}

impl MeasuredRange {
    pub(super) fn of(networks: &[Features]) -> MeasuredRange {
        let mut range = MeasuredRange {
            // A file holds no infinity.
            low: [if networks.is_empty() {
                0.0
            } else {
                f64::INFINITY
            }; 3],
            high: [0.0; 3],
            kinds: Vec::new(),
        };
        for features in networks.iter().filter(|f| f.costs.len() == N_COSTS) {
            for (k, total) in totals(features).into_iter().enumerate() {
                range.low[k] = range.low[k].min(total);
                range.high[k] = range.high[k].max(total);
            }
            for kind in kinds(features) {
                if !range.kinds.contains(&kind) {
                    range.kinds.push(kind);
                }
            }
        }
        range
    }

    /// How this network lies outside; empty where it does not.
    pub fn notes(&self, features: &Features) -> Vec<Note> {
        let mut notes = Vec::new();
        for (k, total) in totals(features).into_iter().enumerate() {
            let bound = match total {
                t if t > SLACK * self.high[k] => self.high[k],
                t if t * SLACK < self.low[k] => self.low[k],
                _ => continue,
            };
            if bound > 0.0 {
                notes.push(Note::Outside {
                    what: TOTALS[k].into(),
                    ratio: total / bound,
                });
            }
        }
        notes.extend(
            kinds(features)
                .into_iter()
                .filter(|kind| !self.kinds.contains(kind))
                .map(|kernel| Note::NewKernel { kernel }),
        );
        notes
    }
}
