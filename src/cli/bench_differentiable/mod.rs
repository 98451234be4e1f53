//! `bespoke bench differentiable`: what differentiable strategies end in, beside
//! random architectures under equal training budgets, and what memory they take.

mod memory;
mod rivals;

use std::ops::ControlFlow;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use miette::IntoDiagnostic;
use serde::Serialize;

use crate::data::{Dataset, OpenOptions};
use crate::differentiable::{Collapse, GradientConfig, GradientSearch, Method, seed_of};
use crate::evaluate::{TrainConfig, TrainJob, train_many};
use crate::network::{Network, Weights};
use crate::space::{Architecture, Space};

/// Differentiable strategies beside random architectures.
///
/// Architectures drawn at random are trained by themselves; so is what each search
/// ends in, with the same images, epochs and seed. Printed is its place among them.
/// With --engine, all are measured, too, and each found network is set beside random
/// ones and width-scaled MobileNetV2s of its latency.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The space.
    #[arg(
        long,
        value_name = "FILE.space",
        default_value = "search-spaces/nasbench201-small.space"
    )]
    space: PathBuf,
    /// Directory of IDX or CIFAR binary files [default: the embedded Fashion-MNIST].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Strategies, with commas: darts, darts2, gdas, fbnet, proxyless.
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        default_value = "darts,gdas,fbnet,proxyless",
        value_parser = by_name
    )]
    strategy: Vec<Method>,
    /// Searches of each strategy, with seeds of their own.
    #[arg(long, default_value_t = 3)]
    seeds: usize,
    /// Random architectures, distinct as networks.
    #[arg(long, default_value_t = 50)]
    sample: usize,
    /// Epochs of each network's training.
    #[arg(long, default_value_t = 3)]
    epochs: usize,
    /// Epochs of each search.
    #[arg(long, default_value_t = 12)]
    search_epochs: usize,
    /// Of these, how many train the weights alone [default: by the strategy].
    #[arg(long)]
    warm_up: Option<usize>,
    /// Learning rate of the architecture [default: by the strategy].
    #[arg(long)]
    alpha_rate: Option<f64>,
    /// Images for each step of a search [default: by the strategy].
    #[arg(long)]
    search_batch: Option<usize>,
    /// Train and search on at most so many images.
    #[arg(long, default_value_t = 4_000)]
    train_images: usize,
    /// Trainings of each network, whose accuracies are averaged.
    #[arg(long, default_value_t = 1)]
    repeats: u64,
    /// Networks trained side by side [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
    /// Measure on this engine, and compare networks of equal latency.
    #[arg(long)]
    engine: Option<String>,
    /// Instead, compare peak memories of training one path and of searching.
    #[arg(long)]
    memory: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// What a process of its own measures the memory of.
    #[arg(long, hide = true)]
    memory_of: Option<String>,
}

fn by_name(text: &str) -> Result<Method, String> {
    let found = Method::ALL.into_iter().find(|m| m.name() == text);
    found.ok_or_else(|| {
        let names = Method::ALL.map(Method::name).join(", ");
        format!("there is no differentiable strategy `{text}`: choose among {names}")
    })
}

/// What one search ended in.
#[derive(Debug, Serialize)]
struct Found {
    strategy: &'static str,
    seed: usize,
    genotype: String,
    /// Validation accuracy of the network trained by itself.
    accuracy: f64,
    /// Share of the random architectures that are better.
    better: f64,
    weightless: usize,
    choices: usize,
    collapsed: bool,
    search_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_latency: Option<rivals::AtLatency>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    /// Accuracies of the random architectures, ascending.
    random: Vec<f64>,
    found: Vec<Found>,
}

