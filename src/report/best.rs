//! The best candidates of a run by one metric, within limits.

use super::front::FrontRow;
use crate::store::RunState;
use crate::strategy::{Constraint, Metric};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Accuracy is best when greatest, everything else when least.
    pub by: Metric,
    /// Limits that all have to keep.
    pub within: Vec<Constraint>,
    /// At most so many.
    pub number: usize,
}

/// The best first; an architecture counts once, by its latest evaluation.
/// Where candidates were trained for different shares, only those trained for
/// the greatest are compared.
pub fn best_rows(state: &RunState, query: &Query) -> Vec<FrontRow> {
    // Unlike a run's own limits, one that is asked for takes a known figure.
    let keeps = |e: &crate::store::Evaluated| {
        query.within.iter().all(|limit| {
            let value = e.value(&limit.metric);
            value.is_some_and(|value| limit.violation(value) == 0.0)
        })
    };
    let mut ranked: Vec<_> = state
        .compared()
        .into_iter()
        .filter(|e| keeps(e))
        .filter_map(|e| Some((query.by.loss(e.value(&query.by)?), e)))
        .collect();
    // A stable sort: among equals the first asked for stays first.
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    ranked
        .into_iter()
        .take(query.number)
        .map(|(_, e)| FrontRow::of(&state.member(e), None))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_data::{evaluated, header};
    use crate::store::{Event, Recorded, Store};

    #[test]
    fn the_best_keep_the_limits_and_are_ranked_by_the_metric() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("x.db")).unwrap();
        let run = store.create_run(&header("best")).unwrap();
        let results = [
            (1, 0.91, 1.0),
            (2, 0.95, 3.0),
            (3, 0.99, 9.0),
            (4, 0.93, 2.0),
        ];
        let mut state = store.state(&run).unwrap();
        for (seq, (id, accuracy, ms)) in results.into_iter().enumerate() {
            let event = Event::Evaluated(evaluated(id, accuracy, ms));
            let seq = seq as u64 + 2;
            state.apply(Recorded {
                seq,
                at_ms: 0,
                event,
            });
        }
        let ask = |by: Metric, within: &[&str], number| -> Vec<u64> {
            let query = Query {
                by,
                within: within.iter().map(|text| text.parse().unwrap()).collect(),
                number,
            };
            best_rows(&state, &query)
                .iter()
                .map(|row| row.candidate)
                .collect()
        };
        assert_eq!(ask(Metric::Accuracy, &[], 2), [3, 2]);
        assert_eq!(ask(Metric::Accuracy, &["latency_ms <= 3"], 9), [2, 4, 1]);
        assert_eq!(ask(Metric::LATENCY, &["accuracy >= 0.92"], 1), [4]);
        assert!(ask(Metric::Accuracy, &["latency_ms <= 0.1"], 9).is_empty());
        // What was never predicted keeps no limit.
        assert!(ask(Metric::Accuracy, &["energy_mj <= 1"], 9).is_empty());
    }
}
