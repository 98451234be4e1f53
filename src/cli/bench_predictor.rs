//! `bespoke bench predictor`: the comparison with HELP on the public tables,
//! in its protocol, and with simpler and rival predictors in the same harness,
//! so that anyone can check the figures of the model card.

use std::path::{Path, PathBuf};
use std::time::Instant;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, WrapErr};
use serde_json::{Value, json};

use crate::predict::baselines::{self, Kind, World};
use crate::predict::eval::{
    DeviceScores, References, evaluate_sets, macs_spearman, reference_sets, summarise,
};
use crate::predict::protocol::split;
use crate::predict::tables::TableSpace;
use crate::predict::train::{Measured, TrainOptions, train};
use crate::predict::{Features, Options, Predictor};

/// Compare the predictor with HELP and with baselines on devices and spaces it
/// never saw.
///
/// Every method is adapted from the same measurements of each test device and
/// judged on all other architectures. Without `--baselines` and with ten
/// measurements it is a matter of minutes; the full comparison is
/// `--measurements 0,3,5,10,20,50 --baselines`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory with nasbench201, fbnet and ofa as .csv or .csv.gz.
    #[arg(long, value_name = "DIR", default_value = "predictors/data")]
    tables: PathBuf,
    /// Checkpoint to judge; the shipped one where none is given.
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// Measurements a device; several with commas.
    #[arg(
        short = 'n',
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "10",
        visible_alias = "n"
    )]
    measurements: Vec<usize>,
    /// Reference sets, with seeds from 0.
    #[arg(long, default_value_t = 10)]
    sets: usize,
    /// Only these tables: nasbench201, fbnet, ofa.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = table_name)]
    only: Vec<TableSpace>,
    /// Judge baselines too: all, or those named (macs, parameters, roofline,
    /// lookup-table, nearest-device, ridge, device-ridge, gaussian-process,
    /// boosted-trees, gnn, gnn-pretrained, maml-help, token-sequence).
    #[arg(long, value_name = "NAME,...", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    baselines: Option<String>,
    /// Skip training without the table a space is tested on.
    #[arg(long)]
    no_left_out: bool,
    /// Only time meta-training, adaptation and predictions.
    #[arg(long)]
    speed: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write every device's score with every reference set to this file.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

fn table_name(text: &str) -> Result<TableSpace, String> {
    let names = TableSpace::ALL.map(TableSpace::name);
    TableSpace::ALL
        .into_iter()
        .find(|s| s.name() == text)
        .ok_or_else(|| format!("no table `{text}`; there are {}", names.join(", ")))
}

impl Args {
    fn kinds(&self) -> miette::Result<Vec<Kind>> {
        match self.baselines.as_deref() {
            None => Ok(Vec::new()),
            Some("all") => Ok(Kind::ALL.to_vec()),
            Some(names) => names
                .split(',')
                .map(|n| n.trim().parse().map_err(|e: String| miette::miette!("{e}")))
                .collect(),
        }
    }

    fn wants(&self, space: TableSpace) -> bool {
        self.only.is_empty() || self.only.contains(&space)
    }
}

const OURS: &str = "bespoke";
const STRANGER: &str = "bespoke, space left out";
const RANDOM: &str = "random";
const HELPS: &str = "HELP's";
const CHOSEN: &str = "chosen";

