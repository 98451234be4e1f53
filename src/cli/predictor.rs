//! `bespoke predictor`: meta-train the predictor from public tables, judge it
//! on a device's measurements, and show what a checkpoint is.

use std::path::{Path, PathBuf};
use std::time::Instant;

use miette::{IntoDiagnostic, WrapErr};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::calibrate::{Row, Source, calibrated, sentence};
use crate::predict::judge::{Judgement, by_name, ceiling, judge};
use crate::predict::protocol::split;
use crate::predict::tables::TableSpace;
use crate::predict::train::{Measured, TrainOptions, train};
use crate::predict::{DeviceModel, Features, Origin, Predictor, checkpoint_version};
use crate::space::Space;

const EVAL_EXAMPLES: &str = "\
Examples:
  bespoke predictor eval --calibration pi5.json \\
    --space search-spaces/quickstart.space --measurements more.csv
  bespoke predictor eval --space search-spaces/nasbench201.space \\
    --format nasbench201 --as-written --measurements pi5.csv -n 10 --sets 10

With --calibration, the measurements test it. Without, the predictor is
calibrated on N of them, drawn at random or chosen, and tested on the others.";

const SHOW_EXAMPLES: &str = "\
Examples:
  bespoke predictor show
  bespoke predictor show my.bespoke --json";

const TRAIN_EXAMPLES: &str = "\
Examples:
  bespoke predictor train --tables predictors/data --out my.bespoke --seed 0";

/// The shipped checkpoint's model card.
const CARD: &str = include_str!("../../predictors/README.md");

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Meta-train a predictor on the latency tables of known devices.
    #[command(after_help = TRAIN_EXAMPLES)]
    Train(Train),
    /// Judge a calibration, or the predictor, on measurements of a device.
    #[command(after_help = EVAL_EXAMPLES)]
    Eval(Eval),
    /// Show a checkpoint's version, devices, data, figures and limits.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
}

/// `bespoke predict train` and `show`, as they were once spelled.
#[derive(Debug, clap::Subcommand)]
pub enum Older {
    /// `bespoke predictor train`.
    #[command(hide = true)]
    Train(Train),
    /// `bespoke predictor show`.
    #[command(hide = true)]
    Show(Show),
}

#[derive(Debug, clap::Args)]
pub struct Train {
    /// Directory with nasbench201, fbnet and ofa as .csv or .csv.gz.
    #[arg(long, value_name = "DIR", default_value = "predictors/data")]
    tables: PathBuf,
    /// Checkpoint to write.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "predictors/latency.bespoke"
    )]
    out: PathBuf,
    /// Equal seeds give equal predictors.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// Checkpoint [default: the shipped one].
    #[arg(value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Eval {
    /// What `bespoke calibrate --out` wrote.
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["references", "sets", "chosen", "predictor"])]
    calibration: Option<PathBuf>,
    /// The measured architectures' space.
    #[arg(long, value_name = "FILE.space")]
    space: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Calibrate on so many of the measurements.
    #[arg(short = 'n', value_name = "N", default_value_t = 10)]
    references: usize,
    /// Reference sets, with seeds from 0.
    #[arg(long, default_value_t = 10)]
    sets: usize,
    /// Choose the references instead of drawing them.
    #[arg(long)]
    chosen: bool,
    /// Checkpoint [default: the shipped one].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a `bespoke predictor` command.
///
/// # Errors
/// When a table, checkpoint or measurement cannot be read or used.
pub fn run(args: Args) -> miette::Result<()> {
    match args.command {
        Command::Train(args) => run_train(&args),
        Command::Eval(args) => run_eval(args),
        Command::Show(args) => run_show(&args),
    }
}

/// Runs a command in its older spelling.
///
/// # Errors
/// As [`run`].
pub fn run_older(older: Older) -> miette::Result<()> {
    match older {
        Older::Train(args) => run_train(&args),
        Older::Show(args) => run_show(&args),
    }
}

