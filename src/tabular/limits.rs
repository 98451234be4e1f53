//! HELP's end-to-end comparison (Lee et al. 2021): the best CIFAR-100
//! accuracy under a latency limit, with ten measurements of the device. A
//! search knows latencies as they are predicted, so at the end a few finalists
//! are measured, and the best of those that keep the limit is the answer.

use serde::Serialize;

use super::trial::{Plan, TrialError, search};
use super::{Scenario, ScenarioError};
use crate::strategy::{Constraint, Estimate, Goals, Metric, Side, chance};

/// One of HELP's rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HelpRow {
    pub device: &'static str,
    pub limit_ms: f64,
    /// In per cent, as published. Some are above the best possible in the
    /// table, so their architecture was over the limit.
    pub help_percent: f64,
}

const fn row(device: &'static str, limit_ms: f64, help_percent: f64) -> HelpRow {
    HelpRow {
        device,
        limit_ms,
        help_percent,
    }
}

/// HELP's rows on devices that it, like our predictor, was not trained on.
pub const HELP_ROWS: [HelpRow; 15] = [
    row("titan_rtx_256", 18.0, 69.7),
    row("titan_rtx_256", 21.0, 71.5),
    row("titan_rtx_256", 25.0, 71.8),
    row("gold_6226", 8.0, 67.3),
    row("gold_6226", 11.0, 70.2),
    row("gold_6226", 14.0, 72.1),
    row("pixel2", 14.0, 69.7),
    row("pixel2", 18.0, 71.8),
    row("pixel2", 22.0, 73.2),
    row("eyeriss", 5.0, 71.5),
    row("eyeriss", 7.0, 71.8),
    row("eyeriss", 9.0, 73.5),
    row("fpga", 4.0, 70.2),
    row("fpga", 5.0, 71.8),
    row("fpga", 6.0, 73.5),
];

/// Finalists measured, at most.
pub const FINALISTS: usize = 5;

/// How a search under a limit ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limited {
    /// Accuracies looked up.
    pub evaluations: usize,
    /// Rows measured after the search, with their true latencies in ms.
    pub finalists: Vec<(usize, f64)>,
    /// The most accurate finalist that keeps the limit.
    pub best: Option<usize>,
}

/// Why a search under a limit did not end.
#[derive(Debug, thiserror::Error)]
pub enum LimitedError {
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

/// Searches the best accuracy under a latency limit and measures finalists.
///
/// # Errors
/// When the strategy cannot search the table.
pub fn search_limited(
    scenario: &Scenario<'_>,
    plan: &Plan,
    limit_ms: f64,
) -> Result<Limited, LimitedError> {
    let limit = Constraint {
        metric: Metric::LATENCY,
        side: Side::AtMost,
        bound: limit_ms,
    };
    let goals = Goals::new(vec![Metric::Accuracy], vec![limit.clone()])
        .expect("one objective and one limit");
    let predicted = |row: usize| Some(scenario.predicted[row].value);
    let rows = search(
        scenario.benchmark,
        plan,
        &goals,
        scenario.knowledge(),
        predicted,
    )?;
    let mut finalists: Vec<(usize, f64)> = Vec::new();
    let mut best: Option<usize> = None;
    let accuracy = |row: usize| scenario.benchmark.accuracy[row];
    while finalists.len() < FINALISTS {
        // Only what is better than what is known to be allowed.
        let reached = best.map_or(0.0, accuracy);
        let open: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|row| accuracy(*row) > reached)
            .filter(|row| finalists.iter().all(|(measured, _)| measured != row))
            .collect();
        // Each finalist's latency is one measurement more.
        let measured: Vec<usize> = finalists.iter().map(|(row, _)| *row).collect();
        let estimates = scenario.predict_after(&measured, open.clone())?;
        let options: Vec<(f64, f64)> = open
            .iter()
            .zip(estimates)
            .map(|(row, estimate)| {
                (
                    accuracy(*row),
                    known_chance(scenario, *row, estimate, &limit),
                )
            })
            .collect();
        let Some(next) = next_finalist(&options, reached, FINALISTS - finalists.len()) else {
            break;
        };
        let row = open[next];
        let latency_ms = scenario.latency_ms(row);
        finalists.push((row, latency_ms));
        if latency_ms <= limit_ms {
            best = Some(row);
        }
    }
    Ok(Limited {
        evaluations: rows.len(),
        finalists,
        best,
    })
}

/// The chance that a row keeps the limit; of the references it is known.
fn known_chance(
    scenario: &Scenario<'_>,
    row: usize,
    estimate: Estimate,
    limit: &Constraint,
) -> f64 {
    match scenario.measured().contains(&row) {
        true => f64::from(limit.violation(scenario.latency_ms(row)) == 0.0),
        false => chance(estimate, limit),
    }
}

/// Which of `(accuracy, chance to be allowed)` to measure next when `left` may
/// be measured: of the set whose best allowed member is expected to be best,
/// beyond what is `reached` already, the one that gains most over the least of
/// the set, which is kept for the case that the others fail. The set is grown
/// one by one, which is within 1 - 1/e of the best set since the expectation is
/// submodular.
fn next_finalist(options: &[(f64, f64)], reached: f64, left: usize) -> Option<usize> {
    const WORTH_MEASURING: f64 = 1e-6;
    // Chances are taken for independent.
    let expected = |set: &[usize]| {
        let mut set = set.to_vec();
        set.sort_by(|a, b| options[*b].0.total_cmp(&options[*a].0));
        let (mut none, mut sum) = (1.0, 0.0);
        for index in set {
            let (accuracy, chance) = options[index];
            sum += none * chance * (accuracy - reached);
            none *= 1.0 - chance;
        }
        sum
    };
    let mut set: Vec<usize> = Vec::new();
    for _ in 0..left {
        let now = expected(&set);
        let gain = |index: usize| {
            let mut larger = set.clone();
            larger.push(index);
            expected(&larger) - now
        };
        let outside = (0..options.len()).filter(|i| !set.contains(i));
        let gains: Vec<(f64, usize)> = outside.map(|i| (gain(i), i)).collect();
        let best = gains
            .into_iter()
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        match best {
            Some((gain, index)) if gain > WORTH_MEASURING => set.push(index),
            _ => break,
        }
    }
    // Where the errors of predictions go together, the first measurement
    // teaches most where it is most in question what is gained.
    let least = set.iter().map(|i| options[*i].0).fold(f64::MAX, f64::min);
    let gain = |index: usize| options[index].1 * (options[index].0 - least);
    set.into_iter()
        .max_by(|a, b| gain(*a).total_cmp(&gain(*b)).then(b.cmp(a)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bold_finalists_are_tried_before_the_safe_one() {
        let options = [(0.70, 1.0), (0.72, 0.5), (0.73, 0.4), (0.74, 1e-9)];
        // Alone, the safe one is best; with more to measure, a bold one first.
        assert_eq!(next_finalist(&options, 0.0, 1), Some(0));
        assert_eq!(next_finalist(&options, 0.0, 2), Some(2));
        assert_eq!(next_finalist(&options[..2], 0.0, 2), Some(1));
        // Of bold ones, the likely.
        let likely = [(0.70, 1.0), (0.72, 0.9), (0.73, 0.1)];
        assert_eq!(next_finalist(&likely, 0.0, 3), Some(1));
        // What is not better than what is reached is not measured.
        assert_eq!(next_finalist(&options[..2], 0.72, 5), None);
        assert_eq!(next_finalist(&options, 0.72, 5), Some(2));
        assert_eq!(next_finalist(&[], 0.0, 5), None);
    }
}
