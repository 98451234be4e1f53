//! What latency means to a differentiable search: a price for each ms, or a
//! target that is to be met.

use serde::{Deserialize, Serialize};

/// How latency enters the loss.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatencyGoal {
    /// Not at all.
    #[default]
    Ignored,
    /// The loss is cross-entropy + `weight` x expected latency / that of equal
    /// probabilities (the expected latency of ProxylessNAS and FBNet).
    Weighted { weight: f64 },
    /// The expected latency is to be `ms`: an augmented Lagrangian, whose
    /// multiplier grows while the target is missed, on either side.
    Target { ms: f64 },
}

/// The state of a goal during a search.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    goal: LatencyGoal,
    /// What a weighted latency is relative to, in ms.
    reference_ms: f64,
    /// The Lagrange multiplier of a target.
    pub multiplier: f64,
}

/// Weight of the squared violation.
const PENALTY: f64 = 4.0;
/// How fast the multiplier follows the violation.
const ASCENT: f64 = 0.05;

impl Pressure {
    /// `reference_ms` is the expected latency of equal probabilities.
    pub fn new(goal: LatencyGoal, reference_ms: f64) -> Self {
        Pressure {
            goal,
            reference_ms,
            multiplier: 0.0,
        }
    }

    /// What an expected latency adds to the loss.
    pub fn loss(&self, mean_ms: f64) -> f64 {
        match self.goal {
            LatencyGoal::Ignored => 0.0,
            LatencyGoal::Weighted { weight } => weight * mean_ms / self.reference_ms,
            LatencyGoal::Target { ms } => {
                let violation = mean_ms / ms - 1.0;
                self.multiplier * violation + 0.5 * PENALTY * violation * violation
            }
        }
    }

    /// The derivative of [`loss`](Self::loss) by the expected latency, a ms.
    pub fn slope(&self, mean_ms: f64) -> f64 {
        match self.goal {
            LatencyGoal::Ignored => 0.0,
            LatencyGoal::Weighted { weight } => weight / self.reference_ms,
            LatencyGoal::Target { ms } => (self.multiplier + PENALTY * (mean_ms / ms - 1.0)) / ms,
        }
    }

    /// Moves the multiplier by what was just missed.
    pub fn rise(&mut self, mean_ms: f64) {
        if let LatencyGoal::Target { ms } = self.goal {
            self.multiplier += ASCENT * PENALTY * (mean_ms / ms - 1.0);
        }
    }
}
