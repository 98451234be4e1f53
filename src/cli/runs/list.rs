//! `bespoke runs list`: which runs, and in which order.

use std::io::Write;

use clap::ValueEnum;

use super::{Format, pretty, print, run_json};
use crate::report;
use crate::store::{RunFilter, RunSummary, Status, Store};

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only runs whose name contains this text.
    #[arg(long)]
    name: Option<String>,
    /// Only runs with this status.
    #[arg(long)]
    status: Option<StatusArg>,
    /// Only runs whose device contains this text.
    #[arg(long)]
    device: Option<String>,
    /// Only runs for this engine.
    #[arg(long)]
    engine: Option<String>,
    /// Only runs on the data set of this name.
    #[arg(long, value_name = "NAME")]
    data: Option<String>,
    /// Only runs started in so many last days.
    #[arg(long, value_name = "N")]
    days: Option<f64>,
    /// Only runs with an evaluation at least this accurate (0 to 1).
    #[arg(long, value_name = "FRACTION")]
    min_accuracy: Option<f64>,
    /// What the list is sorted by.
    #[arg(long, value_enum, default_value_t = Sort::Started)]
    sort: Sort,
    /// Turn the order round.
    #[arg(long)]
    reverse: bool,
    /// Only the first N runs of the list.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StatusArg {
    Running,
    Interrupted,
    Finished,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The latest first.
    Started,
    /// The one that recorded last first.
    Active,
    Name,
    /// The most accurate first.
    Accuracy,
    /// The fastest first.
    Latency,
    /// The one with most evaluations first.
    Evaluated,
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

pub(super) fn list(store: &Store, args: &ListArgs, out: &mut dyn Write) -> miette::Result<()> {
    let mut runs = store.runs(&RunFilter {
        name: args.name.clone(),
        status: args.status.map(Status::from),
        limit: None,
    })?;
    choose(&mut runs, args);
    if runs.is_empty() {
        eprintln!("no run matches in {}", store.path().display());
    }
    let text = match args.format {
        Format { json: true, .. } => pretty(&runs.iter().map(run_json).collect::<Vec<_>>())?,
        Format { csv: true, .. } => report::runs_csv(&runs),
        _ if runs.is_empty() => return Ok(()),
        _ => report::runs_table(&runs),
    };
    print(out, &text)
}

fn choose(runs: &mut Vec<RunSummary>, args: &ListArgs) {
    let contains = |text: &str, part: &Option<String>| {
        part.as_ref()
            .is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
    };
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as i64);
    let since = args.days.map(|days| now_ms - (days * 86_400_000.0) as i64);
    runs.retain(|run| {
        contains(&run.device, &args.device)
            && args
                .engine
                .as_ref()
                .is_none_or(|engine| *engine == run.engine)
            && args.data.as_ref().is_none_or(|data| *data == run.dataset)
            && since.is_none_or(|since| run.created_ms >= since)
            && args
                .min_accuracy
                .is_none_or(|least| run.best_accuracy.is_some_and(|a| a >= least))
    });
    // Runs without a figure come last; the sort is stable, so that among
    // equals the latest stay first.
    let figure = |value: Option<f64>| value.unwrap_or(f64::INFINITY);
    match args.sort {
        Sort::Started => {}
        Sort::Active => runs.sort_by_key(|run| std::cmp::Reverse(run.last_event_ms)),
        Sort::Name => runs.sort_by(|a, b| a.name.cmp(&b.name)),
        Sort::Accuracy => runs.sort_by(|a, b| {
            let loss = |run: &RunSummary| figure(run.best_accuracy.map(|a| -a));
            loss(a).total_cmp(&loss(b))
        }),
        Sort::Latency => {
            runs.sort_by(|a, b| figure(a.least_latency_ms).total_cmp(&figure(b.least_latency_ms)));
        }
        Sort::Evaluated => runs.sort_by_key(|run| std::cmp::Reverse(run.evaluated)),
    }
    if args.reverse {
        runs.reverse();
    }
    runs.truncate(args.limit.unwrap_or(usize::MAX));
}
