//! One device as a user meets it: a few of its latencies measured, all others
//! predicted. Also what a strategy is told of it.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::Benchmark;
use crate::predict::{CalibrationError, Features, Options, Predictor};
use crate::space::Architecture;
use crate::strategy::{Estimate, Knowledge, Known, Metric};

/// Why a device cannot be met.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("the latency table has no device `{device}`; it has {found}")]
    Device { device: String, found: String },
    #[error("{device}: {source}")]
    Calibration {
        device: String,
        source: CalibrationError,
    },
}

/// A device with the predictor calibrated to it.
pub struct Scenario<'a> {
    pub benchmark: &'a Benchmark,
    pub device: String,
    predictor: &'a Predictor,
    /// Rows measured so far, the references first.
    measured: Vec<usize>,
    /// Latencies by row in milliseconds, as predicted, with 90 % intervals.
    pub predicted: Arc<Vec<Estimate>>,
}

impl<'a> Scenario<'a> {
    /// Measures `measurements` references, chosen as the product chooses them
    /// with this seed, calibrates, and predicts every architecture.
    ///
    /// # Errors
    /// When there is no such device, or too few measurements.
    pub fn new(
        benchmark: &'a Benchmark,
        predictor: &'a Predictor,
        device: &str,
        measurements: usize,
        seed: u64,
    ) -> Result<Self, ScenarioError> {
        let table = &benchmark.measured.table;
        if table.device(device).is_none() {
            return Err(ScenarioError::Device {
                device: device.into(),
                found: table.devices.join(", "),
            });
        }
        let features = &benchmark.measured.features;
        let mut scenario = Scenario {
            benchmark,
            device: device.into(),
            predictor,
            measured: predictor.choose_references(features, measurements, seed),
            predicted: Arc::default(),
        };
        scenario.predicted = Arc::new(scenario.predict((0..features.len()).collect())?);
        Ok(scenario)
    }

    /// True latency of a row in milliseconds.
    pub fn latency_ms(&self, row: usize) -> f64 {
        self.benchmark.measured.latencies(&self.device)[row]
    }

    /// Predictions of these rows after measuring also those in `more`.
    ///
    /// # Errors
    /// When there are too few measurements.
    pub fn predict_after(
        &self,
        more: &[usize],
        rows: Vec<usize>,
    ) -> Result<Vec<Estimate>, ScenarioError> {
        let mut measured = self.measured.clone();
        for row in more {
            if !measured.contains(row) {
                measured.push(*row);
            }
        }
        let more = Scenario {
            benchmark: self.benchmark,
            device: self.device.clone(),
            predictor: self.predictor,
            measured,
            predicted: Arc::default(),
        };
        more.predict(rows)
    }

    /// Rows whose true latency is known from measuring.
    pub fn measured(&self) -> &[usize] {
        &self.measured
    }

    fn predict(&self, rows: Vec<usize>) -> Result<Vec<Estimate>, ScenarioError> {
        let features = &self.benchmark.measured.features;
        let latency = self.benchmark.measured.latencies(&self.device);
        let pairs: Vec<(&Features, f64)> = self
            .measured
            .iter()
            .map(|row| (&features[*row], latency[*row]))
            .collect();
        let calibrated = self
            .predictor
            .calibrate(&pairs, &Options::default())
            .map_err(|source| ScenarioError::Calibration {
                device: self.device.clone(),
                source,
            })?;
        Ok(rows
            .into_par_iter()
            .map(|row| {
                let p = calibrated.predict(&features[row]);
                Estimate {
                    value: p.latency_ms,
                    low: p.low_ms,
                    high: p.high_ms,
                }
            })
            .collect())
    }

    /// What a strategy may know: predicted latencies, descriptions of the
    /// networks, and the benchmark's scores.
    pub fn knowledge(&self) -> Arc<dyn Knowledge> {
        self.benchmark.foretold(Some(self.predicted.clone()))
    }
}

/// Descriptions of a benchmark's networks, and predicted latencies and scores
/// where there are some.
struct Foretold {
    index: Arc<HashMap<Architecture, usize>>,
    descriptions: Arc<Vec<Vec<f64>>>,
    latency: Option<Arc<Vec<Estimate>>>,
    /// By row; empty where there are none.
    scores: Arc<Vec<Vec<f64>>>,
}

impl Knowledge for Foretold {
    fn known(&self, architecture: &Architecture) -> Known {
        let Some(row) = self.index.get(architecture).copied() else {
            return Known::default();
        };
        Known {
            estimates: self
                .latency
                .iter()
                .map(|latency| (Metric::LATENCY, latency[row]))
                .collect(),
            scores: self.scores.get(row).cloned().unwrap_or_default(),
            features: self.descriptions[row].clone(),
        }
    }
}

impl Benchmark {
    /// What a strategy may know where there is no device: descriptions and
    /// scores.
    pub fn knowledge(&self) -> Arc<dyn Knowledge> {
        self.foretold(None)
    }

    fn foretold(&self, latency: Option<Arc<Vec<Estimate>>>) -> Arc<dyn Knowledge> {
        Arc::new(Foretold {
            index: self.index.clone(),
            descriptions: self.descriptions.clone(),
            scores: self.scores.clone(),
            latency,
        })
    }
}
