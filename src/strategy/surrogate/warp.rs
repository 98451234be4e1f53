//! Losses as normal scores and back: the k-th least of n becomes the normal
//! quantile of its rank. A few failures far behind the rest then do not decide
//! what the model thinks of the best.

/// A monotone map learned from losses, or from any numbers whose ranks count.
#[derive(Debug, Clone)]
pub(in crate::strategy) struct Warp {
    /// Distinct losses, ascending, with their scores.
    knots: Vec<(f64, f64)>,
}

impl Warp {
    /// Of finite losses.
    pub fn of(losses: &[f64]) -> Self {
        let mut sorted = losses.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len() as f64;
        let mut knots: Vec<(f64, f64)> = Vec::new();
        let mut start = 0;
        while start < sorted.len() {
            let same = sorted[start..].iter().take_while(|l| **l == sorted[start]);
            let count = same.count();
            // Equal losses share the middle of their ranks.
            let rank = start as f64 + 0.5 * count as f64;
            knots.push((sorted[start], quantile(rank / n)));
            start += count;
        }
        Warp { knots }
    }

    /// The score of a loss; losses beyond the ends get those of the ends, and
    /// what is no number none.
    pub fn score(&self, loss: f64) -> f64 {
        if loss.is_nan() {
            return loss;
        }
        interpolate(&self.knots, loss, |k| k.0, |k| k.1)
    }

    /// The loss of a score. Below the least loss it goes on at the slope of the
    /// best tenth, and not below `floor`.
    pub fn loss(&self, score: f64, floor: f64) -> f64 {
        let [first, .., last] = self.knots[..] else {
            return self.knots.first().map_or(f64::NAN, |k| k.0);
        };
        if score >= first.1 {
            return interpolate(&self.knots, score.min(last.1), |k| k.1, |k| k.0);
        }
        let tenth = self.knots[(self.knots.len() / 10).clamp(1, self.knots.len() - 1)];
        let slope = (tenth.0 - first.0) / (tenth.1 - first.1);
        (first.0 + slope * (score - first.1)).max(floor)
    }
}

/// Piecewise linear through knots that ascend in both coordinates.
fn interpolate(
    knots: &[(f64, f64)],
    at: f64,
    from: impl Fn(&(f64, f64)) -> f64,
    to: impl Fn(&(f64, f64)) -> f64,
) -> f64 {
    let next = knots.partition_point(|k| from(k) < at);
    match (next.checked_sub(1).map(|i| &knots[i]), knots.get(next)) {
        (Some(a), Some(b)) => {
            let share = (at - from(a)) / (from(b) - from(a));
            to(a) + share * (to(b) - to(a))
        }
        (Some(end), None) | (None, Some(end)) => to(end),
        (None, None) => f64::NAN,
    }
}

/// The standard normal distribution function, by the error function's rational
/// approximation (Abramowitz and Stegun 7.1.26, error below 1e-6).
pub(in crate::strategy) fn normal(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let upper = 0.5 * poly * (-x * x).exp();
    if z > 0.0 { 1.0 - upper } else { upper }
}

/// The standard normal density.
pub(in crate::strategy) fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The standard normal quantile, to about three decimals (Abramowitz and Stegun
/// 26.2.23), which is plenty for ranks.
fn quantile(p: f64) -> f64 {
    let p = p.clamp(1e-9, 1.0 - 1e-9);
    // Symmetric, so that the tail that matters is computed without loss.
    if p > 0.5 {
        return -quantile(1.0 - p);
    }
    let t = (-2.0 * p.ln()).sqrt();
    let ratio = (2.515_517 + t * (0.802_853 + t * 0.010_328))
        / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    -(t - ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_keep_the_order_and_come_back() {
        let losses = [0.9, 0.3, 0.5, 0.3, 0.4, 0.99, 0.35];
        let warp = Warp::of(&losses);
        for loss in losses {
            assert!((warp.loss(warp.score(loss), 0.0) - loss).abs() < 1e-9);
        }
        assert!(warp.score(0.3) < warp.score(0.32));
        // Beyond the best it goes on, to the floor.
        let best = warp.score(0.3);
        let beyond = warp.loss(best - 0.5, 0.0);
        assert!(beyond < 0.3 && beyond > 0.0);
        assert_eq!(warp.loss(best - 100.0, 0.1), 0.1);
        assert_eq!(warp.loss(best + 100.0, 0.0), 0.99);
    }

    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (z, p) in [
            (0.0, 0.5),
            (1.0, 0.841_345),
            (1.96, 0.975_002),
            (-3.0, 0.001_35),
        ] {
            assert!((normal(z) - p).abs() < 1e-5, "{z}");
            assert!((quantile(p) - z).abs() < 1e-2, "{z}");
        }
    }

    #[test]
    fn few_or_equal_losses_are_no_trouble() {
        assert_eq!(Warp::of(&[0.5, 0.5]).loss(0.3, 0.0), 0.5);
        assert!(Warp::of(&[0.5]).score(0.7).abs() < 1e-3);
        assert!(Warp::of(&[]).loss(0.0, 0.0).is_nan());
    }
}
