//! `bespoke predict`: meta-train the latency predictor from public tables, and
//! show what a checkpoint holds.

use std::path::PathBuf;
use std::time::Instant;

use clap::Subcommand;
use miette::{IntoDiagnostic, WrapErr};

use crate::predict::Predictor;
use crate::predict::tables::TableSpace;
use crate::predict::train::{Measured, TrainOptions, train};

/// Train and inspect the latency predictor.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Meta-train a predictor on the latency tables of known devices.
    Train {
        /// Directory with nasbench201, fbnet and ofa as .csv or .csv.gz.
        #[arg(long, value_name = "DIR", default_value = "predictors/data")]
        tables: PathBuf,
        /// Checkpoint to write.
        #[arg(
            long,
            value_name = "FILE",
            default_value = "predictors/latency.bespoke"
        )]
        out: PathBuf,
        /// Equal seeds give equal predictors.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Show the devices a predictor knows.
    Show {
        /// Checkpoint; the shipped one where none is given.
        #[arg(value_name = "FILE")]
        predictor: Option<PathBuf>,
    },
}

/// Runs a `bespoke predict` command.
///
/// # Errors
/// When a table or checkpoint cannot be read or written.
pub fn run(args: Args) -> miette::Result<()> {
    match args.command {
        Command::Train { tables, out, seed } => {
            let start = Instant::now();
            let measured = TableSpace::ALL
                .into_iter()
                .map(|space| Measured::read(&tables, space))
                .collect::<Result<Vec<_>, _>>()
                .into_diagnostic()?;
            let options = TrainOptions {
                seed,
                ..TrainOptions::default()
            };
            let bytes = train(&measured, &options).save();
            std::fs::write(&out, &bytes)
                .into_diagnostic()
                .wrap_err_with(|| format!("cannot write {}", out.display()))?;
            println!(
                "wrote {} ({} bytes) in {:.1} s",
                out.display(),
                bytes.len(),
                start.elapsed().as_secs_f64()
            );
        }
        Command::Show { predictor } => {
            for basis in Predictor::open(predictor.as_deref())?.bases() {
                println!("{}: {}", basis.name, basis.devices.join(", "));
            }
        }
    }
    Ok(())
}
