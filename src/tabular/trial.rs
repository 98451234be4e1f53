//! One search of the table by one strategy with one seed.

use std::sync::Arc;

use super::{Benchmark, Scenario};
use crate::strategy::{
    Answer, Budget, Goals, Kind, Knowledge, Metric, Problem, Settings, StrategyError, build, drive,
};

/// How a strategy is run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub kind: Kind,
    /// Architectures whose accuracy is looked up.
    pub evaluations: usize,
    /// Under way at the same time.
    pub window: usize,
    pub population: Option<usize>,
    pub seed: u64,
}

/// Why a strategy cannot search the table.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error(transparent)]
    Strategy(#[from] StrategyError),
    #[error(
        "{0} trains some candidates for part of the epochs, but the table knows accuracies of whole trainings only: choose another strategy"
    )]
    Fidelity(Kind),
    #[error("{0} asked for an architecture that the table lacks")]
    Unknown(Kind),
}

/// Rows in the order of their evaluation.
///
/// # Errors
/// When the strategy cannot be made, or needs what the table lacks.
pub fn search(
    benchmark: &Benchmark,
    plan: &Plan,
    goals: &Goals,
    knowledge: Arc<dyn Knowledge>,
    predicted_ms: impl Fn(usize) -> Option<f64> + Sync,
) -> Result<Vec<usize>, TrialError> {
    let problem = Problem {
        space: benchmark.space.clone(),
        goals: goals.clone(),
        knowledge,
    };
    let settings = Settings {
        seed: plan.seed,
        population: plan.population,
        ..Settings::default()
    };
    let mut strategy = build(plan.kind, problem, &settings)?;
    let budget = Budget {
        evaluations: plan.evaluations as f64,
        window: plan.window,
        // Looking up takes no time; searches run side by side instead.
        threads: 1,
    };
    let mut rows = Vec::new();
    drive(
        &mut *strategy,
        budget,
        |candidate| -> Result<Answer, TrialError> {
            if candidate.fidelity < 1.0 {
                return Err(TrialError::Fidelity(plan.kind));
            }
            let row = benchmark.row(&candidate.architecture);
            let row = row.ok_or(TrialError::Unknown(plan.kind))?;
            Ok(goals.worth(|metric| match metric {
                Metric::Accuracy => Some(benchmark.accuracy[row]),
                Metric::Latency { .. } => predicted_ms(row),
                _ => None,
            }))
        },
        |told| rows.extend(benchmark.row(&told.candidate.architecture)),
    )?;
    Ok(rows)
}

/// Searches accuracy against the latency of a device.
///
/// # Errors
/// As [`search`].
pub fn search_front(scenario: &Scenario<'_>, plan: &Plan) -> Result<Vec<usize>, TrialError> {
    let goals = Goals::new(vec![Metric::Accuracy, Metric::LATENCY], Vec::new())
        .expect("two different objectives");
    let predicted = |row: usize| Some(scenario.predicted[row].value);
    search(
        scenario.benchmark,
        plan,
        &goals,
        scenario.knowledge(),
        predicted,
    )
}

/// Searches the highest accuracy, at any latency.
///
/// # Errors
/// As [`search`].
pub fn search_best(benchmark: &Benchmark, plan: &Plan) -> Result<Vec<usize>, TrialError> {
    let goals = Goals::new(vec![Metric::Accuracy], Vec::new()).expect("one objective");
    search(benchmark, plan, &goals, benchmark.knowledge(), |_| None)
}
