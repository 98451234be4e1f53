//! Why a search has nothing to hand over, told so that one knows what to change.

use crate::store::{Evaluated, RunState};
use crate::strategy::Constraint;

/// What became of the evaluations of a run whose front is empty.
pub(super) fn why_empty(state: &RunState, limits: &[Constraint]) -> String {
    let because = match (nearest(state, limits), state.failures().next()) {
        (Some(nearest), _) => {
            let broken = limits.iter().filter_map(|limit| {
                let value = nearest.value(&limit.metric)?;
                (limit.violation(value) > 0.0).then(|| format!("`{limit}` (nearest: {value})"))
            });
            let broken: Vec<String> = broken.collect();
            let evaluated = state.evaluated().count();
            format!(
                "none of {evaluated} evaluated candidates keeps {}",
                broken.join(" and ")
            )
        }
        (None, Some((_, cause))) => {
            let failed = state.failures().count();
            format!("all {failed} evaluations failed, the first of them: {cause}")
        }
        (None, None) => "nothing was evaluated, as there was no budget".into(),
    };
    format!("{because}: the front is empty")
}

/// Of the evaluated candidates, the one that exceeds the limits least.
fn nearest<'a>(state: &'a RunState, limits: &[Constraint]) -> Option<&'a Evaluated> {
    let excess = |e: &Evaluated| -> f64 {
        let of = |limit: &Constraint| Some(limit.violation(e.value(&limit.metric)?));
        limits.iter().filter_map(of).sum()
    };
    let evaluated = state.evaluated();
    evaluated.min_by(|a, b| excess(a).total_cmp(&excess(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_data::{evaluated, header};
    use crate::store::{Event, Store};

    #[test]
    fn it_is_told_what_stood_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("r.db")).unwrap();
        let run = store.create_run(&header("t")).unwrap();
        let limits = [
            "latency_ms <= 1".parse().unwrap(),
            "params <= 2M".parse().unwrap(),
        ];
        let told = || why_empty(&store.state(&run).unwrap(), &limits);
        assert!(told().contains("no budget"), "{}", told());
        let failed = |candidate: u64| Event::Failed {
            candidate,
            genotype: format!("g{candidate}"),
            cause: "out of memory".into(),
        };
        store.append(&run, &failed(0)).unwrap();
        assert!(told().contains("all 1 evaluations failed"), "{}", told());
        assert!(told().contains("out of memory"), "{}", told());
        for (candidate, latency_ms) in [(1, 4.0), (2, 2.5)] {
            let event = Event::Evaluated(evaluated(candidate, 0.9, latency_ms));
            store.append(&run, &event).unwrap();
        }
        let wanted = "none of 2 evaluated candidates keeps `latency_ms <= 1` (nearest: 2.5)";
        assert!(told().contains(wanted), "{}", told());
    }
}
