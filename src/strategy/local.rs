//! Local search (White, Nolen and Savani 2021, arXiv 2005.02960): from the best
//! of some random architectures to a better neighbour until there is none, then
//! from others. With several objectives it is Pareto local search (Paquete,
//! Chiarandini and Stützle 2004): every member of the front found since the
//! last start has its neighbours asked for, in random order, unless it is beaten
//! meanwhile.

use rand::RngExt;
use rand::seq::SliceRandom;

use super::generational::Member;
use super::ledger::Ledger;
use super::sorting::constrained_dominates;
use super::{Answer, Candidate, Problem, Settings, Strategy};
use crate::space::Architecture;

/// Architectures drawn at each start where no population is set.
const STARTS: usize = 10;

/// The state of a search.
pub struct Local {
    ledger: Ledger,
    starts: usize,
    /// Still to be drawn for this start.
    left: usize,
    /// How often it has started, from 0.
    round: usize,
    /// What nothing found since the last start beats.
    front: Vec<Place>,
    /// Neighbours to ask for, the last first.
    neighbours: Vec<Architecture>,
    /// Whose neighbours they are.
    centre: Option<Architecture>,
}

struct Place {
    member: Member,
    /// Whether its neighbours were listed.
    explored: bool,
}

impl Local {
    pub(super) fn of(problem: Problem, settings: &Settings) -> Self {
        let starts = settings.population(STARTS);
        Local {
            ledger: Ledger::new(problem, settings),
            starts,
            left: starts,
            round: 0,
            front: Vec::new(),
            neighbours: Vec::new(),
            centre: None,
        }
    }

    /// The next architecture; nothing where it waits for answers or the space
    /// is spent.
    fn next(&mut self) -> Option<Architecture> {
        loop {
            if self.left > 0 {
                self.left -= 1;
                return self.ledger.drawn();
            }
            while let Some(neighbour) = self.neighbours.pop() {
                if self.ledger.accepts(&neighbour) {
                    return Some(neighbour);
                }
            }
            if self.explore() {
                continue;
            }
            if self.ledger.open() > 0 {
                return None;
            }
            // A local optimum, or a front of them.
            self.front.clear();
            self.centre = None;
            self.left = self.starts;
            self.round += 1;
        }
    }

    /// Lists the neighbours of some place of the front, if one is left.
    fn explore(&mut self) -> bool {
        let open: Vec<usize> = (0..self.front.len())
            .filter(|place| !self.front[*place].explored)
            .collect();
        if open.is_empty() {
            return false;
        }
        let rng = &mut self.ledger.rng;
        let place = &mut self.front[open[rng.random_range(0..open.len())]];
        place.explored = true;
        let centre = &place.member.architecture;
        self.neighbours = self.ledger.problem.space.neighbours(centre, rng);
        self.neighbours.shuffle(rng);
        self.centre = Some(centre.clone());
        true
    }
}

impl Strategy for Local {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let mut asked = Vec::new();
        while asked.len() < limit {
            let Some(architecture) = self.next() else {
                break;
            };
            asked.push(self.ledger.issue(architecture, self.round));
        }
        asked
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        let Some((candidate, Some(worth))) = self.ledger.settle(id, answer) else {
            return;
        };
        let beats = |place: &Place| constrained_dominates(&place.member.worth, &worth);
        if self.front.iter().any(beats) {
            return;
        }
        let centre = self.centre.as_ref();
        let mut moved = false;
        self.front.retain(|place| {
            let beaten = constrained_dominates(&worth, &place.member.worth);
            moved |= beaten && Some(&place.member.architecture) == centre;
            !beaten
        });
        if moved {
            self.neighbours.clear();
            self.centre = None;
        }
        let architecture = candidate.architecture;
        self.front.push(Place {
            member: Member {
                architecture,
                worth,
            },
            explored: false,
        });
    }

    fn is_exhausted(&self) -> bool {
        self.ledger.is_spent() && self.ledger.open() == 0
    }
}
