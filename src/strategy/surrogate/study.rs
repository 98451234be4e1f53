//! The state that model-based strategies share: candidates to choose from,
//! what was asked and told, and when to look for new candidates. Small spaces
//! are listed whole; of others there is a pool that follows the front.

use std::collections::BTreeMap;

use num_bigint::BigUint;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::limits::allowed;
use super::points::Table;
use crate::pareto::dominates;
use crate::space::Architecture;
use crate::strategy::ledger::Ledger;
use crate::strategy::{Answer, Candidate, Metric, Problem, Settings, Worth};

/// Spaces up to this size are listed whole.
const LISTED: u32 = 20_000;
/// Of larger ones: so many drawn at first, bred and drawn at each renewal, and
/// kept at most.
const DRAWN: usize = 1500;
const BRED: usize = 300;
const RENEWED: usize = 100;
const KEPT: usize = 6000;
/// Most observations that a model looks at.
const OBSERVED: usize = 600;
/// What keeps the limits with less chance is not asked.
const HOPE: f64 = 1e-3;

/// Candidates and answers.
pub(in crate::strategy) struct Study {
    pub ledger: Ledger,
    pub table: Table,
    /// Rows answered and what with, in the order of telling; `None` for those
    /// that failed.
    pub told: Vec<(usize, Answer)>,
    /// By id: rows under way.
    pending: BTreeMap<u64, usize>,
    /// By row: asked already.
    taken: Vec<bool>,
    /// By row: whether it may keep the limits by what is known; and whether
    /// any does.
    hopeful: Vec<bool>,
    any_hopeful: bool,
    initial: Vec<Architecture>,
    /// Whether the table holds the whole space.
    whole: bool,
}

impl Study {
    pub fn new(problem: Problem, settings: &Settings) -> Self {
        let whole = *problem.space.count() <= BigUint::from(LISTED);
        let mut study = Study {
            ledger: Ledger::new(problem, settings),
            table: Table::default(),
            told: Vec::new(),
            pending: BTreeMap::new(),
            taken: Vec::new(),
            hopeful: Vec::new(),
            any_hopeful: false,
            initial: settings.initial.clone(),
            whole,
        };
        let space = study.ledger.problem.space.clone();
        if whole {
            study.add(space.enumerate());
        } else {
            let rng = &mut study.ledger.rng;
            let drawn: Vec<_> = (0..DRAWN).map(|_| space.sample(rng)).collect();
            study.add(drawn);
        }
        let initial = study.initial.clone();
        study.add(initial);
        study
    }

    fn add(&mut self, architectures: impl IntoIterator<Item = Architecture>) {
        let problem = &self.ledger.problem;
        let know = |architecture: &Architecture| problem.knowledge.known(architecture);
        self.table.extend(&problem.space, architectures, know);
        self.taken.resize(self.table.len(), false);
        let limits = problem.goals.constraints();
        for known in &self.table.known[self.hopeful.len()..] {
            let hopeful = allowed(known, limits) >= HOPE;
            self.hopeful.push(hopeful);
            self.any_hopeful |= hopeful;
        }
    }

    /// Where nothing may keep the limits: of what can still be asked, the
    /// nearest to them by what is known.
    pub fn nearest(&self) -> Option<usize> {
        if self.any_hopeful {
            return None;
        }
        let violation = |row: &usize| self.problem().known_violation(&self.table.known[*row]);
        self.free()
            .min_by(|a, b| violation(a).total_cmp(&violation(b)))
    }