/// One method with one way of picking references, on one table.
struct Case {
    space: TableSpace,
    measurements: usize,
    method: &'static str,
    references: &'static str,
    devices: Vec<DeviceScores>,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// When a table or the checkpoint cannot be read, a number of measurements is
/// out of range, or the CSV file cannot be written.
pub fn run(args: Args) -> miette::Result<()> {
    if args.sets == 0 {
        miette::bail!("--sets must be at least 1");
    }
    if args.measurements.iter().any(|n| *n > 1000) {
        miette::bail!("--measurements must be at most 1000: adaptation is for few measurements");
    }
    let kinds = args.kinds()?;
    let predictor = Predictor::open(args.predictor.as_deref())?;
    let measured = TableSpace::ALL
        .into_iter()
        // Training without a table needs the others.
        .filter(|space| args.wants(*space) || !(args.no_left_out || args.speed))
        .map(|space| Measured::read(&args.tables, space))
        .collect::<Result<Vec<_>, _>>()
        .into_diagnostic()?;
    let judged: Vec<&Measured> = measured
        .iter()
        .filter(|m| args.wants(m.table.space))
        .collect();
    if args.speed {
        let all = judged
            .iter()
            .map(|m| speed(&predictor, &measured, m.table.space))
            .collect::<miette::Result<Vec<_>>>()?;
        if args.json {
            let all: Vec<Value> = all.iter().map(Speed::json).collect();
            println!("{}", serde_json::to_string_pretty(&all).into_diagnostic()?);
        } else {
            all.iter().for_each(|s| println!("{s}"));
        }
        return Ok(());
    }
    let each = 1 + usize::from(!args.no_left_out) + kinds.len();
    let bar = ProgressBar::new((each * judged.len()) as u64).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}")
            .expect("a valid template"),
    );
    let mut cases = Vec::new();
    for m in &judged {
        cases.extend(table_cases(&args, &predictor, &measured, m, &kinds, &bar)?);
    }
    bar.finish_and_clear();
    if let Some(path) = &args.csv {
        write_csv(path, &cases)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        let all: Vec<Value> = cases
            .iter()
            .map(|c| {
                json!({
                    "space": c.space.name(),
                    "measurements": c.measurements,
                    "method": c.method,
                    "references": c.references,
                    "summary": summarise(&c.devices),
                    "devices": c.devices,
                })
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&all).into_diagnostic()?);
        return Ok(());
    }
    println!("{}", summary_table(&cases));
    for m in &judged {
        for n in &args.measurements {
            println!("{}", device_table(m, *n, &cases));
        }
    }
    for m in &judged {
        println!("{}", speed(&predictor, &measured, m.table.space)?);
    }
    Ok(())
}

/// Everything on one table.
fn table_cases(
    args: &Args,
    predictor: &Predictor,
    measured: &[Measured],
    m: &Measured,
    kinds: &[Kind],
    bar: &ProgressBar,
) -> miette::Result<Vec<Case>> {
    let space = m.table.space;
    let test = split(space).test;
    let random = References::Random { sets: args.sets };
    let mut cases = Vec::new();
    let mut case = |measurements, method, references, devices| {
        cases.push(Case {
            space,
            measurements,
            method,
            references,
            devices,
        });
    };
    bar.set_message(format!("{}: {OURS}", space.name()));
    for n in &args.measurements {
        for (name, references) in [
            (RANDOM, random),
            (HELPS, References::Help),
            (CHOSEN, References::Chosen { sets: args.sets }),
        ] {
            // HELP names ten; without measurements there is nothing to pick.
            if (name == HELPS && *n != 10) || (name == CHOSEN && *n == 0) {
                continue;
            }
            let sets = reference_sets(predictor, m, references, *n);
            case(*n, OURS, name, evaluate_sets(predictor, m, test, &sets));
        }
    }
    bar.inc(1);
    if !args.no_left_out {
        bar.set_message(format!("{}: {STRANGER}", space.name()));
        let others = TableSpace::ALL.into_iter().filter(|s| *s != space);
        let stranger = train(
            measured,
            &TrainOptions {
                spaces: others.collect(),
                ..TrainOptions::default()
            },
        );
        for n in &args.measurements {
            let sets = reference_sets(&stranger, m, random, *n);
            case(
                *n,
                STRANGER,
                RANDOM,
                evaluate_sets(&stranger, m, test, &sets),
            );
        }
        bar.inc(1);
    }
    if kinds.is_empty() {
        return Ok(cases);
    }
    let world = World::of(m).into_diagnostic()?;
    for kind in kinds {
        bar.set_message(format!("{}: {}", space.name(), kind.name()));
        let baseline = kind.prepare(&world, 0);
        for n in &args.measurements {
            let sets = reference_sets(predictor, m, random, *n);
            let scores = baselines::evaluate(&*baseline, m, test, &sets);
            case(*n, kind.name(), RANDOM, scores);
        }
        bar.inc(1);
    }
    Ok(cases)
}

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

