//! `bespoke predict`: what networks cost on a calibrated device, with 90 %
//! intervals, and a note on each that lies outside what was measured.

use std::io::Read;
use std::path::PathBuf;

use miette::{IntoDiagnostic, WrapErr};
use serde_json::json;

use super::calibrate::{network, number};
use super::predictor;
use super::space::Notation;
use crate::predict::{DeviceModel, Origin, Predictor};
use crate::space::Space;

pub const EXAMPLES: &str = "\
Examples:
  bespoke predict --calibration tract.json --space search-spaces/quickstart.space \\
    @genotypes.txt
  bespoke space sample search-spaces/quickstart.space -n 100 | \\
    bespoke predict --calibration tract.json \\
    --space search-spaces/quickstart.space --json
  bespoke predict --space search-spaces/quickstart.space @genotypes.txt

`bespoke calibrate DEVICE --space FILE.space --out FILE.json` writes the
calibration. Without one, nothing is known of the device: values are the mean
of the devices known before, for comparing networks, with intervals as wide as
these devices differ.";

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    older: Option<predictor::Older>,
    /// Architectures, or @FILE with one a line; standard input where none is
    /// given or for `-`.
    #[arg(value_name = "GENOTYPE")]
    genotypes: Vec<String>,
    /// What `bespoke calibrate --out` wrote; without it, the mean known device
    /// speaks.
    #[arg(long, value_name = "FILE.json")]
    calibration: Option<PathBuf>,
    /// Checkpoint whose known devices speak where there is no calibration
    /// [default: the shipped one].
    #[arg(long, value_name = "FILE", conflicts_with = "calibration")]
    predictor: Option<PathBuf>,
    /// The architectures' space; any, not only the calibration's.
    #[arg(long, value_name = "FILE.space")]
    space: Option<PathBuf>,
    #[command(flatten)]
    notation: Notation,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// The texts of the architectures, with where each stands.
pub(super) fn texts(args: &[String]) -> miette::Result<Vec<(String, String)>> {
    let stdin = ["-".to_string()];
    let args = if args.is_empty() { &stdin[..] } else { args };
    let mut texts = Vec::new();
    for arg in args {
        let (name, content) = match (arg.as_str(), arg.strip_prefix('@')) {
            ("-", _) => {
                let mut content = String::new();
                std::io::stdin()
                    .read_to_string(&mut content)
                    .into_diagnostic()
                    .wrap_err("cannot read architectures from standard input")?;
                ("standard input".to_string(), content)
            }
            (_, Some(path)) => {
                let content = std::fs::read_to_string(path)
                    .into_diagnostic()
                    .wrap_err_with(|| format!("cannot read the architectures in {path}"))?;
                (path.to_string(), content)
            }
            _ => {
                texts.push(("the argument".into(), arg.clone()));
                continue;
            }
        };
        let lines = content.lines().enumerate();
        let lines = lines.map(|(i, line)| (i + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        texts.extend(lines.map(|(i, line)| (format!("{name}, line {i}"), line.to_string())));
    }
    Ok(texts)
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be read or an architecture is not of the space.
pub fn run(args: Args) -> miette::Result<()> {
    if let Some(older) = args.older {
        return predictor::run_older(older);
    }
    let Some(space) = &args.space else {
        miette::bail!(
            help = "`bespoke predict --help` has examples",
            "--space FILE.space is missing: the architectures' space"
        );
    };
    let model = match &args.calibration {
        Some(file) => DeviceModel::open(file)?,
        None => {
            let predictor = Predictor::open(args.predictor.as_deref())?;
            DeviceModel::unmeasured(&predictor, Origin::default())
        }
    };
    let space = Space::load(space)?;
    if model.is_calibrated() && space.hash() != model.origin.space_hash {
        eprintln!(
            "note: calibrated on architectures of `{}`, not of this space; the intervals tell how much that costs",
            model.origin.space
        );
    }
    for warning in model.warnings() {
        let name = |index: usize| {
            let measured = model.measured.get(index);
            measured.map_or_else(|| index.to_string(), |m| format!("\"{}\"", m.genotype))
        };
        eprintln!(
            "warning: {}",
            warning.describe(model.quantity.unit(), &name)
        );
    }
    let unit = model.quantity.unit();
    let mut table = comfy_table::Table::new();
    let calibrated = model.is_calibrated();
    table.set_header([
        format!("predicted {unit}").as_str(),
        "90 % interval",
        "genotype",
        match calibrated {
            true => "outside what was measured",
            false => "relative to the first",
        },
    ]);
    let mut first = None;
    let texts = texts(&args.genotypes)?;
    miette::ensure!(!texts.is_empty(), "there are no architectures to predict");
    for (place, text) in texts {
        let architecture = args
            .notation
            .read(&space, &text)
            .wrap_err_with(|| place.clone())?;
        let network = network(&space, &architecture, model.origin.as_written)?;
        let e = model.predict(&network);
        let notes: Vec<String> = e.notes.iter().map(ToString::to_string).collect();
        let relative = e.value / *first.get_or_insert(e.value);
        if args.json {
            let mut line = json!({
                "genotype": text,
                "device": model.origin.device,
                "quantity": model.quantity,
                "unit": unit,
                "value": e.value,
                "low": e.low,
                "high": e.high,
                "notes": notes,
            });
            if !calibrated {
                line["relative"] = relative.into();
            }
            if model.origin.device.is_empty() {
                line["device"] = serde_json::Value::Null;
            }
            super::print(&format!("{line}\n"));
            continue;
        }
        table.add_row([
            number(e.value),
            format!("{} to {}", number(e.low), number(e.high)),
            text,
            match calibrated {
                true => notes.join("; "),
                // All lack the same: the warning says so once.
                false => format!("{relative:.3}"),
            },
        ]);
    }
    if !args.json {
        super::print(&format!("{table}\n"));
    }
    Ok(())
}
