//! Courses of searches as a table, JSON, CSV and a picture.

use std::path::Path;

use comfy_table::{Table, presets};
use miette::{IntoDiagnostic, WrapErr};
use serde_json::{Value, json};

use super::Args;
use crate::report::{CourseLine, courses_svg};
use crate::tabular::{Benchmark, Course, Quartiles, Truth, after, until};

/// Everything that is asked for of these courses; `devices` come with what any
/// search can hand over there before it measures.
pub(super) fn print(
    args: &Args,
    benchmark: &Benchmark,
    devices: &[(&str, Quartiles)],
    courses: &[Course],
) -> miette::Result<()> {
    let failed = |path: &Path| format!("cannot write {}", path.display());
    if let Some(path) = &args.csv {
        write_csv(path, benchmark, courses)
            .into_diagnostic()
            .wrap_err_with(|| failed(path))?;
    }
    if let Some(path) = &args.plot {
        let svg = courses_svg(&lines(courses)).map_err(|e| miette::miette!("no plot: {e}"))?;
        std::fs::write(path, svg)
            .into_diagnostic()
            .wrap_err_with(|| failed(path))?;
    }
    let checkpoints: Vec<usize> = args
        .checkpoints
        .iter()
        .copied()
        .filter(|n| *n <= args.evaluations)
        .collect();
    if args.json {
        let all: Vec<Value> = groups(courses)
            .iter()
            .map(|group| summary_json(benchmark, group, &checkpoints))
            .collect();
        println!("{}", serde_json::to_string_pretty(&all).into_diagnostic()?);
        return Ok(());
    }
    if devices.is_empty() {
        println!(
            "{}",
            accuracy_table(benchmark, courses, &checkpoints, args.evaluations)
        );
        return Ok(());
    }
    for (device, foreseeable) in devices {
        let truth = Truth::of(benchmark, device);
        println!(
            "{device}: {} architectures on the exact front; reference point {:.2} ms and {:.2} % accuracy; \
             with all accuracies known, the predicted front hands over {} %",
            truth.front.len(),
            truth.reference[0],
            100.0 * (1.0 - truth.reference[1]),
            share(*foreseeable),
        );
    }
    println!("{}", front_table(courses, &checkpoints, args.evaluations));
    Ok(())
}

/// Courses of one strategy on one device, in the order of their first.
fn groups(courses: &[Course]) -> Vec<Vec<&Course>> {
    let mut groups: Vec<Vec<&Course>> = Vec::new();
    for course in courses {
        let same = |g: &&mut Vec<&Course>| {
            g[0].strategy == course.strategy && g[0].device == course.device
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(course),
            None => groups.push(vec![course]),
        }
    }
    groups
}

fn quartiles(group: &[&Course], value: impl Fn(&Course) -> f64) -> Quartiles {
    Quartiles::of(group.iter().map(|course| value(course)))
}

/// In per cent.
fn share(q: Quartiles) -> String {
    let percent = |v: f64| format!("{:.2}", 100.0 * v);
    format!(
        "{} ({}–{})",
        percent(q.median),
        percent(q.first),
        percent(q.third)
    )
}

/// Evaluations, where too few runs got there as more than there were.
fn count(q: Quartiles, most: usize) -> String {
    let one = |v: f64| match v.is_finite() {
        true => format!("{v:.0}"),
        false => format!("> {most}"),
    };
    format!("{} ({}–{})", one(q.median), one(q.first), one(q.third))
}

pub(super) fn new_table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

/// Hypervolume that counts as found.
const FOUND: f64 = 0.99;

fn front_table(courses: &[Course], checkpoints: &[usize], most: usize) -> Table {
    let mut header = vec![
        "device".to_string(),
        "strategy".into(),
        "hypervolume, %".into(),
    ];
    header.extend(checkpoints.iter().map(|n| format!("after {n}")));
    header.push("evaluations to 99 %".into());
    let mut table = new_table(header);
    for group in groups(courses) {
        for (what, of) in [
            ("handed over", (|c| &c.handed_over) as fn(&Course) -> &[f64]),
            ("evaluated", |c| &c.evaluated),
        ] {
            let device = group[0].device.clone().unwrap_or_default();
            let mut row = vec![device, group[0].strategy.clone(), what.into()];
            row.extend(
                checkpoints
                    .iter()
                    .map(|n| share(quartiles(&group, |c| after(of(c), *n)))),
            );
            row.push(count(quartiles(&group, |c| until(of(c), FOUND)), most));
            table.add_row(row);
        }
    }
    table
}

