//! Runs side by side: how good their fronts are by one measure, and in what
//! they were set up differently.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::front::{FrontRow, front_rows_on};
use super::table::{plain, shown, table};
use super::units::{ms_text, percent_text};
use crate::pareto::{dominates, hypervolume_2d};
use crate::store::RunState;

/// One run beside others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunCompared {
    pub run: String,
    pub name: String,
    pub status: String,
    pub evaluated: usize,
    /// Members of the front of accuracy against the run's own latency.
    pub front: usize,
    /// Validation accuracy, a fraction.
    pub best_accuracy: Option<f64>,
    /// Predicted, of the front.
    pub least_latency_ms: Option<f64>,
    /// Area that the front dominates, as a share of the box between an accuracy
    /// of 0 and 1 and a latency of 0 and [`BEYOND`] times the greatest of all
    /// the fronts.
    pub hypervolume: f64,
    /// Members that a member of another run's front dominates.
    pub dominated: usize,
    /// Members that are on the front of all the runs together.
    pub on_joint_front: usize,
}

/// The hypervolume's reference point lies this much beyond the slowest member,
/// as is usual: at the slowest itself, that member would count for nothing
/// however accurate it is.
const BEYOND: f64 = 1.1;

/// Runs with what tells them apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub runs: Vec<RunCompared>,
    /// Settings in which they differ, each with a value a run.
    pub differences: BTreeMap<String, Vec<Value>>,
}

/// Compares runs by their fronts. Latencies are compared as they are: those of
/// different devices say which is faster, not which search was better.
pub fn compare(states: &[RunState]) -> Comparison {
    let fronts: Vec<Vec<FrontRow>> = states
        .iter()
        .map(|state| front_rows_on(state, &state.header.engine))
        .collect();
    let slowest = fronts
        .iter()
        .flatten()
        .map(|row| row.predicted_ms)
        .fold(0.0, f64::max);
    let reference_ms = BEYOND * slowest;
    let losses: Vec<Vec<[f64; 2]>> = fronts
        .iter()
        .map(|rows| {
            let loss = |row: &FrontRow| [1.0 - row.accuracy, row.predicted_ms / reference_ms];
            rows.iter().map(loss).collect()
        })
        .collect();
    let runs = states.iter().enumerate().map(|(index, state)| {
        let others = || {
            let all = losses.iter().enumerate().filter(move |(i, _)| *i != index);
            all.flat_map(|(_, points)| points)
        };
        let is_dominated = |point: &&[f64; 2]| others().any(|other| dominates(other, *point));
        let dominated = losses[index].iter().filter(is_dominated).count();
        let accuracies = fronts[index].iter().map(|row| row.accuracy);
        RunCompared {
            run: state.id.to_string(),
            name: state.header.name.clone(),
            status: state.status_word().to_owned(),
            evaluated: state.evaluated().count(),
            front: fronts[index].len(),
            best_accuracy: accuracies.reduce(f64::max),
            least_latency_ms: fronts[index].first().map(|row| row.predicted_ms),
            hypervolume: hypervolume_2d(&losses[index], [1.0, 1.0]),
            dominated,
            on_joint_front: fronts[index].len() - dominated,
        }
    });
    Comparison {
        runs: runs.collect(),
        differences: differences(states),
    }
}

fn differences(states: &[RunState]) -> BTreeMap<String, Vec<Value>> {
    let settings: Vec<BTreeMap<String, Value>> = states
        .iter()
        .map(|state| {
            let header = serde_json::to_value(&state.header).unwrap_or_default();
            let mut all = BTreeMap::new();
            for (name, value) in header.as_object().into_iter().flatten() {
                // The text of a space is told apart by its hash.
                if !["experiment", "space_text"].contains(&name.as_str()) {
                    all.insert(name.clone(), value.clone());
                }
            }
            for (name, value) in state.header.experiment.as_object().into_iter().flatten() {
                all.entry(name.clone()).or_insert_with(|| value.clone());
            }
            all
        })
        .collect();
    let names: BTreeSet<&String> = settings.iter().flat_map(BTreeMap::keys).collect();
    names
        .into_iter()
        .map(|name| {
            let values = settings
                .iter()
                .map(|s| s.get(name).cloned().unwrap_or_default());
            (name.clone(), values.collect::<Vec<_>>())
        })
        .filter(|(_, values)| values.iter().any(|value| *value != values[0]))
        .collect()
}