fn summary_table(cases: &[Case]) -> Table {
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
fn device_table(measured: &Measured, n: usize, cases: &[Case]) -> Table {
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
fn write_csv(path: &Path, cases: &[Case]) -> Result<(), csv::Error> {
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

/// How fast the predictor is on one table.
struct Speed {
    space: TableSpace,
    /// Meta-training on this table alone, on all cores.
    meta_training_s: f64,
    adaptation_ms: f64,
    /// On one core: features of networks, latencies and intervals from
    /// features.
    features_per_s: f64,
    predictions_per_s: f64,
    intervals_per_s: f64,
}

impl Speed {
    fn json(&self) -> Value {
        json!({
            "space": self.space.name(),
            "meta_training_s": self.meta_training_s,
            "adaptation_ms": self.adaptation_ms,
            "features_per_s": self.features_per_s,
            "predictions_per_s": self.predictions_per_s,
            "intervals_per_s": self.intervals_per_s,
        })
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: meta-trains in {:.1} s, adapts in {:.0} ms; a core computes features of {:.0} networks, {:.0} latencies, {:.0} intervals a second",
            self.space.name(),
            self.meta_training_s,
            self.adaptation_ms,
            self.features_per_s,
            self.predictions_per_s,
            self.intervals_per_s,
        )
    }
}

/// Times meta-training, adaptation (both on all cores) and prediction.
fn speed(predictor: &Predictor, measured: &[Measured], space: TableSpace) -> miette::Result<Speed> {
    let start = Instant::now();
    let trained = train(
        measured,
        &TrainOptions {
            spaces: vec![space],
            ..TrainOptions::default()
        },
    );
    let meta_training_s = start.elapsed().as_secs_f64();
    let measured = measured
        .iter()
        .find(|m| m.table.space == space)
        .expect("the table was read");
    let latency = measured.latencies(split(space).validate[0]);
    let pairs: Vec<(&Features, f64)> = (0..10)
        .map(|i| (&measured.features[i], latency[i]))
        .collect();
    // The first call pays for what later calls find warm.
    trained
        .calibrate(&pairs, &Options::default())
        .into_diagnostic()?;
    let start = Instant::now();
    let calibrated = predictor
        .calibrate(&pairs, &Options::default())
        .into_diagnostic()?;
    let adaptation_ms = 1e3 * start.elapsed().as_secs_f64();
    let networks = measured
        .table
        .architectures
        .iter()
        .take(500)
        .map(|text| space.network(text))
        .collect::<Result<Vec<_>, _>>()
        .into_diagnostic()?;
    let per_second = |count: usize, start: Instant| count as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let features: Vec<Features> = networks.iter().map(Features::of).collect();
    let features_per_s = per_second(features.len(), start);
    let start = Instant::now();
    let sum: f64 = measured
        .features
        .iter()
        .map(|f| calibrated.latency_ms(f))
        .sum();
    let predictions_per_s = per_second(measured.features.len(), start);
    let start = Instant::now();
    let reach: f64 = measured
        .features
        .iter()
        .map(|f| calibrated.predict(f).high_ms)
        .sum();
    let intervals_per_s = per_second(measured.features.len(), start);
    // The sums are used, so that no prediction can be optimised away.
    miette::ensure!(
        sum.is_finite() && reach.is_finite(),
        "a prediction is not finite"
    );
    Ok(Speed {
        space,
        meta_training_s,
        adaptation_ms,
        features_per_s,
        predictions_per_s,
        intervals_per_s,
    })
}
