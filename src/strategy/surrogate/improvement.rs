//! What a candidate is expected to add to a front of two objectives of which
//! one, the cost, is known before evaluating and the other, the loss, is a
//! guess: the expected hypervolume improvement
//! (Emmerich, Giannakoglou and Naujoks 2006), which is then an integral over
//! one dimension.

/// Losses reached at each cost, as a descending staircase, within a reference
/// point.
#[derive(Debug, Clone)]
pub(in crate::strategy) struct Staircase {
    /// Costs ascending, losses descending.
    steps: Vec<(f64, f64)>,
    /// Cost and loss beyond which nothing counts.
    end: (f64, f64),
}

impl Staircase {
    /// The staircase of `(cost, loss)` points.
    pub fn new(mut points: Vec<(f64, f64)>, end: (f64, f64)) -> Self {
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut steps: Vec<(f64, f64)> = Vec::new();
        for (cost, loss) in points {
            if cost < end.0 && loss < steps.last().map_or(end.1, |s| s.1) {
                steps.push((cost, loss));
            }
        }
        Staircase { steps, end }
    }

    /// The loss to beat at a cost.
    pub fn height(&self, cost: f64) -> f64 {
        let cheaper = self.steps.partition_point(|s| s.0 <= cost);
        match cheaper.checked_sub(1) {
            Some(last) => self.steps[last].1,
            None => self.end.1,
        }
    }

    /// The area that a point adds.
    pub fn gain(&self, cost: f64, loss: f64) -> f64 {
        let mut area = 0.0;
        let mut at = cost;
        let mut height = self.height(cost);
        for (next, lower) in &self.steps[self.steps.partition_point(|s| s.0 <= cost)..] {
            if loss >= height {
                return area;
            }
            area += (next - at) * (height - loss);
            (at, height) = (*next, *lower);
        }
        area + (self.end.0 - at).max(0.0) * (height - loss).max(0.0)
    }
}

/// Standard normal abscissae and their weights: fine enough for tails out to
/// 3.5 standard deviations, where improvements of good fronts lie.
pub(in crate::strategy) fn nodes() -> [(f64, f64); 15] {
    let mut nodes = [(0.0, 0.0); 15];
    let mut sum = 0.0;
    for (index, node) in nodes.iter_mut().enumerate() {
        let z = -3.5 + 0.5 * index as f64;
        *node = (z, (-0.5 * z * z).exp());
        sum += node.1;
    }
    nodes.map(|(z, w)| (z, w / sum))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pareto::hypervolume_2d;

    proptest! {
        #[test]
        fn the_gain_is_the_difference_of_two_hypervolumes(
            points in prop::collection::vec((0u8..12, 0u8..12), 0..12),
            (cost, loss) in (0u8..12, 0u8..12),
        ) {
            let points: Vec<(f64, f64)> =
                points.iter().map(|p| (f64::from(p.0), f64::from(p.1))).collect();
            let new = (f64::from(cost), f64::from(loss));
            let area = |points: &[(f64, f64)]| {
                let points: Vec<[f64; 2]> = points.iter().map(|p| [p.0, p.1]).collect();
                hypervolume_2d(&points, [10.0, 10.0])
            };
            let before = area(&points);
            let mut with = points.clone();
            with.push(new);
            let gain = Staircase::new(points, (10.0, 10.0)).gain(new.0, new.1);
            prop_assert!((gain - (area(&with) - before)).abs() < 1e-9);
        }
    }

    #[test]
    fn the_nodes_integrate_what_a_normal_distribution_does() {
        let moment = |k: i32| nodes().iter().map(|(z, w)| w * z.powi(k)).sum::<f64>();
        assert!((moment(0) - 1.0).abs() < 1e-12);
        assert!(moment(1).abs() < 1e-12);
        assert!((moment(2) - 1.0).abs() < 0.01);
    }
}
