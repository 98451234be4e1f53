//! `bespoke measure`: latencies of a space's architectures on this machine or
//! another device, outside a run; and whether measuring them again would rank
//! them alike.

use std::path::PathBuf;

use miette::IntoDiagnostic;
use rand::SeedableRng;

use super::progress::Progress;
use crate::device::{
    Deployable, Measurement, Probe, Protocol, RunOptions, Warning, median, spearman,
};
use crate::network::Network;
use crate::search::{Report, Setup, anew, engine_name, probe, survey_on};
use crate::space::{Architecture, Space};

pub const EXAMPLES: &str = "\
Examples:
  bespoke measure search-spaces/quickstart.space
  bespoke measure search-spaces/quickstart.space --engine onnxruntime --cores 0
  bespoke measure search-spaces/quickstart.space --repeat";

/// Architectures measured where none is said.
const FEW: usize = 5;
const FEW_REPEATED: usize = 20;

/// Rank correlation of two measurements below which the machine is not quiet
/// enough to compare architectures.
const QUIET: f64 = 0.98;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct MeasureArgs {
    #[arg(value_name = "FILE.space")]
    space: PathBuf,
    /// Genotypes to measure; random architectures where none is given.
    genotypes: Vec<String>,
    /// How many random architectures [default: 5; 20 with --repeat].
    #[arg(short = 'n')]
    count: Option<usize>,
    /// Engine (tract, flex or wgpu), device (`bespoke device list`), or engine of
    /// a device elsewhere, such as pi5/tract (`bespoke devices list`).
    #[arg(long, default_value = "tract")]
    engine: String,
    /// Samples in one inference.
    #[arg(long, default_value_t = 1, value_parser = positive)]
    batch: usize,
    /// Threads the engine may use.
    #[arg(long, default_value_t = 1, value_parser = positive)]
    threads: usize,
    /// Bind the engine to these cores, such as 0 or 0-3 (by taskset).
    #[arg(long)]
    cores: Option<String>,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Longer warm-ups and tighter intervals.
    #[arg(long)]
    thorough: bool,
    /// Most time for one architecture and pass; slow devices need more.
    #[arg(long, value_name = "MS")]
    budget_ms: Option<f64>,
    /// Measure everything a second time and tell how well the rankings agree.
    #[arg(long)]
    repeat: bool,
    /// Print JSON, raw samples included.
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("it is no whole number".into()),
    }
}

/// Measures these architectures; the first that fails ends it.
pub(super) fn measure_all(
    probe: &mut dyn Probe,
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
    survey_on(probe, engine, &models, protocol, seed, show, &|| false)?
        .into_iter()
        .map(IntoDiagnostic::into_diagnostic)
        .collect()
}

/// How well two measurements of the same architectures agree.
#[derive(Debug, serde::Serialize)]
struct Agreement {
    architectures: usize,
    spearman: Option<f64>,
    /// Of |first - second| over their mean.
    median_gap: f64,
    max_gap: f64,
}

impl Agreement {
    fn of(first: &[Measurement], second: &[Measurement]) -> Self {
        let of = |m: &[Measurement]| m.iter().map(Measurement::median_ms).collect::<Vec<_>>();
        let (first, second) = (of(first), of(second));
        let pairs = first.iter().zip(&second);
        let gaps: Vec<f64> = pairs.map(|(a, b)| 2.0 * (a - b).abs() / (a + b)).collect();
        Agreement {
            architectures: first.len(),
            spearman: spearman(&first, &second),
            median_gap: median(&gaps),
            max_gap: gaps.iter().copied().fold(0.0, f64::max),
        }
    }
}

