//! HELP's rows: the best accuracy under a latency limit.

use miette::IntoDiagnostic;
use serde_json::json;

use super::report::new_table;
use super::{Args, progress};
use crate::predict::Predictor;
use crate::tabular::{Benchmark, HELP_ROWS, Limited, Quartiles, Setup, Truth, limited};

/// HELP's rows, each searched by each strategy.
pub(super) fn run(
    args: &Args,
    benchmark: &Benchmark,
    predictor: &Predictor,
    setup: &Setup,
) -> miette::Result<()> {
    let wanted = |device: &str| args.device.is_empty() || args.device.iter().any(|d| d == device);
    let rows: Vec<_> = HELP_ROWS.iter().filter(|row| wanted(row.device)).collect();
    if rows.is_empty() {
        miette::bail!("HELP published no limits for these devices");
    }
    let header = [
        "device",
        "limit, ms",
        "best possible, %",
        "HELP, %",
        "strategy",
        "median, %",
        "quartiles",
        "worst",
        "below the best",
        "finalists, mean",
        "without an answer",
        "evaluations",
    ];
    let mut table = new_table(header.map(String::from).to_vec());
    let mut all = Vec::new();
    let bar = progress(rows.len() * args.strategy.len());
    for row in rows {
        let truth = Truth::of(benchmark, row.device);
        let best = truth.best_within(row.limit_ms).unwrap_or(f64::NAN);
        for kind in &args.strategy {
            bar.set_message(format!("{}, {} ms: {kind}", row.device, row.limit_ms));
            let runs = limited(benchmark, predictor, row.device, row.limit_ms, *kind, setup)
                .into_diagnostic()?;
            bar.inc(1);
            let accuracy = |run: &Limited| run.best.map_or(0.0, |at| benchmark.accuracy[at]);
            let q = Quartiles::of(runs.iter().map(accuracy));
            let percent = |v: f64| format!("{:.2}", 100.0 * v);
            let worst = runs.iter().map(accuracy).fold(f64::INFINITY, f64::min);
            let finalists: usize = runs.iter().map(|r| r.finalists.len()).sum();
            let finalists = finalists as f64 / runs.len() as f64;
            let without = runs.iter().filter(|r| r.best.is_none()).count();
            let evaluations = runs.iter().map(|r| r.evaluations).max().unwrap_or(0);
            table.add_row(vec![
                row.device.to_string(),
                row.limit_ms.to_string(),
                percent(best),
                format!("{:.1}", row.help_percent),
                kind.to_string(),
                percent(q.median),
                format!("{}–{}", percent(q.first), percent(q.third)),
                percent(worst),
                percent(best - q.median),
                format!("{finalists:.1}"),
                without.to_string(),
                evaluations.to_string(),
            ]);
            all.push(json!({
                "device": row.device,
                "limit_ms": row.limit_ms,
                "best_possible": best,
                "help_published": row.help_percent / 100.0,
                "strategy": kind,
                "accuracy": q,
                "runs": runs,
            }));
        }
    }
    bar.finish_and_clear();
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&all).into_diagnostic()?),
        false => println!("{table}"),
    }
    Ok(())
}
