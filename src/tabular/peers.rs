//! Searches of other programs: the table that they search, and what they
//! visited, to be scored like our own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Benchmark, Scenario, ScenarioError, Setup};
use crate::predict::Predictor;
use crate::space::codec::Codec;

/// By strategy, device and seed: rows in the order of their evaluation.
type Visits = BTreeMap<(String, String, u64), Vec<usize>>;

/// Why other programs' runs cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the peers' runs: {path}: {reason}")]
pub struct PeersError {
    path: PathBuf,
    reason: String,
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
    pub fn read(benchmark: &Benchmark, path: &Path) -> Result<Self, PeersError> {
        let fail = |reason: String| PeersError {
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

    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .visits
            .keys()
            .map(|(name, _, _)| name.clone())
            .collect();
        names.dedup();
        names
    }

    pub(super) fn visited(&self, name: &str, device: &str, seed: u64) -> Option<&[usize]> {
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
