//! The hypervolume: how much of objective space a set of points dominates,
//! bounded by a reference point (Zitzler and Thiele 1999). Two and three
//! objectives take `O(n log n)`, the latter by a sweep over the third with a
//! staircase in the plane (Beume et al. 2009); more by the exclusive volumes of
//! WFG (While, Bradstreet and Barone 2012), which is exponential in the number
//! of objectives at worst and among the fastest known up to about ten.

use super::sort::ranks;
use super::staircase::Staircase;

/// The volume dominated by points, all objectives minimised. Points that are
/// not below the reference in every objective, or have a NaN, add nothing.
pub fn hypervolume<P: AsRef<[f64]>>(points: &[P], reference: &[f64]) -> f64 {
    let inside: Vec<&[f64]> = points
        .iter()
        .map(AsRef::as_ref)
        .filter(|p| p.iter().zip(reference).all(|(x, r)| x < r))
        .collect();
    match reference.len() {
        0 => 0.0,
        1 => inside
            .iter()
            .map(|p| reference[0] - p[0])
            .fold(0.0, f64::max),
        2 => two(inside.iter().map(|p| [p[0], p[1]]), reference),
        3 => three(inside.iter().map(|p| [p[0], p[1], p[2]]), reference),
        _ => wfg(&owned(&inside), reference),
    }
}

/// The area dominated by a set of two-objective points and bounded by a
/// reference point; points beyond the reference add nothing.
pub fn hypervolume_2d(points: &[[f64; 2]], reference: [f64; 2]) -> f64 {
    hypervolume(points, &reference)
}

fn two(points: impl Iterator<Item = [f64; 2]>, reference: &[f64]) -> f64 {
    let mut points: Vec<[f64; 2]> = points.collect();
    points.sort_unstable_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let mut area = 0.0;
    let mut ceiling = reference[1];
    for point in points {
        if point[1] < ceiling {
            area += (reference[0] - point[0]) * (ceiling - point[1]);
            ceiling = point[1];
        }
    }
    area
}

fn three(points: impl Iterator<Item = [f64; 3]>, reference: &[f64]) -> f64 {
    let mut points: Vec<[f64; 3]> = points.collect();
    points.sort_unstable_by(|a, b| a[2].total_cmp(&b[2]));
    let mut steps = Staircase::default();
    let (mut volume, mut area) = (0.0, 0.0);
    let mut level = reference[2];
    for point in points {
        if steps.covers(point[0], point[1]) {
            continue;
        }
        if area > 0.0 {
            volume += area * (point[2] - level);
        }
        level = point[2];
        area += steps.insert_under(point[0], point[1], reference[0], reference[1]);
    }
    volume + area * (reference[2] - level)
}

fn owned(points: &[&[f64]]) -> Vec<Vec<f64>> {
    points.iter().map(|p| p.to_vec()).collect()
}

/// The sum of what each point dominates that none after it does.
fn wfg(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let last = reference.len() - 1;
    let mut front = non_dominated(points);
    if reference.len() == 3 {
        let front = front.iter().map(|p| [p[0], p[1], p[2]]);
        return three(front, reference);
    }
    // The worst first: what remains of others beneath it collapses most, and
    // after it all others are below it in the last objective, which then is a
    // factor (slicing).
    front.sort_unstable_by(|a, b| b[last].total_cmp(&a[last]));
    let mut volume = 0.0;
    for (nth, point) in front.iter().enumerate() {
        let height = reference[last] - point[last];
        let inclusive: f64 = (0..last).map(|i| reference[i] - point[i]).product();
        let beneath: Vec<Vec<f64>> = front[nth + 1..]
            .iter()
            .map(|other| (0..last).map(|i| other[i].max(point[i])).collect())
            .collect();
        volume += height * (inclusive - wfg(&beneath, &reference[..last]));
    }
    volume
}

/// The distinct points that no other dominates.
fn non_dominated(points: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let ranks = ranks(points);
    let mut front: Vec<Vec<f64>> = points
        .iter()
        .zip(ranks)
        .filter(|(_, rank)| *rank == 0)
        .map(|(point, _)| point.clone())
        .collect();
    front.sort_unstable_by(|a, b| super::sort::lexicographic(a, b));
    front.dedup();
    front
}
