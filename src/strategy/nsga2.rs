//! NSGA-II (Deb, Pratap, Agarwal and Meyarivan 2002): survival by rank and
//! crowding, constraints by Deb's feasibility rule.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::generational::{Breeding, Generational, Member, Survival};
use super::ledger::Ledger;
use super::sorting::{Standing, standings};
use super::{Answer, Candidate, Goals, Metric, Problem, Settings, Strategy, Worth};
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
    /// Whether an architecture that died out may be asked for again: only for
    /// evaluations that cost nothing, as in a table.
    pub repeats: bool,
}

impl Default for Nsga2Config {
    fn default() -> Self {
        let breeding = Breeding::default();
        Nsga2Config {
            population: 16,
            crossover: breeding.crossover,
            mutation: breeding.mutation,
            seed: 0,
            initial: Vec::new(),
            repeats: false,
        }
    }
}

/// The state of a search.
pub struct Nsga2 {
    search: Generational<RankAndCrowding>,
}

impl Nsga2 {
    /// Of a space of which nothing is known beforehand.
    pub fn new(space: Arc<Space>, config: Nsga2Config) -> Self {
        let goals = Goals::new(vec![Metric::Accuracy, Metric::LATENCY], Vec::new());
        let goals = goals.expect("two objectives without limits make sense");
        Self::with(Problem::new(space, goals), config)
    }

    /// Of a problem.
    pub fn with(problem: Problem, config: Nsga2Config) -> Self {
        let settings = Settings {
            seed: config.seed,
            initial: config.initial,
            ..Settings::default()
        };
        let breeding = Breeding {
            crossover: config.crossover,
            mutation: config.mutation,
        };
        let ledger = Ledger::new(problem, &settings);
        let search = Generational::new(ledger, RankAndCrowding, breeding, config.population);
        Nsga2 {
            search: search.with_repeats(config.repeats),
        }
    }

    pub(super) fn of(problem: Problem, settings: &Settings) -> Self {
        let default = Nsga2Config::default();
        let config = Nsga2Config {
            population: settings.population(default.population),
            seed: settings.seed,
            initial: settings.initial.clone(),
            ..default
        };
        Self::with(problem, config)
    }
}

impl Strategy for Nsga2 {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        self.search.ask(limit)
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        self.search.tell(id, answer);
    }

    fn is_exhausted(&self) -> bool {
        self.search.is_exhausted()
    }
}

struct RankAndCrowding;

impl Survival for RankAndCrowding {
    fn select(
        &mut self,
        pool: &[Member],
        size: usize,
        _: &mut ChaCha8Rng,
    ) -> Vec<(usize, Standing)> {
        let worths: Vec<&Worth> = pool.iter().map(|member| &member.worth).collect();
        let mut all: Vec<(usize, Standing)> = standings(&worths).into_iter().enumerate().collect();
        all.sort_by(|(_, a), (_, b)| {
            let by_rank = a.rank.cmp(&b.rank);
            by_rank.then(b.distance.total_cmp(&a.distance))
        });
        all.truncate(size);
        all
    }
}
