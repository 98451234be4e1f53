//! `bespoke bench training`: images a second in training, network by network,
//! so that `benches/compare_training.sh` can set them beside PyTorch's.

use std::path::PathBuf;

use comfy_table::{Table, presets};
use miette::{IntoDiagnostic, WrapErr};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::evaluate::throughput::{Mode, Setup, Throughput, cases, measure};
use crate::model::Backend;
use crate::network::Network;
use crate::space::Space;

pub const EXAMPLES: &str = "\
Examples:
  bespoke bench training
  bespoke bench training --space search-spaces/cifar10.space -n 2 --only cifar10-1
  bespoke bench training --export /tmp/networks";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Time random architectures of these spaces, too.
    #[arg(long, value_name = "FILE.space")]
    space: Vec<PathBuf>,
    /// How many of each space.
    #[arg(short = 'n', default_value_t = 1)]
    count: usize,
    /// Which ones are drawn.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Only the networks of these names.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    only: Vec<String>,
    /// One candidate with all threads, or one candidate a thread.
    #[arg(long, value_enum, default_value_t = Modes::Both)]
    mode: Modes,
    /// Images a step.
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Steps that are timed.
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Steps before them.
    #[arg(long, default_value_t = 3)]
    warm_up: usize,
    /// Threads in all [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
    /// Where: flex or wgpu.
    #[arg(long, default_value_t)]
    backend: Backend,
    /// Write each network's graph to DIR/NAME.json, for other programs, and time
    /// nothing.
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Modes {
    OneByOne,
    SideBySide,
    Both,
}

impl Modes {
    fn all(self) -> &'static [Mode] {
        match self {
            Modes::OneByOne => &[Mode::OneByOne],
            Modes::SideBySide => &[Mode::SideBySide],
            Modes::Both => &[Mode::OneByOne, Mode::SideBySide],
        }
    }
}

/// Times the networks and prints it.
///
/// # Errors
/// When a space or the device cannot be opened, or a file cannot be written.
pub fn run(args: Args) -> miette::Result<()> {
    miette::ensure!(
        args.batch_size >= 2,
        "--batch-size must be at least 2, as batch norm needs more than one image"
    );
    miette::ensure!(
        args.steps > 0 && args.threads != Some(0),
        "--steps and --threads must be at least 1"
    );
    let networks = networks(&args)?;
    if let Some(dir) = &args.export {
        return export(dir, &networks);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let setup = Setup {
        batch: args.batch_size,
        steps: args.steps,
        warm_up: args.warm_up,
        threads: args.threads.unwrap_or(cores),
    };
    let device = crate::model::backend::device(args.backend).into_diagnostic()?;
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "network",
        "million MACs",
        "candidates",
        "images a second",
        "ms a step",
        "CPU ms a step",
        "peak MiB",
    ]);
    for (name, network) in &networks {
        for &mode in args.mode.all() {
            let found = measure(network, setup, mode, &device).into_diagnostic()?;
            match args.json {
                true => super::print(&format!("{}\n", line(name, network, mode, setup, found))),
                false => {
                    table.add_row(row(name, network, mode, setup, found));
                }
            }
        }
    }
    if !args.json {
        super::print(&format!("{table}\n"));
        super::print(&format!(
            "forward, backward and SGD with Nesterov momentum; {} images a step, {} steps, {} threads\n",
            setup.batch, setup.steps, setup.threads
        ));
    }
    Ok(())
}

fn networks(args: &Args) -> miette::Result<Vec<(String, Network)>> {
    let mut networks = cases();
    for path in &args.space {
        let space = Space::load(path)?;
        let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
        for index in 0..args.count {
            let network = space.network(&space.sample(&mut rng))?;
            networks.push((format!("{}-{index}", space.name()), network));
        }
    }
    if let Some(unknown) = args
        .only
        .iter()
        .find(|name| networks.iter().all(|(known, _)| known != *name))
    {
        let known: Vec<&str> = networks.iter().map(|(name, _)| name.as_str()).collect();
        miette::bail!(
            "there is no network `{unknown}`; there are {}",
            known.join(", ")
        );
    }
    if !args.only.is_empty() {
        networks.retain(|(name, _)| args.only.contains(name));
    }
    Ok(networks)
}

fn export(dir: &std::path::Path, networks: &[(String, Network)]) -> miette::Result<()> {
    std::fs::create_dir_all(dir)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot make {}", dir.display()))?;
    for (name, network) in networks {
        let path = dir.join(format!("{name}.json"));
        let text = serde_json::to_string(network).into_diagnostic()?;
        std::fs::write(&path, text)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn candidates(mode: Mode, setup: Setup) -> usize {
    match mode {
        Mode::OneByOne => 1,
        Mode::SideBySide => setup.threads,
    }
}

fn row(name: &str, network: &Network, mode: Mode, setup: Setup, found: Throughput) -> [String; 7] {
    let mib = |bytes: u64| format!("{:.0}", bytes as f64 / (1 << 20) as f64);
    [
        name.into(),
        format!("{:.1}", network.costs().macs as f64 / 1e6),
        candidates(mode, setup).to_string(),
        format!("{:.0}", found.images_per_s),
        format!("{:.1}", found.step_ms),
        found
            .cpu_step_ms
            .map_or("-".into(), |ms| format!("{ms:.1}")),
        found.added_bytes.map_or("-".into(), mib),
    ]
}

fn line(
    name: &str,
    network: &Network,
    mode: Mode,
    setup: Setup,
    found: Throughput,
) -> serde_json::Value {
    json!({
        "network": name,
        "macs": network.costs().macs,
        "mode": mode,
        "candidates": candidates(mode, setup),
        "batch": setup.batch,
        "threads": setup.threads,
        "images_per_s": found.images_per_s,
        "step_ms": found.step_ms,
        "cpu_step_ms": found.cpu_step_ms,
        "added_bytes": found.added_bytes,
    })
}
