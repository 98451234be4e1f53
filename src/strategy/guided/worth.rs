//! What evaluating a candidate is expected to be worth, whatever the
//! objectives.

use rand::seq::SliceRandom;

use crate::strategy::surrogate::{Belief, Incumbents, Staircase, Study, Tradeoff, allowed, nodes};

/// Candidates whose draws are summed, at most: each has many.
const THINNED: usize = 2000;

/// What is expected of a row; and, where that is nothing, how close it comes.
pub(super) type Worth = (f64, f64);

/// The worth of every free row.
pub(super) fn worths(study: &mut Study, beliefs: &[Option<Belief>]) -> Vec<(usize, Worth)> {
    let limits = study.problem().goals.constraints().to_vec();
    let chances: Vec<f64> = match limits.is_empty() {
        true => Vec::new(),
        false => {
            let known = study.table.known.iter();
            known.map(|known| allowed(known, &limits)).collect()
        }
    };
    let chance = |row: usize| chances.get(row).copied().unwrap_or(1.0);
    match beliefs {
        [Some(belief)] => single(study, belief, &chance),
        [Some(belief), None] => front(study, 0, 1, belief, &chance),
        [None, Some(belief)] => front(study, 1, 0, belief, &chance),
        _ => traded(study, beliefs, &chance),
    }
}

/// The chance that an answered row keeps the limits: by what is foretold,
/// and none where the answer shows a violation that it does not explain.
fn answered(study: &Study, row: usize, violation: f64, chance: &dyn Fn(usize) -> f64) -> f64 {
    let known = &study.table.known[row];
    let foretold = study.problem().known_violation(known);
    match violation > foretold + 1e-9 {
        true => 0.0,
        false => chance(row),
    }
}

/// One objective: expected improvement, in normal scores.
fn single(study: &Study, belief: &Belief, chance: &dyn Fn(usize) -> f64) -> Vec<(usize, Worth)> {
    let told = study.succeeded().map(|(row, worth)| {
        let score = belief.warp.score(worth.objectives[0]);
        (score, answered(study, row, worth.violation, chance))
    });
    let told: Vec<(f64, f64)> = told.collect();
    let worst = told.iter().map(|t| t.0).fold(0.0, f64::max) + 0.5;
    let incumbents = Incumbents::new(told, worst);
    let best = incumbents.best();
    let worth = |row: usize| {
        let (mean, sd) = belief.of(row);
        let gain = chance(row) * incumbents.improvement(mean, sd);
        (row, (gain, chance(row).ln() + (best - mean) / sd))
    };
    study.free().map(worth).collect()
}

/// Two objectives of which one is foretold: expected hypervolume
/// improvement.
fn front(
    study: &Study,
    modelled: usize,
    foretold: usize,
    belief: &Belief,
    chance: &dyn Fn(usize) -> f64,
) -> Vec<(usize, Worth)> {
    let metric = &study.problem().goals.objectives()[foretold];
    let costs: Vec<f64> = study
        .table
        .known
        .iter()
        .map(|known| known.estimate(metric).map_or(f64::MAX, |e| e.value))
        .map(|value| metric.loss(value))
        .collect();
    let told = study
        .succeeded()
        .filter(|(row, worth)| answered(study, *row, worth.violation, chance) >= 0.5)
        .map(|(row, worth)| (costs[row], worth.objectives[modelled]))
        .collect();
    let losses = study.succeeded().map(|(_, w)| w.objectives[modelled]);
    let dearest = costs.iter().copied().fold(f64::MIN, f64::max);
    let stairs = Staircase::new(told, (dearest, losses.fold(f64::MIN, f64::max)));
    let floor = floor(study, modelled);
    let nodes = nodes();
    let worth = |row: usize| {
        let (mean, sd) = belief.of(row);
        let cost = costs[row];
        let height = belief.warp.score(stairs.height(cost));
        // Where even luck would not do, the distance from it ranks.
        let reach = chance(row).ln() + (height - mean) / sd;
        if mean - 3.5 * sd >= height {
            return (row, (0.0, reach));
        }
        let mut gain = 0.0;
        for (z, weight) in nodes {
            let score = mean + z * sd;
            // From here on nothing is gained.
            if score >= height {
                break;
            }
            gain += weight * stairs.gain(cost, belief.warp.loss(score, floor));
        }
        (row, (chance(row) * gain, reach))
    };
    study.free().map(worth).collect()
}

/// Any other objectives.
fn traded(
    study: &mut Study,
    beliefs: &[Option<Belief>],
    chance: &dyn Fn(usize) -> f64,
) -> Vec<(usize, Worth)> {
    let goals = study.problem().goals.clone();
    let ranges = study.ranges();
    let mut free: Vec<usize> = study.free().collect();
    let rng = &mut study.ledger.rng;
    let tradeoff = Tradeoff::draw(ranges, rng);
    if free.len() > THINNED {
        let (taken, _) = free.partial_shuffle(rng, THINNED);
        free = taken.to_vec();
    }
    let incumbent = study
        .succeeded()
        .filter(|(row, worth)| answered(study, *row, worth.violation, chance) >= 0.5)
        .map(|(_, worth)| tradeoff.sum(worth.objectives.iter().copied()))
        .fold(f64::MAX, f64::min);
    let floors: Vec<f64> = (0..beliefs.len()).map(|o| floor(study, o)).collect();
    let worth = |row: usize| {
        let known = &study.table.known[row];
        let loss = |objective: usize, draw: f64| {
            let metric = &goals.objectives()[objective];
            match &beliefs[objective] {
                Some(belief) => {
                    let (mean, sd) = belief.of(row);
                    belief.warp.loss(mean + draw * sd, floors[objective])
                }
                None => metric.loss(known.estimate(metric).map_or(f64::MAX, |e| e.value)),
            }
        };
        let values = tradeoff
            .draws
            .iter()
            .map(|draw| tradeoff.sum(draw.iter().enumerate().map(|(o, z)| loss(o, *z))));
        let values: Vec<f64> = values.collect();
        let mean = |of: &dyn Fn(f64) -> f64| {
            values.iter().map(|v| of(*v)).sum::<f64>() / values.len() as f64
        };
        let gain = match incumbent < f64::MAX {
            true => mean(&|v| (incumbent - v).max(0.0)),
            false => 0.0,
        };
        (row, (chance(row) * gain, chance(row).ln() - mean(&|v| v)))
    };
    free.into_iter().map(worth).collect()
}

/// No loss is less: of what cannot be negative, none.
fn floor(study: &Study, objective: usize) -> f64 {
    let metric = &study.problem().goals.objectives()[objective];
    let least = study.ranges()[objective].0;
    // Losses below 0 mean what has another scale than its metric.
    match least < 0.0 {
        true => f64::NEG_INFINITY,
        false => metric.loss(if metric.is_maximised() { 1.0 } else { 0.0 }),
    }
}
