//! What candidates are ranked by: constrained dominance, ranks and crowding.

use super::Worth;
use crate::pareto;

/// Deb's constrained domination: feasible beats infeasible, a smaller violation
/// beats a larger one, and feasible candidates compare by their objectives.
pub fn constrained_dominates(a: &Worth, b: &Worth) -> bool {
    match (a.violation > 0.0, b.violation > 0.0) {
        (false, true) => true,
        (true, false) => false,
        (true, true) => a.violation < b.violation,
        (false, false) => pareto::dominates(&a.objectives, &b.objectives),
    }
}

/// The rank of each candidate: 0 for the front, 1 for the front without it,
/// and so on (Deb et al. 2002), under constrained domination. Every worth must
/// be finite.
pub fn ranks(worths: &[&Worth]) -> Vec<usize> {
    let feasible: Vec<&[f64]> = worths
        .iter()
        .filter(|w| w.violation <= 0.0)
        .map(|w| w.objectives.as_slice())
        .collect();
    let ranked = pareto::ranks(&feasible);
    // Behind the feasible each violation is a front of its own.
    let mut violations: Vec<f64> = worths.iter().map(|w| w.violation).collect();
    violations.retain(|v| *v > 0.0);
    violations.sort_unstable_by(f64::total_cmp);
    violations.dedup();
    let behind = ranked.iter().max().map_or(0, |last| last + 1);
    let mut ranked = ranked.into_iter();
    worths
        .iter()
        .map(|w| match w.violation > 0.0 {
            false => ranked.next().expect("one rank a feasible candidate"),
            true => behind + violations.partition_point(|v| *v < w.violation),
        })
        .collect()
}

/// Crowding distance within one front: the extent of the box between a point's
/// neighbours, infinite at the ends.
pub fn crowding(points: &[&[f64]]) -> Vec<f64> {
    let n = points.len();
    let mut distance = vec![0.0; n];
    let objectives = points.first().map_or(0, |p| p.len());
    let mut order: Vec<usize> = (0..n).collect();
    let mut values = vec![0.0; n];
    for objective in 0..objectives {
        for (value, point) in values.iter_mut().zip(points) {
            *value = point[objective];
        }
        let value = |index: usize| values[index];
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
        let (first, last) = (order[0], order[n - 1]);
        let extent = value(last) - value(first);
        distance[first] = f64::INFINITY;
        distance[last] = f64::INFINITY;
        if extent <= 0.0 {
            continue;
        }
        for w in order.windows(3) {
            distance[w[1]] += (value(w[2]) - value(w[0])) / extent;
        }
    }
    distance
}

/// How a candidate fares in a tournament: by rank, then by distance from
/// others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Standing {
    /// 0 is best.
    pub rank: usize,
    /// More is better.
    pub distance: f64,
}

impl Standing {
    pub fn beats(self, other: Standing) -> bool {
        self.rank < other.rank || (self.rank == other.rank && self.distance > other.distance)
    }
}

/// Rank and crowding of each candidate among all.
pub(super) fn standings(worths: &[&Worth]) -> Vec<Standing> {
    let ranks = ranks(worths);
    let mut standings: Vec<Standing> = ranks
        .iter()
        .map(|&rank| Standing {
            rank,
            distance: 0.0,
        })
        .collect();
    let mut by_rank: Vec<usize> = (0..ranks.len()).collect();
    by_rank.sort_by_key(|&index| ranks[index]);
    for front in by_rank.chunk_by(|&a, &b| ranks[a] == ranks[b]) {
        let points: Vec<&[f64]> = front
            .iter()
            .map(|&index| worths[index].objectives.as_slice())
            .collect();
        for (&index, distance) in front.iter().zip(crowding(&points)) {
            standings[index].distance = distance;
        }
    }
    standings
}
