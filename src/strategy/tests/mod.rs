mod contract;
mod multi_fidelity;
mod success;
pub mod toys;

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::Strategy;
use super::sorting::ranks;
use super::*;
use crate::pareto::{dominates, front, hypervolume_2d};
use crate::space::Space;

const TOY: &str = "space t input image 3x8x8 network {
    repeat 1..4 { conv({1, 3, 5}, {4, 8, 16}) } }";

fn space(text: &str) -> Arc<Space> {
    Arc::new(Space::parse("t", text).unwrap())
}

fn config(population: usize, seed: u64) -> Nsga2Config {
    Nsga2Config {
        population,
        seed,
        ..Nsga2Config::default()
    }
}

/// MACs against negative parameters: two objectives that conflict.
fn worth(space: &Space, candidate: &Candidate) -> Worth {
    let costs = space.network(&candidate.architecture).unwrap().costs();
    Worth {
        objectives: vec![costs.macs as f64, -(costs.params as f64)],
        violation: 0.0,
    }
}

/// Runs so many evaluations, answering each batch in the given order.
fn run(space: &Arc<Space>, evaluations: usize, seed: u64, backwards: bool) -> Vec<Candidate> {
    let mut search = Nsga2::new(space.clone(), config(10, seed));
    let mut all = Vec::new();
    while all.len() < evaluations && !search.is_exhausted() {
        let mut batch = search.ask(usize::MAX);
        all.extend(batch.iter().cloned());
        if backwards {
            batch.reverse();
        }
        for candidate in &batch {
            search.tell(candidate.id, Some(worth(space, candidate)));
        }
    }
    all
}

#[test]
fn equal_seeds_search_alike_in_whatever_order_they_are_told() {
    let space = space(TOY);
    let forwards = run(&space, 60, 5, false);
    assert_eq!(forwards, run(&space, 60, 5, true));
    assert_ne!(forwards, run(&space, 60, 6, false));
    let distinct: HashSet<_> = forwards.iter().map(|c| &c.architecture).collect();
    assert_eq!(distinct.len(), forwards.len());
}

#[test]
fn it_finds_a_larger_front_than_random_search() {
    let space = space(TOY);
    let volume = |candidates: &[Candidate]| {
        let points: Vec<[f64; 2]> = candidates
            .iter()
            .map(|c| worth(&space, c).objectives.try_into().unwrap())
            .collect();
        hypervolume_2d(&points, [1e7, 0.0])
    };
    let (mut wins, rounds) = (0, 10);
    for seed in 0..rounds {
        let found = run(&space, 150, seed, false);
        let mut rng = rand::SeedableRng::seed_from_u64(seed);
        let rng: &mut rand_chacha::ChaCha8Rng = &mut rng;
        let random: Vec<Candidate> = (0..150)
            .map(|id| Candidate {
                id,
                generation: 0,
                architecture: space.sample(rng),
                fidelity: 1.0,
            })
            .collect();
        wins += u64::from(volume(&found) > volume(&random));
    }
    assert!(wins >= 9, "NSGA-II won {wins} of {rounds}");
}

#[test]
fn failures_and_nan_do_not_stop_the_search() {
    let space = space(TOY);
    let mut search = Nsga2::new(space.clone(), config(6, 0));
    for round in 0..4 {
        let batch = search.ask(usize::MAX);
        assert_eq!(batch.len(), 6, "round {round}");
        for candidate in batch {
            let nan = Worth {
                objectives: vec![f64::NAN, 1.0],
                violation: 0.0,
            };
            search.tell(candidate.id, (candidate.id % 2 == 0).then_some(nan));
        }
    }
}

#[test]
fn a_small_space_is_exhausted_and_says_so() {
    let space = space("space t input image 3x8x8 network { conv({1, 3}, {4, 8}) }");
    let all = run(&space, 1000, 0, false);
    assert_eq!(all.len(), 4);
    let single = self::space("space t input image 3x8x8 network { relu }");
    assert_eq!(run(&single, 1000, 0, false).len(), 1);
}

#[test]
fn feasible_candidates_come_first() {
    let at = |objective: f64, violation: f64| Worth {
        objectives: vec![objective],
        violation,
    };
    let worths = [at(5.0, 0.0), at(1.0, 2.0), at(3.0, 1.0), at(4.0, 0.0)];
    let refs: Vec<&Worth> = worths.iter().collect();
    assert_eq!(ranks(&refs), [1, 3, 2, 0]);
}

proptest! {
    #[test]
    fn a_front_dominates_everything_and_not_itself(
        points in proptest::collection::vec(proptest::collection::vec(0u8..20, 2), 1..40)
    ) {
        let points: Vec<[f64; 2]> =
            points.iter().map(|p| [f64::from(p[0]), f64::from(p[1])]).collect();
        let front = front(&points);
        prop_assert!(!front.is_empty());
        for (i, p) in points.iter().enumerate() {
            let covered = front.iter().any(|&f| points[f] == *p || dominates(&points[f], p));
            prop_assert!(covered);
            if front.contains(&i) {
                prop_assert!(!front.iter().any(|&f| dominates(&points[f], p)));
            }
        }
        let worths: Vec<Worth> = points
            .iter()
            .map(|p| Worth { objectives: p.to_vec(), violation: 0.0 })
            .collect();
        let refs: Vec<&Worth> = worths.iter().collect();
        let first: Vec<usize> = ranks(&refs)
            .iter().enumerate().filter(|(_, r)| **r == 0).map(|(i, _)| i).collect();
        prop_assert!(front.iter().all(|f| first.contains(f)));
    }
}

/// Where evaluations cost nothing, a generation may ask again for what died out.
#[test]
fn repeats_outlast_a_small_space() {
    let space = space(toys::SMALL);
    let config = Nsga2Config {
        repeats: true,
        ..config(4, 0)
    };
    let mut search = Nsga2::new(space.clone(), config);
    for generation in 0..50 {
        let batch = search.ask(usize::MAX);
        assert_eq!(batch.len(), 4);
        let distinct: HashSet<_> = batch.iter().map(|c| &c.architecture).collect();
        assert_eq!(distinct.len(), 4);
        for candidate in &batch {
            assert_eq!(candidate.generation, generation);
            search.tell(candidate.id, Some(worth(&space, candidate)));
        }
    }
}
