//! What a search is for: metrics of a candidate, those to be optimised, and
//! limits on them, each read from the text a user writes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::serde_as_text;

/// Something a candidate has a figure of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Metric {
    /// Share of images classified right, 0 to 1. Maximised.
    Accuracy,
    /// In ms; on the device of this name, or on the search's own.
    Latency { device: Option<String> },
    /// In mJ an inference.
    Energy { device: Option<String> },
    /// Peak activation memory, in bytes.
    Memory,
    /// Multiply-accumulate operations of one sample.
    Macs,
    /// Trained numbers.
    Params,
}

impl Metric {
    /// Latency on the search's own device.
    pub const LATENCY: Metric = Metric::Latency { device: None };

    pub fn is_maximised(&self) -> bool {
        matches!(self, Metric::Accuracy)
    }

    /// A figure as a loss, of which less is better; accuracy becomes error.
    pub fn loss(&self, value: f64) -> f64 {
        match self {
            Metric::Accuracy => 1.0 - value,
            _ => value,
        }
    }

    /// The figure of a loss: [`loss`](Self::loss) undone.
    pub fn of_loss(&self, loss: f64) -> f64 {
        match self {
            Metric::Accuracy => 1.0 - loss,
            _ => loss,
        }
    }

    fn stem(&self) -> (&'static str, Option<&str>) {
        match self {
            Metric::Accuracy => ("accuracy", None),
            Metric::Latency { device } => ("latency_ms", device.as_deref()),
            Metric::Energy { device } => ("energy_mj", device.as_deref()),
            Metric::Memory => ("memory", None),
            Metric::Macs => ("macs", None),
            Metric::Params => ("params", None),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stem() {
            (name, Some(device)) => write!(f, "{name}@{device}"),
            (name, None) => f.write_str(name),
        }
    }
}

serde_as_text!(Metric);

impl FromStr for Metric {
    type Err = GoalError;

    fn from_str(text: &str) -> Result<Self, GoalError> {
        let text = text.trim();
        let (name, device) = match text.split_once('@') {
            Some((name, device)) => (name.trim(), Some(device.trim().to_string())),
            None => (text, None),
        };
        let metric = match name {
            "accuracy" => Metric::Accuracy,
            "latency" | "latency_ms" => Metric::Latency {
                device: device.clone(),
            },
            "energy" | "energy_mj" => Metric::Energy {
                device: device.clone(),
            },
            "memory" | "memory_bytes" => Metric::Memory,
            "macs" => Metric::Macs,
            "params" | "parameters" => Metric::Params,
            other => return Err(GoalError::Metric(other.to_string())),
        };
        match (&metric, device) {
            (Metric::Latency { .. } | Metric::Energy { .. }, Some(device)) if device.is_empty() => {
                Err(GoalError::Device(text.to_string()))
            }
            (Metric::Latency { .. } | Metric::Energy { .. }, _) | (_, None) => Ok(metric),
            (_, Some(_)) => Err(GoalError::Device(text.to_string())),
        }
    }
}

/// Which side of its bound a metric must stay on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    AtMost,
    AtLeast,
}

/// A limit such as `latency_ms <= 20`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Constraint {
    pub metric: Metric,
    pub side: Side,
    /// Positive and finite, in the metric's unit.
    pub bound: f64,
}

impl Constraint {
    /// By how much of the bound a figure is beyond it; 0 when it holds. A
    /// figure that is not a number violates every limit without end.
    pub fn violation(&self, value: f64) -> f64 {
        let excess = match self.side {
            Side::AtMost => value / self.bound - 1.0,
            Side::AtLeast => 1.0 - value / self.bound,
        };
        match excess.is_nan() {
            true => f64::INFINITY,
            false => excess.max(0.0),
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.side {
            Side::AtMost => "<=",
            Side::AtLeast => ">=",
        };
        write!(f, "{} {sign} {}", self.metric, self.bound)
    }
}

serde_as_text!(Constraint);

impl FromStr for Constraint {
    type Err = GoalError;

    /// Reads `metric <= number` or `>=`; numbers take `k`, `M`, `G` (powers of
    /// 1000), `Ki`, `Mi`, `Gi` (of 1024) and `%`.
    fn from_str(text: &str) -> Result<Self, GoalError> {
        let signs = [("<=", Side::AtMost), (">=", Side::AtLeast)];
        let found = signs
            .into_iter()
            .find_map(|(sign, side)| Some((text.split_once(sign)?, side)));
        let Some(((metric, bound), side)) = found else {
            return Err(GoalError::Form(text.trim().to_string()));
        };
        let metric: Metric = metric.parse()?;
        let bound = number(bound).ok_or_else(|| GoalError::Bound {
            text: text.trim().to_string(),
            bound: bound.trim().to_string(),
        })?;
        if metric == Metric::Accuracy && bound > 1.0 {
            return Err(GoalError::Share(text.trim().to_string()));
        }
        Ok(Constraint {
            metric,
            side,
            bound,
        })
    }
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let units = [
        ("Ki", 1024.0),
        ("Mi", 1024.0 * 1024.0),
        ("Gi", 1024.0 * 1024.0 * 1024.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("", 1.0),
    ];
    let (digits, unit) = units
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
    let value = match digits.strip_suffix('%') {
        // Divided, since 0.01 is no binary fraction: 70 % is 0.7.
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => digits.trim().parse::<f64>().ok()? * unit,
    };
    (value.is_finite() && value > 0.0).then_some(value)
}

/// Why a metric, a limit or a set of them makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GoalError {
    #[error(
        "there is no metric `{0}`: choose among accuracy, latency_ms, energy_mj, memory, macs and params"
    )]
    Metric(String),
    #[error(
        "`{0}`: only latency_ms and energy_mj are of a device, written as in latency_ms@raspi4"
    )]
    Device(String),
    #[error("`{0}` is no limit: write it as in latency_ms <= 20 or params <= 2M")]
    Form(String),
    #[error(
        "`{text}`: `{bound}` is not a positive number, written as in 20, 0.5, 2M, 512Ki or 70%"
    )]
    Bound { text: String, bound: String },
    #[error("`{0}`: accuracy is a share from 0 to 1; write 0.7 or 70%")]
    Share(String),
    #[error("`{low}` and `{high}` contradict each other: nothing satisfies both")]
    Contradiction { low: String, high: String },
    #[error("there is nothing to optimise: name at least one objective")]
    NoObjective,
    #[error("the objective `{0}` is named twice")]
    Repeated(String),
}

