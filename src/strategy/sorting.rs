//! What NSGA-II ranks candidates by: constrained dominance, ranks and crowding.

use super::Worth;
use crate::pareto::dominates;

/// Deb's constrained domination: feasible beats infeasible, a smaller violation
/// beats a larger one, and feasible candidates compare by their objectives.
pub fn constrained_dominates(a: &Worth, b: &Worth) -> bool {
    match (a.violation > 0.0, b.violation > 0.0) {
        (false, true) => true,
        (true, false) => false,
        (true, true) => a.violation < b.violation,
        (false, false) => dominates(&a.objectives, &b.objectives),
    }
}

/// The rank of each candidate: 0 for the front, 1 for the front without it,
/// and so on (Deb et al. 2002).
pub fn ranks(worths: &[&Worth]) -> Vec<usize> {
    let n = worths.len();
    let mut dominated_by = vec![0usize; n];
    let mut over: Vec<Vec<usize>> = vec![Vec::new(); n];
    for i in 0..n {
        for j in i + 1..n {
            if constrained_dominates(worths[i], worths[j]) {
                over[i].push(j);
                dominated_by[j] += 1;
            } else if constrained_dominates(worths[j], worths[i]) {
                over[j].push(i);
                dominated_by[i] += 1;
            }
        }
    }
    let mut ranks = vec![usize::MAX; n];
    let mut current: Vec<usize> = (0..n).filter(|&i| dominated_by[i] == 0).collect();
    let mut rank = 0;
    while !current.is_empty() {
        let mut next = Vec::new();
        for &i in &current {
            ranks[i] = rank;
            for &j in &over[i] {
                dominated_by[j] -= 1;
                if dominated_by[j] == 0 {
                    next.push(j);
                }
            }
        }
        current = next;
        rank += 1;
    }
    ranks
}

/// Crowding distance within one front: the extent of the box between a point's
/// neighbours, infinite at the ends.
pub fn crowding(points: &[&[f64]]) -> Vec<f64> {
    let n = points.len();
    let mut distance = vec![0.0; n];
    let objectives = points.first().map_or(0, |p| p.len());
    for objective in 0..objectives {
        let values: Vec<f64> = points.iter().map(|p| p[objective]).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let (first, last) = (order[0], order[n - 1]);
        let extent = values[last] - values[first];
        distance[first] = f64::INFINITY;
        distance[last] = f64::INFINITY;
        if extent <= 0.0 {
            continue;
        }
        for w in order.windows(3) {
            distance[w[1]] += (values[w[2]] - values[w[0]]) / extent;
        }
    }
    distance
}
