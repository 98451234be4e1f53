//! Non-dominated sorting. The rank of a point is the length of the longest
//! chain of points that dominate each other and then it, so it is enough to
//! meet the points in lexicographic order and to know the highest rank among
//! those that dominate each.
//!
//! Two objectives take `O(n log n)`: of each front the point met last has the
//! least second objective. Three take `O(n log² n)`: each front is a staircase
//! in the other two objectives, and fronts are searched by bisection (after
//! Jensen 2003). More take `O(n log^(m-1) n)` by divide and conquer over the
//! objectives (Fortin, Grenier and Parizeau 2013; Buzdalov and Shalyto 2014).

use std::cmp::Ordering;

use super::divide;
use super::staircase::Staircase;

/// The rank of each point among all: 0 for the front, 1 for the front without
/// it, and so on (Deb et al. 2002). Equal points share a rank. All points have
/// as many objectives, minimised, none of them NaN.
pub fn ranks<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let objectives = points.first().map_or(0, |p| p.as_ref().len());
    // Together in memory, in lexicographic order, each once.
    let at = |index: u32| points[index as usize].as_ref();
    let order = order(points);
    let mut flat: Vec<f64> = Vec::with_capacity(points.len() * objectives);
    let mut place = vec![0u32; points.len()];
    let mut distinct = 0;
    for (nth, &index) in order.iter().enumerate() {
        let point = at(index);
        if nth == 0 || at(order[nth - 1]) != point {
            flat.extend_from_slice(point);
            distinct += 1;
        }
        place[index as usize] = distinct - 1;
    }
    let ranks = match objectives {
        0 => vec![0; distinct as usize],
        1 => (0..distinct).collect(),
        2 => two(&flat),
        3 => three(&flat),
        _ => divide::ranks(&flat, objectives),
    };
    place.iter().map(|&p| ranks[p as usize] as usize).collect()
}

/// Indices in lexicographic order. Sorts by the first objectives in one piece
/// of memory and looks at the points themselves for ties only.
pub(super) fn order<P: AsRef<[f64]>>(points: &[P]) -> Vec<u32> {
    let at = |index: u32| points[index as usize].as_ref();
    let first = |index: u32| at(index).first().copied().unwrap_or(0.0);
    let mut order: Vec<(f64, u32)> = (0..points.len() as u32).map(|i| (first(i), i)).collect();
    order.sort_unstable_by(|a, b| {
        let by_first = a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal);
        by_first.then_with(|| lexicographic(at(a.1), at(b.1)).then(a.1.cmp(&b.1)))
    });
    order.into_iter().map(|(_, index)| index).collect()
}

pub(super) fn lexicographic(a: &[f64], b: &[f64]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(x, y)| x.partial_cmp(y).unwrap_or(Ordering::Equal))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn two(flat: &[f64]) -> Vec<u32> {
    // The least second objective of each front, which rises with the rank.
    let mut least: Vec<f64> = Vec::new();
    let points = flat.chunks_exact(2);
    points
        .map(|point| {
            let rank = least.partition_point(|&y| y <= point[1]);
            match least.get_mut(rank) {
                Some(y) => *y = point[1],
                None => least.push(point[1]),
            }
            rank as u32
        })
        .collect()
}

fn three(flat: &[f64]) -> Vec<u32> {
    let mut fronts: Vec<Staircase> = Vec::new();
    let points = flat.chunks_exact(3);
    points
        .map(|point| {
            let rank = fronts.partition_point(|front| front.covers(point[1], point[2]));
            if rank == fronts.len() {
                fronts.push(Staircase::default());
            }
            fronts[rank].insert(point[1], point[2]);
            rank as u32
        })
        .collect()
}
