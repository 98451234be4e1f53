//! `bespoke bench predictor`: the comparison with HELP on the public tables,
//! in its protocol, so that anyone can check the figures of the model card.

use std::path::PathBuf;
use std::time::Instant;

use comfy_table::{Table, presets};
use miette::IntoDiagnostic;
use serde_json::{Value, json};

use crate::predict::eval::{DeviceScores, References, evaluate, macs_spearman, summarise};
use crate::predict::protocol::split;
use crate::predict::tables::TableSpace;
use crate::predict::train::{Measured, TrainOptions, train};
use crate::predict::{Features, Options, Predictor};

/// Compare the predictor with HELP on devices and spaces it never saw.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory with nasbench201, fbnet and ofa as .csv or .csv.gz.
    #[arg(long, value_name = "DIR", default_value = "predictors/data")]
    tables: PathBuf,
    /// Checkpoint to judge; the shipped one where none is given.
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// Measurements a device.
    #[arg(short, long, default_value_t = 10)]
    n: usize,
    /// Reference sets, with seeds from 0.
    #[arg(long, default_value_t = 10)]
    sets: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One way of training and picking references, on one table.
struct Case {
    space: TableSpace,
    name: &'static str,
    devices: Vec<DeviceScores>,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// When a table or the checkpoint cannot be read, or `n` is below three.
pub fn run(args: Args) -> miette::Result<()> {
    if args.n < 3 || args.sets == 0 {
        miette::bail!("--n must be at least 3 and --sets at least 1");
    }
    let predictor = Predictor::open(args.predictor.as_deref())?;
    let measured = TableSpace::ALL
        .into_iter()
        .map(|space| Measured::read(&args.tables, space))
        .collect::<Result<Vec<_>, _>>()
        .into_diagnostic()?;
    let random = References::Random { sets: args.sets };
    let mut cases = Vec::new();
    for m in &measured {
        let space = m.table.space;
        let test = split(space).test;
        let mut case = |name, predictor: &Predictor, references| {
            cases.push(Case {
                space,
                name,
                devices: evaluate(predictor, m, test, references, args.n),
            });
        };
        case("random references", &predictor, random);
        if args.n == 10 {
            case("HELP's references", &predictor, References::Help);
        }
        case(
            "chosen references",
            &predictor,
            References::Chosen { sets: args.sets },
        );
        let others = TableSpace::ALL
            .into_iter()
            .filter(|s| *s != space)
            .collect();
        let stranger = train(
            &measured,
            &TrainOptions {
                spaces: others,
                ..TrainOptions::default()
            },
        );
        case("space left out, random", &stranger, random);
    }
    if args.json {
        let all: Vec<Value> = cases
            .iter()
            .map(|c| {
                json!({
                    "space": c.space.name(),
                    "case": c.name,
                    "measurements": args.n,
                    "summary": summarise(&c.devices),
                    "devices": c.devices,
                })
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&all).into_diagnostic()?);
        return Ok(());
    }
    println!("{}", summary_table(&cases));
    for m in &measured {
        println!("{}", device_table(m, &cases));
    }
    for m in &measured {
        println!("{}", speed(&predictor, m)?);
    }
    Ok(())
}

fn new_table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

fn summary_table(cases: &[Case]) -> Table {
    let header = [
        "table",
        "training and references",
        "Spearman",
        "worst set",
        "Kendall",
        "median error",
        "within 10 %",
        "90 % interval covers",
        "high / low",
    ];
    let mut table = new_table(header.map(String::from).to_vec());
    for case in cases {
        let s = summarise(&case.devices);
        table.add_row(vec![
            case.space.name().to_string(),
            case.name.to_string(),
            format!("{:.3}", s.spearman),
            format!("{:.3}", s.worst_set_spearman),
            format!("{:.3}", s.kendall),
            format!("{:.1} %", 100.0 * s.median_ape),
            format!("{:.0} %", 100.0 * s.within_10_percent),
            format!("{:.0} %", 100.0 * s.coverage),
            format!("{:.2}", s.interval_ratio),
        ]);
    }
    table
}

/// Mean Spearman correlation of each test device, beside HELP's and that of
/// multiply-accumulates alone.
fn device_table(measured: &Measured, cases: &[Case]) -> Table {
    let space = measured.table.space;
    let cases: Vec<&Case> = cases.iter().filter(|c| c.space == space).collect();
    let mut header = vec![
        format!("{} device", space.name()),
        "MACs".into(),
        "HELP".into(),
    ];
    header.extend(cases.iter().map(|c| c.name.to_string()));
    let mut table = new_table(header);
    let published = split(space).help_spearman;
    for (row, device) in split(space).test.iter().enumerate() {
        let help = published.iter().find(|(name, _)| name == device);
        let mut cells = vec![
            device.to_string(),
            format!("{:.3}", macs_spearman(measured, device)),
            help.map_or("-".into(), |(_, rho)| format!("{rho:.3}")),
        ];
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

/// Times adaptation and prediction on one thread.
fn speed(predictor: &Predictor, measured: &Measured) -> miette::Result<String> {
    let space = measured.table.space;
    let latency = measured.latencies(split(space).validate[0]);
    let pairs: Vec<(&Features, f64)> = (0..10)
        .map(|i| (&measured.features[i], latency[i]))
        .collect();
    let start = Instant::now();
    let calibrated = predictor
        .calibrate(&pairs, &Options::default())
        .into_diagnostic()?;
    let adaptation_ms = 1e3 * start.elapsed().as_secs_f64();
    let networks = measured.table.architectures[..500]
        .iter()
        .map(|text| space.network(text))
        .collect::<Result<Vec<_>, _>>()
        .into_diagnostic()?;
    let per_second = |count: usize, start: Instant| count as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let features: Vec<Features> = networks.iter().map(Features::of).collect();
    let featured = per_second(features.len(), start);
    let start = Instant::now();
    let sum: f64 = measured
        .features
        .iter()
        .map(|f| calibrated.latency_ms(f))
        .sum();
    let points = per_second(measured.features.len(), start);
    let start = Instant::now();
    let reach: f64 = measured
        .features
        .iter()
        .map(|f| calibrated.predict(f).high_ms)
        .sum();
    let intervals = per_second(measured.features.len(), start);
    // The sums are used, so that no prediction can be optimised away.
    miette::ensure!(
        sum.is_finite() && reach.is_finite(),
        "a prediction is not finite"
    );
    Ok(format!(
        "{}: adapts in {adaptation_ms:.0} ms; a core computes features of {featured:.0} networks, {points:.0} latencies, {intervals:.0} intervals a second",
        space.name()
    ))
}
