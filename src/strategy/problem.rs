//! What a strategy is given: the space, the goals, and what is known of an
//! architecture before it is evaluated. Knowledge comes in as a trait, so that
//! a strategy needs no predictor and a predictor no strategy.

use std::sync::Arc;

use super::{Goals, Metric, Worth};
use crate::space::{Architecture, Space};

/// A figure known before any evaluation, with its 90 % interval in the
/// metric's unit; `low == high` where it is exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    pub fn exact(value: f64) -> Self {
        Estimate {
            value,
            low: value,
            high: value,
        }
    }
}

/// All that is known of one architecture without evaluating it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Known {
    /// Metrics that need no evaluation, such as a predicted latency.
    pub estimates: Vec<(Metric, Estimate)>,
    /// Signs of a high accuracy, such as zero-cost proxies: their sizes mean
    /// nothing, their ranks may. As many for every architecture; NaN where one
    /// could not be computed.
    pub scores: Vec<f64>,
    /// Numbers that describe the network to a surrogate model. As many for
    /// every architecture.
    pub features: Vec<f64>,
}

impl Known {
    pub fn estimate(&self, metric: &Metric) -> Option<Estimate> {
        let found = self.estimates.iter().find(|(m, _)| m == metric)?;
        Some(found.1)
    }
}

/// Tells what is known of architectures. Must be a function: equal
/// architectures have equal answers, on any thread.
pub trait Knowledge: Send + Sync {
    fn known(&self, architecture: &Architecture) -> Known;
}

/// Knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Knowledge for Nothing {
    fn known(&self, _: &Architecture) -> Known {
        Known::default()
    }
}

/// What a strategy is to solve.
#[derive(Clone)]
pub struct Problem {
    pub space: Arc<Space>,
    pub goals: Goals,
    pub knowledge: Arc<dyn Knowledge>,
}

impl Problem {
    /// A problem of which nothing is known beforehand.
    pub fn new(space: Arc<Space>, goals: Goals) -> Self {
        Problem {
            space,
            goals,
            knowledge: Arc::new(Nothing),
        }
    }

    /// The violation that is certain before any evaluation: by the estimates
    /// of what is constrained, taking limits on unknown metrics as kept.
    pub fn known_violation(&self, known: &Known) -> f64 {
        let limits = self.goals.constraints().iter();
        limits
            .filter_map(|c| Some(c.violation(known.estimate(&c.metric)?.value)))
            .sum()
    }
}

impl Worth {
    /// Whether it can be ranked.
    pub fn is_finite(&self) -> bool {
        self.violation.is_finite() && self.objectives.iter().all(|o| o.is_finite())
    }
}
