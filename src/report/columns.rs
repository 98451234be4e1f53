//! A run's candidates and measurements as named columns, which every file
//! format is written from: CSV here, Parquet in `parquet`.

use std::collections::BTreeSet;

use crate::store::{Candidate, Evaluated, Outcome, RunState};

/// One column; a value is absent where it does not apply.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    Integers(Vec<Option<i64>>),
    Numbers(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
}

/// Columns of equal length, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Columns(pub Vec<(String, Column)>);

impl Columns {
    fn texts<'a>(&mut self, name: &str, values: impl Iterator<Item = Option<&'a str>>) {
        let values = values.map(|v| v.map(str::to_owned)).collect();
        self.0.push((name.into(), Column::Texts(values)));
    }

    fn numbers(&mut self, name: &str, values: impl Iterator<Item = Option<f64>>) {
        self.0
            .push((name.into(), Column::Numbers(values.collect())));
    }

    fn integers(&mut self, name: &str, values: impl Iterator<Item = Option<u64>>) {
        let values = values.map(|v| v.map(|v| v as i64)).collect();
        self.0.push((name.into(), Column::Integers(values)));
    }

    /// Rows in each column.
    pub fn rows(&self) -> usize {
        self.0.first().map_or(0, |(_, column)| match column {
            Column::Integers(values) => values.len(),
            Column::Numbers(values) => values.len(),
            Column::Texts(values) => values.len(),
        })
    }

    /// As CSV with a header line.
    pub fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut write = |record: Vec<String>| {
            writer
                .write_record(&record)
                .expect("rows as long as their header go into memory");
        };
        write(self.0.iter().map(|(name, _)| name.clone()).collect());
        for row in 0..self.rows() {
            let cell = |column: &Column| match column {
                Column::Integers(values) => values[row].map(|v| v.to_string()),
                // As JSON writes it: the shortest text of the same number.
                Column::Numbers(values) => values[row].map(|v| serde_json::json!(v).to_string()),
                Column::Texts(values) => values[row].clone(),
            };
            let cells = self.0.iter().map(|(_, c)| cell(c).unwrap_or_default());
            write(cells.collect());
        }
        let bytes = writer.into_inner().expect("memory takes everything");
        String::from_utf8(bytes).expect("CSV of text is text")
    }
}

/// Every candidate of a run, whatever became of it, in the order asked for.
pub fn candidate_columns(state: &RunState) -> Columns {
    let all: Vec<&Candidate> = state.candidates.values().collect();
    let rows = || all.iter().copied();
    let of = |get: fn(&Evaluated) -> f64| rows().map(move |c| c.evaluated().map(get));
    let count = |get: fn(&Evaluated) -> u64| rows().map(move |c| c.evaluated().map(get));
    let mut columns = Columns::default();
    columns.integers("candidate", rows().map(|c| Some(c.id)));
    columns.integers("generation", rows().map(|c| c.generation));
    columns.texts(
        "status",
        rows().map(|c| {
            Some(match c.outcome {
                Outcome::Pending => "pending",
                Outcome::Evaluated(_) => "evaluated",
                Outcome::Failed { .. } => "failed",
            })
        }),
    );
    columns.texts("genotype", rows().map(|c| Some(c.genotype.as_str())));
    columns.texts("network_hash", rows().map(|c| c.network_hash.as_deref()));
    columns.numbers("accuracy", of(|e| e.accuracy));
    columns.numbers("predicted_ms", of(|e| e.latency_ms));
    columns.numbers("predicted_low_ms", of(|e| e.latency_low_ms));
    columns.numbers("predicted_high_ms", of(|e| e.latency_high_ms));
    columns.integers("macs", count(|e| e.macs));
    columns.integers("params", count(|e| e.params));
    columns.integers("peak_activation_bytes", count(|e| e.peak_activation_bytes));
    columns.numbers("seconds", of(|e| e.seconds));
    columns.texts(
        "cause",
        rows().map(|c| match &c.outcome {
            Outcome::Failed { cause } => Some(cause.as_str()),
            _ => None,
        }),
    );
    columns.numbers("fidelity", rows().map(|c| Some(c.fidelity)));
    let metrics: BTreeSet<&String> = state
        .evaluated()
        .flat_map(|e| e.predictions.keys())
        .collect();
    for metric in metrics {
        for (index, end) in ["", "_low", "_high"].iter().enumerate() {
            let value = |c: &Candidate| Some(c.evaluated()?.predictions.get(metric)?[index]);
            columns.numbers(&format!("{metric}{end}"), rows().map(value));
        }
    }
    columns
}

/// Every measurement of a run, in the order made; the raw samples are in the
/// run's events. The columns `genotype` and `latency_ms` are those that
/// `bespoke calibrate --measurements` reads.
pub fn measurement_columns(state: &RunState) -> Columns {
    let rows = || state.measurements.iter();
    let mut columns = Columns::default();
    columns.texts("genotype", rows().map(|m| Some(m.genotype.as_str())));
    columns.texts(
        "network_hash",
        rows().map(|m| Some(m.network_hash.as_str())),
    );
    columns.texts("purpose", rows().map(|m| Some(m.purpose.name())));
    columns.texts("engine", rows().map(|m| Some(m.engine.as_str())));
    columns.numbers("latency_ms", rows().map(|m| Some(m.median_ms)));
    columns.numbers("ci95_low_ms", rows().map(|m| Some(m.ci95_ms[0])));
    columns.numbers("ci95_high_ms", rows().map(|m| Some(m.ci95_ms[1])));
    let energy = |m: &crate::store::Measured| m.measurement["energy_mj"].as_f64();
    if rows().any(|m| energy(m).is_some()) {
        columns.numbers("energy_mj", rows().map(energy));
    }
    columns
}
