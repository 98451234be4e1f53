use std::sync::Arc;

use super::super::tests::toys;
use super::super::*;
use crate::space::Architecture;

/// Evaluations until an accuracy is reached.
fn until(kind: Kind, problem: &Problem, seed: u64, wanted: f64) -> usize {
    let told = toys::run(kind, &toys::settings(seed), problem, 150);
    let reached = |(_, answer): &(Candidate, Answer)| {
        answer
            .as_ref()
            .is_some_and(|w| 1.0 - w.objectives[0] >= wanted)
    };
    told.iter().position(reached).unwrap_or(told.len())
}

#[test]
fn the_best_of_a_large_space_is_found_sooner_than_by_evolution() {
    // 597,870 architectures: a pool, not a list.
    let problem = toys::problem(toys::WIDE, &[Metric::Accuracy], &[]);
    let (mut ours, mut theirs) = (0, 0);
    for seed in 0..3 {
        ours += until(Kind::Guided, &problem, seed, 0.83);
        theirs += until(Kind::Evolution, &problem, seed, 0.83);
    }
    assert!(ours < theirs, "{ours} and {theirs} evaluations");
}

/// Tells the accuracy's rank beforehand.
struct Oracle(Arc<crate::space::Space>);

impl Knowledge for Oracle {
    fn known(&self, architecture: &Architecture) -> Known {
        Known {
            scores: vec![toys::accuracy(&self.0, architecture)],
            ..Known::default()
        }
    }
}

#[test]
fn a_telling_score_saves_evaluations() {
    let blind = toys::problem(toys::WIDE, &[Metric::Accuracy], &[]);
    let told = Problem {
        knowledge: Arc::new(Oracle(blind.space.clone())),
        ..blind.clone()
    };
    let sum = |problem: &Problem| (0..3).map(|s| until(Kind::Guided, problem, s, 0.83)).sum();
    let (with, without): (usize, usize) = (sum(&told), sum(&blind));
    assert!(with <= without, "{with} with scores, {without} without");
}
