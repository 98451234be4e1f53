//! `bespoke report`: a run as one HTML file to send to a colleague.

use std::path::PathBuf;

use miette::{IntoDiagnostic, WrapErr};

use crate::web::report_html;

pub const EXAMPLES: &str = "\
Examples:
  bespoke report latest
  bespoke report quickstart --out front.html
  bespoke report latest --out - | gzip > report.html.gz";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// First letters of the run's id, its name, or `latest`.
    run: String,
    /// Database of runs: a file, or postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(long, value_name = "FILE", default_value = "runs/bespoke.db")]
    db: PathBuf,
    /// File to write, `-` for standard output [default: bespoke-RUN.html].
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
}

pub fn run(args: Args) -> miette::Result<()> {
    let store = super::runs::open_to_read(&args.db)?;
    let run = store.find_run(&args.run)?;
    let html = report_html(store, &run)?;
    let path = args
        .out
        .unwrap_or_else(|| format!("bespoke-{run}.html").into());
    if path.as_os_str() == "-" {
        super::print(&html);
        return Ok(());
    }
    std::fs::write(&path, html)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot write the report to {}", path.display()))?;
    super::say(&format!("wrote {}", path.display()));
    Ok(())
}
