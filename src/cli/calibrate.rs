//! `bespoke calibrate`: the predictor adapted to a device, from measurements
//! made here or in a file, with how far it can be trusted and whether further
//! measurements would help.

use std::path::{Path, PathBuf};

use miette::{IntoDiagnostic, WrapErr};

use super::measure::measure_all;
use super::space::Notation;
use crate::device::Protocol;
use crate::network::Network;
use crate::predict::device_model::{DeviceModel, Origin, Sample};
use crate::predict::gain::GainOptions;
use crate::predict::judge::{Ceiling, Judgement, by_name, ceiling, judge};
use crate::predict::{Features, Predictor, Quantity, measurements};
use crate::search::{ENGINES, EngineError, Setup, engine_name, pool, probe};
use crate::space::{Architecture, Space};

pub const EXAMPLES: &str = "\
Examples:
  bespoke calibrate tract --space search-spaces/quickstart.space -n 10 \\
    --out tract.json
  bespoke calibrate pi5 --space search-spaces/quickstart.space -n 10 --choose
  bespoke calibrate pi5 --space search-spaces/quickstart.space \\
    --measurements pi5.csv --out pi5.json

A device that is not here: --choose prints the networks to measure, as the
beginning of a CSV file with the columns genotype and latency_ms. Fill in the
second column and give the file back with --measurements.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// An engine of this machine (tract, flex or wgpu), a device (`bespoke device
    /// list`), one with an agent (such as pi5/tract), or the name of a device
    /// measured by other means.
    #[arg(value_name = "DEVICE")]
    device: String,
    /// The space whose architectures are measured.
    #[arg(long, value_name = "FILE.space")]
    space: Option<PathBuf>,
    /// Architectures to calibrate with, chosen to tell the most; with 0, known
    /// devices alone speak [default: 10; with --measurements, all in the file].
    #[arg(short = 'n', value_name = "N")]
    references: Option<usize>,
    /// Further ones to test the calibration on; of a file, all not chosen.
    #[arg(long, default_value_t = 5)]
    heldout: usize,
    #[command(flatten)]
    source: Source,
    /// Calibrate from the measurements of DEVICE in a recorded run (`bespoke runs
    /// import` makes one of a file): first letters of its id, its name, or
    /// `latest`.
    #[arg(long, value_name = "RUN", conflicts_with = "measurements")]
    run: Option<String>,
    /// Database of runs, for --run: a file, or postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(long, value_name = "FILE", default_value = "runs/bespoke.db")]
    db: PathBuf,
    /// Measure with longer warm-ups, tighter intervals and more passes.
    #[arg(long, conflicts_with = "measurements")]
    thorough: bool,
    /// Bind the engine to these cores, such as 0 or 0-3 (by taskset).
    #[arg(long, conflicts_with = "measurements")]
    cores: Option<String>,
    /// Print the architectures to measure, those of --measurements left out.
    #[arg(long)]
    choose: bool,
    /// Engine, where the first argument is a space (an older spelling).
    #[arg(long, hide = true, default_value = "tract")]
    engine: String,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Checkpoint of the predictor [default: the shipped one].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// Write the calibration, for `bespoke predict`.
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Measurements in a file.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// Measurements made elsewhere: CSV (also gzipped) with the columns
    /// genotype and latency_ms (energy_mj, memory_bytes).
    #[arg(long, value_name = "FILE.csv")]
    pub measurements: Option<PathBuf>,
    /// Another column with the values, in ms, mJ or bytes.
    #[arg(long, value_name = "NAME", requires = "measurements")]
    column: Option<String>,
    /// What was measured: latency, energy or memory.
    #[arg(long, default_value = "latency", value_parser = quantity)]
    pub quantity: Quantity,
    #[command(flatten)]
    pub(super) notation: Notation,
    /// The device runs the networks as written, operators that cannot reach
    /// the output included (as in the published tables).
    #[arg(long)]
    pub as_written: bool,
}

fn quantity(name: &str) -> Result<Quantity, String> {
    Quantity::by_name(name)
        .ok_or_else(|| format!("there is no quantity `{name}`; choose latency, energy or memory"))
}

/// A measured architecture.
pub struct Row {
    /// How messages name it.
    pub place: String,
    pub genotype: String,
    pub network: Network,
    /// In the quantity's unit.
    pub value: f64,
}

