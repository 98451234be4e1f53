//! Statistics of latencies. Latencies are skewed, with a long tail of
//! interruptions, so everything here rests on ranks: medians, intervals of
//! medians, absolute deviations from medians.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};
use statrs::statistics::{Data, OrderStatistics};

use super::ProbeError;

/// A sample counts as an outlier when it is further from the median than this
/// many (normal-consistent) median absolute deviations: the modified z-score of
/// Iglewicz and Hoaglin (1993) with their threshold.
pub const OUTLIER_Z: f64 = 3.5;

/// What a set of latencies amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many samples it sums up.
    pub samples: usize,
    pub median_ms: f64,
    /// Distribution-free 95 % interval of the median; the range for fewer than
    /// six samples, which cover less.
    pub ci95_ms: (f64, f64),
    /// 5th percentile: nearly the fastest, and robust against a lucky sample.
    pub p05_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// Median absolute deviation from the median, not rescaled.
    pub mad_ms: f64,
    /// Samples beyond [`OUTLIER_Z`]. They are counted, never removed: an
    /// interruption is part of the device's behaviour and the median bears it.
    pub outliers: usize,
}

impl Summary {
    /// # Errors
    /// When there are no samples, or one is not a positive finite number.
    pub fn of(samples_ms: &[f64]) -> Result<Self, ProbeError> {
        if samples_ms.is_empty() {
            return Err(ProbeError::BadSample {
                value_ms: f64::NAN,
                reason: "there are no samples",
            });
        }
        for &value_ms in samples_ms {
            check_sample(value_ms)?;
        }
        let median_ms = median(samples_ms);
        let deviations: Vec<f64> = samples_ms.iter().map(|s| (s - median_ms).abs()).collect();
        let mad_ms = median(&deviations);
        // A coarse clock can make most samples equal; then a thousandth of the
        // median stands in for a deviation of zero.
        let scale = (1.4826 * mad_ms).max(1e-3 * median_ms);
        Ok(Summary {
            samples: samples_ms.len(),
            median_ms,
            ci95_ms: median_ci95(samples_ms),
            p05_ms: Data::new(samples_ms.to_vec()).quantile(0.05),
            p95_ms: Data::new(samples_ms.to_vec()).quantile(0.95),
            mad_ms,
            outliers: deviations
                .iter()
                .filter(|d| **d > OUTLIER_Z * scale)
                .count(),
        })
    }

    /// Half the interval's width as a fraction of the median.
    pub fn relative_half_width(&self) -> f64 {
        (self.ci95_ms.1 - self.ci95_ms.0) / 2.0 / self.median_ms
    }
}

/// # Errors
/// When a latency is not a positive finite number.
pub fn check_sample(value_ms: f64) -> Result<(), ProbeError> {
    let reason = if !value_ms.is_finite() {
        "it is not a finite number"
    } else if value_ms <= 0.0 {
        "it is not positive"
    } else {
        return Ok(());
    };
    Err(ProbeError::BadSample { value_ms, reason })
}

/// The median; NaN for no values.
pub fn median(values: &[f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    Data::new(values.to_vec()).median()
}

/// The order statistics that enclose the median of the underlying distribution
/// with probability at least 95 %, whatever that distribution is: the number of
/// samples below the median is binomial with probability one half.
pub fn median_ci95(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let below = Binomial::new(0.5, n as u64).expect("one half is a probability");
    // The smallest k with P(B <= k) >= 2.5 %: so P(B <= k - 1) < 2.5 %, and the
    // k-th smallest and k-th largest samples enclose the median.
    let k = (below.inverse_cdf(0.025) as usize).max(1);
    (sorted[k - 1], sorted[n - k])
}

/// Spearman's rank correlation. `None` for fewer than three pairs, of which it
/// says nothing, or where one side is constant.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    match a.len() < 3 {
        true => None,
        false => crate::correlation::spearman(a, b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_uses_the_tabulated_order_statistics() {
        // Conover, Practical Nonparametric Statistics: n = 6 takes the extremes,
        // n = 20 the 6th and 15th, n = 100 the 40th and 61st.
        for (n, low, high) in [(6, 1.0, 6.0), (20, 6.0, 15.0), (100, 40.0, 61.0)] {
            let values: Vec<f64> = (1..=n).rev().map(f64::from).collect();
            assert_eq!(median_ci95(&values), (low, high), "n = {n}");
        }
        assert_eq!(median_ci95(&[3.0, 1.0]), (1.0, 3.0));
        assert_eq!(median_ci95(&[2.0]), (2.0, 2.0));
    }

    #[test]
    fn the_interval_covers_the_median_as_often_as_it_claims() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let covered = (0..2000)
            .filter(|_| {
                // Exponential latencies, median ln 2.
                let values: Vec<f64> = (0..25)
                    .map(|_| -(1.0 - rng.random_range(0.0..1.0f64)).ln())
                    .collect();
                let (low, high) = median_ci95(&values);
                low <= std::f64::consts::LN_2 && std::f64::consts::LN_2 <= high
            })
            .count();
        // Exactly 95.7 % for n = 25; three standard errors are 1.4 %.
        assert!((1885..=1942).contains(&covered), "{covered} of 2000");
    }

    #[test]
    fn an_interruption_is_an_outlier_and_hardly_moves_the_median() {
        let mut samples: Vec<f64> = (0..20).map(|i| 1.0 + 0.01 * f64::from(i % 5)).collect();
        samples[7] = 9.0;
        let summary = Summary::of(&samples).unwrap();
        assert_eq!(summary.outliers, 1);
        assert!((summary.median_ms - 1.02).abs() < 0.011);
        let equal = Summary::of(&[2.0, 2.0, 2.0, 2.0, 2.0, 2.1]).unwrap();
        assert_eq!((equal.mad_ms, equal.outliers), (0.0, 1));
    }

    #[test]
    fn absurd_latencies_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            assert!(Summary::of(&[1.0, bad]).is_err(), "{bad}");
        }
        insta::assert_snapshot!(
            Summary::of(&[1.0, -2.5]).unwrap_err(),
            @"a latency of -2.5 ms is no measurement (it is not positive); check the clock and the engine, and measure again"
        );
        assert!(Summary::of(&[]).is_err());
    }

    #[test]
    fn spearman_shares_ranks_among_ties() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(spearman(&a, &[2.0, 4.0, 8.0, 16.0, 32.0]), Some(1.0));
        assert_eq!(spearman(&a, &[5.0, 4.0, 3.0, 2.0, 1.0]), Some(-1.0));
        // scipy.stats.spearmanr([1,2,3,4,5], [1,2,2,4,3]) = 0.87208
        let tied = spearman(&a, &[1.0, 2.0, 2.0, 4.0, 3.0]).unwrap();
        assert!((tied - 0.87208).abs() < 1e-5, "{tied}");
        assert_eq!(spearman(&a, &[1.0; 5]), None);
        assert_eq!(spearman(&[1.0, 2.0], &[1.0, 2.0]), None);
    }
}
