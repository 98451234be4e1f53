//! `bespoke runs`: what the database holds, for people and for programs. The
//! commands only read. Data goes to stdout, as a table, JSON or CSV; anything
//! said about it goes to stderr.

mod export;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use miette::{IntoDiagnostic, WrapErr};
use serde_json::json;

use crate::report;
use crate::store::{RunFilter, RunState, RunSummary, Status, Store};

/// Browse and export recorded runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Database of runs.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "runs/bespoke.db"
    )]
    db: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List runs, the latest first.
    List {
        /// Only runs whose name contains this text.
        #[arg(long)]
        name: Option<String>,
        /// Only runs with this status.
        #[arg(long)]
        status: Option<StatusArg>,
        /// Only the latest N runs.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        #[command(flatten)]
        format: Format,
    },
    /// Show what is known of a run.
    Show {
        /// First letters of the run's id, its name, or `latest`.
        run: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a run's Pareto front: by its objectives, or accuracy against
    /// latency on one engine.
    Front {
        /// First letters of the run's id, its name, or `latest`.
        run: String,
        /// Accuracy against latency on this engine of the run.
        #[arg(long, value_name = "NAME")]
        engine: Option<String>,
        /// Leave out members predicted to be slower than this.
        #[arg(long, value_name = "MS")]
        max_latency_ms: Option<f64>,
        /// Draw the front and all candidates into an SVG file.
        #[arg(long, value_name = "FILE.svg")]
        plot: Option<PathBuf>,
        #[command(flatten)]
        format: Format,
    },
    /// Write a run's events, tables and artefacts into a directory.
    Export {
        /// First letters of the run's id, its name, or `latest`.
        run: String,
        /// Directory to write into; made where there is none.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct Format {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print CSV.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StatusArg {
    Running,
    Interrupted,
    Finished,
    Failed,
}

impl From<StatusArg> for Status {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Running => Status::Running,
            StatusArg::Interrupted => Status::Interrupted,
            StatusArg::Finished => Status::Finished,
            StatusArg::Failed => Status::Failed,
        }
    }
}

/// Runs a `bespoke runs` command.
pub fn run(args: Args) -> miette::Result<()> {
    match execute(args, &mut std::io::stdout().lock()) {
        // `bespoke runs list | head` is no error.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        result => result,
    }
}

fn is_broken_pipe(error: &miette::Report) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

/// Does the work; data goes to `out`.
fn execute(args: Args, out: &mut dyn Write) -> miette::Result<()> {
    let store = Store::open_read_only(&args.db)?;
    match args.command {
        Command::List {
            name,
            status,
            limit,
            format,
        } => {
            let runs = store.runs(&RunFilter {
                name,
                status: status.map(Status::from),
                limit,
            })?;
            if runs.is_empty() {
                eprintln!("no run matches in {}", args.db.display());
            }
            let text = match format {
                Format { json: true, .. } => {
                    pretty(&runs.iter().map(run_json).collect::<Vec<_>>())?
                }
                Format { csv: true, .. } => report::runs_csv(&runs),
                _ if runs.is_empty() => return Ok(()),
                _ => report::runs_table(&runs),
            };
            print(out, &text)
        }
        Command::Show { run, json } => {
            let id = store.find_run(&run)?;
            let state = store.state(&id)?;
            match json {
                true => print(out, &pretty(&state_json(&store.summary(&id)?, &state))?),
                false => print(out, &report::run_summary(&state)),
            }
        }
        Command::Front {
            run,
            engine,
            max_latency_ms,
            plot,
            format,
        } => {
            let state = store.state(&store.find_run(&run)?)?;
            if let Some(path) = plot {
                write_plot(&state, max_latency_ms, &path)?;
            }
            let mut rows = match &engine {
                Some(engine) => {
                    check_engine(&state, engine)?;
                    report::front_rows_on(&state, engine)
                }
                None => report::front_rows(&state),
            };
            rows.retain(|row| max_latency_ms.is_none_or(|limit| row.predicted_ms <= limit));
            if rows.is_empty() {
                eprintln!("the front of run {} is empty", state.id);
            }
            let text = match format {
                Format { json: true, .. } => pretty(&rows)?,
                Format { csv: true, .. } => report::front_csv(&rows),
                _ if rows.is_empty() => return Ok(()),
                _ => report::front_table(&rows),
            };
            print(out, &text)
        }
        Command::Export { run, out } => {
            let id = store.find_run(&run)?;
            let written = export::export(&store, &id, &out)?;
            eprintln!("wrote {written} files of run {id} to {}", out.display());
            Ok(())
        }
    }
}

fn check_engine(state: &RunState, engine: &str) -> miette::Result<()> {
    let others = state.other_engines();
    if engine == state.header.engine || others.iter().any(|other| other == engine) {
        return Ok(());
    }
    let known = std::iter::once(&state.header.engine).chain(&others);
    let known: Vec<&str> = known.map(String::as_str).collect();
    Err(miette::miette!(
        help = "choose among them",
        "run {} has no engine `{engine}`; it has {}",
        state.id,
        known.join(", ")
    ))
}

fn print(out: &mut dyn Write, text: &str) -> miette::Result<()> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    writeln!(out, "{text}").into_diagnostic()
}

fn pretty(value: &impl serde::Serialize) -> miette::Result<String> {
    serde_json::to_string_pretty(value).into_diagnostic()
}

/// A run of the list, with the status as the table shows it.
fn run_json(run: &RunSummary) -> serde_json::Value {
    let mut value = json!(run);
    value["status"] = run.status_word().into();
    value
}

fn state_json(summary: &RunSummary, state: &RunState) -> serde_json::Value {
    let failures: Vec<_> = state
        .failures()
        .map(|(candidate, cause)| {
            json!({"candidate": candidate.id, "genotype": candidate.genotype, "cause": cause})
        })
        .collect();
    json!({
        "run": run_json(summary),
        "reason": state.reason,
        "header": state.header,
        "architectures": state.architectures,
        "events": state.events,
        "candidates": state.candidates.len(),
        "calibration": state.calibration,
        "front": report::front_rows(state),
        "failures": failures,
        "artefacts": state.artefacts,
        "notes": state.notes,
        "warnings": state.warnings,
        "unknown_events": state.unknown,
    })
}

fn write_plot(state: &RunState, limit: Option<f64>, path: &Path) -> miette::Result<()> {
    let options = report::PlotOptions {
        max_latency_ms: limit,
        ..Default::default()
    };
    let svg = report::front_svg(state, &options)?;
    std::fs::write(path, svg)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot write the plot to {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests;
