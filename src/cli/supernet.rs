//! `bespoke supernet`: train one set of weights for a whole space, rank
//! architectures by what they inherit, and take networks out of it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, WrapErr};

use crate::data::{Dataset, OpenOptions};
use crate::evaluate::{TrainConfig, accuracy, train};
use crate::model::Backend;
use crate::network::onnx::{OnnxOptions, export};
use crate::space::{Architecture, Space};
use crate::supernet::{Ranking, Sampling, Supernet, SupernetConfig};

pub const EXAMPLES: &str = "\
Examples:
  bespoke supernet train search-spaces/quickstart.space --epochs 10 --distill \\
    --out quickstart.supernet
  bespoke supernet rank quickstart.supernet -n 20 --alone 2
  bespoke supernet extract quickstart.supernet --best 50 --fine-tune 3 --out best";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Train all networks of a space in one set of weights.
    Train(Train),
    /// Rank random architectures by the accuracy they inherit, beside what they
    /// reach when trained by themselves.
    Rank(Rank),
    /// Take an architecture out, with its weights, to be fine-tuned and exported.
    Extract(Extract),
}

/// Where images come from and what trains on them.
#[derive(Debug, clap::Args)]
struct On {
    /// Directory of IDX or CIFAR binary files [default: the embedded Fashion-MNIST].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Train on this backend: flex or wgpu.
    #[arg(long, default_value_t)]
    backend: Backend,
}

impl On {
    fn open(&self) -> miette::Result<(Dataset, burn::tensor::Device)> {
        let dataset = match &self.data {
            Some(dir) => Dataset::open(dir, &OpenOptions::default()).into_diagnostic()?,
            None => Dataset::embedded(),
        };
        let device = crate::model::backend::device(self.backend).into_diagnostic()?;
        Ok((dataset, device))
    }
}

