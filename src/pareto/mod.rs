//! Which points of a set no other point beats, all objectives minimised, how
//! the others rank behind them, and how much they dominate. Small and general:
//! the store's front and the strategies stand on it, and it on nothing.

mod divide;
mod hypervolume;
mod sort;
mod staircase;

pub use hypervolume::{hypervolume, hypervolume_2d};
pub use sort::ranks;

use sort::order;
use staircase::Staircase;

/// Whether `a` is at least as small as `b` in every objective and smaller in
/// one. All objectives are minimised; negate those to be maximised.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Indices of the non-dominated points, ordered by their first objective (then
/// the next ones). Equal points are all kept; points with a NaN never are.
///
/// Up to three objectives take `O(n log n)`, more as long as [`ranks`].
pub fn front<const N: usize>(points: &[[f64; N]]) -> Vec<usize> {
    front_of(points)
}

/// [`front`] of points whose number of objectives, equal for all, is known only
/// when running.
pub fn front_of<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let numbers: Vec<usize> = (0..points.len())
        .filter(|i| points[*i].as_ref().iter().all(|x| !x.is_nan()))
        .collect();
    let ordered: Vec<&[f64]> = numbers.iter().map(|i| points[*i].as_ref()).collect();
    let order = order(&ordered).into_iter().map(|i| i as usize);
    if ordered.first().is_some_and(|first| first.len() > 3) {
        let ranks = ranks(&ordered);
        let kept = order.filter(|i| ranks[*i] == 0);
        return kept.map(|i| numbers[i]).collect();
    }
    // A point can only be dominated by one that comes earlier in this order,
    // and is where one of those is at most it in the objectives that follow.
    let mut steps = Staircase::default();
    let mut kept: Vec<usize> = Vec::new();
    for index in order {
        let point = ordered[index];
        if kept.last().is_some_and(|last| ordered[*last] == point) {
            kept.push(index);
            continue;
        }
        let then = |objective: usize| point.get(objective).copied().unwrap_or(0.0);
        if !steps.covers(then(1), then(2)) {
            steps.insert(then(1), then(2));
            kept.push(index);
        }
    }
    kept.into_iter().map(|i| numbers[i]).collect()
}

#[cfg(test)]
mod tests;
