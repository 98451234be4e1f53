//! `bespoke bench search`: strategies on a benchmark whose truth is known, so
//! that anyone can check the figures of `docs/search-benchmark.md`.

use std::path::{Path, PathBuf};

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, WrapErr};
use serde_json::{Value, json};

use crate::predict::Predictor;
use crate::predict::protocol::split;
use crate::predict::tables::TableSpace;
use crate::report::{CourseLine, courses_svg};
use crate::strategy::Kind;
use crate::tabular::{
    AccuracyColumn, Benchmark, Course, HELP_ROWS, Limited, Peers, Quartiles, Setup, Truth, after,
    best_accuracies, export, fronts, limited, until,
};

/// Compare search strategies on NAS-Bench-201, where the truth is known.
///
/// Accuracies come from a table that you name. A strategy sees latencies only
/// as the shipped predictor foretells them from a few measurements of the
/// device; the true ones score it. docs/search-benchmark.md defines every
/// figure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CSV file with a column `architecture` (official strings) and one of
    /// accuracies in per cent, of all 15,625 architectures.
    #[arg(long, value_name = "FILE")]
    accuracy: PathBuf,
    /// Name of the column of accuracies.
    #[arg(long, value_name = "NAME", default_value = AccuracyColumn::CIFAR100)]
    column: String,
    /// Directory with nasbench201.csv or nasbench201.csv.gz: latencies.
    #[arg(long, value_name = "DIR", default_value = "predictors/data")]
    tables: PathBuf,
    /// Predictor to use; the shipped one where none is given.
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// What to find: the front of accuracy and latency, the best accuracy at
    /// any latency, or the best accuracy under HELP's latency limits.
    #[arg(long, value_enum, default_value_t = Task::Front)]
    task: Task,
    /// Strategies, with commas.
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        default_value = "guided,random"
    )]
    strategy: Vec<Kind>,
    /// Devices, with commas; HELP's unseen test devices where none is given.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    device: Vec<String>,
    /// Runs of each strategy on each device, with seeds from 0.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// Accuracies looked up in a run.
    #[arg(long, default_value_t = 200)]
    evaluations: usize,
    /// Evaluations after which to report, with commas.
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "50,100,200,500"
    )]
    checkpoints: Vec<usize>,
    /// Latencies measured of each device before a search, at least 3.
    #[arg(long, default_value_t = 10)]
    measurements: usize,
    /// Candidates under way at the same time.
    #[arg(long, default_value_t = 1)]
    window: usize,
    /// Candidates a generation; each strategy's own number where none is given.
    #[arg(long)]
    population: Option<usize>,
    /// Score other programs' searches too: a CSV file of
    /// strategy,device,seed,architecture in the order of evaluation.
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,
    /// Write accuracies and predicted latencies to a CSV file, for other
    /// programs, and search nothing.
    #[arg(long, value_name = "FILE")]
    export_table: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write every run after every evaluation to a CSV file.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw the hypervolume that is missing after each evaluation.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Task {
    Front,
    Accuracy,
    Limits,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// When a table cannot be read, a device is unknown, a strategy cannot search
/// the table, or a file cannot be written.
pub fn run(args: Args) -> miette::Result<()> {
    if args.seeds == 0 || args.evaluations == 0 || args.window == 0 {
        miette::bail!("--seeds, --evaluations and --window must be at least 1");
    }
    if args.task != Task::Front && (args.plot.is_some() || args.peers.is_some()) {
        miette::bail!("--plot and --peers go with `--task front` alone");
    }
    let predictor = Predictor::open(args.predictor.as_deref())?;
    let accuracy = AccuracyColumn {
        path: args.accuracy.clone(),
        column: args.column.clone(),
    };
    let benchmark = Benchmark::read(&args.tables, &accuracy).into_diagnostic()?;
    let devices = match args.device.is_empty() {
        true => split(TableSpace::NasBench201)
            .test
            .iter()
            .map(|d| d.to_string())
            .collect(),
        false => args.device.clone(),
    };
    let setup = Setup {
        seeds: args.seeds,
        evaluations: args.evaluations,
        measurements: args.measurements,
        window: args.window,
        population: args.population,
    };
    if let Some(path) = &args.export_table {
        let mut writer = csv::Writer::from_path(path)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        return export(&benchmark, &predictor, &devices, &setup, &mut writer).into_diagnostic();
    }
    match args.task {
        Task::Limits => run_limits(&args, &benchmark, &predictor, &setup),
        Task::Accuracy => {
            let courses = best_accuracies(&benchmark, &args.strategy, &setup).into_diagnostic()?;
            report(&args, &benchmark, &[], &courses)
        }
        Task::Front => {
            let peers = match &args.peers {
                Some(path) => Peers::read(&benchmark, path).into_diagnostic()?,
                None => Peers::default(),
            };
            let bar = progress(devices.len());
            let mut courses = Vec::new();
            for device in &devices {
                bar.set_message(device.clone());
                let kinds = &args.strategy;
                let more = fronts(&benchmark, &predictor, device, kinds, &peers, &setup);
                courses.extend(more.into_diagnostic()?);
                bar.inc(1);
            }
            bar.finish_and_clear();
            report(&args, &benchmark, &devices, &courses)
        }
    }
}

fn progress(steps: usize) -> ProgressBar {
    ProgressBar::new(steps as u64).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}")
            .expect("a valid template"),
    )
}

