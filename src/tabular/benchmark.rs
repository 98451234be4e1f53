//! The table: every architecture of a space with its accuracy and its latency
//! on each device.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::predict::tables::TableSpace;
use crate::predict::train::{Measured, TrainError};
use crate::space::codec::{Codec, CodecError};
use crate::space::{Architecture, Space};
use crate::strategy::describe;

/// Where the accuracies stand in a CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccuracyColumn {
    /// A column `architecture` (official NAS-Bench-201 strings) and one of
    /// accuracies.
    pub path: PathBuf,
    /// Name of the column, of per cent.
    pub column: String,
}

impl AccuracyColumn {
    /// CIFAR-100 test accuracy as in HW-NAS-Bench-360.
    pub const CIFAR100: &'static str = "accuracy_cifar100_percent";
}

/// Why there is no benchmark.
#[derive(Debug, thiserror::Error)]
pub enum BenchmarkError {
    #[error(transparent)]
    Latencies(#[from] TrainError),
    #[error("cannot read the accuracies: {path}: {source}")]
    Read { path: PathBuf, source: csv::Error },
    #[error("{path} has no column `{column}`; it has {found}")]
    Column {
        path: PathBuf,
        column: String,
        found: String,
    },
    #[error("{path}, line {line}: {reason}")]
    Row {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error(
        "{path} has no accuracy of {missing} architectures, the first of them `{first}`: every architecture of the space needs one, or the exact front is unknown"
    )]
    Incomplete {
        path: PathBuf,
        missing: usize,
        first: String,
    },
    #[error("latency table, architecture {index}: {source}")]
    Architecture { index: usize, source: CodecError },
}

/// NAS-Bench-201 with all that is known of it. Indices are rows of the latency
/// table, in the official order.
pub struct Benchmark {
    pub space: Arc<Space>,
    pub architectures: Vec<Architecture>,
    /// Shares of images classified right, 0 to 1.
    pub accuracy: Vec<f64>,
    /// Latencies, and the features the predictor reads.
    pub measured: Measured,
    /// What [`describe`] says of each network.
    pub(super) descriptions: Arc<Vec<Vec<f64>>>,
    /// By row, one a proxy; empty where there are none.
    pub(super) scores: Arc<Vec<Vec<f64>>>,
    pub(super) index: Arc<HashMap<Architecture, usize>>,
}

impl Benchmark {
    /// Reads latencies (`nasbench201.csv` or its gzip in `tables`) and
    /// accuracies.
    ///
    /// # Errors
    /// When a file cannot be read or is malformed, or an architecture has no
    /// accuracy.
    pub fn read(tables: &Path, accuracies: &AccuracyColumn) -> Result<Self, BenchmarkError> {
        // The accuracies first: a wrong path is noticed at once.
        let accuracies_by_text = read_accuracies(accuracies)?;
        let measured = Measured::read(tables, TableSpace::NasBench201)?;
        let text = include_str!("../../search-spaces/nasbench201.space");
        let space = Space::parse("nasbench201.space", text)
            .expect("the shipped space is valid, as tests show");
        let texts = &measured.table.architectures;
        let architectures = texts
            .par_iter()
            .enumerate()
            .map(|(index, text)| {
                Codec::NasBench201
                    .decode(&space, text)
                    .map_err(|source| BenchmarkError::Architecture { index, source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let known: Vec<Option<f64>> = texts
            .iter()
            .map(|text| accuracies_by_text.get(text).copied())
            .collect();
        let missing = known.iter().filter(|a| a.is_none()).count();
        if let Some(first) = known.iter().position(Option::is_none) {
            return Err(BenchmarkError::Incomplete {
                path: accuracies.path.clone(),
                missing,
                first: texts[first].clone(),
            });
        }
        let descriptions = architectures
            .par_iter()
            .map(|a| space.network(a).map(|n| describe(&n)).unwrap_or_default())
            .collect();
        let index = architectures.iter().cloned().zip(0..).collect();
        Ok(Benchmark {
            space: Arc::new(space),
            architectures,
            accuracy: known.into_iter().flatten().collect(),
            measured,
            descriptions: Arc::new(descriptions),
            scores: Arc::default(),
            index: Arc::new(index),
        })
    }

    /// The row of an architecture of the space.
    pub fn row(&self, architecture: &Architecture) -> Option<usize> {
        self.index.get(architecture).copied()
    }
}

/// Accuracies (0 to 1) by the architecture's text.
fn read_accuracies(from: &AccuracyColumn) -> Result<HashMap<String, f64>, BenchmarkError> {
    let path = &from.path;
    let read = |source| BenchmarkError::Read {
        path: path.clone(),
        source,
    };
    let mut reader = csv::Reader::from_path(path).map_err(read)?;
    let header = reader.headers().map_err(read)?.clone();
    let find = |name: &str| {
        let found = header.iter().position(|h| h == name);
        found.ok_or_else(|| BenchmarkError::Column {
            path: path.clone(),
            column: name.into(),
            found: header.iter().collect::<Vec<_>>().join(", "),
        })
    };
    let (text, value) = (find("architecture")?, find(&from.column)?);
    let mut accuracies = HashMap::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(read)?;
        let field = &record[value];
        let percent = field.parse::<f64>().ok();
        let Some(percent) = percent.filter(|p| (0.0..=100.0).contains(p)) else {
            return Err(BenchmarkError::Row {
                path: path.clone(),
                line: index + 2,
                reason: format!("`{field}` is no accuracy in per cent, from 0 to 100"),
            });
        };
        accuracies.insert(record[text].to_string(), percent / 100.0);
    }
    Ok(accuracies)
}
