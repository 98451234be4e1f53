//! `bespoke measure` and `bespoke calibrate`: latencies of a space's
//! architectures on this machine, outside a run.

use std::ops::ControlFlow;
use std::path::PathBuf;

use miette::IntoDiagnostic;
use rand::SeedableRng;

use super::progress::Progress;
use crate::device::{Deployable, Measurement, Protocol, measure_many};
use crate::network::Network;
use crate::predict::{Options, Predictor, agreement};
use crate::search::{Report, local_probe};
use crate::space::{Architecture, Space};

#[derive(Debug, clap::Args)]
pub struct MeasureArgs {
    #[arg(value_name = "FILE.space")]
    space: PathBuf,
    /// Genotypes to measure; random architectures where none is given.
    genotypes: Vec<String>,
    /// How many random architectures.
    #[arg(short = 'n', default_value_t = 5)]
    count: usize,
    /// Engine: tract, flex or wgpu.
    #[arg(long, default_value = "tract")]
    engine: String,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Longer warm-ups and tighter intervals.
    #[arg(long)]
    thorough: bool,
    /// Print JSON, raw samples included.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct CalibrateArgs {
    #[arg(value_name = "FILE.space")]
    space: PathBuf,
    /// Architectures to measure, chosen to tell the most.
    #[arg(short = 'n', default_value_t = 10)]
    references: usize,
    /// Further ones to test the calibration on.
    #[arg(long, default_value_t = 5)]
    heldout: usize,
    /// Engine: tract, flex or wgpu.
    #[arg(long, default_value = "tract")]
    engine: String,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Checkpoint of the latency predictor [default: the shipped one].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// Write the calibration as JSON.
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
}

fn survey(
    engine: &str,
    space: &Space,
    architectures: &[Architecture],
    protocol: &Protocol,
    seed: u64,
) -> miette::Result<Vec<(Network, Measurement)>> {
    let mut probe = local_probe(engine)?;
    let networks: Vec<Network> = architectures
        .iter()
        .map(|a| space.network(a))
        .collect::<Result<_, _>>()?;
    let models: Vec<Deployable> = networks
        .iter()
        .zip(architectures)
        .map(|(n, a)| Deployable::untrained(space.genotype(a), n.clone(), 0))
        .collect();
    let mut progress = Progress::default();
    progress.show(Report::Phase {
        name: &format!("measuring on {engine}"),
        steps: models.len() * protocol.passes,
    });
    let survey = measure_many(&mut probe, &models, protocol, seed, &mut |step| {
        progress.show(Report::Step(match step.result {
            Ok(m) => format!("{:.3} ms", m.median_ms()),
            Err(e) => e.to_string(),
        }));
        ControlFlow::Continue(())
    })
    .into_diagnostic()?;
    progress.show(Report::PhaseDone);
    if let Some(r) = survey.repeatability {
        eprintln!(
            "two passes agree: Spearman {}, median gap {:.1} %",
            r.spearman.map_or("-".into(), |s| format!("{s:.3}")),
            100.0 * r.median_gap
        );
    }
    networks
        .into_iter()
        .zip(survey.results)
        .map(|(network, result)| Ok((network, result.into_diagnostic()?)))
        .collect()
}

pub fn measure(args: MeasureArgs) -> miette::Result<()> {
    let space = Space::load(&args.space)?;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(args.seed);
    let architectures: Vec<Architecture> = match args.genotypes.is_empty() {
        true => (0..args.count).map(|_| space.sample(&mut rng)).collect(),
        false => args
            .genotypes
            .iter()
            .map(|g| space.parse_genotype(g))
            .collect::<Result<_, _>>()?,
    };
    let protocol = match args.thorough {
        true => Protocol::thorough(),
        false => Protocol::quick(),
    };
    let measured = survey(&args.engine, &space, &architectures, &protocol, args.seed)?;
    if args.json {
        let all: Vec<&Measurement> = measured.iter().map(|m| &m.1).collect();
        super::print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&all).into_diagnostic()?
        ));
        return Ok(());
    }
    let mut table = comfy_table::Table::new();
    table.set_header([
        "median ms",
        "95 % interval",
        "samples",
        "M MACs",
        "genotype",
    ]);
    for (architecture, (network, m)) in architectures.iter().zip(&measured) {
        let (low, high) = m.summary.ci95_ms;
        table.add_row([
            format!("{:.4}", m.median_ms()),
            format!("{low:.4} to {high:.4}"),
            m.samples_ms.len().to_string(),
            format!("{:.2}", network.costs().macs as f64 / 1e6),
            space.genotype(architecture),
        ]);
        for warning in &m.warnings {
            eprintln!("warning: {}: {warning}", m.network);
        }
    }
    super::print(&format!("{table}\n"));
    Ok(())
}

pub fn calibrate(args: CalibrateArgs) -> miette::Result<()> {
    let space = Space::load(&args.space)?;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(args.seed);
    let pool: Vec<Architecture> = (0..300).map(|_| space.sample(&mut rng)).collect();
    let networks: Vec<Network> = pool
        .iter()
        .map(|a| space.network(a))
        .collect::<Result<_, _>>()?;
    let predictor = Predictor::open(args.predictor.as_deref())?;
    let mut chosen = predictor.choose_references(&networks, args.references, args.seed);
    let references = chosen.len();
    let unseen = (0..pool.len()).filter(|i| !chosen.contains(i));
    let unseen: Vec<usize> = unseen.take(args.heldout).collect();
    chosen.extend(unseen);
    let architectures: Vec<Architecture> = chosen.iter().map(|i| pool[*i].clone()).collect();
    let protocol = Protocol::quick();
    let measured = survey(&args.engine, &space, &architectures, &protocol, args.seed)?;
    let pairs: Vec<(&Network, f64)> = measured.iter().map(|(n, m)| (n, m.median_ms())).collect();
    let calibrated = predictor
        .calibrate(&pairs[..references], &Options::default())
        .into_diagnostic()?;
    for warning in calibrated.warnings() {
        eprintln!("warning: {warning}");
    }
    let mut table = comfy_table::Table::new();
    table.set_header([
        "measured ms",
        "predicted ms",
        "90 % interval",
        "unseen architecture",
    ]);
    let mut predicted = Vec::new();
    for ((network, ms), architecture) in pairs.iter().zip(&architectures).skip(references) {
        let p = calibrated.predict(*network);
        predicted.push(p.latency_ms);
        table.add_row([
            format!("{ms:.4}"),
            format!("{:.4}", p.latency_ms),
            format!("{:.4} to {:.4}", p.low_ms, p.high_ms),
            space.genotype(architecture),
        ]);
    }
    super::print(&format!("{table}\n"));
    let truth: Vec<f64> = pairs[references..].iter().map(|p| p.1).collect();
    let a = agreement(&predicted, &truth);
    super::print(&format!(
        "{} measurements; unseen: Spearman {:.3}, mean absolute error {:.1} %\n",
        references,
        a.spearman,
        100.0 * a.mape
    ));
    if let Some(path) = args.out {
        let json = serde_json::to_vec_pretty(&calibrated).into_diagnostic()?;
        std::fs::write(&path, json).into_diagnostic()?;
    }
    Ok(())
}
