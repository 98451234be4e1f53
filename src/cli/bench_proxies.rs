//! `bespoke bench proxies`: how well zero-cost proxies rank the architectures of
//! a benchmark whose true accuracies are known, beside what others published.
//! Parameters and multiply-accumulates are ranked by as well: a proxy is worth
//! something where it ranks better than a count.

use std::path::PathBuf;

use comfy_table::{Table, presets};
use miette::{IntoDiagnostic, WrapErr};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::calibrate::network;
use super::proxies::{How, batch_name};
use crate::evaluate::proxies::vote;
use crate::network::Network;
use crate::predict::metrics::{kendall_tau_b, spearman};
use crate::predict::{Quantity, measurements};
use crate::space::Space;
use crate::space::codec::Codec;

pub const EXAMPLES: &str = "\
Example:
  bespoke bench proxies --accuracy accuracies.csv --data cifar-10-batches-bin

The CSV file has a column `architecture` with texts like
|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2| and one
with accuracies in percent.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// CSV file (also gzipped) of architectures and their true accuracies.
    #[arg(long, value_name = "FILE.csv")]
    accuracy: PathBuf,
    /// Column with the accuracies.
    #[arg(long, value_name = "NAME", default_value = "accuracy_cifar100_percent")]
    column: String,
    /// The architectures' space, in NAS-Bench-201's notation.
    #[arg(
        long,
        value_name = "FILE.space",
        default_value = "search-spaces/nasbench201.space"
    )]
    space: PathBuf,
    /// How many of the file's architectures, drawn by the seed.
    #[arg(long, default_value_t = 300)]
    architectures: usize,
    /// Leave out operators that cannot reach the output; the benchmark has
    /// them.
    #[arg(long)]
    simplified: bool,
    #[command(flatten)]
    how: How,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write every architecture's scores to this file.
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
}

/// What others report for CIFAR-100 on all 15,625 architectures.
struct Published {
    name: &'static str,
    spearman: Option<f64>,
    kendall: Option<f64>,
    source: &'static str,
}

/// The first four as the authors' code prints them (`nasbench201_correlations` of
/// github.com/SamsungLabs/zero-cost-nas); the paper's Table 1 has 0.64, 0.63,
/// 0.76 and 0.71. The others are of Akhauri et al. 2022, arXiv 2209.07413, read in
/// a summary of the paper.
const PUBLISHED: [Published; 7] = [
    abdelfattah("grad_norm", 0.637),
    abdelfattah("snip", 0.637),
    abdelfattah("synflow", 0.763),
    abdelfattah("jacob_cov", 0.704),
    akhauri("naswot", None, 0.61),
    akhauri("MACs", Some(0.72), 0.54),
    akhauri("parameters", Some(0.72), 0.54),
];

const fn abdelfattah(name: &'static str, spearman: f64) -> Published {
    Published {
        name,
        spearman: Some(spearman),
        kendall: None,
        source: "Abdelfattah 2021",
    }
}

const fn akhauri(name: &'static str, spearman: Option<f64>, kendall: f64) -> Published {
    Published {
        name,
        spearman,
        kendall: Some(kendall),
        source: "Akhauri 2022",
    }
}

/// Those that vote in Abdelfattah et al. 2021.
const VOTERS: [&str; 3] = ["synflow", "jacob_cov", "snip"];

/// A ranking and how good it is.
struct Ranking {
    name: String,
    /// Minus infinity where an architecture has no score.
    scores: Vec<f64>,
    /// A thread's mean time an architecture; none of what costs nothing.
    seconds: Option<f64>,
}

/// Runs the benchmark and prints it.
///
/// # Errors
/// When a file cannot be read or an architecture is not of the space.
pub fn run(args: Args) -> miette::Result<()> {
    miette::ensure!(
        args.architectures >= 3,
        "--architectures must be at least 3: a correlation is of several"
    );
    let space = Space::load(&args.space)?;
    let mut rows = measurements::read(&args.accuracy, Quantity::Latency, Some(&args.column))?;
    let all = rows.len();
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(args.how.seed));
    rows.truncate(args.architectures);
    let networks = rows
        .iter()
        .map(|row| {
            Codec::NasBench201
                .decode(&space, &row.genotype)
                .map_err(miette::Report::from)
                .and_then(|a| network(&space, &a, !args.simplified))
                .wrap_err_with(|| format!("{}, line {}", args.accuracy.display(), row.line))
        })
        .collect::<miette::Result<Vec<Network>>>()?;
    let truth: Vec<f64> = rows.iter().map(|row| row.value).collect();
    let dataset = args.how.dataset(networks[0].input_shape())?;
    let scored = args.how.score(&networks, dataset.as_ref())?;
    let mut rankings = Vec::new();
    for (index, proxy) in args.how.proxies().iter().enumerate() {
        let column = || scored.iter().map(|scores| &scores[index]);
        rankings.push(Ranking {
            name: proxy.name.into(),
            scores: column().map(|s| s.rank_value()).collect(),
            seconds: Some(column().map(|s| s.seconds).sum::<f64>() / networks.len() as f64),
        });
    }
    rankings.extend(voted(&rankings));
    let counted = |name: &str, count: &dyn Fn(&Network) -> u64| Ranking {
        name: name.into(),
        scores: networks.iter().map(|n| count(n) as f64).collect(),
        seconds: None,
    };
    rankings.push(counted("MACs", &|n| n.costs().macs));
    rankings.push(counted("parameters", &|n| n.costs().params));
    if let Some(path) = &args.csv {
        write_csv(path, &rows, &rankings)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    let batch = batch_name(dataset.as_ref());
    if args.json {
        let lines: Vec<_> = rankings.iter().map(|r| summary(r, &truth)).collect();
        let all = json!({
            "architectures": rows.len(),
            "seed": args.how.seed,
            "batch": batch,
            "rankings": lines,
        });
        println!("{}", serde_json::to_string_pretty(&all).into_diagnostic()?);
        return Ok(());
    }
    println!("{}", table(&rankings, &truth));
    println!(
        "{} of {all} architectures, column {}; batch: {} of {batch}; seed {}",
        rows.len(),
        args.column,
        args.how.batch_size,
        args.how.seed,
    );
    Ok(())
}

