//! Objectives of different units on one scale, after Deb and Jain 2014: 0 at
//! the best value ever seen of each, 1 where the plane through the front's
//! extreme points meets its axis.

/// What an objective must stay below to count as little of a direction.
const LITTLE: f64 = 1e-6;

/// Learns the scale as points come in.
pub(super) struct Normaliser {
    ideal: Vec<f64>,
    /// Relative to the ideal.
    extents: Vec<f64>,
    /// The extreme point along each axis so far.
    extremes: Vec<Vec<f64>>,
}

impl Normaliser {
    pub fn new(objectives: usize) -> Self {
        Normaliser {
            ideal: vec![f64::INFINITY; objectives],
            extents: vec![1.0; objectives],
            extremes: Vec::new(),
        }
    }

    /// Takes in all points considered and, of them, the first front.
    pub fn update(&mut self, all: &[&[f64]], front: &[&[f64]]) {
        for point in all {
            for (best, x) in self.ideal.iter_mut().zip(*point) {
                *best = best.min(*x);
            }
        }
        let axes = self.ideal.len();
        let mut candidates: Vec<Vec<f64>> = front.iter().map(|p| p.to_vec()).collect();
        candidates.append(&mut self.extremes);
        let beyond = |point: &[f64], axis: usize| point[axis] - self.ideal[axis];
        // The achievement scalarising function of an axis.
        let reach = |point: &[f64], axis: usize| {
            let along = |i: usize| beyond(point, i) / if i == axis { 1.0 } else { LITTLE };
            (0..axes).map(along).fold(f64::NEG_INFINITY, f64::max)
        };
        let extreme = |axis: usize| {
            let least = candidates
                .iter()
                .min_by(|a, b| reach(a, axis).total_cmp(&reach(b, axis)));
            least.cloned()
        };
        self.extremes = (0..axes).filter_map(extreme).collect();
        let plane: Vec<Vec<f64>> = self
            .extremes
            .iter()
            .map(|p| (0..axes).map(|i| beyond(p, i)).collect())
            .collect();
        // The front's own extent where the plane is degenerate.
        let widest = |points: &[&[f64]], axis: usize| {
            let extents = points.iter().map(|p| beyond(p, axis));
            extents.fold(0.0, f64::max)
        };
        let crossed = intercepts(plane);
        self.extents = (0..axes)
            .map(|axis| {
                let crossing = crossed.as_ref().map_or(f64::NAN, |c| c[axis]);
                let (front, all) = (widest(front, axis), widest(all, axis));
                let sensible = crossing.is_finite() && crossing > LITTLE * all && crossing <= all;
                match (sensible, front > 0.0, all > 0.0) {
                    (true, _, _) => crossing,
                    (false, true, _) => front,
                    (false, false, true) => all,
                    (false, false, false) => 1.0,
                }
            })
            .collect();
    }

    pub fn normalised(&self, point: &[f64]) -> Vec<f64> {
        let scaled = point.iter().zip(&self.ideal).zip(&self.extents);
        scaled
            .map(|((x, best), extent)| (x - best) / extent)
            .collect()
    }
}

/// Where the plane through as many points as axes meets each axis: by Gaussian
/// elimination; none where there is no such plane.
fn intercepts(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = rows.len();
    for row in &mut rows {
        row.push(1.0);
    }
    for column in 0..n {
        let pivot =
            (column..n).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        rows.swap(column, pivot);
        if rows[column][column].abs() < f64::MIN_POSITIVE {
            return None;
        }
        let row = rows[column].clone();
        for (_, other) in rows.iter_mut().enumerate().filter(|(i, _)| *i != column) {
            let factor = other[column] / row[column];
            for (x, y) in other.iter_mut().zip(&row) {
                *x -= factor * y;
            }
        }
    }
    Some((0..n).map(|i| rows[i][i] / rows[i][n]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_of_other_units_becomes_the_unit_simplex() {
        let points = [[10.0, 1.0, 300.0], [20.0, 0.5, 300.0], [10.0, 0.5, 500.0]];
        let points: Vec<&[f64]> = points.iter().map(|p| p.as_slice()).collect();
        let mut normaliser = Normaliser::new(3);
        normaliser.update(&points, &points);
        let unit = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]];
        for (point, unit) in points.iter().zip(unit) {
            let scaled = normaliser.normalised(point);
            let apart = scaled.iter().zip(unit).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f64::max) < 1e-12, "{scaled:?}");
        }
    }

    #[test]
    fn a_degenerate_front_is_still_finite() {
        let same: [&[f64]; 3] = [&[1.0, 2.0], &[1.0, 2.0], &[1.0, 2.0]];
        let mut normaliser = Normaliser::new(2);
        normaliser.update(&same, &same);
        assert_eq!(normaliser.normalised(same[0]), [0.0, 0.0]);
    }
}