#[derive(Debug, clap::Args)]
struct Train {
    /// The space.
    #[arg(value_name = "FILE.space")]
    space: PathBuf,
    #[command(flatten)]
    on: On,
    /// The supernet's file, written after every epoch.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Go on with the file where it was stopped, by its own settings.
    #[arg(long)]
    resume: bool,
    /// Passes over the training images [default: 10].
    #[arg(long)]
    epochs: Option<usize>,
    /// Images for each step [default: 64].
    #[arg(long)]
    batch_size: Option<usize>,
    /// Peak of the learning rate [default: 0.1].
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Architectures of a step: uniform, fair, sandwich or progressive [default:
    /// sandwich].
    #[arg(long)]
    sampling: Option<Sampling>,
    /// The other architectures learn from the largest's output, too.
    #[arg(long)]
    distill: bool,
    /// Shift and mirror the training images at random.
    #[arg(long)]
    augment: bool,
    /// Train on at most so many images.
    #[arg(long, value_name = "N")]
    train_images: Option<usize>,
    /// Of everything random [default: 0].
    #[arg(long)]
    seed: Option<u64>,
}

impl Train {
    fn config(&self) -> SupernetConfig {
        let usual = SupernetConfig::default();
        SupernetConfig {
            epochs: self.epochs.unwrap_or(usual.epochs),
            batch_size: self.batch_size.unwrap_or(usual.batch_size),
            learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
            sampling: self.sampling.unwrap_or(usual.sampling),
            distill: self.distill,
            augment: self.augment,
            train_images: self.train_images,
            seed: self.seed.unwrap_or(usual.seed),
            ..usual
        }
    }
}

#[derive(Debug, clap::Args)]
struct Rank {
    /// The supernet's file.
    #[arg(value_name = "FILE")]
    supernet: PathBuf,
    #[command(flatten)]
    on: On,
    /// How many random architectures.
    #[arg(short = 'n', default_value_t = 20)]
    count: usize,
    /// Train each by itself for so many epochs, and tell how the rankings agree.
    #[arg(long, value_name = "EPOCHS")]
    alone: Option<usize>,
    /// Architectures side by side [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
    /// Which architectures are drawn, and what those trained alone start from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(id = "which", required = true, multiple = false, args = ["genotype", "best"])]
struct Extract {
    /// The supernet's file.
    #[arg(value_name = "FILE")]
    supernet: PathBuf,
    #[command(flatten)]
    on: On,
    /// The architecture.
    #[arg(long)]
    genotype: Option<String>,
    /// The best by inherited accuracy of so many random ones.
    #[arg(long, value_name = "N")]
    best: Option<usize>,
    /// Train it on for so many epochs.
    #[arg(long, value_name = "EPOCHS", default_value_t = 0)]
    fine_tune: usize,
    /// Peak of the learning rate of fine-tuning.
    #[arg(long, default_value_t = 0.02)]
    learning_rate: f64,
    /// Which architectures are drawn, and the order of images.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Writes STEM.onnx and STEM.safetensors.
    #[arg(long, value_name = "STEM")]
    out: PathBuf,
}

pub fn run(args: Args) -> miette::Result<()> {
    match args.command {
        Command::Train(args) => train_all(args),
        Command::Rank(args) => rank(args),
        Command::Extract(args) => extract(args),
    }
}

fn train_all(args: Train) -> miette::Result<()> {
    let (dataset, device) = args.on.open()?;
    let space = Space::load(&args.space)?;
    let mut supernet = match args.resume {
        true => {
            let kept = Supernet::load(&args.out).into_diagnostic()?;
            let same = space_of(&kept, &args.out)?.hash() == space.hash();
            miette::ensure!(
                same,
                help = "give the space it was trained on, or another file by --out",
                "{} holds a supernet of another space",
                args.out.display()
            );
            kept
        }
        false => Supernet::new(&space, &dataset, args.config()).into_diagnostic()?,
    };
    super::say(&format!(
        "{} numbers for {} architectures, {} sampling, epochs {} to {}",
        supernet.weights.parameters(),
        space.count(),
        supernet.config.sampling.name(),
        supernet.curve.len() + 1,
        supernet.config.epochs
    ));
    let mut unsaved = None;
    let done = supernet.train(&space, &dataset, &device, &mut |supernet| {
        if let Some(last) = supernet.curve.last() {
            super::say(&format!(
                "epoch {}: loss {:.3}, {} networks trained in {}",
                last.epoch,
                last.train_loss,
                last.trained,
                crate::report::duration_text(last.seconds)
            ));
        }
        match supernet.save(&args.out) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                unsaved = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    match unsaved {
        Some(error) => Err(error).into_diagnostic(),
        None => done.into_diagnostic(),
    }
}

fn space_of(supernet: &Supernet, path: &Path) -> miette::Result<Space> {
    let origin = path.display().to_string();
    Space::parse(&origin, &supernet.space_text).map_err(|e| miette::Report::new(*e))
}

fn opened(path: &Path, on: &On) -> miette::Result<Opened> {
    let supernet = Supernet::load(path).into_diagnostic()?;
    let space = space_of(&supernet, path)?;
    let (dataset, device) = on.open()?;
    Ok(Opened {
        supernet,
        space,
        dataset,
        device,
    })
}

struct Opened {
    supernet: Supernet,
    space: Space,
    dataset: Dataset,
    device: burn::tensor::Device,
}

impl Opened {
    fn ranking(
        &self,
        count: usize,
        alone: Option<&TrainConfig>,
        threads: Option<usize>,
        seed: u64,
    ) -> miette::Result<Ranking> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let parts = count * (1 + usize::from(alone.is_some()));
        let bar = ProgressBar::new(parts as u64).with_style(
            ProgressStyle::with_template("ranking {bar:30} {pos}/{len} {eta}")
                .expect("a fixed template"),
        );
        let ranking = self.supernet.rank(
            &self.space,
            &self.dataset,
            count,
            alone,
            threads.unwrap_or_else(cores),
            seed,
            &self.device,
            &|| {
                bar.inc(1);
                ControlFlow::Continue(())
            },
        );
        bar.finish_and_clear();
        ranking.into_diagnostic()
    }
}

fn rank(args: Rank) -> miette::Result<()> {
    let opened = opened(&args.supernet, &args.on)?;
    let alone = args.alone.map(|epochs| TrainConfig {
        epochs,
        seed: args.seed,
        train_images: opened.supernet.config.train_images,
        ..TrainConfig::default()
    });
    let ranking = opened.ranking(args.count, alone.as_ref(), args.threads, args.seed)?;
    if args.json {
        let text = serde_json::to_string_pretty(&ranking).expect("plain data");
        super::print(&format!("{text}\n"));
        return Ok(());
    }
    let mut table = comfy_table::Table::new();
    table.set_header(["inherited", "alone", "MACs", "parameters", "genotype"]);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    for ranked in &ranking.architectures {
        table.add_row([
            percent(ranked.inherited),
            ranked.alone.map_or_else(|| "-".into(), percent),
            ranked.macs.to_string(),
            ranked.params.to_string(),
            ranked.genotype.clone(),
        ]);
    }
    super::print(&format!("{}\n", table.trim_fmt()));
    if let (Some(own), Some(macs)) = (ranking.spearman, ranking.macs_spearman) {
        super::print(&format!(
            "Spearman with accuracy alone: inherited accuracy {own:.3}, MACs {macs:.3}\n"
        ));
    }
    Ok(())
}

fn extract(args: Extract) -> miette::Result<()> {
    let opened = opened(&args.supernet, &args.on)?;
    let architecture: Architecture = match (&args.genotype, args.best) {
        (Some(text), _) => opened.space.parse_genotype(text)?,
        (None, Some(count)) => {
            miette::ensure!(count > 0, "--best takes at least 1 architecture");
            let ranking = opened.ranking(count, None, None, args.seed)?;
            let best = &ranking.architectures[0];
            super::say(&format!("the best of {count}: {}", best.genotype));
            opened.space.parse_genotype(&best.genotype)?
        }
        (None, None) => unreachable!("clap requires one of the two"),
    };
    let Opened {
        supernet,
        space,
        dataset,
        device,
    } = &opened;
    let (network, mut weights) = supernet
        .extract(space, &architecture, dataset, device)
        .into_diagnostic()?;
    let judge = |weights: &_, split: &_| accuracy(&network, weights, dataset, split, device);
    let inherited = judge(&weights, &dataset.validation).into_diagnostic()?;
    super::print(&format!(
        "inherited: {:.1} % of the validation images\n",
        100.0 * inherited
    ));
    if args.fine_tune > 0 {
        let config = TrainConfig {
            epochs: args.fine_tune,
            learning_rate: args.learning_rate,
            seed: args.seed,
            ..TrainConfig::default()
        };
        let mut say = |record: &crate::evaluate::EpochRecord| {
            super::say(&format!(
                "epoch {}: loss {:.3}, {:.1} %",
                record.epoch,
                record.train_loss,
                100.0 * record.validation_accuracy.unwrap_or(f64::NAN)
            ));
            ControlFlow::Continue(())
        };
        let outcome = train(&network, &weights, dataset, &config, device, &mut say);
        weights = outcome.into_diagnostic()?.weights;
    }
    let test = judge(&weights, &dataset.test).into_diagnostic()?;
    super::print(&format!("test: {:.1} %\n", 100.0 * test));
    let options = OnnxOptions {
        name: space.name().to_string(),
        metadata: vec![("genotype".into(), space.genotype(&architecture))],
        ..OnnxOptions::default()
    };
    let onnx = export(&network, &weights, &options).into_diagnostic()?;
    let safetensors = weights.to_safetensors().into_diagnostic()?;
    for (ending, bytes) in [("onnx", onnx), ("safetensors", safetensors)] {
        let mut path = args.out.clone().into_os_string();
        path.push(format!(".{ending}"));
        let path = PathBuf::from(path);
        std::fs::write(&path, bytes)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
