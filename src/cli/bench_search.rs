//! `bespoke bench search`: strategies on a benchmark whose truth is known, so
//! that anyone can check the figures of `docs/search-benchmark.md`.

mod limits;
mod report;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, WrapErr};

use crate::predict::Predictor;
use crate::predict::protocol::split;
use crate::predict::tables::TableSpace;
use crate::strategy::Kind;
use crate::tabular::{
    AccuracyColumn, Benchmark, Peers, Quartiles, Setup, best_accuracies, export, fronts,
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
    /// Zero-cost scores for the strategies to know, as `bespoke proxies
    /// --format nasbench201 --json` prints them.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
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
    let mut benchmark = Benchmark::read(&args.tables, &accuracy).into_diagnostic()?;
    if let Some(path) = &args.scores {
        benchmark.read_scores(path).into_diagnostic()?;
    }
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
        Task::Limits => limits::run(&args, &benchmark, &predictor, &setup),
        Task::Accuracy => {
            let courses = best_accuracies(&benchmark, &args.strategy, &setup).into_diagnostic()?;
            report::print(&args, &benchmark, &[], &courses)
        }
        Task::Front => {
            let peers = match &args.peers {
                Some(path) => Peers::read(&benchmark, path).into_diagnostic()?,
                None => Peers::default(),
            };
            let bar = progress(devices.len());
            let (mut courses, mut foreseeable) = (Vec::new(), Vec::new());
            for device in &devices {
                bar.set_message(device.clone());
                let kinds = &args.strategy;
                let more = fronts(&benchmark, &predictor, device, kinds, &peers, &setup);
                let more = more.into_diagnostic()?;
                courses.extend(more.courses);
                foreseeable.push((device.as_str(), Quartiles::of(more.foreseeable)));
                bar.inc(1);
            }
            bar.finish_and_clear();
            report::print(&args, &benchmark, &foreseeable, &courses)
        }
    }
}

/// A bar for so many steps.
fn progress(steps: usize) -> ProgressBar {
    ProgressBar::new(steps as u64).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}")
            .expect("a valid template"),
    )
}