/// Objectives and limits that make sense together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goals {
    objectives: Vec<Metric>,
    constraints: Vec<Constraint>,
}

impl Goals {
    /// # Errors
    /// Without an objective, with one twice, or where two limits exclude each
    /// other.
    pub fn new(objectives: Vec<Metric>, constraints: Vec<Constraint>) -> Result<Self, GoalError> {
        if objectives.is_empty() {
            return Err(GoalError::NoObjective);
        }
        for (index, objective) in objectives.iter().enumerate() {
            if objectives[..index].contains(objective) {
                return Err(GoalError::Repeated(objective.to_string()));
            }
        }
        for low in constraints.iter().filter(|c| c.side == Side::AtLeast) {
            let clash = constraints.iter().find(|high| {
                high.side == Side::AtMost && high.metric == low.metric && high.bound < low.bound
            });
            if let Some(high) = clash {
                return Err(GoalError::Contradiction {
                    low: low.to_string(),
                    high: high.to_string(),
                });
            }
        }
        Ok(Goals {
            objectives,
            constraints,
        })
    }

    pub fn objectives(&self) -> &[Metric] {
        &self.objectives
    }

    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// Every metric that an objective or a limit needs, each once.
    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics = self.objectives.clone();
        for constraint in &self.constraints {
            if !metrics.contains(&constraint.metric) {
                metrics.push(constraint.metric.clone());
            }
        }
        metrics
    }

    /// The worth of a candidate whose figures `value` tells; `None` where a
    /// figure is missing or not a number.
    pub fn worth(&self, value: impl Fn(&Metric) -> Option<f64>) -> super::Answer {
        let objectives: Option<Vec<f64>> = self
            .objectives
            .iter()
            .map(|metric| value(metric).map(|v| metric.loss(v)))
            .collect();
        let violation: Option<f64> = self
            .constraints
            .iter()
            .map(|c| value(&c.metric).map(|v| c.violation(v)))
            .sum();
        let worth = super::Worth {
            objectives: objectives?,
            violation: violation?,
        };
        worth.is_finite().then_some(worth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_written_alike() {
        let read = |text: &str| text.parse::<Constraint>();
        let limit = read("params <= 2M").unwrap();
        assert_eq!(limit.bound, 2e6);
        assert_eq!(limit.to_string().parse(), Ok(limit));
        assert_eq!(read("memory<=512Ki").unwrap().bound, 524_288.0);
        assert_eq!(read("accuracy >= 70%").unwrap().bound, 0.7);
        assert_eq!(
            read("latency@pi5 <= 20").unwrap().to_string(),
            "latency_ms@pi5 <= 20"
        );
        let message = |text: &str| read(text).unwrap_err().to_string();
        assert!(message("latency < 20").contains("is no limit"));
        assert!(message("latency_ms <= fast").contains("`fast`"));
        assert!(message("latency_ms <= -1").contains("positive"));
        assert!(message("latency_ms <= NaN").contains("positive"));
        assert!(message("speed <= 1").contains("no metric `speed`"));
        assert!(message("params@pi <= 1").contains("of a device"));
        assert!(message("accuracy >= 70").contains("70%"));
    }

    #[test]
    fn goals_that_make_no_sense_are_refused() {
        let limits = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        let goals = |constraints| Goals::new(vec![Metric::Accuracy], constraints);
        assert!(goals(limits(&["latency_ms <= 5", "latency_ms >= 5"])).is_ok());
        let error = goals(limits(&["latency_ms <= 5", "latency_ms >= 6"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`latency_ms >= 6` and `latency_ms <= 5` contradict each other: nothing satisfies both"
        );
        assert_eq!(Goals::new(vec![], vec![]), Err(GoalError::NoObjective));
        assert!(Goals::new(vec![Metric::Macs, Metric::Macs], vec![]).is_err());
    }

    #[test]
    fn worth_is_of_losses_and_relative_excess() {
        let goals = Goals::new(
            vec![Metric::Accuracy, Metric::LATENCY],
            vec![
                "latency_ms <= 10".parse().unwrap(),
                "accuracy >= 50%".parse().unwrap(),
            ],
        )
        .unwrap();
        let worth = |accuracy: f64, ms: f64| {
            goals.worth(|m| Some(if *m == Metric::Accuracy { accuracy } else { ms }))
        };
        let w = worth(0.25, 15.0).unwrap();
        assert_eq!((w.objectives, w.violation), (vec![0.75, 15.0], 1.0));
        assert_eq!(worth(0.9, 10.0).unwrap().violation, 0.0);
        assert_eq!(worth(f64::NAN, 1.0), None);
        assert_eq!(goals.worth(|_| None), None);
    }
}
