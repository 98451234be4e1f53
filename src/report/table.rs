//! Tables for the terminal: light rules, numbers to the right, units in the
//! heads. Texts from a database are shown without their control characters, so
//! that a hostile name cannot move the cursor or change colours.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentLineStyle, LineStyle, Table, TableStyle};
use serde_json::Value;

use super::front::{FrontRow, front_rows};
use super::units::{bytes_text, count_text, duration_text, ms_text, percent_text, time_text};
use crate::store::{Purpose, RunState, RunSummary};

const STYLE: TableStyle = {
    let rule = LineStyle::none().fill('─').junction('─');
    TableStyle::new()
        .top_border(rule)
        .header_lines(ContentLineStyle::none().junction(' '))
        .header_separator(rule)
        .content_lines(ContentLineStyle::none().junction(' '))
        .bottom_border(rule)
};

/// A table whose columns named in `numeric` are aligned to the right.
pub(super) fn table(header: &[&str], numeric: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .force_no_tty()
        .set_header(header.to_vec())
        .add_rows(rows);
    for index in numeric {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

pub(super) fn shown<T>(value: Option<T>, how: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), how)
}

/// The list of runs.
pub fn runs_table(runs: &[RunSummary]) -> String {
    let rows = runs.iter().map(|run| {
        vec![
            run.id.to_string(),
            plain(&run.name),
            run.status_word().to_owned(),
            time_text(run.created_ms),
            run.evaluated.to_string(),
            run.failed.to_string(),
            shown(run.best_accuracy, percent_text),
            shown(run.least_latency_ms, ms_text),
            plain(&run.dataset),
            plain(&run.device),
        ]
    });
    let header = [
        "run",
        "name",
        "status",
        "started (UTC)",
        "evaluated",
        "failed",
        "best val. %",
        "least ms",
        "data",
        "device",
    ];
    table(&header, &[4, 5, 6, 7], rows.collect())
}

fn with_interval(middle: f64, low: f64, high: f64) -> String {
    format!("{} [{}, {}]", ms_text(middle), ms_text(low), ms_text(high))
}

/// The front: measured beside predicted latency, each with its interval, and
/// energies where there are some.
pub fn front_table(rows: &[FrontRow]) -> String {
    let predicted_energy = rows.iter().any(|r| r.predicted_energy_mj.is_some());
    let measured_energy = rows.iter().any(|r| r.measured_energy_mj.is_some());
    let interval = |middle: Option<f64>, low: Option<f64>, high: Option<f64>| {
        let all = middle.zip(low).zip(high);
        shown(all, |((middle, low), high)| {
            with_interval(middle, low, high)
        })
    };
    let lines = rows.iter().map(|row| {
        let mut line = vec![
            row.candidate.to_string(),
            percent_text(row.accuracy),
            shown(row.test_accuracy, percent_text),
            with_interval(
                row.predicted_ms,
                row.predicted_low_ms,
                row.predicted_high_ms,
            ),
            interval(row.measured_ms, row.measured_low_ms, row.measured_high_ms),
        ];
        if predicted_energy {
            line.push(interval(
                row.predicted_energy_mj,
                row.predicted_energy_low_mj,
                row.predicted_energy_high_mj,
            ));
        }
        if measured_energy {
            line.push(shown(row.measured_energy_mj, ms_text));
        }
        line.extend([
            count_text(row.macs),
            count_text(row.params),
            bytes_text(row.peak_activation_bytes),
        ]);
        line
    });
    let mut header = vec![
        "candidate",
        "val. %",
        "test %",
        "predicted ms",
        "measured ms",
    ];
    if predicted_energy {
        header.push("predicted mJ");
    }
    if measured_energy {
        header.push("measured mJ");
    }
    header.extend(["MACs", "params", "memory"]);
    let numeric: Vec<usize> = (0..header.len()).collect();
    table(&header, &numeric, lines.collect())
}

/// Everything about a run that fits a screen or two.
pub fn run_summary(state: &RunState) -> String {
    let mut out = String::new();
    let header = &state.header;
    let mut say = |label: &str, text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{label:<12} {}", plain(&text));
    };
    say("run", format!("{}  {}", state.id, header.name));
    let reason = shown(state.reason.as_deref(), str::to_owned);
    say(
        "status",
        match state.reason {
            Some(_) => format!("{}: {reason}", state.status_word()),
            None => state.status_word().to_owned(),
        },
    );
    let seconds = (state.last_event_ms - state.created_ms) as f64 / 1000.0;
    say(
        "time",
        format!(
            "{} to {} UTC ({})",
            time_text(state.created_ms),
            time_text(state.last_event_ms),
            duration_text(seconds)
        ),
    );
    let architectures = state.architectures.as_deref();
    say(
        "space",
        format!(
            "{} ({} architectures)",
            header.space_hash,
            architectures.unwrap_or("uncounted")
        ),
    );
    say("seed", header.seed.to_string());
    say(
        "data",
        format!("{} ({})", header.dataset_name, header.dataset_hash),
    );
    say("device", format!("{}, {}", header.device, header.engine));
    let commit = shown(header.git_commit.as_deref(), str::to_owned);
    say(
        "version",
        format!("bespoke {}, git commit {commit}", header.bespoke_version),
    );
    let evaluated = state.evaluated().count();
    let failed = state.failures().count();
    say(
        "candidates",
        format!(
            "{evaluated} evaluated, {failed} failed, {} pending",
            state.candidates.len() - evaluated - failed
        ),
    );
    let count = |purpose| state.measured_for(purpose).count();
    say(
        "measured",
        format!(
            "references {}, held out {}, front {}, by hand {}",
            count(Purpose::Reference),
            count(Purpose::Heldout),
            count(Purpose::Front),
            count(Purpose::Manual)
        ),
    );
    if let Some(calibration) = &state.calibration {
        say("calibration", scalars("", calibration).join(", "));
    }
    for artefact in &state.artefacts {
        let size = bytes_text(artefact.bytes);
        say(
            "artefact",
            format!("{} ({}, {size})", artefact.name, artefact.kind),
        );
    }
    for (candidate, cause) in state.failures() {
        say("failed", format!("candidate {}: {cause}", candidate.id));
    }
    for note in &state.notes {
        say("note", note.clone());
    }
    for warning in &state.warnings {
        say("warning", warning.clone());
    }
    for (kind, count) in &state.unknown {
        say(
            "warning",
            format!("events of kind `{kind}` that need a newer bespoke: {count}"),
        );
    }
    let rows = front_rows(state);
    if !rows.is_empty() {
        let _ = write!(out, "\n{}", front_table(&rows));
    }
    out.trim_end().to_owned()
}

/// The numbers and short texts of a JSON value, with their paths. Lists and
/// long texts are details for other tools.
fn scalars(path: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                scalars(&path, value)
            })
            .collect(),
        Value::Number(number) if number.is_f64() => {
            vec![format!("{path} {:.4}", number.as_f64().unwrap_or(f64::NAN))]
        }
        Value::Number(_) | Value::Bool(_) => vec![format!("{path} {value}")],
        Value::String(text) if text.chars().count() <= 60 => vec![format!("{path} {text}")],
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