fn run_train(args: &Train) -> miette::Result<()> {
    let start = Instant::now();
    let measured = TableSpace::ALL
        .into_iter()
        .map(|space| Measured::read(&args.tables, space))
        .collect::<Result<Vec<_>, _>>()
        .into_diagnostic()?;
    let options = TrainOptions {
        seed: args.seed,
        ..TrainOptions::default()
    };
    let bytes = train(&measured, &options).save();
    std::fs::write(&args.out, &bytes)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot write {}", args.out.display()))?;
    println!(
        "wrote {} ({} bytes) in {:.1} s",
        args.out.display(),
        bytes.len(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn run_show(args: &Show) -> miette::Result<()> {
    let predictor = Predictor::open(args.predictor.as_deref())?;
    let shipped = predictor == *Predictor::shipped();
    let bases = predictor.bases();
    if args.json {
        let tables: Vec<_> = TableSpace::ALL
            .into_iter()
            .map(|space| {
                let s = split(space);
                json!({
                    "table": space.name(),
                    "train": s.train,
                    "validate": s.validate,
                    "test": s.test,
                })
            })
            .collect();
        let known: Vec<_> = bases
            .iter()
            .map(|b| json!({"basis": b.name, "devices": b.devices}))
            .collect();
        let json = json!({
            "version": checkpoint_version(),
            "shipped": shipped,
            "bytes": predictor.save().len(),
            "knows": known,
            "split": tables,
        });
        super::print(&format!("{json:#}\n"));
        return Ok(());
    }
    let mut text = format!(
        "{}: checkpoint of version {}{}, {} bytes\n\nknows:\n",
        args.predictor
            .as_deref()
            .unwrap_or(Path::new("predictors/latency.bespoke"))
            .display(),
        checkpoint_version(),
        if shipped {
            ", equal to the shipped one"
        } else {
            ""
        },
        predictor.save().len()
    );
    for basis in bases {
        text += &format!("  {}: {}\n", basis.name, basis.devices.join(", "));
    }
    text += "\nsplit (test devices are seen by no training and set nothing):\n";
    for space in TableSpace::ALL {
        let s = split(space);
        text += &format!(
            "  {}: {} train, validate {}, test {}\n",
            space.name(),
            s.train.len(),
            s.validate.join(", "),
            s.test.join(", ")
        );
    }
    for heading in ["Figures", "Limits"] {
        match (shipped, section(CARD, heading)) {
            (true, Some(section)) => text += &format!("\n## {heading}\n{section}"),
            (true, None) => {}
            (false, _) => {
                text += "\nfigures: `bespoke bench predictor --predictor FILE` prints this checkpoint's\n";
                break;
            }
        }
    }
    super::print(&text);
    Ok(())
}

/// What stands below a heading of the model card.
fn section<'a>(card: &'a str, heading: &str) -> Option<&'a str> {
    let (_, rest) = card.split_once(&format!("\n## {heading}\n"))?;
    Some(rest.split("\n## ").next().unwrap_or(rest))
}

fn run_eval(mut args: Eval) -> miette::Result<()> {
    let space = Space::load(&args.space)?;
    let model = match &args.calibration {
        Some(file) => Some(DeviceModel::open(file)?),
        None => None,
    };
    if let Some(model) = &model {
        args.source.as_written = model.origin.as_written;
    }
    let Some(path) = &args.source.measurements else {
        miette::bail!(
            help = "a CSV file with the columns genotype and latency_ms",
            "--measurements FILE.csv is missing"
        );
    };
    let rows = args.source.rows(path, &space)?;
    let ceiling = ceiling(&by_name(
        rows.iter().map(|r| (r.genotype.as_str(), r.value)),
    ));
    let mut judgements = Vec::new();
    match &model {
        Some(model) => {
            miette::ensure!(
                model.quantity == args.source.quantity,
                "the calibration is of {}, the measurements are of {}; --quantity says which",
                model.quantity.name(),
                args.source.quantity.name()
            );
            let known = |r: &&Row| model.measured.iter().all(|m| m.genotype != r.genotype);
            let unseen: Vec<&Row> = rows.iter().filter(known).collect();
            if unseen.len() < rows.len() {
                eprintln!(
                    "note: {} of the measurements are of architectures the calibration was made with, and are left out",
                    rows.len() - unseen.len()
                );
            }
            judgements.extend(judged(model, &unseen));
        }
        None => {
            let predictor = Predictor::open(args.predictor.as_deref())?;
            let features: Vec<Features> = rows.iter().map(|r| Features::of(&r.network)).collect();
            for seed in 0..args.sets as u64 {
                let references = match args.chosen {
                    true => predictor.choose_references(&features, args.references, seed),
                    false => {
                        let mut rng = ChaCha8Rng::seed_from_u64(seed);
                        let n = args.references.min(rows.len());
                        index::sample(&mut rng, rows.len(), n).into_vec()
                    }
                };
                let seen: Vec<&Row> = references.iter().map(|i| &rows[*i]).collect();
                let mut is_seen = vec![false; rows.len()];
                references.iter().for_each(|i| is_seen[*i] = true);
                let origin = Origin {
                    as_written: args.source.as_written,
                    ..Origin::default()
                };
                let model = calibrated(&predictor, args.source.quantity, origin, &seen)?;
                let unseen: Vec<&Row> = (0..rows.len())
                    .filter(|i| !is_seen[*i])
                    .map(|i| &rows[i])
                    .collect();
                judgements.extend(judged(&model, &unseen));
            }
        }
    }
    let Some(first) = judgements.first() else {
        miette::bail!(
            "no measurement is left to test with: the file has {} rows",
            rows.len()
        );
    };
    if args.json {
        let json = json!({"sets": judgements, "ceiling": ceiling});
        super::print(&format!("{json:#}\n"));
        return Ok(());
    }
    if judgements.len() > 1 {
        let worst = judgements
            .iter()
            .map(|j| j.agreement.spearman)
            .fold(f64::INFINITY, f64::min);
        super::print(&format!(
            "mean of {} sets of {} {} references, the lowest Spearman {worst:.3}\n",
            judgements.len(),
            args.references,
            if args.chosen { "chosen" } else { "random" },
        ));
    }
    let mean = mean_of(first, &judgements);
    super::print(&sentence(&mean, ceiling.as_ref()));
    Ok(())
}

fn judged(model: &DeviceModel, rows: &[&Row]) -> Option<Judgement> {
    let estimates: Vec<_> = rows.iter().map(|r| model.predict(&r.network)).collect();
    let values: Vec<f64> = rows.iter().map(|r| r.value).collect();
    judge(&estimates, &values)
}

fn mean_of(first: &Judgement, all: &[Judgement]) -> Judgement {
    let mean = |f: &dyn Fn(&Judgement) -> f64| all.iter().map(f).sum::<f64>() / all.len() as f64;
    let mut j = *first;
    j.agreement.spearman = mean(&|j| j.agreement.spearman);
    j.agreement.kendall = mean(&|j| j.agreement.kendall);
    j.agreement.mape = mean(&|j| j.agreement.mape);
    j.agreement.median_ape = mean(&|j| j.agreement.median_ape);
    j.agreement.within_10_percent = mean(&|j| j.agreement.within_10_percent);
    j.coverage = mean(&|j| j.coverage);
    j.interval_ratio = mean(&|j| j.interval_ratio);
    j
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_card_has_the_sections_that_show_prints() {
        for heading in ["Figures", "Limits"] {
            assert!(
                section(CARD, heading).is_some_and(|s| s.len() > 200),
                "{heading}"
            );
        }
        assert_eq!(section("a\n## B\nc\n## D\n", "B"), Some("c"));
        assert_eq!(section("a\n## B\nc\n", "X"), None);
    }
}