/// The comparison for the terminal.
pub fn comparison_table(comparison: &Comparison) -> String {
    let rows = comparison.runs.iter().map(|run| {
        vec![
            run.run.clone(),
            plain(&run.name),
            run.status.clone(),
            run.evaluated.to_string(),
            run.front.to_string(),
            run.dominated.to_string(),
            shown(run.best_accuracy, percent_text),
            shown(run.least_latency_ms, ms_text),
            format!("{:.4}", run.hypervolume),
        ]
    });
    let header = [
        "run",
        "name",
        "status",
        "evaluated",
        "front",
        "dominated",
        "best val. %",
        "least ms",
        "hypervolume",
    ];
    let mut text = table(&header, &[3, 4, 5, 6, 7, 8], rows.collect());
    if !comparison.differences.is_empty() {
        let runs = comparison.runs.iter().map(|run| run.run.as_str());
        let header: Vec<&str> = std::iter::once("set differently").chain(runs).collect();
        let rows = comparison.differences.iter().map(|(name, values)| {
            let short = |value: &Value| {
                let text = match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                match text.chars().count() {
                    0..=40 => plain(&text),
                    _ => plain(&text.chars().take(39).chain(['…']).collect::<String>()),
                }
            };
            std::iter::once(name.clone())
                .chain(values.iter().map(short))
                .collect()
        });
        text += "\n";
        text += &table(&header, &[], rows.collect());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_data::{evaluated, header};
    use crate::store::{Event, Store};

    #[test]
    fn fronts_are_compared_by_one_measure() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("x.db")).unwrap();
        let run = |name: &str, seed, results: &[(u64, f64, f64)]| {
            let mut header = header(name);
            header.seed = seed;
            let run = store.create_run(&header).unwrap();
            for (id, accuracy, ms) in results {
                let event = Event::Evaluated(evaluated(*id, *accuracy, *ms));
                store.append(&run, &event).unwrap();
            }
            store.state(&run).unwrap()
        };
        let states = [
            run("a", 1, &[(1, 0.5, 5.0), (2, 0.4, 10.0)]),
            run("b", 2, &[(1, 0.5, 4.0), (2, 0.8, 10.0)]),
            run("none", 2, &[]),
        ];
        let comparison = compare(&states);
        let [a, b, none] = &comparison.runs[..] else {
            panic!("{comparison:?}")
        };
        // Half the accuracy over the latencies from 5 to 11 ms of 11.
        assert!((a.hypervolume - 3.0 / 11.0).abs() < 1e-12, "{a:?}");
        assert_eq!((a.front, a.dominated, a.on_joint_front), (1, 1, 0));
        // The slowest counts, too.
        let wanted = 0.5 * 7.0 / 11.0 + 0.3 / 11.0;
        assert!((b.hypervolume - wanted).abs() < 1e-12, "{b:?}");
        assert_eq!((b.front, b.dominated), (2, 0));
        assert_eq!((none.front, none.hypervolume), (0, 0.0));
        let alone = compare(&[run("alone", 3, &[(1, 0.5, 5.0)])]);
        assert!((alone.runs[0].hypervolume - 0.5 / 11.0).abs() < 1e-12);
        let differing: Vec<&String> = comparison.differences.keys().collect();
        assert_eq!(differing, ["name", "seed"]);
        let text = comparison_table(&comparison);
        assert!(
            text.contains("0.2727") && text.contains("set differently"),
            "{text}"
        );
    }
}