pub fn run(args: Args) -> miette::Result<()> {
    if let Some(what) = &args.memory_of {
        return memory::child(what);
    }
    if args.memory {
        return memory::run(args.json);
    }
    miette::ensure!(
        args.sample >= 2 && args.seeds >= 1,
        "give at least 2 --sample and 1 --seeds"
    );
    let space = Space::load(&args.space)?;
    let dataset = match &args.data {
        Some(dir) => Dataset::open(dir, &OpenOptions::default()).into_diagnostic()?,
        None => Dataset::embedded(),
    };
    let bench = Bench {
        args: &args,
        space: &space,
        dataset: &dataset,
    };
    let random = bench.draw();
    let accuracies = bench.trained("random", &random.iter().map(|r| &r.1).collect::<Vec<_>>())?;
    let mut searched = Vec::new();
    let bar = bar(
        "searching",
        args.strategy.len() * args.seeds * args.search_epochs,
    );
    for method in &args.strategy {
        for seed in 0..args.seeds {
            searched.push((*method, seed, bench.search(*method, seed, &bar)?));
        }
    }
    bar.finish_and_clear();
    let networks: Vec<Network> = searched
        .iter()
        .map(|(_, _, (architecture, _))| space.network(architecture).into_diagnostic())
        .collect::<miette::Result<_>>()?;
    let own = bench.trained("found", &networks.iter().collect::<Vec<_>>())?;
    let mut found = Vec::new();
    for ((method, seed, (architecture, seconds)), accuracy) in searched.iter().zip(&own) {
        let collapse = Collapse::of(&space, architecture);
        let better = accuracies.iter().filter(|a| *a > accuracy).count();
        found.push(Found {
            strategy: method.name(),
            seed: *seed,
            genotype: space.genotype(architecture),
            accuracy: *accuracy,
            better: better as f64 / accuracies.len() as f64,
            weightless: collapse.weightless,
            choices: collapse.choices,
            collapsed: collapse.is_collapsed(),
            search_seconds: *seconds,
            at_latency: None,
        });
    }
    if let Some(engine) = &args.engine {
        let random: Vec<&Network> = random.iter().map(|r| &r.1).collect();
        let rivals = rivals::compare(&bench, engine, &random, &accuracies, &networks)?;
        for (found, rival) in found.iter_mut().zip(rivals) {
            found.at_latency = Some(rival);
        }
    }
    let mut random = accuracies;
    random.sort_by(f64::total_cmp);
    report(&args, &Outcome { random, found });
    Ok(())
}

struct Bench<'a> {
    args: &'a Args,
    space: &'a Space,
    dataset: &'a Dataset,
}

