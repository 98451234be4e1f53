//! `bespoke runs`: what the database holds, for people and for programs. Data
//! goes to stdout, as a table, JSON or CSV; anything said about it goes to
//! stderr. Only `delete`, `gc` and `import` change anything.

mod export;
mod import;
mod keep;
mod list;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use miette::{IntoDiagnostic, WrapErr};
use serde_json::json;

use crate::report;
use crate::store::{Detail, RunId, RunState, RunSummary, Store, StoreError};
use crate::strategy::{Constraint, Metric};

/// Browse and export recorded runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Database of runs: a file, or postgres://USER:PASSWORD@HOST/DATABASE.
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
    List(list::ListArgs),
    /// Show what is known of a run.
    Show {
        /// First letters of the run's id, its name, or `latest`.
        run: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare runs by their fronts, and in what they were set up differently.
    Compare {
        /// Two or more runs.
        #[arg(value_name = "RUN", num_args = 2.., required = true)]
        runs: Vec<String>,
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
    /// Print a run's best candidates by one metric, within limits.
    Best {
        /// First letters of the run's id, its name, or `latest`.
        run: String,
        /// accuracy, latency_ms, latency_ms@ENGINE, energy_mj, memory, macs or
        /// params.
        #[arg(long, value_name = "METRIC", default_value = "accuracy")]
        by: Metric,
        /// A limit such as `latency_ms <= 20`; may be repeated.
        #[arg(long = "constraint", value_name = "LIMIT")]
        within: Vec<Constraint>,
        /// How many.
        #[arg(short = 'n', long, default_value_t = 1)]
        number: usize,
        #[command(flatten)]
        format: Format,
    },
    /// Write a run's events, tables (CSV and Parquet), an Optuna study and its
    /// artefacts into a directory; or an MLflow experiment into MLflow's.
    Export {
        /// First letters of the run's id, its name, or `latest`.
        run: String,
        /// Directory to write into; made where there is none.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// `files`, or `mlflow`: the directory is one that MLflow tracks runs in
        /// (`mlruns`), and gets an experiment with a run for each candidate.
        #[arg(long, value_name = "FORMAT", default_value = "files")]
        format: export::Format,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Record measurements made elsewhere as a run.
    Import(import::ImportArgs),
    /// Delete runs for good.
    Delete(keep::DeleteArgs),
    /// Remove files that no run refers to and give free space back.
    Gc(keep::GcArgs),
    /// Read everything and check that it is whole.
    Verify {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what is the matter with a database, and save what can be read.
    Doctor(keep::DoctorArgs),
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

/// Runs a `bespoke runs` command.
pub fn run(args: Args) -> miette::Result<()> {
    match execute(args, &mut std::io::stdout().lock()) {
        // `bespoke runs list | head` is no error.
        Err(error) if error.is::<Unread>() => Ok(()),
        result => result,
    }
}

/// Nobody reads what is printed any more.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("nobody reads the output")]
struct Unread;

/// Opens a database for reading; one of an older version is brought up to date.
pub(super) fn open_to_read(db: &Path) -> Result<Store, StoreError> {
    match Store::open_read_only(db) {
        Err(StoreError::OlderSchema { .. }) => {
            drop(open_to_write(db)?);
            Store::open_read_only(db)
        }
        other => other,
    }
}

/// Opens a database, saying where a copy of an older one was put.
pub(super) fn open_to_write(db: &Path) -> Result<Store, StoreError> {
    let store = Store::open(db)?;
    if let Some((backup, version)) = store.backup() {
        eprintln!(
            "the database was of version {version}; a copy of it as it was is {}",
            backup.display()
        );
    }
    Ok(store)
}

/// Does the work; data goes to `out`.
fn execute(args: Args, out: &mut dyn Write) -> miette::Result<()> {
    let db = &args.db;
    // Nothing here shows a training curve, which a long run has many of.
    let state_of = |store: &Store, run: &RunId| store.state_in(run, Detail::Figures);
    match args.command {
        Command::List(args) => list::list(&open_to_read(db)?, &args, out),
        Command::Show { run, json } => {
            let store = open_to_read(db)?;
            let id = store.find_run(&run)?;
            let state = state_of(&store, &id)?;
            match json {
                true => print(out, &pretty(&state_json(&store.summary(&id)?, &state))?),
                false => print(out, &report::run_summary(&state)),
            }
        }
        Command::Compare { runs, json } => {
            let store = open_to_read(db)?;
            let states = runs
                .iter()
                .map(|run| state_of(&store, &store.find_run(run)?));
            let states: Vec<RunState> = states.collect::<Result<_, StoreError>>()?;
            let comparison = report::compare(&states);
            match json {
                true => print(out, &pretty(&comparison)?),
                false => print(out, &report::comparison_table(&comparison)),
            }
        }
        Command::Front {
            run,
            engine,
            max_latency_ms,
            plot,
            format,
        } => {
            let store = open_to_read(db)?;
            let run = store.find_run(&run)?;
            let state = store.front_state(&run)?;
            if let Some(path) = plot {
                // Every candidate is drawn.
                write_plot(&state_of(&store, &run)?, max_latency_ms, &path)?;
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
            print_rows(out, &rows, format)
        }
        Command::Best {
            run,
            by,
            within,
            number,
            format,
        } => {
            let store = open_to_read(db)?;
            let state = state_of(&store, &store.find_run(&run)?)?;
            let query = report::Query { by, within, number };
            let rows = report::best_rows(&state, &query);
            if rows.is_empty() {
                eprintln!("no candidate of run {} keeps the limits", state.id);
            }
            print_rows(out, &rows, format)
        }
        Command::Export {
            run,
            out: to,
            format,
            json,
        } => {
            let store = open_to_read(db)?;
            let id = store.find_run(&run)?;
            let written = export::export(&store, &id, &to, format)?;
            if json {
                let written = json!({"run": id, "files": written, "out": to});
                print(out, &pretty(&written)?)?;
            }
            eprintln!("wrote {written} files of run {id} to {}", to.display());
            Ok(())
        }
        Command::Import(args) => import::import(db, &args, out),
        Command::Delete(args) => keep::delete(db, &args, out),
        Command::Gc(args) => keep::gc(db, &args, out),
        Command::Verify { json } => keep::verify(db, json, out),
        Command::Doctor(args) => keep::doctor(db, &args, out),
    }
}

fn print_rows(
    out: &mut dyn Write,
    rows: &[report::FrontRow],
    format: Format,
) -> miette::Result<()> {
    let text = match format {
        Format { json: true, .. } => pretty(&rows)?,
        Format { csv: true, .. } => report::front_csv(rows),
        _ if rows.is_empty() => return Ok(()),
        _ => report::front_table(rows),
    };
    print(out, &text)
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
    match writeln!(out, "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Unread.into()),
        other => other.into_diagnostic(),
    }
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
