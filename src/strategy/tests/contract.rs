//! What every strategy promises, checked of all of them by name.

use std::collections::HashSet;

use super::super::*;
use super::toys::{
    GUARDED, Loop, SINGLE, SMALL, TOY, answer, everything, problem, run, settings, trade_off,
};
use crate::space::Architecture;

/// No architecture twice at a fidelity, no identifier twice.
fn assert_distinct(told: &[(Candidate, Answer)], who: Kind) {
    let asked: HashSet<(&Architecture, u64)> = told
        .iter()
        .map(|(c, _)| (&c.architecture, c.fidelity.to_bits()))
        .collect();
    assert_eq!(asked.len(), told.len(), "{who} asked for something twice");
    let ids: HashSet<u64> = told.iter().map(|(c, _)| c.id).collect();
    assert_eq!(ids.len(), told.len(), "{who} repeats an identifier");
}

#[test]
fn equal_seeds_search_alike_and_others_do_not() {
    let problem = trade_off();
    for (kind, settings) in everything() {
        let first = run(kind, &settings, &problem, 50);
        assert_eq!(first, run(kind, &settings, &problem, 50), "{kind}");
        assert_eq!(first.len(), 50, "{kind}");
        assert!(first.is_sorted_by_key(|(c, _)| c.id), "{kind}");
        assert_distinct(&first, kind);
        let other = Settings {
            seed: 2,
            ..settings
        };
        assert_ne!(first, run(kind, &other, &problem, 50), "{kind}");
    }
}

#[test]
fn answers_may_come_in_any_order() {
    let problem = problem(TOY, &[Metric::Accuracy, Metric::Macs, Metric::Params], &[]);
    for (kind, settings) in everything() {
        for seed in 0..3 {
            let mut strategy = build(kind, problem.clone(), &settings).unwrap();
            let shuffled = Loop {
                strategy: &mut *strategy,
                evaluations: 60,
                window: 9,
                shuffled: Some(seed),
            };
            let told = shuffled.run(|candidate| match candidate.id % 5 {
                0 => None,
                _ => answer(&problem, candidate),
            });
            assert_eq!(told.len(), 60, "{kind}");
            assert_distinct(&told, kind);
        }
    }
}

/// A resumed run is told its recorded answers again.
#[test]
fn a_search_goes_on_from_its_answers() {
    let problem = trade_off();
    for (kind, settings) in everything() {
        let through = run(kind, &settings, &problem, 60);
        let mut resumed = build(kind, problem.clone(), &settings).unwrap();
        let replay = Loop {
            strategy: &mut *resumed,
            evaluations: 60,
            window: 4,
            shuffled: None,
        };
        let recorded = replay.run(|candidate| match through.get(candidate.id as usize) {
            Some((known, answer)) if candidate.id < 30 => {
                assert_eq!(known, candidate, "{kind}");
                answer.clone()
            }
            _ => answer(&problem, candidate),
        });
        assert_eq!(recorded, through, "{kind}");
    }
}

#[test]
fn small_spaces_are_searched_to_the_last() {
    let objectives = [Metric::Accuracy, Metric::Macs];
    for (text, size) in [(SMALL, 28), (SINGLE, 1), (GUARDED, 13)] {
        let problem = problem(text, &objectives, &[]);
        assert_eq!(problem.space.enumerate().count(), size);
        for (kind, settings) in everything() {
            let mut strategy = build(kind, problem.clone(), &settings).unwrap();
            let to_the_end = Loop {
                strategy: &mut *strategy,
                evaluations: 1000,
                window: 5,
                shuffled: Some(0),
            };
            let told = to_the_end.run(|candidate| answer(&problem, candidate));
            assert!(strategy.is_exhausted(), "{kind}");
            assert!(strategy.ask(9).is_empty(), "{kind}");
            assert_distinct(&told, kind);
            let found: HashSet<&Architecture> = told.iter().map(|(c, _)| &c.architecture).collect();
            assert_eq!(found.len(), size, "{kind}");
            let full = told.iter().filter(|(c, _)| c.fidelity == 1.0);
            assert!(full.count() >= 1, "{kind} evaluated nothing in full");
        }
    }
}

