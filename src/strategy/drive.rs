//! Runs a strategy against an evaluation on several threads, such that the
//! number of threads changes the time it takes and nothing else: candidates
//! are asked for in windows and answers told in the order of asking, however
//! they come in.

use std::collections::BTreeMap;
use std::panic::resume_unwind;

use super::{Answer, Candidate, Strategy};
use crate::workers::{Workers, with_workers};

/// How much to evaluate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Full evaluations; one at a lower fidelity counts that share of one.
    pub evaluations: f64,
    /// Candidates asked for and not yet answered, at most. Part of what makes
    /// a run what it is, so it must not depend on the machine.
    pub window: usize,
    /// Evaluations at the same time; changes nothing but the time.
    pub threads: usize,
}

/// A candidate with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub candidate: Candidate,
    pub answer: Answer,
}

/// Spends a budget, each evaluation on one thread ([`with_workers`]). `on_told` sees the answers in the order in which the strategy does.
///
/// # Errors
/// The first error of an evaluation, in the order of asking, once those under
/// way have ended; nothing is asked after it.
///
/// # Panics
/// When an evaluation panics, once those under way have ended.
pub fn drive<E: Send>(
    strategy: &mut dyn Strategy,
    budget: Budget,
    evaluate: impl Fn(&Candidate) -> Result<Answer, E> + Sync,
    mut on_told: impl FnMut(&Told),
) -> Result<(), E> {
    let window = budget.window.max(1);
    with_workers(
        budget.threads.clamp(1, window),
        |candidate: Candidate| evaluate(&candidate),
        |workers| spend(strategy, budget, window, workers, &mut on_told),
    )
}

fn spend<E>(
    strategy: &mut dyn Strategy,
    budget: Budget,
    window: usize,
    workers: &Workers<Candidate, Result<Answer, E>>,
    on_told: &mut dyn FnMut(&Told),
) -> Result<(), E> {
    // Some strategies think in shares whose sum is a whole number but for
    // rounding.
    const ROUNDING: f64 = 1e-9;
    let mut spent = 0.0;
    // In the order of asking; the first of it is told first.
    let mut outstanding: BTreeMap<u64, Candidate> = BTreeMap::new();
    let mut arrived = BTreeMap::new();
    loop {
        while outstanding.len() < window && spent < budget.evaluations - ROUNDING {
            // One at a time: how many fit depends on their fidelities.
            let Some(candidate) = strategy.ask(1).pop() else {
                break;
            };
            if spent + candidate.fidelity > budget.evaluations + ROUNDING {
                spent = budget.evaluations;
                break;
            }
            spent += candidate.fidelity;
            outstanding.insert(candidate.id, candidate.clone());
            workers.give(candidate.id, candidate);
        }
        let Some(&first) = outstanding.keys().next() else {
            return Ok(());
        };
        let outcome = loop {
            if let Some(outcome) = arrived.remove(&first) {
                break outcome;
            }
            let (id, outcome) = workers.take();
            arrived.insert(id, outcome);
        };
        let answer = match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(error),
            Err(panic) => resume_unwind(panic),
        };
        strategy.tell(first, answer.clone());
        let candidate = outstanding.remove(&first).expect("it was asked for");
        on_told(&Told { candidate, answer });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::space::Space;
    use crate::strategy::{Nsga2, Nsga2Config, Worth};

    fn search() -> (Arc<Space>, Nsga2) {
        let text = "space t input image 3x8x8 network {
            repeat 1..4 { conv({1, 3, 5}, {4, 8, 16}) } }";
        let space = Arc::new(Space::parse("t", text).unwrap());
        let config = Nsga2Config {
            population: 8,
            ..Nsga2Config::default()
        };
        (space.clone(), Nsga2::new(space, config))
    }

    fn run(threads: usize, evaluations: f64, window: usize) -> Vec<Told> {
        let (space, mut strategy) = search();
        let mut all = Vec::new();
        let budget = Budget {
            evaluations,
            window,
            threads,
        };
        let evaluate = |candidate: &Candidate| -> Result<Answer, ()> {
            // Later candidates finish first.
            let wait = 3 - candidate.id % 4;
            std::thread::sleep(std::time::Duration::from_millis(wait));
            let costs = space.network(&candidate.architecture).unwrap().costs();
            Ok(Some(Worth {
                objectives: vec![costs.macs as f64, -(costs.params as f64)],
                violation: 0.0,
            }))
        };
        drive(&mut strategy, budget, evaluate, |told| {
            all.push(told.clone());
        })
        .unwrap();
        all
    }

    #[test]
    fn threads_change_nothing() {
        let one = run(1, 30.0, 4);
        assert_eq!(one.len(), 30);
        assert!(one.is_sorted_by_key(|told| told.candidate.id));
        assert_eq!(one, run(4, 30.0, 4));
        assert!(run(2, 0.0, 4).is_empty());
    }

    #[test]
    fn an_error_ends_it_and_a_full_window_is_not_exceeded() {
        let (_, mut strategy) = search();
        let budget = Budget {
            evaluations: 100.0,
            window: 3,
            threads: 3,
        };
        let (busy, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut told = Vec::new();
        let outcome = drive(
            &mut strategy,
            budget,
            |candidate| {
                most.fetch_max(1 + busy.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(1));
                busy.fetch_sub(1, Ordering::SeqCst);
                match candidate.id {
                    5 | 6 => Err(candidate.id),
                    _ => Ok(None),
                }
            },
            |t| told.push(t.candidate.id),
        );
        assert_eq!(outcome, Err(5));
        assert_eq!(told, [0, 1, 2, 3, 4]);
        assert!(most.into_inner() <= 3);
    }

    #[test]
    #[should_panic(expected = "boom")]
    fn a_panic_is_passed_on_and_does_not_hang() {
        let (_, mut strategy) = search();
        let budget = Budget {
            evaluations: 10.0,
            window: 2,
            threads: 2,
        };
        let _ = drive::<()>(&mut strategy, budget, |_| panic!("boom"), |_| {});
    }
}