    pub fn problem(&self) -> &Problem {
        &self.ledger.problem
    }

    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Rows that can still be asked: not what surely breaks a limit, unless
    /// everything does.
    pub fn free(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.table.len()).filter(|row| self.is_free(*row))
    }

    pub fn is_free(&self, row: usize) -> bool {
        !self.taken[row] && (self.hopeful[row] || !self.any_hopeful)
    }

    /// A row that can still be asked, drawn uniformly.
    pub fn any_free(&mut self) -> Option<usize> {
        let free: Vec<usize> = self.free().collect();
        match free.is_empty() {
            true => None,
            false => Some(free[self.ledger.rng.random_range(0..free.len())]),
        }
    }

    /// Whether nothing is left to ask or to wait for.
    pub fn is_spent(&self) -> bool {
        self.pending.is_empty() && self.free().next().is_none()
    }

    /// Rows under way, the oldest first.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.pending.values().copied()
    }

    /// Asks a row.
    pub fn issue(&mut self, row: usize, generation: usize) -> Candidate {
        self.taken[row] = true;
        let architecture = self.table.architectures[row].clone();
        let candidate = self.ledger.issue(architecture, generation);
        self.pending.insert(candidate.id, row);
        candidate
    }

    /// Takes an answer; whether it was to an open question.
    pub fn tell(&mut self, id: u64, answer: Answer) -> bool {
        let Some((_, answer)) = self.ledger.settle(id, answer) else {
            return false;
        };
        let row = self.pending.remove(&id).expect("issued with its id");
        self.told.push((row, answer));
        true
    }

    /// Rows asked or answered.
    pub fn asked(&self) -> usize {
        self.told.len() + self.pending.len()
    }

    /// Answers that did not fail.
    pub fn succeeded(&self) -> impl Iterator<Item = (usize, &Worth)> {
        let told = self.told.iter();
        told.filter_map(|(row, answer)| Some((*row, answer.as_ref()?)))
    }

    /// Least and greatest loss told, by objective.
    pub fn ranges(&self) -> Vec<(f64, f64)> {
        let objectives = self.problem().goals.objectives().len();
        let mut ranges = vec![(f64::MAX, f64::MIN); objectives];
        for (_, worth) in self.succeeded() {
            for (range, loss) in ranges.iter_mut().zip(&worth.objectives) {
                *range = (range.0.min(*loss), range.1.max(*loss));
            }
        }
        ranges
    }

    /// Rows to begin with: the initial ones, then one of each of `count` strata
    /// of equal size by `key`, in random order. Rows without a key come in only
    /// where there are no others.
    pub fn design(
        &mut self,
        count: usize,
        key: impl Fn(&Study, usize) -> Option<f64>,
    ) -> Vec<usize> {
        let mut rows: Vec<usize> = Vec::new();
        for architecture in &self.initial {
            if let Some(row) = self.table.row(architecture).filter(|r| !rows.contains(r)) {
                rows.push(row);
            }
        }
        let mut keyed: Vec<(f64, usize)> = self
            .free()
            .filter_map(|row| Some((key(self, row)?, row)))
            .collect();
        if keyed.is_empty() {
            keyed = self.free().map(|row| (0.0, row)).collect();
        }
        // Equal keys in random order, or strata would be strata of the listing.
        keyed.shuffle(&mut self.ledger.rng);
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let strata = count.saturating_sub(rows.len()).min(keyed.len());
        let mut drawn: Vec<usize> = (0..strata)
            .map(|stratum| {
                let ends = [stratum, stratum + 1].map(|s| s * keyed.len() / strata);
                keyed[self.ledger.rng.random_range(ends[0]..ends[1])].1
            })
            .filter(|row| !rows.contains(row))
            .collect();
        drawn.shuffle(&mut self.ledger.rng);
        rows.extend(drawn);
        rows
    }

    /// Looks for new candidates about the best (mutants and children of the
    /// non-dominated) and anywhere. Rows are numbered anew where the table had
    /// grown too long. Nothing happens in a space that is listed whole.
    pub fn renew(&mut self) {
        if self.whole {
            return;
        }
        let space = self.ledger.problem.space.clone();
        let parents: Vec<Architecture> = self
            .best(40)
            .into_iter()
            .map(|row| self.table.architectures[row].clone())
            .collect();
        if self.table.len() > KEPT {
            self.forget();
        }
        let rng = &mut self.ledger.rng;
        let mut new: Vec<Architecture> = (0..RENEWED).map(|_| space.sample(rng)).collect();
        for _ in 0..BRED {
            if parents.is_empty() {
                break;
            }
            let mother = &parents[rng.random_range(0..parents.len())];
            let father = &parents[rng.random_range(0..parents.len())];
            let mut child = match mother != father && rng.random_bool(0.3) {
                true => space.crossover(mother, father, rng),
                false => space.mutate(mother, rng),
            };
            // A neighbour's neighbour now and then.
            if rng.random_bool(0.3) {
                child = space.mutate(&child, rng);
            }
            new.push(child);
        }
        self.add(new);
    }

    /// Starts the table anew with what was asked.
    fn forget(&mut self) {
        let old = std::mem::take(&mut self.table);
        self.taken.clear();
        self.hopeful.clear();
        let asked = self.told.iter().map(|(row, _)| *row).chain(self.pending());
        let kept: Vec<Architecture> = asked.map(|row| old.architectures[row].clone()).collect();
        self.add(kept);
        self.taken.fill(true);
        let table = &self.table;
        let renumber = |row: &mut usize| {
            *row = table.row(&old.architectures[*row]).expect("it was kept");
        };
        self.told.iter_mut().for_each(|(row, _)| renumber(row));
        self.pending.values_mut().for_each(renumber);
    }

    /// Rows of the best answers: the non-dominated within the limits; where
    /// there are fewer than two, also the least violating.
    fn best(&self, most: usize) -> Vec<usize> {
        let told: Vec<(usize, &Worth)> = self.succeeded().collect();
        let mut best: Vec<usize> = told
            .iter()
            .filter(|(_, w)| w.violation == 0.0)
            .filter(|(_, w)| {
                let beats =
                    |v: &&Worth| v.violation == 0.0 && dominates(&v.objectives, &w.objectives);
                !told.iter().any(|(_, v)| beats(v))
            })
            .map(|(row, _)| *row)
            .collect();
        // One objective has one best: its runners-up breed too.
        let mut rest: Vec<(usize, &Worth)> = told;
        rest.retain(|(row, _)| !best.contains(row));
        rest.sort_by(|a, b| {
            let key = |w: &Worth| (w.violation, w.objectives[0]);
            key(a.1)
                .partial_cmp(&key(b.1))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        let more = 8usize.saturating_sub(best.len());
        best.extend(rest.into_iter().take(more).map(|(row, _)| row));
        best.truncate(most);
        best
    }

    /// Which answers a model looks at, as indices into `told`: all, or where
    /// there are many the best and the latest.
    pub fn observed(&self) -> Vec<usize> {
        let n = self.told.len();
        if n <= OBSERVED {
            return (0..n).collect();
        }
        let best = self.best(OBSERVED / 4);
        let latest = n - (OBSERVED - best.len());
        (0..n)
            .filter(|i| *i >= latest || best.contains(&self.told[*i].0))
            .collect()
    }

    /// Whether every row has an estimate of a metric.
    pub fn knows(&self, metric: &Metric) -> bool {
        let known = &self.table.known;
        !known.is_empty() && known.iter().all(|k| k.estimate(metric).is_some())
    }
}