#[test]
fn what_is_known_to_exceed_a_limit_is_not_evaluated() {
    let objectives = [Metric::Accuracy, Metric::Macs];
    let (loose, tight) = ("macs <= 10k", "macs <= 1");
    let space = problem(SMALL, &objectives, &[]).space;
    let within = space.enumerate().filter(|a| {
        let macs = space.network(a).unwrap().costs().macs;
        macs <= 10_000
    });
    let within: HashSet<Architecture> = within.collect();
    assert!(within.len() > 3 && within.len() < 28);
    for (kind, settings) in everything() {
        let limited = problem(SMALL, &objectives, &[loose]);
        let told = run(kind, &settings, &limited, 1000);
        let found: HashSet<Architecture> = told.into_iter().map(|(c, _)| c.architecture).collect();
        assert_eq!(found, within, "{kind}");
        // Nothing keeps to it: the nearest comes first.
        let impossible = problem(SMALL, &objectives, &[tight]);
        let told = run(kind, &settings, &impossible, 1000);
        assert!(told.len() >= 28, "{kind}");
        let excess = |(_, answer): &(Candidate, Answer)| answer.as_ref().unwrap().violation;
        let least = told.iter().map(excess).fold(f64::INFINITY, f64::min);
        assert_eq!(excess(&told[0]), least, "{kind}");
    }
}

#[test]
fn failures_and_nonsense_do_not_stop_a_search() {
    let problem = problem(TOY, &[Metric::Accuracy, Metric::Macs], &["params <= 900"]);
    let worth = |objectives: Vec<f64>, violation: f64| {
        Some(Worth {
            objectives,
            violation,
        })
    };
    let nonsense: [&dyn Fn(&Candidate) -> Answer; 6] = [
        &|_| None,
        &|_| worth(vec![f64::NAN, 1.0], 0.0),
        &|_| worth(vec![0.5, f64::INFINITY], 0.0),
        &|_| worth(vec![0.5, 1.0], f64::NAN),
        &|_| worth(vec![0.5], 0.0),
        &|_| worth(vec![0.0, 0.0], 0.0),
    ];
    for (kind, settings) in everything() {
        for evaluate in nonsense {
            let mut strategy = build(kind, problem.clone(), &settings).unwrap();
            let search = Loop {
                strategy: &mut *strategy,
                evaluations: 70,
                window: 8,
                shuffled: None,
            };
            let told = search.run(evaluate);
            assert_eq!(told.len(), 70, "{kind}");
            assert_distinct(&told, kind);
        }
    }
}

#[test]
fn unknown_and_repeated_answers_change_nothing() {
    let problem = trade_off();
    for (kind, settings) in everything() {
        let [clean, noisy] = [false, true].map(|noise| {
            let mut strategy = build(kind, problem.clone(), &settings).unwrap();
            let mut asked = Vec::new();
            for _ in 0..40 {
                let Some(candidate) = strategy.ask(1).pop() else {
                    continue;
                };
                if noise {
                    let best = worth_of_nothing();
                    strategy.tell(u64::MAX, best.clone());
                    strategy.tell(candidate.id + 1, best);
                }
                strategy.tell(candidate.id, answer(&problem, &candidate));
                if noise {
                    strategy.tell(candidate.id, worth_of_nothing());
                    assert!(strategy.ask(0).is_empty());
                }
                asked.push(candidate);
            }
            asked
        });
        assert_eq!(clean, noisy, "{kind}");
    }
}

fn worth_of_nothing() -> Answer {
    Some(Worth {
        objectives: vec![0.0, 0.0],
        violation: 0.0,
    })
}