impl Row {
    fn sample(&self) -> Sample<'_> {
        Sample {
            genotype: self.genotype.clone(),
            network: &self.network,
            value: self.value,
        }
    }
}

/// The network of an architecture, as the device runs it.
pub fn network(space: &Space, a: &Architecture, as_written: bool) -> miette::Result<Network> {
    Ok(match as_written {
        true => space.unsimplified(a)?,
        false => space.network(a)?,
    })
}

impl Source {
    /// The rows of the file.
    pub fn rows(&self, path: &Path, space: &Space) -> miette::Result<Vec<Row>> {
        let rows = measurements::read(path, self.quantity, self.column.as_deref())?;
        rows.into_iter()
            .map(|row| {
                let place = format!("{}, line {}", path.display(), row.line);
                let architecture = match row.genotype.starts_with('@') {
                    // Only arguments name files.
                    true => Err(miette::miette!("`{}` is no genotype", row.genotype)),
                    false => self.notation.read(space, &row.genotype),
                }
                .wrap_err_with(|| place.clone())?;
                Ok(Row {
                    network: network(space, &architecture, self.as_written)?,
                    place,
                    genotype: row.genotype,
                    value: row.value,
                })
            })
            .collect()
    }
}

/// Calibrates, naming each faulty measurement by its place.
pub fn calibrated(
    predictor: &Predictor,
    quantity: Quantity,
    origin: Origin,
    rows: &[&Row],
) -> miette::Result<DeviceModel> {
    let samples: Vec<Sample<'_>> = rows.iter().map(|row| row.sample()).collect();
    let model = DeviceModel::calibrate(predictor, quantity, origin, &samples).into_diagnostic()?;
    let name = |index: usize| format!("\"{}\"", rows[index].place);
    for warning in model.warnings() {
        eprintln!("warning: {}", warning.describe(quantity.unit(), &name));
    }
    Ok(model)
}

/// What came of judging, in a sentence.
pub fn sentence(j: &Judgement, ceiling: Option<&Ceiling>) -> String {
    let a = &j.agreement;
    let mut text = format!(
        "unseen: Spearman {:.3}, Kendall {:.3}, absolute error mean {:.1} % median {:.1} %, within 10 % {:.0} %, \
         90 % interval covers {:.0} % (high / low {:.2}) of {} architectures\n",
        a.spearman,
        a.kendall,
        100.0 * a.mape,
        100.0 * a.median_ape,
        100.0 * a.within_10_percent,
        100.0 * j.coverage,
        j.interval_ratio,
        j.networks
    );
    if let Some(c) = ceiling {
        text += &format!(
            "ceiling: repeats of {} measurements agree with Spearman {:.3}, median gap {:.1} %\n",
            c.networks,
            c.spearman,
            100.0 * c.median_gap
        );
    }
    text
}

/// What a run measured on a device or engine.
fn recorded(db: &Path, run: &str, device: &str, space: &Space) -> miette::Result<Vec<Row>> {
    let store = super::runs::open_to_read(db)?;
    let state = store.state_in(&store.find_run(run)?, crate::store::Detail::Figures)?;
    if state.header.space_hash != space.hash() {
        miette::bail!(
            help = "give the file that the run was recorded with",
            "run {} is of another space than {}",
            state.id,
            space.name()
        );
    }
    let mine = state.measurements.iter().filter(|m| m.engine == device);
    let rows: Vec<Row> = mine
        .enumerate()
        .map(|(index, m)| {
            let place = format!("run {}, measurement {}", state.id, index + 1);
            let architecture = space
                .parse_genotype(&m.genotype)
                .wrap_err_with(|| place.clone())?;
            Ok(Row {
                network: network(space, &architecture, false)?,
                place,
                genotype: m.genotype.clone(),
                value: m.median_ms,
            })
        })
        .collect::<miette::Result<_>>()?;
    if rows.is_empty() {
        let mut engines: Vec<&str> = state.measurements.iter().map(|m| &*m.engine).collect();
        engines.sort_unstable();
        engines.dedup();
        miette::bail!(
            help = "name one of them as DEVICE",
            "run {} measured nothing on `{device}`; it measured on {}",
            state.id,
            match engines.is_empty() {
                true => "no device".to_owned(),
                false => engines.join(", "),
            }
        );
    }
    Ok(rows)
}

