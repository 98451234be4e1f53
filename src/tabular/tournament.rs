//! Strategies side by side: every strategy on every device with every seed,
//! all runs scored alike, and what the seeds come to in quartiles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::{
    Benchmark, Limited, LimitedError, Plan, Scenario, ScenarioError, TrialError, Truth,
    handed_over, search_best, search_front, search_limited,
};
use crate::predict::Predictor;
use crate::space::codec::Codec;
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
    #[error("cannot read the peers' runs: {path}: {reason}")]
    Peers { path: PathBuf, reason: String },
}

/// How good a run was after each of its evaluations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Course {
    pub strategy: String,
    /// None where latency did not matter.
    pub device: Option<String>,
    pub seed: u64,
    /// Rows of the table in the order of evaluation.
    #[serde(skip)]
    pub rows: Vec<usize>,
    /// Share of the exact hypervolume, 0 to 1, of what would be handed over:
    /// the front of true accuracy against predicted latency, at its true
    /// latencies.
    pub handed_over: Vec<f64>,
    /// The same of everything evaluated.
    pub evaluated: Vec<f64>,
    /// Best accuracy so far, 0 to 1.
    pub accuracy: Vec<f64>,
}

/// Scores rows in the order of their evaluation.
fn course(
    benchmark: &Benchmark,
    on: Option<(&Scenario<'_>, &Truth)>,
    strategy: &str,
    seed: u64,
    rows: Vec<usize>,
) -> Course {
    let mut course = Course {
        strategy: strategy.into(),
        device: on.map(|(scenario, _)| scenario.device.clone()),
        seed,
        handed_over: Vec::new(),
        evaluated: Vec::new(),
        accuracy: Vec::new(),
        rows: Vec::new(),
    };
    let mut best = 0.0;
    for end in 1..=rows.len() {
        best = f64::max(best, benchmark.accuracy[rows[end - 1]]);
        course.accuracy.push(best);
        if let Some((scenario, truth)) = on {
            let so_far = &rows[..end];
            let predicted = |row: usize| scenario.predicted[row].value;
            let front = handed_over(so_far, &benchmark.accuracy, predicted);
            course.handed_over.push(truth.share(front));
            course.evaluated.push(truth.share(so_far.iter().copied()));
        }
    }
    course.rows = rows;
    course
}

/// A strategy's name, or a peer's.
type Visits = BTreeMap<(String, String, u64), Vec<usize>>;

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
) -> Result<Vec<Course>, TournamentError> {
    let scenario =
        |seed: u64| Scenario::new(benchmark, predictor, device, setup.measurements, seed);
    // Whether there is such a device, before what takes it for granted.
    scenario(0)?;
    let truth = Truth::of(benchmark, device);
    let names = peers.names();
    let by_seed: Vec<Vec<Course>> = (0..setup.seeds)
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
            Ok(courses)
        })
        .collect::<Result<_, TournamentError>>()?;
    Ok(by_seed.into_iter().flatten().collect())
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

/// First quartile, median and third quartile; infinite where too few runs got
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quartiles {
    pub first: f64,
    pub median: f64,
    pub third: f64,
}

impl Quartiles {
    /// Of values, infinities last; linear between neighbours in rank.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let Some(last) = sorted.len().checked_sub(1) else {
                return f64::NAN;
            };
            let place = share * last as f64;
            let (low, high) = (
                sorted[place.floor() as usize],
                sorted[place.ceil() as usize],
            );
            match low == high {
                // Also where both are infinite.
                true => low,
                false => low + place.fract() * (high - low),
            }
        };
        Quartiles {
            first: at(0.25),
            median: at(0.5),
            third: at(0.75),
        }
    }
}

/// The value of a course after so many evaluations: its last where it ended
/// earlier.
pub fn after(values: &[f64], evaluations: usize) -> f64 {
    let last = values.len().min(evaluations);
    last.checked_sub(1).map_or(0.0, |at| values[at])
}

/// Evaluations until a value is reached, infinite where it never is.
pub fn until(values: &[f64], reached: f64) -> f64 {
    let at = values.iter().position(|value| *value >= reached);
    at.map_or(f64::INFINITY, |at| (at + 1) as f64)
}