#[test]
fn one_ask_for_everything_comes_to_an_end() {
    let problem = trade_off();
    for (kind, settings) in everything() {
        let mut strategy = build(kind, problem.clone(), &settings).unwrap();
        for _ in 0..3 {
            let asked = strategy.ask(usize::MAX);
            assert!(!asked.is_empty() && asked.len() < 1000, "{kind}");
            for candidate in &asked {
                strategy.tell(candidate.id, answer(&problem, candidate));
            }
        }
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let problem = trade_off();
    let other = "space t input image 3x8x8 network {
        conv({1, 3, 5, 7, 9}, 4) repeat 7 { conv(3, {4, 8}) } }";
    let other = super::toys::space(other);
    let elsewhere = other.enumerate().last().unwrap();
    for kind in Kind::ALL {
        let error = |settings: Settings| match build(*kind, problem.clone(), &settings) {
            Ok(_) => panic!("{kind} accepts {settings:?}"),
            Err(error) => error.to_string(),
        };
        for population in [0, 1] {
            let message = error(Settings {
                population: Some(population),
                ..settings(0)
            });
            assert!(message.contains("at least 2"), "{message}");
        }
        let message = error(Settings {
            initial: vec![elsewhere.clone()],
            ..settings(0)
        });
        assert!(message.contains("initial architecture 0"), "{message}");
        for (reduction, least) in [(1, 0.1), (3, 0.0), (3, 1.5), (3, f64::NAN)] {
            let fidelities = Some(Fidelities {
                reduction,
                least,
                ..Fidelities::default()
            });
            error(Settings {
                fidelities,
                ..settings(0)
            });
        }
        let two = Settings {
            population: Some(2),
            ..settings(0)
        };
        assert_eq!(run(*kind, &two, &problem, 30).len(), 30, "{kind}");
    }
}

#[test]
fn initial_architectures_are_asked_for_first() {
    let problem = trade_off();
    let initial: Vec<Architecture> = problem
        .space
        .enumerate()
        .skip(3)
        .step_by(7)
        .take(2)
        .collect();
    for (kind, settings) in everything() {
        let settings = Settings {
            initial: initial.clone(),
            ..settings
        };
        let told = run(kind, &settings, &problem, 2);
        let first: Vec<&Architecture> = told.iter().map(|(c, _)| &c.architecture).collect();
        assert_eq!(first, initial.iter().collect::<Vec<_>>(), "{kind}");
    }
}

#[test]
fn names_are_read_and_the_unknown_is_answered_with_all() {
    for kind in Kind::ALL {
        assert_eq!(kind.name().parse(), Ok(*kind));
        let text = serde_json::to_string(kind).unwrap();
        assert_eq!(serde_json::from_str::<Kind>(&text).unwrap(), *kind);
        assert!(!kind.about().is_empty());
    }
    let message = "annealing".parse::<Kind>().unwrap_err().to_string();
    for kind in Kind::ALL {
        assert!(message.contains(kind.name()), "{message}");
    }
    assert!(
        "never"
            .parse::<Rule>()
            .unwrap_err()
            .to_string()
            .contains("asha")
    );
}

#[cfg(feature = "predict")]
#[test]
fn threads_and_a_budget_of_nothing() {
    let problem = trade_off();
    let drive_with = |kind: Kind, settings: &Settings, threads: usize, evaluations: f64| {
        let mut strategy = build(kind, problem.clone(), settings).unwrap();
        let budget = Budget {
            evaluations,
            window: 5,
            threads,
        };
        let mut all = Vec::new();
        let evaluate = |c: &Candidate| Ok::<_, ()>(answer(&problem, c));
        drive(&mut *strategy, budget, evaluate, |told| {
            all.push(told.clone())
        })
        .unwrap();
        all
    };
    for (kind, settings) in everything() {
        assert_eq!(drive_with(kind, &settings, 3, 0.0), [], "{kind}");
        let one = drive_with(kind, &settings, 1, 20.0);
        assert!(one.len() >= 20, "{kind}");
        assert_eq!(one, drive_with(kind, &settings, 4, 20.0), "{kind}");
        let spent: f64 = one.iter().map(|t| t.candidate.fidelity).sum();
        assert!(spent <= 20.0 + 1e-6 && spent > 18.9, "{kind} spent {spent}");
    }
}
