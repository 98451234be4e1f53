//! `bespoke measure`: latencies of a space's architectures on this machine or
//! on a device elsewhere, outside a run.

use std::path::PathBuf;

use miette::IntoDiagnostic;
use rand::SeedableRng;

use super::progress::Progress;
use crate::device::{Deployable, Measurement, Protocol};
use crate::network::Network;
use crate::search::{Report, survey};
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
    /// Engine of this machine (tract, flex or wgpu), or of a device elsewhere as
    /// DEVICE/ENGINE, such as pi5/tract (see `bespoke devices`).
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

/// Measures these architectures; the first that fails ends it.
pub(super) fn measure_all(
    engine: &str,
    space: &Space,
    architectures: &[(Architecture, Network)],
    protocol: &Protocol,
    seed: u64,
) -> miette::Result<Vec<Measurement>> {
    let models: Vec<Deployable> = architectures
        .iter()
        .map(|(a, n)| Deployable::untrained(space.genotype(a), n.clone(), 0))
        .collect::<Result<_, _>>()
        .into_diagnostic()?;
    let mut progress = Progress::default();
    let show = &mut |report: Report<'_>| progress.show(report);
    survey(engine, &models, protocol, seed, show, &|| false)?
        .into_iter()
        .map(IntoDiagnostic::into_diagnostic)
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
    let architectures: Vec<(Architecture, Network)> = architectures
        .into_iter()
        .map(|a| Ok((a.clone(), space.network(&a)?)))
        .collect::<miette::Result<_>>()?;
    let protocol = match args.thorough {
        true => Protocol::thorough(),
        false => Protocol::quick(),
    };
    let measured = measure_all(&args.engine, &space, &architectures, &protocol, args.seed)?;
    if args.json {
        super::print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&measured).into_diagnostic()?
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
    for ((architecture, network), m) in architectures.iter().zip(&measured) {
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
