//! Whether strategies find what they are for: more than random search does with
//! as many evaluations.

use super::super::*;
use super::toys::{TOY, WIDE, problem, run, settings, trade_off};
use crate::pareto::hypervolume;

/// Fewer for strategies with a model, which take seconds for a run.
fn seeds(kind: Kind) -> u64 {
    match kind {
        Kind::Bayes | Kind::Guided => 3,
        _ => 8,
    }
}

/// Asserts that a strategy is behind random search, for which less is better of
/// `score` within so many evaluations, with a quarter of the seeds at most, and
/// ahead on average.
fn assert_beats_random(
    kind: Kind,
    problem: &Problem,
    evaluations: usize,
    score: impl Fn(&[(Candidate, Answer)]) -> f64,
) {
    let seeds = seeds(kind);
    let of = |kind| -> Vec<f64> {
        let told = (0..seeds).map(|seed| run(kind, &settings(seed), problem, evaluations));
        told.map(|told| score(&told)).collect()
    };
    let (ours, random) = (of(kind), of(Kind::Random));
    let behind = ours.iter().zip(&random).filter(|(o, r)| o > r).count();
    let gain = random.iter().sum::<f64>() - ours.iter().sum::<f64>();
    assert!(
        behind as u64 <= seeds / 4 && gain > 0.0,
        "{kind}: {ours:?}, at random {random:?}"
    );
}

fn losses(told: &[(Candidate, Answer)]) -> Vec<Vec<f64>> {
    let worths = told.iter().filter_map(|(_, answer)| answer.clone());
    let feasible = worths.filter(|w| w.violation == 0.0);
    feasible.map(|w| w.objectives).collect()
}

fn best(told: &[(Candidate, Answer)]) -> f64 {
    losses(told).iter().map(|l| l[0]).fold(1.0, f64::min)
}

#[test]
fn the_best_accuracy_is_found_sooner_than_at_random() {
    let free = problem(WIDE, &[Metric::Accuracy], &[]);
    let limited = problem(WIDE, &[Metric::Accuracy], &["macs <= 200k", "params <= 3k"]);
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Random) {
        for problem in [&free, &limited] {
            assert_beats_random(*kind, problem, 150, best);
        }
    }
}

#[test]
fn fronts_are_larger_than_at_random() {
    let two = trade_off();
    let volume = |told: &[(Candidate, Answer)]| -hypervolume(&losses(told), &[1.0, 5e5]);
    let three = problem(TOY, &[Metric::Accuracy, Metric::Macs, Metric::Params], &[]);
    let solid = |told: &[(Candidate, Answer)]| -hypervolume(&losses(told), &[1.0, 5e5, 9e3]);
    // A policy settles on one trade-off.
    let of_fronts = |kind: &&Kind| !matches!(kind, Kind::Random | Kind::Reinforce);
    for kind in Kind::ALL.iter().filter(of_fronts) {
        assert_beats_random(*kind, &two, 200, volume);
        assert_beats_random(*kind, &three, 200, solid);
    }
}
