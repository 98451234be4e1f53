//! `bespoke runs import`: measurements made elsewhere, recorded as a run.

use std::io::Write;
use std::path::{Path, PathBuf};

use miette::WrapErr;
use serde_json::json;

use super::{open_to_write, pretty, print};
use crate::predict::{Quantity, measurements};
use crate::space::Space;
use crate::store::{Event, Measured, Purpose, RunHeader};

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// CSV (also gzipped) with the columns genotype and latency_ms.
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// The space of the genotypes.
    #[arg(long, value_name = "FILE.space")]
    space: PathBuf,
    /// The device, or engine of it, that was measured, such as pi5/tract.
    #[arg(long, value_name = "NAME")]
    engine: String,
    /// Another column with the latencies, in ms.
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// The run's name [default: the file's].
    #[arg(long)]
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn import(db: &Path, args: &ImportArgs, out: &mut dyn Write) -> miette::Result<()> {
    let space = Space::load(&args.space)?;
    let rows = measurements::read(&args.file, Quantity::Latency, args.column.as_deref())?;
    // Every row is understood before anything is recorded.
    let events = rows.iter().map(|row| {
        let place = || format!("{}, line {}", args.file.display(), row.line);
        let architecture = space.parse_genotype(&row.genotype).wrap_err_with(place)?;
        Ok(Event::Measured(Measured {
            genotype: space.genotype(&architecture),
            network_hash: space.network(&architecture)?.hash().to_string(),
            purpose: Purpose::Manual,
            engine: args.engine.clone(),
            median_ms: row.value,
            ci95_ms: [row.value, row.value],
            measurement: json!({"imported_from": args.file, "line": row.line}),
        }))
    });
    let mut events: Vec<Event> = events.collect::<miette::Result<_>>()?;
    let number = events.len();
    events.insert(
        0,
        Event::SpaceCounted {
            architectures: space.count().to_string(),
        },
    );
    events.push(Event::Finished {
        reason: format!("{number} measurements imported"),
    });
    let stem = args.file.file_stem().unwrap_or_default().to_string_lossy();
    let store = open_to_write(db)?;
    let run = store.create_run(&RunHeader {
        name: args.name.clone().unwrap_or_else(|| stem.into_owned()),
        experiment: json!({"imported_from": args.file, "engine": args.engine}),
        space_text: space.text().to_string(),
        space_hash: space.hash().to_string(),
        seed: 0,
        bespoke_version: env!("CARGO_PKG_VERSION").into(),
        git_commit: None,
        dataset_name: "none".into(),
        dataset_hash: String::new(),
        device: args.engine.clone(),
        engine: args.engine.clone(),
    })?;
    store.append_all(&run, &events)?;
    eprintln!("recorded {number} measurements as run {run}");
    match args.json {
        true => print(out, &pretty(&json!({"run": run, "measurements": number}))?),
        false => Ok(()),
    }
}
