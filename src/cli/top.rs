//! `bespoke top`: a run on the terminal while it goes on.

use std::path::PathBuf;
use std::time::Duration;

use crate::top;

pub const EXAMPLES: &str = "\
Examples:
  bespoke top
  ssh -t workstation bespoke top latest
  bespoke top latest --once --columns 100 --lines 30";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// First letters of the run's id, its name, or `latest`.
    #[arg(default_value = "latest")]
    run: String,
    /// Database of runs: a file, or postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(long, value_name = "FILE", default_value = "runs/bespoke.db")]
    db: PathBuf,
    /// Seconds between two looks at the database.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = period)]
    every: f64,
    /// Print one frame without colours, and end.
    #[arg(long)]
    once: bool,
    /// Width of that frame.
    #[arg(long, value_name = "N", default_value_t = top::SIZE.0, requires = "once")]
    #[arg(value_parser = clap::value_parser!(u16).range(20..=400))]
    columns: u16,
    /// Height of that frame.
    #[arg(long, value_name = "N", default_value_t = top::SIZE.1, requires = "once")]
    #[arg(value_parser = clap::value_parser!(u16).range(5..=200))]
    lines: u16,
}

fn period(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("give seconds from 0.1 to 3600".into()),
    }
}

pub fn run(args: Args) -> miette::Result<()> {
    let store = super::runs::open_to_read(&args.db)?;
    let run = store.find_run(&args.run)?;
    if args.once {
        super::print(&top::once(&store, &run, (args.columns, args.lines))?);
        return Ok(());
    }
    top::watch(&store, &run, Duration::from_secs_f64(args.every))?;
    Ok(())
}
