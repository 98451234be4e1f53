//! Halving: who is promoted, what it costs, and what it is worth.

use std::collections::BTreeMap;

use super::super::*;
use super::toys::{Loop, TOY, answer, problem, run, settings};

fn wrapped(rule: Rule) -> Settings {
    Settings {
        fidelities: Some(Fidelities {
            rule,
            ..Fidelities::default()
        }),
        ..settings(3)
    }
}

/// How many were evaluated at each fidelity, in ninths.
fn rungs(told: &[(Candidate, Answer)]) -> BTreeMap<u32, usize> {
    let mut rungs = BTreeMap::new();
    for (candidate, _) in told {
        *rungs
            .entry((candidate.fidelity * 9.0).round() as u32)
            .or_default() += 1;
    }
    rungs
}

#[test]
fn brackets_have_the_sizes_of_the_papers() {
    let problem = problem(TOY, &[Metric::Accuracy], &[]);
    let told = run(Kind::Random, &wrapped(Rule::Successive), &problem, 2 * 13);
    // Two may overlap at their ends, but each is 9, 3 and 1.
    assert_eq!(rungs(&told[..9]), BTreeMap::from([(1, 9)]));
    let all = rungs(&run(
        Kind::Random,
        &wrapped(Rule::Successive),
        &problem,
        26 * 4,
    ));
    assert!(all[&9] >= 7 && all[&3] >= 3 * all[&9] && all[&1] >= 3 * all[&3]);
    // Hyperband: 9 + 3 + 1, 5 + 1 and 3 (Li et al. 2018 with R = 9).
    let told = run(Kind::Random, &wrapped(Rule::Hyperband), &problem, 22);
    let entered: BTreeMap<u32, usize> = rungs(&told);
    assert_eq!(entered[&1], 9);
    assert_eq!(entered.values().sum::<usize>(), 22);
    let full: Vec<Fidelities> = Rule::ALL
        .map(|rule| Fidelities {
            rule,
            least: 1.0,
            ..Fidelities::default()
        })
        .to_vec();
    for fidelities in full {
        let settings = Settings {
            fidelities: Some(fidelities),
            ..settings(3)
        };
        assert_eq!(
            rungs(&run(Kind::Random, &settings, &problem, 20)),
            BTreeMap::from([(9, 20)])
        );
    }
}

#[test]
fn only_the_best_rise() {
    let problem = problem(TOY, &[Metric::Accuracy], &[]);
    for rule in Rule::ALL {
        let told = run(Kind::Random, &wrapped(rule), &problem, 200);
        let mean = |ninths: u32| {
            let at = |c: &Candidate| (c.fidelity * 9.0).round() as u32 == ninths;
            let errors: Vec<f64> = told
                .iter()
                .filter(|(c, _)| at(c))
                .map(|(_, a)| a.as_ref().unwrap().objectives[0])
                .collect();
            errors.iter().sum::<f64>() / errors.len() as f64
        };
        assert!(mean(3) < mean(1) && mean(9) < mean(3), "{rule}");
    }
}

/// With a low fidelity that ranks as the full one does, more is found for as
/// much.
#[test]
fn as_much_finds_more() {
    let problem = problem(TOY, &[Metric::Accuracy], &[]);
    let best = |settings: &Settings| {
        let mut strategy = build(Kind::Random, problem.clone(), settings).unwrap();
        let (mut spent, mut best) = (0.0, 1.0f64);
        while spent < 30.0 {
            let candidate = strategy.ask(1).pop().unwrap();
            spent += candidate.fidelity;
            let answer = answer(&problem, &candidate);
            if candidate.fidelity == 1.0 {
                best = best.min(answer.as_ref().unwrap().objectives[0]);
            }
            strategy.tell(candidate.id, answer);
        }
        best
    };
    for rule in Rule::ALL {
        let ahead = (0..10).filter(|seed| {
            let with = Settings {
                seed: *seed,
                ..wrapped(rule)
            };
            best(&with) <= best(&settings(*seed))
        });
        let ahead = ahead.count();
        assert!(ahead >= 8, "{rule} was ahead {ahead} times of 10");
    }
}

/// Brackets of which some or all fail still come to an end.
#[test]
fn failures_on_the_way_up() {
    let problem = problem(super::toys::SMALL, &[Metric::Accuracy, Metric::Macs], &[]);
    for rule in Rule::ALL {
        for failing in [1.0 / 9.0, 1.0 / 3.0, 1.0] {
            let mut strategy = build(Kind::Nsga2, problem.clone(), &wrapped(rule)).unwrap();
            let search = Loop {
                strategy: &mut *strategy,
                evaluations: 1000,
                window: 3,
                shuffled: Some(4),
            };
            let told = search.run(|c| match (c.fidelity - failing).abs() < 1e-9 {
                true => None,
                false => answer(&problem, c),
            });
            assert!(strategy.is_exhausted(), "{rule}");
            assert!(told.len() >= 28, "{rule}");
        }
    }
}
