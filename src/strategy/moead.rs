//! MOEA/D (Zhang and Li 2007, with the limited replacement of Li and Zhang
//! 2009): one problem of a single objective for each direction, by Chebyshev
//! distance from the best values seen, bred among neighbouring directions.
//! Unlike the NSGA family it has no generations to wait for.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::SliceRandom;

use super::directions::{das_dennis, most_divisions};
use super::generational::Member;
use super::ledger::Ledger;
use super::{Answer, Candidate, Problem, Settings, Strategy, Worth};
use crate::space::Architecture;

/// Directions, about, where no population is set.
const POPULATION: usize = 28;
/// Directions that count as near, one of them itself.
const NEAR: usize = 8;
/// Chance that parents and whom to replace are looked for nearby alone.
const NEARBY: f64 = 0.9;
/// Directions whose best a candidate may become.
const REPLACED: usize = 2;
/// Chance that a child of two is mutated as well.
const MUTATION: f64 = 0.7;

/// The state of a search.
pub struct Moead {
    ledger: Ledger,
    directions: Vec<Vec<f64>>,
    /// Of each direction, the nearest ones.
    near: Vec<Vec<usize>>,
    best: Vec<Option<Member>>,
    /// The best and the worst value seen of each objective.
    range: Vec<(f64, f64)>,
    asked: usize,
    /// Directions in the order in which they come next, the last first.
    turns: Vec<usize>,
    /// Among whom the candidates that are open compete.
    open: BTreeMap<u64, Vec<usize>>,
}

impl Moead {
    pub(super) fn of(problem: Problem, settings: &Settings) -> Self {
        let objectives = problem.goals.objectives().len();
        let most = settings.population(POPULATION);
        let directions = das_dennis(objectives, most_divisions(objectives, most));
        Moead {
            near: directions.iter().map(|d| nearest(d, &directions)).collect(),
            best: vec![None; directions.len()],
            directions,
            range: vec![(f64::INFINITY, f64::NEG_INFINITY); objectives],
            ledger: Ledger::new(problem, settings),
            asked: 0,
            turns: Vec::new(),
            open: BTreeMap::new(),
        }
    }

    fn all(&self) -> Vec<usize> {
        (0..self.directions.len()).collect()
    }

    /// The next architecture with those among whom it is to compete; nothing
    /// where the space is spent.
    fn next(&mut self) -> Option<(Architecture, Vec<usize>)> {
        if self.asked < self.directions.len() || self.best.iter().all(Option::is_none) {
            let drawn = self.ledger.drawn()?;
            return Some((drawn, self.all()));
        }
        if self.turns.is_empty() {
            self.turns = self.all();
            self.turns.shuffle(&mut self.ledger.rng);
        }
        let direction = self.turns.pop()?;
        let among = match self.ledger.rng.random_bool(NEARBY) {
            true => self.near[direction].clone(),
            false => self.all(),
        };
        let members: Vec<&Architecture> = among
            .iter()
            .chain(&self.all())
            .filter_map(|d| Some(&self.best[*d].as_ref()?.architecture))
            .take(among.len())
            .collect();
        let child = self.ledger.fresh(|space, rng| {
            let [mother, father] = [0; 2].map(|_| members[rng.random_range(0..members.len())]);
            if mother == father {
                return space.mutate(mother, rng);
            }
            let child = space.crossover(mother, father, rng);
            match rng.random_bool(MUTATION) {
                true => space.mutate(&child, rng),
                false => child,
            }
        })?;
        Some((child, among))
    }

    /// How far from the best values, along a direction.
    fn distance(&self, worth: &Worth, direction: usize) -> f64 {
        /// Keeps objectives of no weight from counting for nothing.
        const LEAST: f64 = 1e-3;
        let weights = &self.directions[direction];
        let parts = worth.objectives.iter().zip(&self.range).zip(weights);
        parts
            .map(|((value, (best, worst)), weight)| {
                let extent = (worst - best).max(f64::MIN_POSITIVE);
                weight.max(LEAST) * (value - best) / extent
            })
            .fold(0.0, f64::max)
    }

    /// Deb's rule, and the distance where both keep to the limits.
    fn beats(&self, worth: &Worth, direction: usize) -> bool {
        let Some(Member { worth: held, .. }) = &self.best[direction] else {
            return true;
        };
        match worth.violation > 0.0 || held.violation > 0.0 {
            true => worth.violation < held.violation,
            false => self.distance(worth, direction) < self.distance(held, direction),
        }
    }
}

/// Indices of the directions nearest to one.
fn nearest(direction: &[f64], all: &[Vec<f64>]) -> Vec<usize> {
    let apart = |other: &Vec<f64>| -> f64 {
        let squares = direction.iter().zip(other).map(|(a, b)| (a - b) * (a - b));
        squares.sum()
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|&a, &b| apart(&all[a]).total_cmp(&apart(&all[b])));
    order.truncate(NEAR);
    order
}

impl Strategy for Moead {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let most = self.directions.len().max(2);
        let room = most.saturating_sub(self.ledger.open());
        let mut asked = Vec::new();
        while asked.len() < limit.min(room) {
            let Some((architecture, among)) = self.next() else {
                break;
            };
            let generation = self.asked / self.directions.len();
            let candidate = self.ledger.issue(architecture, generation);
            self.open.insert(candidate.id, among);
            self.asked += 1;
            asked.push(candidate);
        }
        asked
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        let Some((candidate, answer)) = self.ledger.settle(id, answer) else {
            return;
        };
        let (Some(mut among), Some(worth)) = (self.open.remove(&id), answer) else {
            return;
        };
        for ((best, worst), value) in self.range.iter_mut().zip(&worth.objectives) {
            *best = best.min(*value);
            *worst = worst.max(*value);
        }
        // Those drawn at first may become the best of any number.
        let most = match candidate.generation {
            0 => usize::MAX,
            _ => REPLACED,
        };
        among.shuffle(&mut self.ledger.rng);
        among.retain(|direction| self.beats(&worth, *direction));
        for direction in among.into_iter().take(most) {
            self.best[direction] = Some(Member {
                architecture: candidate.architecture.clone(),
                worth: worth.clone(),
            });
        }
    }

    fn is_exhausted(&self) -> bool {
        self.ledger.is_spent() && self.ledger.open() == 0
    }
}
