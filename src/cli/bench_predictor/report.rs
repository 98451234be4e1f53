//! The comparison as tables and as CSV.

use std::path::Path;

use comfy_table::{Table, presets};

use super::{Case, HELPS, OURS};
use crate::predict::eval::{macs_spearman, summarise};
use crate::predict::protocol::split;
use crate::predict::tables::TableSpace;
use crate::predict::train::Measured;

fn new_table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

/// A dash where there is no figure.
fn or_dash(value: f64, text: String) -> String {
    if value.is_finite() { text } else { "-".into() }
}

pub(super) fn summary_table(cases: &[Case]) -> Table {
    let header = [
        "table",
        "n",
        "method",
        "references",
        "Spearman",
        "±",
        "worst set",
        "Kendall",
        "mean error",
        "median error",
        "within 10 %",
        "90 % interval covers",
        "high / low",
    ];
    let mut table = new_table(header.map(String::from).to_vec());
    let mut last = None;
    for case in cases {
        if case.measurements == 10 && last != Some(case.space) {
            last = Some(case.space);
            if let Some(rho) = published(case.space) {
                let mut row = vec![case.space.name().to_string(), "10".into()];
                row.extend(["HELP, published".into(), HELPS.into(), format!("{rho:.3}")]);
                row.resize(header.len(), "-".into());
                table.add_row(row);
            }
        }
        let s = summarise(&case.devices);
        let one = case.devices.iter().all(|d| d.scores.len() < 2);
        let spread = if one { f64::NAN } else { s.spearman_sd };
        let worst = if one { f64::NAN } else { s.worst_set_spearman };
        table.add_row(vec![
            case.space.name().to_string(),
            case.measurements.to_string(),
            case.method.to_string(),
            if case.measurements == 0 {
                "-"
            } else {
                case.references
            }
            .to_string(),
            format!("{:.3}", s.spearman),
            or_dash(spread, format!("{spread:.3}")),
            or_dash(worst, format!("{worst:.3}")),
            format!("{:.3}", s.kendall),
            relative(s.mape),
            relative(s.median_ape),
            format!("{:.0} %", 100.0 * s.within_10_percent),
            or_dash(s.coverage, format!("{:.0} %", 100.0 * s.coverage)),
            or_dash(s.interval_ratio, format!("{:.2}", s.interval_ratio)),
        ]);
    }
    table
}

/// A relative error in per cent; figures that only rank have absurd ones.
fn relative(error: f64) -> String {
    if error < 100.0 {
        format!("{:.1} %", 100.0 * error)
    } else {
        "> 9999 %".into()
    }
}

/// Mean of HELP's published Spearman correlations on the table.
fn published(space: TableSpace) -> Option<f64> {
    let all = split(space).help_spearman;
    (!all.is_empty()).then(|| all.iter().map(|(_, rho)| rho).sum::<f64>() / all.len() as f64)
}

/// Mean (and worst) Spearman correlation of each test device with `n`
/// measurements, beside HELP's and that of multiply-accumulates alone.
pub(super) fn device_table(measured: &Measured, n: usize, cases: &[Case]) -> Table {
    let space = measured.table.space;
    let cases: Vec<&Case> = cases
        .iter()
        .filter(|c| c.space == space && c.measurements == n)
        .collect();
    let mut header = vec![format!("{}, {n} measurements", space.name()), "MACs".into()];
    let published = if n == 10 {
        split(space).help_spearman
    } else {
        &[]
    };
    if !published.is_empty() {
        header.push("HELP, published".into());
    }
    header.extend(cases.iter().map(|c| match c.method {
        OURS if n > 0 => format!("{OURS}, {}", c.references),
        method => method.to_string(),
    }));
    let mut table = new_table(header);
    for (row, device) in split(space).test.iter().enumerate() {
        let mut cells = vec![
            device.to_string(),
            format!("{:.3}", macs_spearman(measured, device)),
        ];
        if !published.is_empty() {
            let help = published.iter().find(|(name, _)| name == device);
            cells.push(help.map_or("-".into(), |(_, rho)| format!("{rho:.3}")));
        }
        cells.extend(cases.iter().map(|c| {
            let scores = &c.devices[row].scores;
            let rho: Vec<f64> = scores.iter().map(|s| s.agreement.spearman).collect();
            let mean = rho.iter().sum::<f64>() / rho.len() as f64;
            let worst = rho.iter().copied().fold(f64::INFINITY, f64::min);
            if rho.len() > 1 {
                format!("{mean:.3} ({worst:.3})")
            } else {
                format!("{mean:.3}")
            }
        }));
        table.add_row(cells);
    }
    table
}

/// One line a device and reference set.
pub(super) fn write_csv(path: &Path, cases: &[Case]) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record([
        "table",
        "measurements",
        "method",
        "references",
        "device",
        "set",
        "spearman",
        "kendall",
        "mean_relative_error",
        "median_relative_error",
        "within_10_percent",
        "coverage",
        "interval_ratio",
    ])?;
    for case in cases {
        for device in &case.devices {
            for (set, score) in device.scores.iter().enumerate() {
                let a = &score.agreement;
                let mut row = vec![
                    case.space.name().to_string(),
                    case.measurements.to_string(),
                    case.method.to_string(),
                    case.references.to_string(),
                    device.device.clone(),
                    set.to_string(),
                ];
                let figures = [a.spearman, a.kendall, a.mape, a.median_ape];
                row.extend(figures.map(|v| v.to_string()));
                // Where there is no interval the fields stay empty.
                let rest = [a.within_10_percent, score.coverage, score.interval_ratio];
                row.extend(rest.map(or_empty));
                writer.write_record(row)?;
            }
        }
    }
    writer.flush()?;
    Ok(())
}

fn or_empty(value: f64) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        String::new()
    }
}
