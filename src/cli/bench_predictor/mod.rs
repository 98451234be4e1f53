//! `bespoke bench predictor`: the comparison with HELP on the public tables,
//! in its protocol, and with simpler and rival predictors in the same harness,
//! so that anyone can check the figures of the model card.

mod report;
mod speed;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, WrapErr};
use report::{device_table, summary_table, write_csv};
use serde_json::{Value, json};
use speed::{Speed, speed};

use crate::predict::Predictor;
use crate::predict::baselines::{self, Kind, World};
use crate::predict::eval::{DeviceScores, References, evaluate_sets, reference_sets, summarise};
use crate::predict::protocol::split;
use crate::predict::tables::TableSpace;
use crate::predict::train::{Measured, TrainOptions, train};

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