impl Bench<'_> {
    /// Random architectures that are distinct as networks.
    fn draw(&self) -> Vec<(Architecture, Network)> {
        use rand::SeedableRng;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1_000);
        let mut hashes = std::collections::HashSet::new();
        let mut drawn = Vec::new();
        for _ in 0..100 * self.args.sample {
            let architecture = self.space.sample(&mut rng);
            let network = self.space.network(&architecture).expect("of this space");
            if drawn.len() < self.args.sample && hashes.insert(network.hash().to_string()) {
                drawn.push((architecture, network));
            }
        }
        drawn
    }

    fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.args.threads.unwrap_or_else(cores)
    }

    /// Mean validation accuracies of networks trained by themselves.
    fn trained(&self, what: &'static str, networks: &[&Network]) -> miette::Result<Vec<f64>> {
        let jobs: Vec<TrainJob> = networks
            .iter()
            .flat_map(|network| (0..self.args.repeats).map(move |seed| (network, seed)))
            .map(|(network, seed)| TrainJob {
                network: (*network).clone(),
                init: Weights::random(network, seed),
                config: TrainConfig {
                    epochs: self.args.epochs,
                    train_images: Some(self.args.train_images),
                    validate_each_epoch: false,
                    seed,
                    ..TrainConfig::default()
                },
            })
            .collect();
        let bar = bar(what, jobs.len());
        let device = burn::tensor::Device::flex();
        let outcomes = train_many(
            &jobs,
            self.dataset,
            &device,
            self.threads(),
            &|_, record| {
                bar.inc(u64::from(record.epoch == self.args.epochs));
                ControlFlow::Continue(())
            },
        );
        bar.finish_and_clear();
        let all: Vec<f64> = outcomes
            .into_iter()
            // What diverges is worth a guess.
            .map(|outcome| outcome.map_or(0.0, |o| o.validation_accuracy))
            .collect();
        let means = all.chunks(self.args.repeats.max(1) as usize);
        Ok(means
            .map(|c| c.iter().sum::<f64>() / c.len() as f64)
            .collect())
    }

    /// One search; the architecture that it ends in, and its seconds.
    fn search(
        &self,
        method: Method,
        seed: usize,
        bar: &ProgressBar,
    ) -> miette::Result<(Architecture, f64)> {
        let usual = GradientConfig::of(method, self.args.search_epochs);
        let config = GradientConfig {
            warm_up: self.args.warm_up.unwrap_or(usual.warm_up),
            alpha_rate: self.args.alpha_rate.unwrap_or(usual.alpha_rate),
            batch_size: self.args.search_batch.unwrap_or(usual.batch_size),
            train_images: Some(self.args.train_images),
            seed: seed_of(0, seed),
            ..usual
        };
        let start = std::time::Instant::now();
        let mut search =
            GradientSearch::new(self.space, self.dataset, config).map_err(explained)?;
        let device = burn::tensor::Device::flex();
        search
            .run(self.space, self.dataset, &device, None, &mut |_| {
                bar.inc(1);
                ControlFlow::Continue(())
            })
            .map_err(explained)?;
        let seconds = start.elapsed().as_secs_f64();
        let derived = search.derive(self.space, None, None, 1).into_iter().next();
        let derived = derived.ok_or_else(|| miette::miette!("the search ended in nothing"))?;
        Ok((derived.architecture, seconds))
    }
}

/// What of a space cannot be relaxed, with its place.
fn explained(error: crate::differentiable::GradientError) -> miette::Report {
    crate::search::SearchError::from(error).into()
}

fn bar(what: &'static str, steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:9} {bar:30} {pos}/{len} {eta}");
    ProgressBar::new(steps as u64)
        .with_style(style.expect("a fixed template"))
        .with_message(what)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn report(args: &Args, outcome: &Outcome) {
    if args.json {
        let text = serde_json::to_string_pretty(outcome).expect("plain data");
        super::print(&format!("{text}\n"));
        return;
    }
    let random = &outcome.random;
    let at = |share: f64| random[((random.len() - 1) as f64 * share).round() as usize];
    super::print(&format!(
        "{} random architectures: worst {}, median {}, best tenth from {}, best {}\n",
        random.len(),
        percent(at(0.0)),
        percent(at(0.5)),
        percent(at(0.9)),
        percent(at(1.0)),
    ));
    let mut table = comfy_table::Table::new();
    let mut header = vec![
        "strategy",
        "seed",
        "accuracy",
        "better",
        "without weights",
        "search s",
    ];
    if args.engine.is_some() {
        header.extend(["ms", "random there", "MobileNetV2"]);
    }
    header.push("genotype");
    table.set_header(header);
    for found in &outcome.found {
        let mut row = vec![
            found.strategy.to_string(),
            found.seed.to_string(),
            percent(found.accuracy),
            percent(found.better),
            format!(
                "{} of {}{}",
                found.weightless,
                found.choices,
                if found.collapsed { ": collapsed" } else { "" }
            ),
            format!("{:.0}", found.search_seconds),
        ];
        if let Some(rival) = &found.at_latency {
            row.push(format!("{:.3}", rival.latency_ms));
            row.push(match rival.random_median {
                Some(median) => format!("{} ({})", percent(median), rival.random),
                None => "none".into(),
            });
            row.push(match &rival.mobilenet {
                Some(m) => format!(
                    "{} at x{} {:.3} ms",
                    percent(m.accuracy),
                    m.width,
                    m.latency_ms
                ),
                None => "none".into(),
            });
        }
        row.push(found.genotype.clone());
        table.add_row(row);
    }
    super::print(&format!("{}\n", table.trim_fmt()));
}
