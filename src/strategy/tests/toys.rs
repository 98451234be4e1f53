//! Problems whose answers are known at once, and a plain search loop.

use std::sync::Arc;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::*;
use crate::space::{Architecture, Space};

/// 7,380 architectures.
pub const TOY: &str = "space t input image 3x8x8 network {
    repeat 1..4 { conv({1, 3, 5}, {4, 8, 16}) } }";
/// 597,870 architectures.
pub const WIDE: &str = "space t input image 3x8x8 network {
    repeat 1..6 { conv({1, 3, 5}, {4, 8, 16}) } }";
/// 4 × (1 + 2 + 4) architectures, with choices that others switch on.
pub const SMALL: &str = "space t input image 3x8x8 network {
    conv({1, 3}, {4, 8}) repeat 0..2 { choose { relu | bn } } }";
/// With choices that depend on shapes, and a bound of its own.
pub const GUARDED: &str = "space t input image 3x8x8
    require params < 700
    network {
        conv({1, 3}, {4, 8})
        choose { a => relu when channels == 4 | b => conv(3, {4, 8}) | c => bn } }";
pub const SINGLE: &str = "space t input image 3x8x8 network { relu }";

pub fn space(text: &str) -> Arc<Space> {
    Arc::new(Space::parse("t", text).unwrap())
}

/// Accuracy, MACs and parameters; MACs are known beforehand.
pub fn problem(text: &str, objectives: &[Metric], limits: &[&str]) -> Problem {
    let space = space(text);
    let limits = limits.iter().map(|l| l.parse().unwrap()).collect();
    let goals = Goals::new(objectives.to_vec(), limits).unwrap();
    let knowledge = Arc::new(Macs(space.clone()));
    Problem {
        knowledge,
        ..Problem::new(space, goals)
    }
}

pub fn trade_off() -> Problem {
    problem(TOY, &[Metric::Accuracy, Metric::Macs], &[])
}

struct Macs(Arc<Space>);

impl Knowledge for Macs {
    fn known(&self, architecture: &Architecture) -> Known {
        let macs = self.0.network(architecture).unwrap().costs().macs as f64;
        Known {
            estimates: vec![(Metric::Macs, Estimate::exact(macs))],
            ..Known::default()
        }
    }
}

/// Wider and deeper is better but saturates; of kernels, 3 is best; later
/// layers matter more.
pub fn accuracy(space: &Space, architecture: &Architecture) -> f64 {
    let mut strength = 0.0;
    for (choice, option) in architecture.decisions() {
        let labels = &space.choices()[*choice].labels;
        let weight = 1.0 + *choice as f64 / 20.0;
        strength += weight
            * match labels[*option].as_str() {
                "3" => 0.5,
                "5" => 0.3,
                "8" => 0.4,
                "16" => 0.6,
                _ => 0.0,
            };
    }
    1.0 - (-strength / 4.0f64).exp()
}

pub fn answer(problem: &Problem, candidate: &Candidate) -> Answer {
    let space = &problem.space;
    let costs = space.network(&candidate.architecture).unwrap().costs();
    problem.goals.worth(|metric| match metric {
        Metric::Accuracy => Some(accuracy(space, &candidate.architecture)),
        Metric::Macs => Some(costs.macs as f64),
        Metric::Params => Some(costs.params as f64),
        _ => None,
    })
}

pub fn settings(seed: u64) -> Settings {
    Settings {
        seed,
        ..Settings::default()
    }
}

/// Every strategy, plain and in multi-fidelity: those without a model in each
/// kind of it, the others, which take far longer, in one.
pub fn everything() -> Vec<(Kind, Settings)> {
    let with = |rule| {
        let fidelities = Fidelities {
            rule,
            ..Fidelities::default()
        };
        Settings {
            fidelities: Some(fidelities),
            ..settings(1)
        }
    };
    let mut all = Vec::new();
    for kind in Kind::ALL {
        all.push((*kind, settings(1)));
        let rules = match kind {
            Kind::Bayes | Kind::Guided => &[Rule::Asha][..],
            _ => &Rule::ALL[..],
        };
        all.extend(rules.iter().map(|rule| (*kind, with(*rule))));
    }
    all
}

/// Asks for so many evaluations with a window of them open, answered in an
/// order that the seed draws, or in that of asking.
pub struct Loop<'a> {
    pub strategy: &'a mut dyn Strategy,
    pub evaluations: usize,
    pub window: usize,
    pub shuffled: Option<u64>,
}

impl Loop<'_> {
    pub fn run(self, evaluate: impl Fn(&Candidate) -> Answer) -> Vec<(Candidate, Answer)> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.shuffled.unwrap_or(0));
        let (mut all, mut open) = (Vec::new(), Vec::new());
        let mut asked = 0;
        loop {
            let room = (self.window - open.len()).min(self.evaluations - asked);
            let candidates = self.strategy.ask(room);
            assert!(candidates.len() <= room);
            asked += candidates.len();
            open.extend(candidates);
            if open.is_empty() {
                return all;
            }
            let answered = match self.shuffled {
                Some(_) => {
                    open.shuffle(&mut rng);
                    rng.random_range(1..=open.len())
                }
                None => 1,
            };
            for candidate in open.drain(..answered) {
                let answer = evaluate(&candidate);
                self.strategy.tell(candidate.id, answer.clone());
                all.push((candidate, answer));
            }
        }
    }
}

pub fn run(
    kind: Kind,
    settings: &Settings,
    problem: &Problem,
    evaluations: usize,
) -> Vec<(Candidate, Answer)> {
    let mut strategy = build(kind, problem.clone(), settings).unwrap();
    let plain = Loop {
        strategy: &mut *strategy,
        evaluations,
        window: 4,
        shuffled: None,
    };
    plain.run(|candidate| answer(problem, candidate))
}
