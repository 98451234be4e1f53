//! Candidates that rise together through rungs of fidelity. In a bracket of a
//! given size those of a rung wait for each other; in one without, each is
//! promoted as soon as it is among the best one in `reduction` so far.

use super::Worth;
use super::sorting::standings;
use crate::space::Architecture;

/// The state of a bracket.
pub(super) struct Bracket {
    id: usize,
    /// The index of the first rung.
    first: usize,
    /// How many may enter; none where there is no end.
    size: Option<usize>,
    entered: usize,
    /// Whether nobody else will come.
    closed: bool,
    /// From the first on.
    rungs: Vec<Rung>,
}

#[derive(Default)]
struct Rung {
    /// How many came to it.
    came: usize,
    answered: usize,
    promoted: usize,
    /// Those that did not fail.
    climbers: Vec<Climber>,
    /// The best first, where it is known.
    order: Option<Vec<usize>>,
}

struct Climber {
    generation: usize,
    architecture: Architecture,
    worth: Worth,
    promoted: bool,
}

/// Who goes on to which rung.
pub(super) struct Promotion {
    pub bracket: usize,
    pub rung: usize,
    pub generation: usize,
    pub architecture: Architecture,
}

impl Bracket {
    pub fn new(id: usize, first: usize, last: usize, size: Option<usize>) -> Self {
        Bracket {
            id,
            first,
            size,
            entered: 0,
            closed: false,
            rungs: (first..=last).map(|_| Rung::default()).collect(),
        }
    }

    pub fn id(&self) -> usize {
        self.id
    }

    pub fn is_full(&self) -> bool {
        self.closed || self.size.is_some_and(|size| self.entered >= size)
    }

    /// Lets nobody else in.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// One more at the first rung; returns the bracket's number and the rung's.
    pub fn enter(&mut self) -> (usize, usize) {
        self.entered += 1;
        self.rungs[0].came += 1;
        (self.id, self.first)
    }

    /// An answer at a rung; none for a failure.
    pub fn answer(
        &mut self,
        rung: usize,
        generation: usize,
        architecture: Architecture,
        worth: Option<Worth>,
    ) {
        let rung = &mut self.rungs[rung - self.first];
        rung.answered += 1;
        rung.order = None;
        rung.climbers.extend(worth.map(|worth| Climber {
            generation,
            architecture,
            worth,
            promoted: false,
        }));
    }

    /// Whether nobody in it can rise any more.
    pub fn is_done(&self, reduction: usize) -> bool {
        let settled = |rung: &Rung| rung.came == rung.answered;
        let rising = &self.rungs[..self.rungs.len() - 1];
        self.is_full()
            && self.rungs.iter().all(settled)
            && rising.iter().all(|rung| rung.is_decided(reduction))
    }

    /// Promotes one candidate, from as high as possible.
    pub fn promote(&mut self, reduction: usize) -> Option<Promotion> {
        for place in (0..self.rungs.len() - 1).rev() {
            let quota = self.quota(place, reduction);
            let rung = &mut self.rungs[place];
            if quota <= rung.promoted {
                continue;
            }
            let Some(best) = rung.next(quota) else {
                continue;
            };
            let climber = &mut rung.climbers[best];
            climber.promoted = true;
            rung.promoted += 1;
            let promotion = Promotion {
                bracket: self.id,
                rung: self.first + place + 1,
                generation: climber.generation,
                architecture: climber.architecture.clone(),
            };
            self.rungs[place + 1].came += 1;
            return Some(promotion);
        }
        None
    }

    /// How many of a rung may have been promoted by now.
    fn quota(&self, place: usize, reduction: usize) -> usize {
        let rung = &self.rungs[place];
        let share = rung.answered / reduction;
        let settled = rung.came == rung.answered
            && self.is_full()
            && self.rungs[..place].iter().all(|r| r.came == r.answered)
            && (place == 0 || self.rungs[place - 1].is_decided(reduction));
        match (self.size, settled) {
            // The best of few goes on, lest a bracket ends in nothing.
            (_, true) => share.max(1),
            (None, false) => share,
            (Some(_), false) => 0,
        }
    }
}

impl Rung {
    /// Whether all were promoted that will be, once all are answered.
    fn is_decided(&self, reduction: usize) -> bool {
        let quota = (self.answered / reduction).max(1);
        self.promoted >= quota.min(self.climbers.len())
    }

    /// The best of the first `quota` that is not promoted yet.
    fn next(&mut self, quota: usize) -> Option<usize> {
        let climbers = &self.climbers;
        let order = self.order.get_or_insert_with(|| {
            let worths: Vec<&Worth> = climbers.iter().map(|c| &c.worth).collect();
            let standings = standings(&worths);
            let mut order: Vec<usize> = (0..climbers.len()).collect();
            order.sort_by(|&a, &b| {
                let (a, b) = (standings[a], standings[b]);
                let by_rank = a.rank.cmp(&b.rank);
                by_rank.then(b.distance.total_cmp(&a.distance))
            });
            order
        });
        let best = order.iter().take(quota).copied();
        best.into_iter().find(|&index| !climbers[index].promoted)
    }
}