fn best_of(benchmark: &Benchmark) -> f64 {
    benchmark.accuracy.iter().copied().fold(0.0, f64::max)
}

fn accuracy_table(
    benchmark: &Benchmark,
    courses: &[Course],
    checkpoints: &[usize],
    most: usize,
) -> Table {
    let best = best_of(benchmark);
    let mut header = vec!["strategy".to_string()];
    header.extend(
        checkpoints
            .iter()
            .map(|n| format!("regret after {n}, points")),
    );
    header.push(format!("evaluations to {:.2} %", 100.0 * best));
    let mut table = new_table(header);
    for group in groups(courses) {
        let mut row = vec![group[0].strategy.clone()];
        let regret = |n: usize| quartiles(&group, |c| best - after(&c.accuracy, n));
        row.extend(checkpoints.iter().map(|n| share(regret(*n))));
        row.push(count(quartiles(&group, |c| until(&c.accuracy, best)), most));
        table.add_row(row);
    }
    table
}

fn summary_json(benchmark: &Benchmark, group: &[&Course], checkpoints: &[usize]) -> Value {
    let best = best_of(benchmark);
    let at: Vec<Value> = checkpoints
        .iter()
        .map(|n| {
            json!({
                "evaluations": n,
                "handed_over": quartiles(group, |c| after(&c.handed_over, *n)),
                "evaluated": quartiles(group, |c| after(&c.evaluated, *n)),
                "accuracy_regret": quartiles(group, |c| best - after(&c.accuracy, *n)),
            })
        })
        .collect();
    json!({
        "strategy": group[0].strategy,
        "device": group[0].device,
        "runs": group.len(),
        "checkpoints": at,
        "evaluations_to_99_percent": {
            "handed_over": quartiles(group, |c| until(&c.handed_over, FOUND)),
            "evaluated": quartiles(group, |c| until(&c.evaluated, FOUND)),
        },
        "evaluations_to_best_accuracy": quartiles(group, |c| until(&c.accuracy, best)),
    })
}

/// One line an evaluation.
fn write_csv(path: &Path, benchmark: &Benchmark, courses: &[Course]) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record([
        "strategy",
        "device",
        "seed",
        "evaluation",
        "architecture",
        "accuracy",
        "best_accuracy",
        "hypervolume_handed_over",
        "hypervolume_evaluated",
    ])?;
    for course in courses {
        for (at, row) in course.rows.iter().enumerate() {
            let or_empty = |values: &[f64]| values.get(at).map_or(String::new(), f64::to_string);
            writer.write_record([
                course.strategy.clone(),
                course.device.clone().unwrap_or_default(),
                course.seed.to_string(),
                (at + 1).to_string(),
                benchmark.measured.table.architectures[*row].clone(),
                benchmark.accuracy[*row].to_string(),
                course.accuracy[at].to_string(),
                or_empty(&course.handed_over),
                or_empty(&course.evaluated),
            ])?;
        }
    }
    writer.flush()?;
    Ok(())
}

/// Medians over the seeds of what is missing from the hypervolume evaluated.
fn lines(courses: &[Course]) -> Vec<CourseLine> {
    let line = |group: &Vec<&Course>| {
        let longest = group.iter().map(|c| c.rows.len()).max().unwrap_or(0);
        let missing = |n: usize| 1.0 - quartiles(group, |c| after(&c.evaluated, n)).median;
        CourseLine {
            strategy: group[0].strategy.clone(),
            device: group[0].device.clone().unwrap_or_default(),
            missing: (1..=longest).map(missing).collect(),
        }
    };
    groups(courses).iter().map(line).collect()
}