/// The vote of three, where all were asked.
fn voted(rankings: &[Ranking]) -> Option<Ranking> {
    let voters: Vec<&Ranking> = VOTERS
        .iter()
        .map(|name| rankings.iter().find(|r| r.name == *name))
        .collect::<Option<_>>()?;
    let scores: Vec<Vec<f64>> = voters.iter().map(|r| r.scores.clone()).collect();
    Some(Ranking {
        name: format!("vote of {}", VOTERS.join(", ")),
        scores: vote(&scores),
        seconds: voters.iter().map(|r| r.seconds).sum(),
    })
}

/// Resamplings of the architectures for an interval.
const RESAMPLINGS: usize = 1000;

/// The 95 % interval of Spearman's correlation by the bootstrap's percentiles.
fn interval(scores: &[f64], truth: &[f64]) -> (f64, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut found: Vec<f64> = (0..RESAMPLINGS)
        .map(|_| {
            let drawn = (0..truth.len()).map(|_| rng.random_range(0..truth.len()));
            let (a, b): (Vec<f64>, Vec<f64>) = drawn.map(|i| (scores[i], truth[i])).unzip();
            spearman(&a, &b)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    (
        found[RESAMPLINGS / 40],
        found[RESAMPLINGS - 1 - RESAMPLINGS / 40],
    )
}

fn without_score(ranking: &Ranking) -> usize {
    ranking.scores.iter().filter(|s| !s.is_finite()).count()
}

fn summary(ranking: &Ranking, truth: &[f64]) -> serde_json::Value {
    let published = PUBLISHED.iter().find(|p| p.name == ranking.name);
    json!({
        "name": ranking.name,
        "spearman": spearman(&ranking.scores, truth),
        "spearman_95": interval(&ranking.scores, truth),
        "kendall": kendall_tau_b(&ranking.scores, truth),
        "without_score": without_score(ranking),
        "seconds_per_architecture": ranking.seconds,
        "published_spearman": published.and_then(|p| p.spearman),
        "published_kendall": published.and_then(|p| p.kendall),
        "source": published.map(|p| p.source),
    })
}

fn table(rankings: &[Ranking], truth: &[f64]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "proxy",
        "Spearman",
        "95 % interval",
        "Kendall",
        "no score",
        "s an architecture",
        "published Spearman",
        "published Kendall",
        "source",
    ]);
    for ranking in rankings {
        let published = PUBLISHED.iter().find(|p| p.name == ranking.name);
        let figure = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v}"));
        let (low, high) = interval(&ranking.scores, truth);
        table.add_row([
            ranking.name.clone(),
            format!("{:.3}", spearman(&ranking.scores, truth)),
            format!("{low:.3} to {high:.3}"),
            format!("{:.3}", kendall_tau_b(&ranking.scores, truth)),
            without_score(ranking).to_string(),
            ranking.seconds.map_or("-".into(), |s| format!("{s:.2}")),
            figure(published.and_then(|p| p.spearman)),
            figure(published.and_then(|p| p.kendall)),
            published.map_or("-", |p| p.source).to_string(),
        ]);
    }
    table
}

/// One line an architecture; an empty field where there is no score.
fn write_csv(
    path: &std::path::Path,
    rows: &[measurements::Row],
    rankings: &[Ranking],
) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_path(path)?;
    let names = rankings.iter().map(|r| r.name.as_str());
    writer.write_record(["architecture", "accuracy"].into_iter().chain(names))?;
    for (index, row) in rows.iter().enumerate() {
        let mut record = vec![row.genotype.clone(), row.value.to_string()];
        record.extend(rankings.iter().map(|r| match r.scores[index] {
            score if score.is_finite() => score.to_string(),
            _ => String::new(),
        }));
        writer.write_record(record)?;
    }
    writer.flush()?;
    Ok(())
}