/// Runs the command.
///
/// # Errors
/// When the input is wrong or a measurement fails.
pub fn run(mut args: Args) -> miette::Result<()> {
    let space_path = match args.space.take() {
        Some(path) => path,
        None if args.device.ends_with(".space") => {
            let path = PathBuf::from(&args.device);
            args.device = args.engine.clone();
            path
        }
        None => miette::bail!(
            help = "for example `bespoke calibrate tract --space search-spaces/quickstart.space`",
            "--space FILE.space is missing: the space whose architectures are measured"
        ),
    };
    // A profile's file is reached by its path and recorded by the profile's name.
    let reach = args.device.clone();
    if args.source.measurements.is_none() {
        args.device = engine_name(&reach)?;
    }
    let space = Space::load(&space_path)?;
    if args.source.measurements.is_none() && !args.choose {
        // The engines here are given networks without what computes nothing.
        args.source.as_written = false;
    }
    let predictor = Predictor::open(args.predictor.as_deref())?;
    let file = match (&args.source.measurements, &args.run) {
        (Some(path), _) => Some(args.source.rows(path, &space)?),
        (None, Some(run)) => Some(recorded(&args.db, run, &args.device, &space)?),
        (None, None) => None,
    };
    if args.choose {
        return choose(&args, &space, &predictor, file.as_deref().unwrap_or(&[]));
    }
    let (rows, references, ceiling) = match file {
        Some(rows) => {
            let repeats = by_name(rows.iter().map(|r| (r.genotype.as_str(), r.value)));
            let references = match args.references {
                None => (0..rows.len()).collect(),
                Some(n) => {
                    let features: Vec<Features> =
                        rows.iter().map(|r| Features::of(&r.network)).collect();
                    predictor.choose_references(&features, n, args.seed)
                }
            };
            let ceiling = ceiling(&repeats);
            (rows, references, ceiling)
        }
        None => measured_here(&args, &reach, &space, &predictor)?,
    };
    let seen: Vec<&Row> = references.iter().map(|i| &rows[*i]).collect();
    let unseen: Vec<&Row> = (0..rows.len())
        .filter(|i| !references.contains(i))
        .map(|i| &rows[i])
        .collect();
    let origin = Origin {
        device: args.device.clone(),
        space: space.name().to_string(),
        space_hash: space.hash().to_string(),
        as_written: args.source.as_written,
    };
    let model = calibrated(&predictor, args.source.quantity, origin, &seen)?;
    let estimates: Vec<_> = unseen.iter().map(|r| model.predict(&r.network)).collect();
    let values: Vec<f64> = unseen.iter().map(|r| r.value).collect();
    let judgement = judge(&estimates, &values);
    let samples: Vec<Sample<'_>> = seen.iter().map(|r| r.sample()).collect();
    let candidates: Vec<Network> = match model.is_calibrated() {
        true => pool(&space, args.seed)
            .into_iter()
            .map(|(a, n)| match args.source.as_written {
                true => network(&space, &a, true),
                false => Ok(n),
            })
            .collect::<miette::Result<_>>()?,
        false => Vec::new(),
    };
    let options = GainOptions {
        seed: args.seed,
        ..GainOptions::default()
    };
    let gain = model
        .expected_gain(&predictor, &samples, &candidates, &options)
        .into_diagnostic()?
        .filter(|g| g.more > 0);
    if let Some(path) = &args.out {
        std::fs::write(path, model.to_json())
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        let json = serde_json::json!({
            "device": args.device,
            "space": space.name(),
            "quantity": model.quantity,
            "unit": model.quantity.unit(),
            "measured": model.measured,
            "warnings": model.warnings(),
            "unseen": judgement,
            "ceiling": ceiling,
            "gain": gain,
        });
        super::print(&format!("{json:#}\n"));
        return Ok(());
    }
    let unit = model.quantity.unit();
    if !unseen.is_empty() {
        let mut table = comfy_table::Table::new();
        table.set_header([
            format!("measured {unit}"),
            format!("predicted {unit}"),
            "90 % interval".into(),
            "unseen architecture".into(),
        ]);
        for (row, e) in unseen.iter().zip(&estimates).take(SHOWN) {
            table.add_row([
                number(row.value),
                number(e.value),
                format!("{} to {}", number(e.low), number(e.high)),
                row.genotype.clone(),
            ]);
        }
        super::print(&format!("{table}\n"));
        if unseen.len() > SHOWN {
            super::print(&format!("... and {} more\n", unseen.len() - SHOWN));
        }
    }
    super::print(&format!(
        "{}: {} measurements\n",
        args.device,
        model.measured.len()
    ));
    if let Some(j) = &judgement {
        super::print(&sentence(j, ceiling.as_ref()));
    }
    if let Some(gain) = &gain {
        super::print(&format!("{gain}\n"));
    }
    Ok(())
}