/// Why the machine is not quiet, if it is not.
fn unrest(measured: &[Measurement], agreement: &Agreement) -> Option<String> {
    let mut reasons = Vec::new();
    if let Some(spearman) = agreement.spearman.filter(|s| *s < QUIET) {
        reasons.push(format!(
            "the rankings agree with Spearman {spearman:.3} only"
        ));
    }
    for (what, is) in [
        (
            "other processes kept the cores busy",
            (|w| matches!(w, Warning::Busy { .. })) as fn(&Warning) -> bool,
        ),
        ("most samples were interrupted", |w| {
            matches!(w, Warning::Interrupted { .. })
        }),
        ("the device's pace changed", |w| {
            matches!(w, Warning::Drift { .. })
        }),
        ("passes disagreed", |w| {
            matches!(w, Warning::PassesDisagree { .. })
        }),
    ] {
        let count = measured
            .iter()
            .filter(|m| m.warnings.iter().any(is))
            .count();
        if count > 0 {
            let all = measured.len();
            reasons.push(format!("{what} in {count} of {all} measurements"));
        }
    }
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

pub fn measure(args: MeasureArgs) -> miette::Result<()> {
    let space = Space::load(&args.space)?;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(args.seed);
    let few = if args.repeat { FEW_REPEATED } else { FEW };
    let architectures: Vec<Architecture> = match args.genotypes.is_empty() {
        true => (0..args.count.unwrap_or(few))
            .map(|_| space.sample(&mut rng))
            .collect(),
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
    let mut protocol = match args.thorough {
        true => Protocol::thorough(),
        false => Protocol::quick(),
    };
    if let Some(budget_ms) = args.budget_ms {
        protocol.min_sampling_ms = protocol.min_sampling_ms.min(budget_ms);
        protocol.budget_ms = budget_ms;
    }
    let setup = Setup {
        run: RunOptions {
            batch: args.batch,
            threads: args.threads,
        },
        cores: args.cores.clone(),
    };
    let engine = engine_name(&args.engine)?;
    // A probe of its own for each round: a repeat starts from nothing.
    let round = |seed: u64| -> miette::Result<Vec<Measurement>> {
        let name = match args.repeat {
            true => anew(&args.engine),
            false => args.engine.clone(),
        };
        let mut probe = probe(&name, &setup)?;
        measure_all(
            probe.as_mut(),
            &engine,
            &space,
            &architectures,
            &protocol,
            seed,
        )
    };
    let first = round(args.seed)?;
    let repeated = match args.repeat {
        true => {
            let second = round(args.seed.wrapping_add(1))?;
            let agreement = Agreement::of(&first, &second);
            Some((second, agreement))
        }
        false => None,
    };
    if args.json {
        let json = match &repeated {
            None => serde_json::to_value(&first),
            Some((second, agreement)) => Ok(serde_json::json!({
                "first": first,
                "second": second,
                "agreement": agreement,
            })),
        };
        let text = serde_json::to_string_pretty(&json.into_diagnostic()?).into_diagnostic()?;
        super::print(&format!("{text}\n"));
    } else {
        let second = repeated.as_ref().map(|(second, _)| second.as_slice());
        print_table(&space, &architectures, &first, second);
    }
    if let Some((second, agreement)) = &repeated {
        let told = agreement
            .spearman
            .map_or("too few for a ranking".into(), |s| {
                format!("Spearman {s:.3}")
            });
        let line = format!(
            "{}: {} architectures measured twice: {told}, gap median {:.1} %, greatest {:.1} %\n",
            engine,
            agreement.architectures,
            100.0 * agreement.median_gap,
            100.0 * agreement.max_gap
        );
        match args.json {
            true => eprint!("{line}"),
            false => super::print(&line),
        }
        let all: Vec<Measurement> = first.iter().chain(second).cloned().collect();
        if let Some(reasons) = unrest(&all, agreement) {
            eprintln!("warning: this machine is not quiet: {reasons}");
        }
    }
    Ok(())
}

/// Milliseconds with four digits that say something.
fn figure(ms: f64) -> String {
    let digits = (3 - ms.log10().floor() as i32).clamp(4, 9) as usize;
    format!("{ms:.digits$}")
}

fn print_table(
    space: &Space,
    architectures: &[(Architecture, Network)],
    measured: &[Measurement],
    again: Option<&[Measurement]>,
) {
    let mut table = comfy_table::Table::new();
    let mut header = vec!["median ms", "95 % interval", "p95 ms"];
    if again.is_some() {
        header.push("again ms");
    }
    header.extend([
        "load + first ms",
        "memory",
        "mJ",
        "samples",
        "M MACs",
        "genotype",
    ]);
    table.set_header(header);
    for (index, ((architecture, network), m)) in architectures.iter().zip(measured).enumerate() {
        let (low, high) = m.summary.ci95_ms;
        let mut row = vec![
            figure(m.median_ms()),
            format!("{} to {}", figure(low), figure(high)),
            figure(m.summary.p95_ms),
        ];
        if let Some(again) = again {
            row.push(figure(again[index].median_ms()));
        }
        let absent = || "absent".to_string();
        row.extend([
            m.load_ms
                .map_or_else(absent, |load| format!("{load:.1} + {:.2}", m.cold_ms)),
            m.memory.map_or_else(absent, |memory| {
                crate::report::bytes_text(memory.added_bytes())
            }),
            m.energy_mj.map_or_else(absent, |mj| format!("{mj:.3}")),
            m.samples_ms.len().to_string(),
            format!("{:.2}", network.costs().macs as f64 / 1e6),
            space.genotype(architecture),
        ]);
        table.add_row(row);
        for warning in &m.warnings {
            eprintln!("warning: {}: {warning}", m.network);
        }
    }
    super::print(&format!("{table}\n"));
}