/// Everything that is asked for of these courses.
fn report(
    args: &Args,
    benchmark: &Benchmark,
    devices: &[String],
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
    for device in devices {
        let truth = Truth::of(benchmark, device);
        println!(
            "{device}: {} architectures on the exact front; reference point {:.2} ms and {:.2} % accuracy",
            truth.front.len(),
            truth.reference[0],
            100.0 * (1.0 - truth.reference[1]),
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

fn new_table(header: Vec<String>) -> Table {
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

/// HELP's rows, each searched by each strategy.
fn run_limits(
    args: &Args,
    benchmark: &Benchmark,
    predictor: &Predictor,
    setup: &Setup,
) -> miette::Result<()> {
    let wanted = |device: &str| args.device.is_empty() || args.device.iter().any(|d| d == device);
    let rows: Vec<_> = HELP_ROWS.iter().filter(|row| wanted(row.device)).collect();
    if rows.is_empty() {
        miette::bail!("HELP published no limits for these devices");
    }
    let header = [
        "device",
        "limit, ms",
        "best possible, %",
        "HELP, %",
        "strategy",
        "median, %",
        "quartiles",
        "worst",
        "below the best",
        "finalists, mean",
        "without an answer",
        "evaluations",
    ];
    let mut table = new_table(header.map(String::from).to_vec());
    let mut all = Vec::new();
    let bar = progress(rows.len() * args.strategy.len());
    for row in rows {
        let truth = Truth::of(benchmark, row.device);
        let best = truth.best_within(row.limit_ms).unwrap_or(f64::NAN);
        for kind in &args.strategy {
            bar.set_message(format!("{}, {} ms: {kind}", row.device, row.limit_ms));
            let runs = limited(benchmark, predictor, row.device, row.limit_ms, *kind, setup)
                .into_diagnostic()?;
            bar.inc(1);
            let accuracy = |run: &Limited| run.best.map_or(0.0, |at| benchmark.accuracy[at]);
            let q = Quartiles::of(runs.iter().map(accuracy));
            let percent = |v: f64| format!("{:.2}", 100.0 * v);
            let worst = runs.iter().map(accuracy).fold(f64::INFINITY, f64::min);
            let finalists: usize = runs.iter().map(|r| r.finalists.len()).sum();
            let finalists = finalists as f64 / runs.len() as f64;
            let without = runs.iter().filter(|r| r.best.is_none()).count();
            let evaluations = runs.iter().map(|r| r.evaluations).max().unwrap_or(0);
            table.add_row(vec![
                row.device.to_string(),
                row.limit_ms.to_string(),
                percent(best),
                format!("{:.1}", row.help_percent),
                kind.to_string(),
                percent(q.median),
                format!("{}–{}", percent(q.first), percent(q.third)),
                percent(worst),
                percent(best - q.median),
                format!("{finalists:.1}"),
                without.to_string(),
                evaluations.to_string(),
            ]);
            all.push(json!({
                "device": row.device,
                "limit_ms": row.limit_ms,
                "best_possible": best,
                "help_published": row.help_percent / 100.0,
                "strategy": kind,
                "accuracy": q,
                "runs": runs,
            }));
        }
    }
    bar.finish_and_clear();
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&all).into_diagnostic()?),
        false => println!("{table}"),
    }
    Ok(())
}
