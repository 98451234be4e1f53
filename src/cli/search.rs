//! `bespoke search` and `bespoke quickstart`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use miette::{IntoDiagnostic, WrapErr};

use super::progress::Progress;
use crate::model::Backend;
use crate::report::{PlotOptions, front_rows, front_svg, front_table};
use crate::search::{Experiment, LEASE, Search, Searcher, Start};
use crate::strategy::{Constraint, Fidelities, Metric, Rule};

/// Flags override the experiment file, which overrides the defaults.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Experiment file (TOML); examples are in runs/.
    #[arg(value_name = "FILE.toml")]
    experiment: Option<PathBuf>,
    /// Go on with a recorded run: first letters of its id, or `latest`.
    #[arg(long, value_name = "RUN", conflicts_with = "experiment")]
    resume: Option<String>,
    /// Help a search that another process runs, on this machine or, where the
    /// database is on a server, on another: train what it asks for until it ends.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["experiment", "resume"])]
    join: Option<String>,
    /// How long this process keeps a candidate without a sign of life, before
    /// another may take it over.
    #[arg(long, value_name = "SECONDS", default_value_t = LEASE.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    lease: u64,
    /// Database of runs: a file, or postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(long, value_name = "FILE", default_value = "runs/bespoke.db")]
    db: PathBuf,
    /// Where to write the plot and the trained networks
    /// [default: beside the database, by run id].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Search space file.
    #[arg(long, value_name = "FILE")]
    space: Option<PathBuf>,
    /// Directory of IDX or CIFAR binary files [default: the embedded Fashion-MNIST].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Seed of everything random. Equal seeds and equal measurements give equal
    /// runs; measured latencies differ a little each time.
    #[arg(long)]
    seed: Option<u64>,
    /// Trains on this backend: flex or wgpu.
    #[arg(long)]
    backend: Option<Backend>,
    /// Minimise the latency of this engine (tract, flex or wgpu), device (`bespoke
    /// device list`), or engine of a device elsewhere, such as pi5/tract.
    #[arg(long)]
    engine: Option<String>,
    /// Measure and calibrate these engines, too; their latencies are
    /// latency_ms@NAME.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    other_engines: Option<Vec<String>>,
    /// What to optimise, separated by commas: accuracy, latency_ms,
    /// latency_ms@ENGINE, energy_mj (where the engine has a meter), memory, macs,
    /// params [default: accuracy,latency_ms].
    #[arg(long, value_name = "METRICS", value_delimiter = ',')]
    objectives: Option<Vec<Metric>>,
    /// A limit such as `latency_ms <= 20` or `params <= 2M`; may be repeated.
    #[arg(long = "constraint", value_name = "LIMIT")]
    constraints: Vec<Constraint>,
    #[arg(long, value_name = "NAME", help = strategy_help())]
    strategy: Option<Searcher>,
    /// The latency that networks are to have: differentiable strategies end in
    /// networks that measure within 5 % of it.
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    target_latency_ms: Option<f64>,
    /// Without a target, what differentiable strategies add to the loss for the
    /// latency of equal probabilities.
    #[arg(long, value_name = "NATS")]
    latency_weight: Option<f64>,
    /// Differentiable searches, one after another.
    #[arg(long, value_name = "N")]
    trials: Option<usize>,
    /// Epochs of each differentiable search.
    #[arg(long, value_name = "N")]
    search_epochs: Option<usize>,
    /// Zero-cost proxies as a prior of the accuracy, separated by commas, for
    /// the strategies guided and bayes (`bespoke proxies --help` lists them).
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    proxies: Option<Vec<String>>,
    /// Train most candidates briefly and the best of them again and longer:
    /// successive, hyperband or asha. Shares are in the experiment file.
    #[arg(long, value_name = "RULE")]
    fidelities: Option<Rule>,
    /// Candidates asked for before earlier ones are answered.
    #[arg(long, value_name = "N")]
    window: Option<usize>,
    /// Only networks at most this slow.
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    max_latency_ms: Option<f64>,
    /// Accuracy evaluations.
    #[arg(long)]
    evaluations: Option<usize>,
    /// Candidates in a generation.
    #[arg(long)]
    population: Option<usize>,
    /// Epochs of a candidate's training.
    #[arg(long)]
    epochs: Option<usize>,
    /// Epochs of the front's final training.
    #[arg(long)]
    final_epochs: Option<usize>,
    /// Train on at most so many images.
    #[arg(long, value_name = "N")]
    train_images: Option<usize>,
    /// Checkpoint of the latency predictor [default: the shipped one].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// Architectures measured to calibrate the predictor.
    #[arg(long, value_name = "N")]
    references: Option<usize>,
    /// Candidates trained side by side.
    #[arg(long)]
    threads: Option<usize>,
}

