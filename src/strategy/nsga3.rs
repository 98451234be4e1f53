//! NSGA-III (Deb and Jain 2014; constraints as in Jain and Deb 2014): survival
//! by rank, then by spread over reference directions, which keeps a front of
//! three and more objectives apart where crowding distances no longer do.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::directions::{das_dennis, most_divisions};
use super::generational::{Breeding, Generational, Member, Survival};
use super::ledger::Ledger;
use super::normalise::Normaliser;
use super::sorting::{Standing, ranks};
use super::{Answer, Candidate, Problem, Settings, Strategy, Worth};

/// Candidates in a generation where none is set: the number of directions that
/// divide three objectives into six.
const POPULATION: usize = 28;

/// The state of a search.
pub struct Nsga3 {
    search: Generational<Niching>,
}

impl Nsga3 {
    pub(super) fn of(problem: Problem, settings: &Settings) -> Self {
        let population = settings.population(POPULATION);
        let objectives = problem.goals.objectives().len();
        let niching = Niching {
            directions: das_dennis(objectives, most_divisions(objectives, population)),
            normaliser: Normaliser::new(objectives),
        };
        let ledger = Ledger::new(problem, settings);
        Nsga3 {
            search: Generational::new(ledger, niching, Breeding::default(), population),
        }
    }
}

impl Strategy for Nsga3 {
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

struct Niching {
    directions: Vec<Vec<f64>>,
    normaliser: Normaliser,
}

/// The direction next to a point, and how far it is from it.
#[derive(Debug, Clone, Copy)]
struct Niche {
    direction: usize,
    distance: f64,
}

impl Survival for Niching {
    fn select(
        &mut self,
        pool: &[Member],
        size: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<(usize, Standing)> {
        let worths: Vec<&Worth> = pool.iter().map(|member| &member.worth).collect();
        let ranks = ranks(&worths);
        let mut order: Vec<usize> = (0..pool.len()).collect();
        order.sort_by_key(|&index| ranks[index]);
        // Whole fronts as far as they fit; then `last`, of which some do.
        let cut = order.get(size).map(|&index| ranks[index]);
        let mut kept: Vec<usize> = order.clone();
        kept.retain(|&index| Some(ranks[index]) < cut || cut.is_none());
        let last: Vec<usize> = match cut {
            Some(cut) => order.into_iter().filter(|&i| ranks[i] == cut).collect(),
            None => Vec::new(),
        };
        let room = size.saturating_sub(kept.len());
        if room > 0 && !last.is_empty() {
            if worths[last[0]].violation > 0.0 {
                // Equally far beyond the limits: any of them.
                kept.extend(&last[..room]);
            } else {
                self.fill(&worths, &ranks, &mut kept, last, room, rng);
            }
        }
        // Feasible parents are drawn with equal chance.
        let standing = |index: usize| Standing {
            rank: match worths[index].violation > 0.0 {
                true => ranks[index],
                false => 0,
            },
            distance: 0.0,
        };
        kept.into_iter().map(|i| (i, standing(i))).collect()
    }
}

impl Niching {
    /// Adds so many of the last front, those in the emptiest niches first.
    fn fill(
        &mut self,
        worths: &[&Worth],
        ranks: &[usize],
        kept: &mut Vec<usize>,
        mut last: Vec<usize>,
        room: usize,
        rng: &mut ChaCha8Rng,
    ) {
        let point = |index: usize| worths[index].objectives.as_slice();
        let considered: Vec<usize> = kept.iter().chain(&last).copied().collect();
        let all: Vec<&[f64]> = considered.iter().map(|&i| point(i)).collect();
        let firsts = considered.iter().filter(|i| ranks[**i] == 0);
        let front: Vec<&[f64]> = firsts.map(|&i| point(i)).collect();
        self.normaliser.update(&all, &front);
        let niche = |index: usize| self.niche(&self.normaliser.normalised(point(index)));
        let mut taken = vec![0usize; self.directions.len()];
        for &index in kept.iter() {
            taken[niche(index).direction] += 1;
        }
        // Each with its niche, by direction.
        let mut waiting: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.directions.len()];
        for index in last.drain(..) {
            let Niche {
                direction,
                distance,
            } = niche(index);
            waiting[direction].push((index, distance));
        }
        for _ in 0..room {
            let occupied = (0..waiting.len()).filter(|d| !waiting[*d].is_empty());
            let Some(least) = occupied.clone().map(|d| taken[d]).min() else {
                return;
            };
            let emptiest: Vec<usize> = occupied.filter(|d| taken[*d] == least).collect();
            let direction = emptiest[rng.random_range(0..emptiest.len())];
            let queue = &mut waiting[direction];
            let place = match least {
                0 => {
                    let places = 0..queue.len();
                    places
                        .min_by(|&a, &b| queue[a].1.total_cmp(&queue[b].1))
                        .unwrap_or(0)
                }
                _ => rng.random_range(0..queue.len()),
            };
            kept.push(queue.swap_remove(place).0);
            taken[direction] += 1;
        }
    }

    /// By perpendicular distance.
    fn niche(&self, point: &[f64]) -> Niche {
        let square: f64 = point.iter().map(|x| x * x).sum();
        let niches = self.directions.iter().enumerate().map(|(index, along)| {
            let length: f64 = along.iter().map(|x| x * x).sum();
            let dot: f64 = along.iter().zip(point).map(|(a, b)| a * b).sum();
            Niche {
                direction: index,
                distance: (square - dot * dot / length).max(0.0),
            }
        });
        niches
            .min_by(|a, b| a.distance.total_cmp(&b.distance))
            .expect("there is always a direction")
    }
}
