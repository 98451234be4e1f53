//! Which points of a set no other point beats, all objectives minimised, and
//! the hypervolume of two. Small and general: the store's front and the
//! strategies stand on it, and it on nothing.

use std::cmp::Ordering;

/// Whether `a` is at least as small as `b` in every objective and smaller in
/// one. All objectives are minimised; negate those to be maximised.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Indices of the non-dominated points, ordered by their first objective (then
/// the next ones). Equal points are all kept; points with a NaN never are.
///
/// With two objectives this takes `O(n log n)`; with more it compares each
/// point with the front so far.
pub fn front<const N: usize>(points: &[[f64; N]]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len())
        .filter(|i| points[*i].iter().all(|x| !x.is_nan()))
        .collect();
    order.sort_by(|a, b| lexicographic(&points[*a], &points[*b]).then(a.cmp(b)));
    let mut kept: Vec<usize> = Vec::new();
    for index in order {
        let point = &points[index];
        // A point can only be dominated by one that comes earlier in this
        // order; with two objectives the latest kept one has the least second
        // objective of all, so it alone decides.
        let dominated = match N {
            2 => kept.last().is_some_and(|k| dominates(&points[*k], point)),
            _ => kept.iter().any(|k| dominates(&points[*k], point)),
        };
        if !dominated {
            kept.push(index);
        }
    }
    kept
}

/// [`front`] of points whose number of objectives is known only when running.
/// Points with a NaN never belong to it.
pub fn front_of(points: &[&[f64]]) -> Vec<usize> {
    let pairs: Option<Vec<[f64; 2]>> = points.iter().map(|p| (*p).try_into().ok()).collect();
    if let Some(pairs) = pairs {
        return front(&pairs);
    }
    let mut order: Vec<usize> = (0..points.len())
        .filter(|i| points[*i].iter().all(|x| !x.is_nan()))
        .collect();
    order.sort_by(|a, b| lexicographic(points[*a], points[*b]).then(a.cmp(b)));
    let mut kept: Vec<usize> = Vec::new();
    for index in order {
        if !kept.iter().any(|k| dominates(points[*k], points[index])) {
            kept.push(index);
        }
    }
    kept
}

fn lexicographic(a: &[f64], b: &[f64]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(x, y)| x.partial_cmp(y).unwrap_or(Ordering::Equal))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The area dominated by a set of two-objective points and bounded by a
/// reference point; points beyond the reference add nothing.
pub fn hypervolume_2d(points: &[[f64; 2]], reference: [f64; 2]) -> f64 {
    let mut inside: Vec<[f64; 2]> = points
        .iter()
        .copied()
        .filter(|p| p[0] < reference[0] && p[1] < reference[1])
        .collect();
    inside.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let mut area = 0.0;
    let mut ceiling = reference[1];
    for [x, y] in inside {
        if y < ceiling {
            area += (reference[0] - x) * (ceiling - y);
            ceiling = y;
        }
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_definition<const N: usize>(points: &[[f64; N]]) -> Vec<usize> {
        (0..points.len())
            .filter(|i| !points.iter().any(|p| dominates(p, &points[*i])))
            .collect()
    }

    #[test]
    fn a_staircase_keeps_its_corners() {
        let points = [[1.0, 5.0], [2.0, 5.0], [2.0, 3.0], [3.0, 4.0], [4.0, 1.0]];
        assert_eq!(front(&points), [0, 2, 4]);
        assert_eq!(front::<2>(&[]), [0; 0]);
        assert_eq!(front(&[[f64::NAN, 0.0], [1.0, 1.0], [1.0, 1.0]]), [1, 2]);
    }

    proptest! {
        // A coarse grid, so that ties and repeated points are common.
        #[test]
        fn two_objectives_match_the_definition(raw in prop::collection::vec((0u8..8, 0u8..8), 0..40)) {
            let points: Vec<[f64; 2]> = raw.iter().map(|(a, b)| [f64::from(*a), f64::from(*b)]).collect();
            let mut found = front(&points);
            found.sort_unstable();
            prop_assert_eq!(found, by_definition(&points));
        }

        #[test]
        fn three_objectives_match_the_definition(raw in prop::collection::vec((0u8..5, 0u8..5, 0u8..5), 0..40)) {
            let points: Vec<[f64; 3]> = raw.iter().map(|(a, b, c)| [*a, *b, *c].map(f64::from)).collect();
            let mut found = front(&points);
            found.sort_unstable();
            prop_assert_eq!(found, by_definition(&points));
        }
    }
}
