//! NSGA-II (Deb, Pratap, Agarwal and Meyarivan 2002): generations of parents
//! chosen by rank and crowding, offspring by crossover and mutation, survival
//! of the best of both. Constraints by Deb's feasibility rule. No architecture
//! is proposed twice.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::sorting::{crowding, ranks};
use super::{Answer, Candidate, Strategy, Worth};
use crate::space::{Architecture, Space};

#[derive(Debug, Clone)]
pub struct Nsga2Config {
    /// Candidates in a generation, at least 2.
    pub population: usize,
    /// Chance that an offspring has two parents rather than one.
    pub crossover: f64,
    /// Chance that an offspring of two parents is mutated as well.
    pub mutation: f64,
    pub seed: u64,
    /// Architectures to begin with; the rest of the first generation is drawn
    /// uniformly.
    pub initial: Vec<Architecture>,
}

impl Default for Nsga2Config {
    fn default() -> Self {
        Nsga2Config {
            population: 16,
            crossover: 0.9,
            mutation: 0.7,
            seed: 0,
            initial: Vec::new(),
        }
    }
}

/// The state of a search.
pub struct Nsga2 {
    space: Arc<Space>,
    config: Nsga2Config,
    rng: ChaCha8Rng,
    next_id: u64,
    generation: usize,
    seen: HashSet<Architecture>,
    /// Proposed but not handed out yet.
    queue: Vec<Candidate>,
    /// Handed out and not answered yet.
    pending: BTreeMap<u64, Candidate>,
    /// This generation's answers, by id, so that their order does not matter.
    answered: BTreeMap<u64, (Architecture, Answer)>,
    /// Survivors of the generations before.
    parents: Vec<(Architecture, Worth)>,
    exhausted: bool,
}

impl Nsga2 {
    pub fn new(space: Arc<Space>, config: Nsga2Config) -> Self {
        let mut search = Nsga2 {
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            space,
            config,
            next_id: 0,
            generation: 0,
            seen: HashSet::new(),
            queue: Vec::new(),
            pending: BTreeMap::new(),
            answered: BTreeMap::new(),
            parents: Vec::new(),
            exhausted: false,
        };
        search.config.population = search.config.population.max(2);
        let initial = std::mem::take(&mut search.config.initial);
        for architecture in initial.into_iter().take(search.config.population) {
            search.propose(architecture);
        }
        search.fill();
        search
    }

    /// Queues an architecture unless it was proposed before.
    fn propose(&mut self, architecture: Architecture) -> bool {
        if !self.seen.insert(architecture.clone()) {
            return false;
        }
        self.queue.push(Candidate {
            id: self.next_id,
            generation: self.generation,
            architecture,
            fidelity: 1.0,
        });
        self.next_id += 1;
        true
    }

    /// Fills the queue up to one generation; gives up on a space that yields
    /// nothing new.
    fn fill(&mut self) {
        let mut vain = 0;
        while self.queue.len() < self.config.population && vain < 200 {
            let architecture = match self.parents.len() >= 2 && vain < 100 {
                true => self.offspring(),
                // Where parents breed nothing new, look elsewhere.
                false => self.space.sample(&mut self.rng),
            };
            if !self.propose(architecture) {
                vain += 1;
            }
        }
        self.exhausted = self.queue.is_empty();
    }

    fn offspring(&mut self) -> Architecture {
        let worths: Vec<&Worth> = self.parents.iter().map(|p| &p.1).collect();
        let standing = standing(&worths);
        let mut pick = || {
            let a = self.rng.random_range(0..standing.len());
            let b = self.rng.random_range(0..standing.len());
            if better(standing[b], standing[a]) {
                b
            } else {
                a
            }
        };
        let (mother, father) = (pick(), pick());
        let mother = &self.parents[mother].0;
        let father = &self.parents[father].0;
        if mother != father && self.rng.random_bool(self.config.crossover) {
            let child = self.space.crossover(mother, father, &mut self.rng);
            if self.rng.random_bool(self.config.mutation) {
                return self.space.mutate(&child, &mut self.rng);
            }
            return child;
        }
        self.space.mutate(mother, &mut self.rng)
    }

    /// Ends a generation once everything in it is answered.
    fn survive(&mut self) {
        let answered = std::mem::take(&mut self.answered);
        let mut pool = std::mem::take(&mut self.parents);
        pool.extend(
            answered
                .into_values()
                .filter_map(|(architecture, answer)| Some((architecture, answer?))),
        );
        let worths: Vec<&Worth> = pool.iter().map(|p| &p.1).collect();
        let standing = standing(&worths);
        let mut order: Vec<usize> = (0..pool.len()).collect();
        order.sort_by(|&a, &b| {
            let (a, b) = (standing[a], standing[b]);
            a.0.cmp(&b.0).then(b.1.total_cmp(&a.1))
        });
        order.truncate(self.config.population);
        order.sort_unstable();
        self.parents = order.into_iter().map(|i| pool[i].clone()).collect();
        self.generation += 1;
        self.fill();
    }
}

/// Rank and crowding of each candidate among all.
fn standing(worths: &[&Worth]) -> Vec<(usize, f64)> {
    let ranks = ranks(worths);
    let mut standing: Vec<(usize, f64)> = ranks.iter().map(|r| (*r, 0.0)).collect();
    for rank in 0..=ranks.iter().copied().max().unwrap_or(0) {
        let members: Vec<usize> = (0..ranks.len()).filter(|&i| ranks[i] == rank).collect();
        let points: Vec<&[f64]> = members
            .iter()
            .map(|&i| worths[i].objectives.as_slice())
            .collect();
        for (&i, distance) in members.iter().zip(crowding(&points)) {
            standing[i].1 = distance;
        }
    }
    standing
}

fn better(a: (usize, f64), b: (usize, f64)) -> bool {
    a.0 < b.0 || (a.0 == b.0 && a.1 > b.1)
}

impl Strategy for Nsga2 {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let n = limit.min(self.queue.len());
        let asked: Vec<Candidate> = self.queue.drain(..n).collect();
        for candidate in &asked {
            self.pending.insert(candidate.id, candidate.clone());
        }
        asked
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        let Some(candidate) = self.pending.remove(&id) else {
            return;
        };
        // An answer that is not a number cannot be ranked: it counts as failed.
        let answer = answer.filter(Worth::is_finite);
        self.answered.insert(id, (candidate.architecture, answer));
        if self.pending.is_empty() && self.queue.is_empty() {
            self.survive();
        }
    }

    fn is_exhausted(&self) -> bool {
        self.exhausted && self.pending.is_empty() && self.queue.is_empty()
    }
}
