//! The book-keeping that strategies share: which architectures were proposed,
//! which questions are open, and what is beyond a limit before any evaluation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use num_bigint::BigUint;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustc_hash::FxHashSet;

use super::{Answer, Candidate, Problem, Settings, Worth};
use crate::space::{Architecture, Space};

/// Proposals tried before looking elsewhere.
const TRIES: usize = 100;
/// Architectures listed where proposals yield nothing new: spaces up to this
/// size are searched to the last architecture.
const LISTED: u64 = 1 << 15;

/// What was proposed and what is open.
pub(super) struct Ledger {
    pub problem: Problem,
    pub rng: ChaCha8Rng,
    initial: VecDeque<Architecture>,
    seen: FxHashSet<Architecture>,
    open: BTreeMap<u64, Candidate>,
    next_id: u64,
    /// Beyond a limit by what is known, the least violation first; kept for
    /// the case that nothing else is found.
    refused: BTreeSet<(Order, Architecture)>,
    /// Whether something was proposed that is within the limits.
    feasible: bool,
    /// What is left of the listing, and where the next one begins.
    listed: Vec<Architecture>,
    next_listing: Option<BigUint>,
    /// Whether another listing would be in vain.
    listed_out: bool,
    spent: bool,
}

/// A violation to sort by.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Order(f64);

impl Eq for Order {}

impl Ord for Order {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ledger {
    pub fn new(problem: Problem, settings: &Settings) -> Self {
        Ledger {
            problem,
            rng: ChaCha8Rng::seed_from_u64(settings.seed),
            initial: settings.initial.iter().cloned().collect(),
            seen: FxHashSet::default(),
            open: BTreeMap::new(),
            next_id: 0,
            refused: BTreeSet::new(),
            feasible: false,
            listed: Vec::new(),
            next_listing: None,
            listed_out: false,
            spent: false,
        }
    }

    /// Makes a question of an architecture that [`fresh`](Self::fresh) gave.
    pub fn issue(&mut self, architecture: Architecture, generation: usize) -> Candidate {
        let candidate = Candidate {
            id: self.next_id,
            generation,
            architecture,
            fidelity: 1.0,
        };
        self.next_id += 1;
        self.open.insert(candidate.id, candidate.clone());
        candidate
    }

    /// Closes a question. Nothing for one that was never asked or is answered
    /// already; an answer that cannot be ranked counts as failed.
    pub fn settle(&mut self, id: u64, answer: Answer) -> Option<(Candidate, Answer)> {
        let candidate = self.open.remove(&id)?;
        let objectives = self.problem.goals.objectives().len();
        let ranks = |w: &Worth| w.is_finite() && w.objectives.len() == objectives;
        Some((candidate, answer.filter(ranks)))
    }

    /// Questions without an answer.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Whether nothing new was found the last time that it was looked for.
    pub fn is_spent(&self) -> bool {
        self.spent
    }

    /// Forgets what was proposed but for these, which may then be proposed
    /// again.
    pub fn forget_all_but<'a>(&mut self, kept: impl Iterator<Item = &'a Architecture>) {
        self.seen.clear();
        self.seen.extend(kept.cloned());
        self.listed.clear();
        (self.next_listing, self.listed_out, self.spent) = (None, false, false);
    }

    /// The next of the initial architectures, while there are any.
    pub fn first(&mut self) -> Option<Architecture> {
        loop {
            let architecture = self.initial.pop_front()?;
            if self.accepts(&architecture) {
                return Some(architecture);
            }
        }
    }

    /// The next of the initial architectures, or one drawn uniformly.
    pub fn drawn(&mut self) -> Option<Architecture> {
        self.first()
            .or_else(|| self.fresh(|space, rng| space.sample(rng)))
    }

    /// An architecture never given before that keeps to the limits as far as is
    /// known: by proposals, else drawn, else listed. Where no architecture
    /// within the limits was ever found, the one that exceeds them least.
    /// Nothing when the space is spent.
    pub fn fresh(
        &mut self,
        mut propose: impl FnMut(&Space, &mut ChaCha8Rng) -> Architecture,
    ) -> Option<Architecture> {
        if self.spent {
            return None;
        }
        let space = self.problem.space.clone();
        for attempt in 0..2 * TRIES {
            let architecture = match attempt < TRIES {
                true => propose(&space, &mut self.rng),
                false => space.sample(&mut self.rng),
            };
            if self.accepts(&architecture) {
                return Some(architecture);
            }
        }
        // Empty once anything within the limits was found.
        let least = |(_, architecture)| architecture;
        let found = self
            .listed(&space)
            .or_else(|| self.refused.pop_first().map(least));
        self.spent = found.is_none();
        found
    }

    /// Takes an architecture for proposed, unless it was or is known to be
    /// beyond a limit.
    pub fn accepts(&mut self, architecture: &Architecture) -> bool {
        if self.seen.contains(architecture) {
            return false;
        }
        self.seen.insert(architecture.clone());
        if !self.problem.goals.constraints().is_empty() {
            let known = self.problem.knowledge.known(architecture);
            let violation = self.problem.known_violation(&known);
            if violation > 0.0 {
                if !self.feasible {
                    let refused = (Order(violation), architecture.clone());
                    self.refused.insert(refused);
                }
                return false;
            }
        }
        if !self.feasible {
            self.feasible = true;
            self.refused.clear();
        }
        true
    }

    /// From a listing of the whole space where it is small, of some part of it
    /// that begins anywhere where it is not.
    fn listed(&mut self, space: &Space) -> Option<Architecture> {
        for renewed in [false, true] {
            if renewed && !self.listed_out {
                self.list(space);
            }
            while let Some(architecture) = self.listed.pop() {
                if self.accepts(&architecture) {
                    return Some(architecture);
                }
            }
        }
        None
    }

    fn list(&mut self, space: &Space) {
        let count = space.count();
        // All of a small space; or so much of a large one that it would be
        // chance to find something within the limits in another part.
        self.listed_out = *count <= BigUint::from(LISTED) || !self.feasible;
        let mut at = match self.next_listing.take() {
            Some(at) => at,
            None if *count <= BigUint::from(LISTED) => BigUint::default(),
            None => BigUint::from(self.rng.random::<u128>()) % count,
        };
        let listed = u64::try_from(count).map_or(LISTED, |n| n.min(LISTED));
        for _ in 0..listed {
            let architecture = space.unrank(&at);
            if !self.seen.contains(&architecture) && space.admits(&architecture) {
                self.listed.push(architecture);
            }
            at += 1u8;
            if at == *count {
                at = BigUint::default();
            }
        }
        self.next_listing = Some(at);
        self.listed.shuffle(&mut self.rng);
    }
}
