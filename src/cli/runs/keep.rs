//! `bespoke runs delete|gc|verify|doctor`: keeping a database in order.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::{open_to_read, open_to_write, pretty, print};
use crate::report::bytes_text;
use crate::store::{diagnose, recover};

#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// First letters of a run's id, its name, or `latest`; one or more.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// Delete without asking; without it, nothing is deleted and what would be
    /// is listed.
    #[arg(long)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn delete(db: &Path, args: &DeleteArgs, out: &mut dyn Write) -> miette::Result<()> {
    // Deleting creates nothing.
    drop(open_to_read(db)?);
    let store = open_to_write(db)?;
    // All are found before one is deleted.
    let ids = args.runs.iter().map(|run| store.find_run(run));
    let mut ids: Vec<_> = ids.collect::<Result<_, _>>()?;
    ids.sort();
    ids.dedup();
    for id in &ids {
        let run = store.summary(id)?;
        let what = format!("run {id} ({}) with {} evaluations", run.name, run.evaluated);
        match args.yes {
            true => {
                store.delete_run(id)?;
                eprintln!("deleted {what}");
            }
            false => eprintln!("would delete {what}"),
        }
    }
    match args.yes {
        true => eprintln!("its files stay until `bespoke runs gc`"),
        false => eprintln!("nothing is deleted without --yes"),
    }
    match args.json {
        true => print(out, &pretty(&json!({"runs": ids, "deleted": args.yes}))?),
        false => Ok(()),
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct GcArgs {
    /// Keep files younger than this: a run in progress writes a file before it
    /// records it.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    older_than: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn gc(db: &Path, args: &GcArgs, out: &mut dyn Write) -> miette::Result<()> {
    drop(open_to_read(db)?);
    let store = open_to_write(db)?;
    let collected = store.collect(Duration::from_secs(60 * args.older_than))?;
    eprintln!(
        "removed {} files ({}); the database shrank by {}",
        collected.files,
        bytes_text(collected.bytes),
        bytes_text(collected.database_bytes)
    );
    match args.json {
        true => print(out, &pretty(&collected)?),
        false => Ok(()),
    }
}

pub(super) fn verify(db: &Path, json: bool, out: &mut dyn Write) -> miette::Result<()> {
    let store = open_to_read(db)?;
    let checked = store.verify();
    if json {
        let fault = checked.as_ref().err().map(ToString::to_string);
        print(
            out,
            &pretty(&json!({"whole": checked.is_ok(), "fault": fault}))?,
        )?;
    }
    checked?;
    eprintln!("{} is whole", store.path().display());
    Ok(())
}

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Save what can be read into this new file; the damaged one is left as it is.
    #[arg(long, value_name = "NEW.db")]
    recover: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn doctor(db: &Path, args: &DoctorArgs, out: &mut dyn Write) -> miette::Result<()> {
    let diagnosis = diagnose(db);
    let saved = match &args.recover {
        Some(to) => Some(recover(db, to)?),
        None => None,
    };
    if args.json {
        let all = json!({"well": diagnosis.is_well(), "findings": diagnosis.findings, "recovered": saved});
        print(out, &pretty(&all)?)?;
    } else {
        for finding in &diagnosis.findings {
            let mark = if finding.is_well { "well" } else { "ILL " };
            print(out, &format!("{mark}  {}", finding.said))?;
            if let Some(remedy) = &finding.remedy {
                print(out, &format!("      {remedy}"))?;
            }
        }
    }
    if let (Some(saved), Some(to)) = (saved, &args.recover) {
        eprintln!(
            "saved {} events of {} runs to {}; {} are known to be lost",
            saved.events,
            saved.runs,
            to.display(),
            saved.lost
        );
        return Ok(());
    }
    match diagnosis.is_well() {
        true => Ok(()),
        false => Err(miette::miette!("{} is not well", db.display())),
    }
}
