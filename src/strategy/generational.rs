//! Evolution by generations, shared by the NSGA family: parents by tournament,
//! offspring by crossover and mutation, survival of the best of both, of which
//! alone the algorithms differ. A generation ends when all of it is answered,
//! so the order of answers within it does not matter.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use super::ledger::Ledger;
use super::sorting::Standing;
use super::{Answer, Candidate, Strategy, Worth};
use crate::space::{Architecture, Space};

/// An architecture and what it is worth.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub architecture: Architecture,
    pub worth: Worth,
}

/// Decides who lives on.
pub(super) trait Survival: Send {
    /// The indices of at most `size` members to keep, each with its standing as
    /// a parent.
    fn select(
        &mut self,
        pool: &[Member],
        size: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<(usize, Standing)>;
}

/// How offspring come about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Breeding {
    /// Chance that an offspring has two parents rather than one.
    pub crossover: f64,
    /// Chance that an offspring of two parents is mutated as well.
    pub mutation: f64,
}

impl Default for Breeding {
    fn default() -> Self {
        Breeding {
            crossover: 0.9,
            mutation: 0.7,
        }
    }
}

impl Breeding {
    fn offspring(
        self,
        parents: &[(Member, Standing)],
        space: &Space,
        rng: &mut impl Rng,
    ) -> Architecture {
        let mut pick = || {
            let a = &parents[rng.random_range(0..parents.len())];
            let b = &parents[rng.random_range(0..parents.len())];
            let best = if b.1.beats(a.1) { b } else { a };
            &best.0.architecture
        };
        let (mother, father) = (pick(), pick());
        if mother == father || !rng.random_bool(self.crossover) {
            return space.mutate(mother, rng);
        }
        let child = space.crossover(mother, father, rng);
        match rng.random_bool(self.mutation) {
            true => space.mutate(&child, rng),
            false => child,
        }
    }
}

/// The state of a search.
pub(super) struct Generational<S> {
    ledger: Ledger,
    survival: S,
    breeding: Breeding,
    population: usize,
    /// Whether an architecture may be proposed again once it has died out.
    repeats: bool,
    generation: usize,
    /// Still to be asked in this generation.
    left: usize,
    /// This generation's answers, by id.
    answered: BTreeMap<u64, (Architecture, Answer)>,
    /// Survivors of the generations before.
    parents: Vec<(Member, Standing)>,
}

impl<S: Survival> Generational<S> {
    /// With at least two in a generation.
    pub fn new(ledger: Ledger, survival: S, breeding: Breeding, population: usize) -> Self {
        let population = population.max(2);
        Generational {
            ledger,
            survival,
            breeding,
            population,
            repeats: false,
            generation: 0,
            left: population,
            answered: BTreeMap::new(),
            parents: Vec::new(),
        }
    }

    /// Lets an architecture be proposed again once neither parents nor siblings
    /// are alike, for evaluations that cost nothing.
    pub fn with_repeats(mut self, repeats: bool) -> Self {
        self.repeats = repeats;
        self
    }

    fn next(&mut self) -> Option<Architecture> {
        if self.parents.is_empty() {
            return self.ledger.drawn();
        }
        let (parents, breeding) = (&self.parents, self.breeding);
        self.ledger
            .fresh(|space, rng| breeding.offspring(parents, space, rng))
    }

    fn survive(&mut self) {
        let answered = std::mem::take(&mut self.answered).into_values();
        let parents = std::mem::take(&mut self.parents).into_iter();
        let born = answered.filter_map(|(architecture, answer)| {
            let worth = answer?;
            Some(Member {
                architecture,
                worth,
            })
        });
        let pool: Vec<Member> = parents.map(|(member, _)| member).chain(born).collect();
        let mut kept = self
            .survival
            .select(&pool, self.population, &mut self.ledger.rng);
        kept.sort_unstable_by_key(|(index, _)| *index);
        let mut pool: Vec<Option<Member>> = pool.into_iter().map(Some).collect();
        self.parents = kept
            .into_iter()
            .filter_map(|(index, standing)| Some((pool[index].take()?, standing)))
            .collect();
        if self.repeats {
            let alive = self.parents.iter().map(|(member, _)| &member.architecture);
            self.ledger.forget_all_but(alive);
        }
        self.generation += 1;
        self.left = self.population;
    }
}

impl<S: Survival> Strategy for Generational<S> {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let mut asked = Vec::with_capacity(limit.min(self.left));
        while asked.len() < limit && self.left > 0 {
            let Some(architecture) = self.next() else {
                // The generation ends early; after it, what died out may be
                // new again.
                self.left = 0;
                if self.ledger.open() == 0 && !self.answered.is_empty() {
                    self.survive();
                    continue;
                }
                break;
            };
            self.left -= 1;
            asked.push(self.ledger.issue(architecture, self.generation));
        }
        asked
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        let Some((candidate, answer)) = self.ledger.settle(id, answer) else {
            return;
        };
        self.answered.insert(id, (candidate.architecture, answer));
        if self.ledger.open() == 0 && self.left == 0 {
            self.survive();
        }
    }

    fn is_exhausted(&self) -> bool {
        self.ledger.is_spent() && self.ledger.open() == 0
    }
}
