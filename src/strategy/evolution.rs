//! Regularised evolution (Real, Aggarwal, Huang and Le 2019, arXiv 1802.01548):
//! the best of a random sample of the population is mutated, and the oldest
//! dies, however good it is. With several objectives the best of the sample is
//! the least crowded of its first front, and the oldest that is not of the
//! population's front dies: else the ends of a front would be lost again and
//! again.

use std::collections::VecDeque;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::generational::Member;
use super::ledger::Ledger;
use super::sorting::{ranks, standings};
use super::{Answer, Candidate, Problem, Settings, Strategy, Worth};
use crate::space::Architecture;

/// Candidates alive where none is set, and one in how many is sampled: as
/// NASLib has it for budgets of hundreds (the paper's 100 and 25 are for
/// 20,000).
const POPULATION: usize = 30;
const SAMPLED: usize = 3;

/// The state of a search.
pub struct Evolution {
    ledger: Ledger,
    population: usize,
    asked: usize,
    /// The oldest first.
    alive: VecDeque<Member>,
}

impl Evolution {
    pub(super) fn of(problem: Problem, settings: &Settings) -> Self {
        Evolution {
            ledger: Ledger::new(problem, settings),
            population: settings.population(POPULATION),
            asked: 0,
            alive: VecDeque::new(),
        }
    }

    /// The index of the one to die.
    fn dying(&self) -> usize {
        const OLDEST: usize = 0;
        if self.ledger.problem.goals.objectives().len() < 2 {
            return OLDEST;
        }
        let worths: Vec<&Worth> = self.alive.iter().map(|member| &member.worth).collect();
        let ranks = ranks(&worths);
        let behind = ranks.iter().position(|rank| *rank > 0);
        behind.unwrap_or(OLDEST)
    }

    /// The next architecture; nothing where it waits for answers or the space
    /// is spent.
    fn next(&mut self) -> Option<Architecture> {
        if self.asked < self.population {
            return self.ledger.drawn();
        }
        if self.alive.is_empty() {
            // All that was answered failed.
            let waits = self.ledger.open() > 0;
            return if waits { None } else { self.ledger.drawn() };
        }
        let (alive, sample) = (&self.alive, self.population.div_ceil(SAMPLED).max(2));
        self.ledger
            .fresh(|space, rng| space.mutate(parent(alive, sample, rng), rng))
    }
}

fn parent<'a>(
    alive: &'a VecDeque<Member>,
    sample: usize,
    rng: &mut ChaCha8Rng,
) -> &'a Architecture {
    let sampled: Vec<&Member> = (0..sample)
        .map(|_| &alive[rng.random_range(0..alive.len())])
        .collect();
    let worths: Vec<&Worth> = sampled.iter().map(|member| &member.worth).collect();
    let standings = standings(&worths);
    let best = (1..sampled.len()).fold(0, |best, other| {
        match standings[other].beats(standings[best]) {
            true => other,
            false => best,
        }
    });
    &sampled[best].architecture
}

impl Strategy for Evolution {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let room = self.population.saturating_sub(self.ledger.open());
        let mut asked = Vec::new();
        while asked.len() < limit.min(room) {
            let Some(architecture) = self.next() else {
                break;
            };
            asked.push(
                self.ledger
                    .issue(architecture, self.asked / self.population),
            );
            self.asked += 1;
        }
        asked
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        let Some((candidate, Some(worth))) = self.ledger.settle(id, answer) else {
            return;
        };
        self.alive.push_back(Member {
            architecture: candidate.architecture,
            worth,
        });
        if self.alive.len() > self.population {
            self.alive.remove(self.dying());
        }
    }

    fn is_exhausted(&self) -> bool {
        self.ledger.is_spent() && self.ledger.open() == 0
    }
}
