//! `bespoke proxies`: scores of untrained architectures.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, WrapErr};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::calibrate::network;
use super::predict::texts;
use super::space::Notation;
use crate::data::{Dataset, OpenOptions};
use crate::evaluate::proxies::{ALL, Many, Proxy, Scored, Source, score_many};
use crate::model::Backend;
use crate::network::{Network, Shape};
use crate::space::{Architecture, Space};

pub const EXAMPLES: &str = "\
Examples:
  bespoke proxies --space search-spaces/quickstart.space -n 10
  bespoke proxies --space search-spaces/cifar10.space --data DIR \\
    --proxy synflow,naswot @genotypes.txt
  bespoke space sample search-spaces/quickstart.space -n 100 | \\
    bespoke proxies --space search-spaces/quickstart.space --json -";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Architectures, or @FILE with one a line, or - for standard input; random
    /// ones where none is given.
    #[arg(value_name = "GENOTYPE")]
    genotypes: Vec<String>,
    /// The architectures' space.
    #[arg(long, value_name = "FILE.space")]
    space: PathBuf,
    /// How many random architectures.
    #[arg(short = 'n', default_value_t = 5)]
    count: usize,
    #[command(flatten)]
    notation: Notation,
    #[command(flatten)]
    how: How,
    /// Score networks as written, operators that cannot reach the output
    /// included.
    #[arg(long)]
    as_written: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// What proxies look at, and with which.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Only these proxies.
    #[arg(long = "proxy", value_name = "NAME,...", value_delimiter = ',', value_parser = by_name())]
    proxies: Vec<Proxy>,
    /// Directory of IDX or CIFAR binary files to take the batch from [default:
    /// the embedded Fashion-MNIST where the networks take grey images, else
    /// noise].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Take noise for the batch.
    #[arg(long, conflicts_with = "data")]
    noise: bool,
    /// Samples in the batch.
    #[arg(long, default_value_t = 64)]
    pub batch_size: usize,
    /// Of weights and the batch.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Architectures scored at a time [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
    /// Where: flex or wgpu.
    #[arg(long, default_value_t)]
    backend: Backend,
}

/// How often a log says how far it is.
const LOGGED: usize = 10;

/// The registry's names, for `--help` too.
fn by_name() -> impl TypedValueParser<Value = Proxy> {
    let names = ALL.iter().map(|p| PossibleValue::new(p.name).help(p.about));
    PossibleValuesParser::new(names).try_map(|name| Proxy::by_name(&name))
}

impl How {
    pub fn proxies(&self) -> &[Proxy] {
        match self.proxies.is_empty() {
            true => ALL,
            false => &self.proxies,
        }
    }

    /// What the batch is taken from; none is noise.
    pub fn dataset(&self, input: Shape) -> miette::Result<Option<Dataset>> {
        miette::ensure!(
            self.batch_size >= 2,
            "--batch-size must be at least 2, as proxies compare samples with each other"
        );
        if let Some(dir) = &self.data {
            let data = Dataset::open(dir, &OpenOptions::default()).into_diagnostic()?;
            return Ok(Some(data));
        }
        let embedded = !self.noise && input.channels() == 1;
        Ok((embedded && matches!(input, Shape::Image { .. })).then(Dataset::embedded))
    }

    /// Scores each network by every proxy, with a bar.
    pub fn score(
        &self,
        networks: &[Network],
        dataset: Option<&Dataset>,
    ) -> miette::Result<Vec<Vec<Scored>>> {
        let device = crate::model::backend::device(self.backend).into_diagnostic()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let many = Many {
            proxies: self.proxies(),
            source: dataset.map_or(Source::Noise, Source::Data),
            batch: self.batch_size,
            seed: self.seed,
            threads: self.threads.unwrap_or(cores),
        };
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} left {eta}");
        let bar =
            ProgressBar::new(networks.len() as u64).with_style(style.expect("a valid template"));
        let done = AtomicUsize::new(0);
        let scores = score_many(networks, many, &device, &|| {
            bar.inc(1);
            let (before, all) = (done.fetch_add(1, Ordering::Relaxed), networks.len());
            let reached = |n: usize| n * LOGGED / all;
            // Where nobody watches a bar, a log says how far it is.
            if bar.is_hidden() && reached(before + 1) > reached(before) {
                let seconds = bar.elapsed().as_secs_f64();
                eprintln!("scored {} of {all} after {seconds:.0} s", before + 1);
            }
        });
        bar.finish_and_clear();
        Ok(scores)
    }
}

/// What the batch is, for people.
pub(super) fn batch_name(dataset: Option<&Dataset>) -> String {
    dataset.map_or("noise".into(), |data| data.name.clone())
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be read, or an architecture is not of the space.
pub fn run(args: Args) -> miette::Result<()> {
    let space = Space::load(&args.space)?;
    let architectures = architectures(&args, &space)?;
    let networks = architectures
        .iter()
        .map(|(_, a)| network(&space, a, args.as_written))
        .collect::<miette::Result<Vec<Network>>>()?;
    let Some(first) = networks.first() else {
        miette::bail!("there are no architectures to score");
    };
    let dataset = args.how.dataset(first.input_shape())?;
    let scores = args.how.score(&networks, dataset.as_ref())?;
    let proxies = args.how.proxies();
    if args.json {
        for ((text, _), scores) in architectures.iter().zip(&scores) {
            super::print(&format!("{}\n", line(text, proxies, scores)));
        }
        return Ok(());
    }
    let mut table = comfy_table::Table::new();
    let mut header: Vec<String> = proxies.iter().map(|p| p.name.to_string()).collect();
    header.push("genotype".into());
    table.set_header(header);
    for ((text, _), scores) in architectures.iter().zip(&scores) {
        let mut row: Vec<String> = scores.iter().map(cell).collect();
        row.push(text.clone());
        table.add_row(row);
    }
    super::print(&format!("{table}\n"));
    eprintln!(
        "batch: {} of {}; higher is better",
        args.how.batch_size,
        batch_name(dataset.as_ref())
    );
    for ((text, _), scores) in architectures.iter().zip(&scores) {
        for (proxy, scored) in proxies.iter().zip(scores) {
            if let Err(error) = &scored.score {
                eprintln!("warning: {text}: no {}: {error}", proxy.name);
            }
        }
    }
    Ok(())
}

/// The texts and the architectures they stand for.
fn architectures(args: &Args, space: &Space) -> miette::Result<Vec<(String, Architecture)>> {
    if args.genotypes.is_empty() {
        let mut rng = ChaCha8Rng::seed_from_u64(args.how.seed);
        return (0..args.count)
            .map(|_| {
                let architecture = space.sample(&mut rng);
                Ok((args.notation.write(space, &architecture)?, architecture))
            })
            .collect();
    }
    texts(&args.genotypes)?
        .into_iter()
        .map(|(place, text)| {
            let architecture = args.notation.read(space, &text).wrap_err(place)?;
            Ok((text, architecture))
        })
        .collect()
}

/// A dash where there is no score.
fn cell(scored: &Scored) -> String {
    scored
        .score
        .as_ref()
        .map_or("-".into(), |score| format!("{score:.4}"))
}

fn line(genotype: &str, proxies: &[Proxy], scores: &[Scored]) -> Value {
    let (mut found, mut errors) = (Map::new(), Map::new());
    for (proxy, scored) in proxies.iter().zip(scores) {
        match &scored.score {
            Ok(score) => found.insert(proxy.name.into(), json!(score)),
            Err(error) => errors.insert(proxy.name.into(), error.to_string().into()),
        };
    }
    json!({ "genotype": genotype, "scores": found, "errors": errors })
}
