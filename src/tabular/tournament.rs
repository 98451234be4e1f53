//! Strategies side by side: every strategy on every device with every seed,
//! all runs scored alike.

use rayon::prelude::*;

use super::course::course;
use super::{
    Benchmark, Course, Limited, LimitedError, Peers, Plan, Scenario, ScenarioError, TrialError,
    Truth, handed_over, search_best, search_front, search_limited,
};
use crate::predict::Predictor;
use crate::strategy::Kind;

/// What all runs have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    pub seeds: u64,
    pub evaluations: usize,
    /// Latencies measured of each device before a search.
    pub measurements: usize,
    pub window: usize,
    pub population: Option<usize>,
}

impl Setup {
    fn plan(&self, kind: Kind, seed: u64) -> Plan {
        Plan {
            kind,
            evaluations: self.evaluations,
            window: self.window,
            population: self.population,
            seed,
        }
    }
}

/// Why a comparison did not end.
#[derive(Debug, thiserror::Error)]
pub enum TournamentError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error(transparent)]
    Limited(#[from] LimitedError),
}

/// Searches of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Fronts {
    pub courses: Vec<Course>,
    /// By seed, the share of the exact hypervolume (0 to 1) that the front of
    /// true accuracy against predicted latency of *every* architecture reaches
    /// at its true latencies: no search hands over more before it measures.
    pub foreseeable: Vec<f64>,
}

/// Runs every strategy with every seed on a device, and scores what peers
/// visited there.
///
/// # Errors
/// When there is no such device, or a strategy cannot search the table.
pub fn fronts(
    benchmark: &Benchmark,
    predictor: &Predictor,
    device: &str,
    kinds: &[Kind],
    peers: &Peers,
    setup: &Setup,
) -> Result<Fronts, TournamentError> {
    let scenario =
        |seed: u64| Scenario::new(benchmark, predictor, device, setup.measurements, seed);
    // Whether there is such a device, before what takes it for granted.
    scenario(0)?;
    let truth = Truth::of(benchmark, device);
    let names = peers.names();
    let by_seed: Vec<(Vec<Course>, f64)> = (0..setup.seeds)
        .into_par_iter()
        .map(|seed| {
            let scenario = scenario(seed)?;
            let on = Some((&scenario, &truth));
            let mut courses = Vec::new();
            for kind in kinds {
                let rows = search_front(&scenario, &setup.plan(*kind, seed))?;
                courses.push(course(benchmark, on, kind.name(), seed, rows));
            }
            for name in &names {
                if let Some(rows) = peers.visited(name, device, seed) {
                    let most = setup.evaluations.min(rows.len());
                    courses.push(course(benchmark, on, name, seed, rows[..most].to_vec()));
                }
            }
            let all: Vec<usize> = (0..benchmark.accuracy.len()).collect();
            let predicted = |row: usize| scenario.predicted[row].value;
            let front = handed_over(&all, &benchmark.accuracy, predicted);
            Ok((courses, truth.share(front)))
        })
        .collect::<Result<_, TournamentError>>()?;
    let (courses, foreseeable): (Vec<Vec<Course>>, Vec<f64>) = by_seed.into_iter().unzip();
    Ok(Fronts {
        courses: courses.into_iter().flatten().collect(),
        foreseeable,
    })
}

/// Runs every strategy with every seed for accuracy alone.
///
/// # Errors
/// When a strategy cannot search the table.
pub fn best_accuracies(
    benchmark: &Benchmark,
    kinds: &[Kind],
    setup: &Setup,
) -> Result<Vec<Course>, TournamentError> {
    let runs: Vec<(Kind, u64)> = kinds
        .iter()
        .flat_map(|kind| (0..setup.seeds).map(move |seed| (*kind, seed)))
        .collect();
    runs.into_par_iter()
        .map(|(kind, seed)| {
            let rows = search_best(benchmark, &setup.plan(kind, seed))?;
            Ok(course(benchmark, None, kind.name(), seed, rows))
        })
        .collect()
}

/// Runs a strategy with every seed under a latency limit.
///
/// # Errors
/// When there is no such device, or the strategy cannot search the table.
pub fn limited(
    benchmark: &Benchmark,
    predictor: &Predictor,
    device: &str,
    limit_ms: f64,
    kind: Kind,
    setup: &Setup,
) -> Result<Vec<Limited>, TournamentError> {
    (0..setup.seeds)
        .into_par_iter()
        .map(|seed| {
            let scenario = Scenario::new(benchmark, predictor, device, setup.measurements, seed)?;
            Ok(search_limited(
                &scenario,
                &setup.plan(kind, seed),
                limit_ms,
            )?)
        })
        .collect()
}