/// The strategies with what they do, a line each.
fn strategy_help() -> String {
    let mut text = "Who explores:".to_string();
    for searcher in Searcher::all() {
        text += &format!("\n  {}: {}", searcher.name(), searcher.about());
    }
    text
}

impl Args {
    fn experiment(&self) -> miette::Result<Experiment> {
        let mut e = match &self.experiment {
            Some(path) => Experiment::read(path)?,
            None => Experiment::default(),
        };
        fn set<T: Clone>(field: &mut T, flag: &Option<T>) {
            if let Some(value) = flag {
                *field = value.clone();
            }
        }
        set(&mut e.space, &self.space);
        set(&mut e.seed, &self.seed);
        set(&mut e.backend, &self.backend);
        set(&mut e.evaluations, &self.evaluations);
        set(&mut e.population, &self.population);
        set(&mut e.epochs, &self.epochs);
        set(&mut e.final_epochs, &self.final_epochs);
        set(&mut e.references, &self.references);
        set(&mut e.threads, &self.threads);
        set(&mut e.window, &self.window);
        set(&mut e.strategy, &self.strategy);
        set(&mut e.differentiable.trials, &self.trials);
        set(&mut e.differentiable.epochs, &self.search_epochs);
        set(&mut e.differentiable.latency_weight, &self.latency_weight);
        let target = self.target_latency_ms;
        e.differentiable.target_latency_ms = target.or(e.differentiable.target_latency_ms);
        set(&mut e.objectives, &self.objectives);
        set(&mut e.proxies, &self.proxies);
        set(&mut e.other_engines, &self.other_engines);
        if let Some(rule) = self.fidelities {
            e.fidelities = Some(Fidelities {
                rule,
                ..e.fidelities.unwrap_or_default()
            });
        }
        e.constraints.extend(self.constraints.iter().cloned());
        if let Some(engine) = &self.engine {
            e.other_engines.retain(|other| other != engine);
            e.engine.clone_from(engine);
        }
        e.data = self.data.clone().or(e.data);
        e.predictor = self.predictor.clone().or(e.predictor);
        e.max_latency_ms = self.max_latency_ms.or(e.max_latency_ms);
        e.train_images = self.train_images.or(e.train_images);
        Ok(e)
    }
}

pub fn run(args: Args) -> miette::Result<()> {
    static STOP: AtomicBool = AtomicBool::new(false);
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            // The second time, at once: what is recorded is safe.
            std::process::exit(130);
        }
        eprintln!("stopping after the current step; once more to stop at once");
    });
    let started = std::time::Instant::now();
    let start = match (&args.resume, &args.join) {
        (Some(run), _) => Start::Resume(run.clone()),
        (None, Some(run)) => Start::Join(run.clone()),
        (None, None) => Start::New {
            experiment: Box::new(args.experiment()?),
            file: args.experiment.clone(),
        },
    };
    let mut progress = Progress::default();
    let mut show = |report: crate::search::Report<'_>| progress.show(report);
    let mut search = Search::open(start, args.db.clone(), &STOP, &mut show)?;
    search.set_lease(std::time::Duration::from_secs(args.lease));
    if let Some(threads) = args.threads {
        search.set_threads(threads);
    }
    let run = search.run_id().clone();
    if args.join.is_some() {
        let recorded = search.help()?;
        eprintln!("helped run {run} with {recorded} evaluations");
        return Ok(());
    }
    let limit = search.experiment().max_latency_ms;
    let (state, store) = search.finish()?;
    let rows = front_rows(&state);
    super::print(&format!("{}\n", front_table(&rows)));
    let out = args
        .out
        .unwrap_or_else(|| store.directory().join(run.as_str()));
    std::fs::create_dir_all(&out)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot make the directory {}", out.display()))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", path.display()))
    };
    if !rows.is_empty() {
        let options = PlotOptions {
            max_latency_ms: limit,
            ..PlotOptions::default()
        };
        write("front.svg", front_svg(&state, &options)?.as_bytes())?;
        for artefact in &state.artefacts {
            write(&artefact.name, &store.read_artefact(artefact)?)?;
        }
    }
    let kept = match rows.is_empty() {
        true => "there is no network to keep".to_string(),
        false => format!(
            "plot and trained networks (ONNX, safetensors) are in {}",
            out.display()
        ),
    };
    let took = crate::report::duration_text(started.elapsed().as_secs_f64());
    eprintln!("run {run} took {took}; {kept}");
    Ok(())
}