/// Rows of the table of unseen architectures.
const SHOWN: usize = 20;

/// Four significant digits, whatever the unit's size.
pub fn number(value: f64) -> String {
    let digits = (3 - value.abs().max(1e-9).log10().floor() as i32).clamp(0, 9) as usize;
    format!("{value:.digits$}")
}

type Measured = (Vec<Row>, Vec<usize>, Option<Ceiling>);

/// Measures on an engine of this machine or of a device with an agent: the chosen first, then the unseen.
fn measured_here(
    args: &Args,
    reach: &str,
    space: &Space,
    predictor: &Predictor,
) -> miette::Result<Measured> {
    let quantity = args.source.quantity;
    if quantity != Quantity::Latency {
        miette::bail!(
            help = format!(
                "give a CSV file with the columns genotype and {}; --choose prints the genotypes",
                quantity.columns()[0].0
            ),
            "{} cannot be measured here: --measurements FILE.csv is needed",
            quantity.name()
        );
    }
    let setup = Setup {
        cores: args.cores.clone(),
        ..Setup::default()
    };
    let protocol = match args.thorough {
        true => Protocol::thorough(),
        false => Protocol::quick(),
    };
    let mut probe = match probe(reach, &setup) {
        Err(EngineError::Unknown { name, devices }) => miette::bail!(
            help = "a device with an agent is DEVICE/ENGINE, such as pi5/tract; for one measured by other means give --measurements FILE.csv; --choose prints which architectures to measure",
            "`{name}` is no engine of this machine (they are {}) and no device with a profile (they are {devices})",
            ENGINES.join(", ")
        ),
        found => found?,
    };
    let candidates = pool(space, args.seed);
    let networks: Vec<&Network> = candidates.iter().map(|p| &p.1).collect();
    let wanted = (args.references.unwrap_or(10), args.heldout);
    let (references, unseen) = crate::search::choose(predictor, &networks, wanted, args.seed);
    let architectures: Vec<(Architecture, Network)> = references
        .iter()
        .chain(&unseen)
        .map(|i| candidates[*i].clone())
        .collect();
    let measured = measure_all(
        probe.as_mut(),
        &args.device,
        space,
        &architectures,
        &protocol,
        args.seed,
    )?;
    let repeats: Vec<Vec<f64>> = measured
        .iter()
        .map(|m| m.passes.iter().map(|p| p.median_ms).collect())
        .collect();
    let rows = architectures
        .into_iter()
        .zip(&measured)
        .map(|((architecture, network), m)| {
            let genotype = space.genotype(&architecture);
            Row {
                place: genotype.clone(),
                genotype,
                network,
                value: m.median_ms(),
            }
        })
        .collect();
    Ok((rows, (0..references.len()).collect(), ceiling(&repeats)))
}

/// Prints what to measure, as the beginning of a file of measurements.
fn choose(args: &Args, space: &Space, predictor: &Predictor, known: &[Row]) -> miette::Result<()> {
    let pool = pool(space, args.seed);
    let features = |n: &Network| Features::of(n);
    let known: Vec<(Features, f64)> = known
        .iter()
        .map(|r| (features(&r.network), r.value))
        .collect();
    let candidates: Vec<Features> = pool
        .iter()
        .map(|(a, n)| match args.source.as_written {
            true => Ok(features(&network(space, a, true)?)),
            false => Ok(features(n)),
        })
        .collect::<miette::Result<_>>()?;
    let n = args.references.unwrap_or(10);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let column = args.source.quantity.columns()[0].0;
    writer
        .write_record(["genotype", column])
        .into_diagnostic()?;
    for index in predictor.next_references(&known, &candidates, n, args.seed) {
        let genotype = args.source.notation.write(space, &pool[index].0)?;
        writer.write_record([&genotype, ""]).into_diagnostic()?;
    }
    let bytes = writer.into_inner().into_diagnostic()?;
    super::print(&String::from_utf8_lossy(&bytes));
    Ok(())
}