/// Searches that other programs ran on the exported table.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    visits: Visits,
}

impl Peers {
    /// Reads `strategy,device,seed,architecture` rows, each run's in the order
    /// of its evaluations.
    ///
    /// # Errors
    /// When the file cannot be read or a row is malformed.
    pub fn read(benchmark: &Benchmark, path: &Path) -> Result<Self, TournamentError> {
        let fail = |reason: String| TournamentError::Peers {
            path: path.into(),
            reason,
        };
        let mut reader = csv::Reader::from_path(path).map_err(|e| fail(e.to_string()))?;
        let mut visits: Visits = BTreeMap::new();
        for (index, record) in reader
            .deserialize::<(String, String, u64, String)>()
            .enumerate()
        {
            let at = |reason: String| fail(format!("line {}: {reason}", index + 2));
            let (strategy, device, seed, text) = record.map_err(|e| at(e.to_string()))?;
            let architecture = Codec::NasBench201
                .decode(&benchmark.space, &text)
                .map_err(|e| at(e.to_string()))?;
            let row = benchmark
                .row(&architecture)
                .ok_or_else(|| at(format!("`{text}` is not in the table")))?;
            let run = visits.entry((strategy, device, seed)).or_default();
            // Asking for the same accuracy again costs nothing.
            if !run.contains(&row) {
                run.push(row);
            }
        }
        Ok(Peers { visits })
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .visits
            .keys()
            .map(|(name, _, _)| name.clone())
            .collect();
        names.dedup();
        names
    }

    fn visited(&self, name: &str, device: &str, seed: u64) -> Option<&[usize]> {
        let key = (name.to_string(), device.to_string(), seed);
        self.visits.get(&key).map(Vec::as_slice)
    }
}

/// Writes what other programs need for the same searches: each architecture's
/// accuracy and, by device and seed, the latency as predicted.
///
/// # Errors
/// When a device is unknown or the writer fails.
pub fn export(
    benchmark: &Benchmark,
    predictor: &Predictor,
    devices: &[String],
    setup: &Setup,
    writer: &mut csv::Writer<impl std::io::Write>,
) -> Result<(), ExportError> {
    let mut header = vec!["architecture".to_string(), "accuracy".into()];
    let mut columns = Vec::new();
    for device in devices {
        let predicted: Vec<_> = (0..setup.seeds)
            .into_par_iter()
            .map(|seed| {
                let scenario =
                    Scenario::new(benchmark, predictor, device, setup.measurements, seed)?;
                Ok(scenario.predicted)
            })
            .collect::<Result<_, ScenarioError>>()?;
        for (seed, estimates) in predicted.into_iter().enumerate() {
            header.push(format!("{device}:{seed}"));
            columns.push(estimates);
        }
    }
    writer.write_record(&header)?;
    for (row, text) in benchmark.measured.table.architectures.iter().enumerate() {
        let mut record = vec![text.clone(), benchmark.accuracy[row].to_string()];
        record.extend(columns.iter().map(|c| format!("{:.6}", c[row].value)));
        writer.write_record(&record)?;
    }
    writer.flush()?;
    Ok(())
}

/// Why the table cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Csv(#[from] csv::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_stay_infinite_where_too_few_got_there() {
        let q = Quartiles::of([4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!((q.first, q.median, q.third), (2.0, 3.0, 4.0));
        let q = Quartiles::of([1.0, 2.0, f64::INFINITY]);
        assert_eq!((q.first, q.median, q.third), (1.5, 2.0, f64::INFINITY));
        assert!(Quartiles::of([]).median.is_nan());
    }

    #[test]
    fn a_course_is_read_at_its_checkpoints() {
        let values = [0.2, 0.5, 0.5, 0.9];
        assert_eq!(
            (after(&values, 2), after(&values, 99), after(&[], 1)),
            (0.5, 0.9, 0.0)
        );
        assert_eq!(
            (until(&values, 0.5), until(&values, 0.95)),
            (2.0, f64::INFINITY)
        );
    }
}
