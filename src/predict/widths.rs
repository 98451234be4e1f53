//! How wide 90 % intervals must be. A posterior's deviations are right in their
//! proportions but not in their scale: hypotheses are wrong in ways that their
//! average does not know. So the multiple of the deviations that held 90 % of the
//! errors was learned on devices calibrated as if they were new, for several
//! numbers of measurements, as a function of how far the predictions from the
//! other measurements were off: `multiple = exp(intercept + slope · scale)`. It is
//! conformal prediction with leave-one-out residuals as its scores (Vovk et al.
//! 2005; Barber et al. 2021), whose quantile is not that of ten residuals, which
//! would cover too much by necessity, but one shrunk towards other devices'.

use serde::{Deserialize, Serialize};

/// Standardised errors count at most so much, so that one cannot ruin the scale.
const LARGEST: f64 = 5.0;
/// Weight, in measurements, of a scale of one.
const USUAL: f64 = 1.0;
/// Half of what holds 90 % of a uniform error, in its standard deviations: 0.9 √3.
const UNIFORM_90: f64 = 1.558_845_726_811_989_6;

/// The width learned for one number of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Width {
    pub measurements: usize,
    /// Logarithm of the deviations that hold 90 % where the scale is one.
    pub intercept: f64,
    /// What the logarithm of the scale adds to it.
    pub slope: f64,
}

/// Widths for all numbers of measurements, the fewest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntervalPrior {
    /// Where a table has networks like the measured ones.
    pub home: Vec<Width>,
    /// Where none has.
    pub away: Vec<Width>,
    /// Deviations of known devices that hold 90 % of an unmeasured one's
    /// latencies.
    pub z90_unmeasured: f64,
}

impl Default for IntervalPrior {
    /// As if deviations were right.
    fn default() -> Self {
        let usual = Width {
            measurements: 10,
            intercept: 1.645f64.ln(),
            slope: 0.5,
        };
        IntervalPrior {
            home: vec![usual],
            away: vec![usual],
            z90_unmeasured: 1.645,
        }
    }
}

impl IntervalPrior {
    /// The width for `n` measurements: between those learned, in the logarithm
    /// of their number; beyond them, the nearest.
    pub fn width(&self, home: bool, n: usize) -> Width {
        let all = if home { &self.home } else { &self.away };
        let after = all.partition_point(|w| w.measurements < n);
        let (low, high) = match (after.checked_sub(1), all.get(after)) {
            (Some(before), Some(high)) => (all[before], *high),
            (Some(before), None) => (all[before], all[before]),
            (None, first) => {
                let first = *first.expect("a width was learned");
                (first, first)
            }
        };
        let log = |n: usize| (n.max(1) as f64).ln();
        let at = match high.measurements > low.measurements {
            true => {
                (log(n) - log(low.measurements)) / (log(high.measurements) - log(low.measurements))
            }
            false => 0.0,
        };
        let between = |a: f64, b: f64| a + at * (b - a);
        Width {
            measurements: n,
            intercept: between(low.intercept, high.intercept),
            slope: between(low.slope, high.slope),
        }
    }
}

impl Width {
    /// Deviations that hold 90 % of the errors where the scale is one.
    pub fn z90(&self) -> f64 {
        self.intercept.exp()
    }

    /// What multiplies them where the leave-one-out errors have this scale.
    pub fn factor(&self, log_scale: f64) -> f64 {
        (self.slope * log_scale).exp()
    }
}

/// Logarithm of the root mean square of standardised leave-one-out errors.
pub fn log_scale(standardised: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (USUAL, USUAL);
    for error in standardised {
        sum += error.abs().min(LARGEST).powi(2);
        count += 1.0;
    }
    0.5 * (sum / count).ln()
}

/// Half an interval's width: `reach` that holds 90 % of the errors, and rounding
/// with this standard deviation.
pub fn with_rounding(reach: f64, rounding_sd: f64) -> f64 {
    reach.hypot(UNIFORM_90 * rounding_sd)
}

/// The reach that an error asks for beyond rounding.
pub fn beyond_rounding(error: f64, rounding_variance: f64) -> f64 {
    let rounding = UNIFORM_90 * UNIFORM_90 * rounding_variance;
    (error * error - rounding).max(0.0).sqrt()
}

/// Fits a width to episodes: the logarithm of each one's scale, with the errors
/// it should cover in its deviations. Minimises the pinball loss of the
/// logarithm at 0.9 (quantile regression, Koenker and Bassett 1978), the slope
/// in steps of a tenth.
pub fn fit(measurements: usize, episodes: &[(f64, Vec<f64>)]) -> Option<Width> {
    let points: Vec<(f64, f64)> = episodes
        .iter()
        .flat_map(|(scale, errors)| {
            // Far below the quantile it does not matter how far.
            errors.iter().map(|e| (*scale, e.max(1e-3).ln()))
        })
        .collect();
    if points.is_empty() {
        return None;
    }
    let fitted = (0..=12).map(|step| {
        let slope = f64::from(step) / 10.0;
        let mut rest: Vec<f64> = points.iter().map(|(scale, e)| e - slope * scale).collect();
        let at = (rest.len() - 1) * 9 / 10;
        let (_, intercept, _) = rest.select_nth_unstable_by(at, f64::total_cmp);
        let intercept = *intercept;
        let loss: f64 = rest
            .iter()
            .map(|r| (0.9 * (r - intercept)).max(-0.1 * (r - intercept)))
            .sum();
        let width = Width {
            measurements,
            intercept,
            slope,
        };
        (loss, width)
    });
    fitted
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, width)| width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_and_the_quantile_are_found() {
        // Errors of each device are uniform up to a bound that its scale tells.
        let episodes: Vec<(f64, Vec<f64>)> = (0..40)
            .map(|k| {
                let scale = f64::from(k % 8) / 4.0 - 1.0;
                let bound = 2.0 * (0.7 * scale).exp();
                let errors = (1..=200).map(|i| bound * f64::from(i) / 200.0);
                (scale, errors.collect())
            })
            .collect();
        let width = fit(10, &episodes).unwrap();
        assert!((width.slope - 0.7).abs() < 1e-9, "{width:?}");
        assert!((width.z90() - 1.8).abs() < 0.02, "{width:?}");
        assert_eq!(fit(10, &[]), None);
    }

    #[test]
    fn widths_are_interpolated_between_numbers_of_measurements() {
        let width = |measurements, intercept, slope| Width {
            measurements,
            intercept,
            slope,
        };
        let prior = IntervalPrior {
            home: vec![width(1, 1.0, 0.0), width(4, 0.0, 1.0)],
            ..IntervalPrior::default()
        };
        let of = |n| prior.width(true, n);
        assert_eq!((of(1).intercept, of(9).intercept), (1.0, 0.0));
        assert!((of(2).intercept - 0.5).abs() < 1e-12 && (of(2).slope - 0.5).abs() < 1e-12);
        assert_eq!(prior.width(false, 3).slope, 0.5);
    }

    #[test]
    fn an_interval_of_pure_rounding_is_nine_tenths_of_a_step() {
        let step = 1.0f64;
        let reach = with_rounding(0.0, step / 12f64.sqrt());
        assert!((reach - 0.45 * step).abs() < 1e-12);
        assert_eq!(beyond_rounding(0.44, step / 12.0), 0.0);
        assert!(beyond_rounding(0.5, step / 12.0) > 0.2);
    }
}
