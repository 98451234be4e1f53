//! A run's figures as plain rows, and those rows as CSV. JSON needs nothing
//! more, as the rows serialise. Numbers are whole here: rounding is for
//! tables.

use serde::Serialize;

use super::units::time_text;
use crate::store::{FrontMember, RunState, RunSummary};
use crate::strategy::Metric;

/// A member of the front: predicted beside measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontRow {
    pub candidate: u64,
    pub genotype: String,
    pub network_hash: String,
    /// Validation accuracy in the search, a fraction.
    pub accuracy: f64,
    /// Validation accuracy after the final training.
    pub trained_accuracy: Option<f64>,
    pub test_accuracy: Option<f64>,
    pub predicted_ms: f64,
    pub predicted_low_ms: f64,
    pub predicted_high_ms: f64,
    /// Measured median.
    pub measured_ms: Option<f64>,
    /// 95 % confidence interval of the measured median.
    pub measured_low_ms: Option<f64>,
    pub measured_high_ms: Option<f64>,
    /// Of an inference on the front's engine, with the 90 % interval, where
    /// the search calibrated energies.
    pub predicted_energy_mj: Option<f64>,
    pub predicted_energy_low_mj: Option<f64>,
    pub predicted_energy_high_mj: Option<f64>,
    /// Where the engine has a meter.
    pub measured_energy_mj: Option<f64>,
    pub macs: u64,
    pub params: u64,
    pub peak_activation_bytes: u64,
}

impl FrontRow {
    /// A member of the front of `engine`, where none is given of the run's own.
    pub(super) fn of(member: &FrontMember<'_>, engine: Option<&str>) -> Self {
        let e = member.evaluated;
        let energy = Metric::Energy {
            device: engine.map(str::to_owned),
        };
        let energy = e.predictions.get(&energy.to_string());
        FrontRow {
            candidate: e.candidate,
            genotype: e.genotype.clone(),
            network_hash: e.network_hash.clone(),
            accuracy: e.accuracy,
            trained_accuracy: member.trained.map(|t| t.validation_accuracy),
            test_accuracy: member.trained.map(|t| t.test_accuracy),
            predicted_ms: member.predicted_ms[0],
            predicted_low_ms: member.predicted_ms[1],
            predicted_high_ms: member.predicted_ms[2],
            measured_ms: member.measured.map(|m| m.median_ms),
            measured_low_ms: member.measured.map(|m| m.ci95_ms[0]),
            measured_high_ms: member.measured.map(|m| m.ci95_ms[1]),
            predicted_energy_mj: energy.map(|e| e[0]),
            predicted_energy_low_mj: energy.map(|e| e[1]),
            predicted_energy_high_mj: energy.map(|e| e[2]),
            measured_energy_mj: member
                .measured
                .and_then(|m| m.measurement["energy_mj"].as_f64()),
            macs: e.macs,
            params: e.params,
            peak_activation_bytes: e.peak_activation_bytes,
        }
    }
}

/// The run's Pareto front, the fastest first.
pub fn front_rows(state: &RunState) -> Vec<FrontRow> {
    let front = state.front();
    front.iter().map(|m| FrontRow::of(m, None)).collect()
}

/// The front on one of the run's engines, the fastest first.
pub fn front_rows_on(state: &RunState, engine: &str) -> Vec<FrontRow> {
    let device = (engine != state.header.engine).then_some(engine);
    let front = state.front_on(engine);
    front.iter().map(|m| FrontRow::of(m, device)).collect()
}

/// The front as CSV with a header line.
pub fn front_csv(rows: &[FrontRow]) -> String {
    to_csv(
        &[
            "candidate",
            "genotype",
            "network_hash",
            "accuracy",
            "trained_accuracy",
            "test_accuracy",
            "predicted_ms",
            "predicted_low_ms",
            "predicted_high_ms",
            "measured_ms",
            "measured_low_ms",
            "measured_high_ms",
            "predicted_energy_mj",
            "predicted_energy_low_mj",
            "predicted_energy_high_mj",
            "measured_energy_mj",
            "macs",
            "params",
            "peak_activation_bytes",
        ],
        rows,
    )
}

/// The list of runs as CSV with a header line.
pub fn runs_csv(runs: &[RunSummary]) -> String {
    let rows: Vec<_> = runs
        .iter()
        .map(|r| {
            (
                r.id.as_str(),
                &r.name,
                r.status_word(),
                time_text(r.created_ms),
                r.evaluated,
                r.failed,
                r.measured,
                r.best_accuracy,
                r.least_latency_ms,
                &r.dataset,
                &r.device,
                &r.engine,
            )
        })
        .collect();
    to_csv(
        &[
            "id",
            "name",
            "status",
            "created_utc",
            "evaluated",
            "failed",
            "measured",
            "best_accuracy",
            "least_predicted_ms",
            "dataset",
            "device",
            "engine",
        ],
        &rows,
    )
}

/// The header is written apart from the rows, so that a table without rows
/// still has one.
fn to_csv<T: Serialize>(header: &[&str], rows: &[T]) -> String {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    let written = writer
        .write_record(header)
        .and_then(|()| rows.iter().try_for_each(|row| writer.serialize(row)));
    written.expect("rows as long as their header go into memory");
    let bytes = writer.into_inner().expect("memory takes everything");
    String::from_utf8(bytes).expect("CSV of text is text")
}
