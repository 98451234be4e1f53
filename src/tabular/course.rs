//! How good a search was after each of its evaluations, and what several seeds
//! come to in quartiles.

use serde::Serialize;

use super::{Benchmark, Scenario, Truth, handed_over};

/// How good a run was after each of its evaluations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Course {
    pub strategy: String,
    /// None where latency did not matter.
    pub device: Option<String>,
    pub seed: u64,
    /// Rows of the table in the order of evaluation.
    #[serde(skip)]
    pub rows: Vec<usize>,
    /// Share of the exact hypervolume, 0 to 1, of what would be handed over:
    /// the front of true accuracy against predicted latency, at its true
    /// latencies.
    pub handed_over: Vec<f64>,
    /// The same of everything evaluated.
    pub evaluated: Vec<f64>,
    /// Best accuracy so far, 0 to 1.
    pub accuracy: Vec<f64>,
}

/// Scores rows in the order of their evaluation.
pub(super) fn course(
    benchmark: &Benchmark,
    on: Option<(&Scenario<'_>, &Truth)>,
    strategy: &str,
    seed: u64,
    rows: Vec<usize>,
) -> Course {
    let mut course = Course {
        strategy: strategy.into(),
        device: on.map(|(scenario, _)| scenario.device.clone()),
        seed,
        handed_over: Vec::new(),
        evaluated: Vec::new(),
        accuracy: Vec::new(),
        rows: Vec::new(),
    };
    let mut best = 0.0;
    for end in 1..=rows.len() {
        best = f64::max(best, benchmark.accuracy[rows[end - 1]]);
        course.accuracy.push(best);
        if let Some((scenario, truth)) = on {
            let so_far = &rows[..end];
            let predicted = |row: usize| scenario.predicted[row].value;
            let front = handed_over(so_far, &benchmark.accuracy, predicted);
            course.handed_over.push(truth.share(front));
            course.evaluated.push(truth.share(so_far.iter().copied()));
        }
    }
    course.rows = rows;
    course
}

/// First quartile, median and third quartile; infinite where too few runs got
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quartiles {
    pub first: f64,
    pub median: f64,
    pub third: f64,
}

impl Quartiles {
    /// Of values, infinities last; linear between neighbours in rank.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let Some(last) = sorted.len().checked_sub(1) else {
                return f64::NAN;
            };
            let place = share * last as f64;
            let (low, high) = (
                sorted[place.floor() as usize],
                sorted[place.ceil() as usize],
            );
            match low == high {
                // Also where both are infinite.
                true => low,
                false => low + place.fract() * (high - low),
            }
        };
        Quartiles {
            first: at(0.25),
            median: at(0.5),
            third: at(0.75),
        }
    }
}

/// The value of a course after so many evaluations: its last where it ended
/// earlier.
pub fn after(values: &[f64], evaluations: usize) -> f64 {
    let last = values.len().min(evaluations);
    last.checked_sub(1).map_or(0.0, |at| values[at])
}

/// Evaluations until a value is reached, infinite where it never is.
pub fn until(values: &[f64], reached: f64) -> f64 {
    let at = values.iter().position(|value| *value >= reached);
    at.map_or(f64::INFINITY, |at| (at + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_stay_infinite_where_too_few_got_there() {
        let q = Quartiles::of([4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!((q.first, q.median, q.third), (2.0, 3.0, 4.0));
        let q = Quartiles::of([1.0, 2.0, f64::INFINITY]);
        assert_eq!((q.first, q.median, q.third), (1.5, 2.0, f64::INFINITY));
        assert!(Quartiles::of([]).median.is_nan());
    }

    #[test]
    fn a_course_is_read_at_its_checkpoints() {
        let values = [0.2, 0.5, 0.5, 0.9];
        assert_eq!(
            (after(&values, 2), after(&values, 99), after(&[], 1)),
            (0.5, 0.9, 0.0)
        );
        assert_eq!(
            (until(&values, 0.5), until(&values, 0.95)),
            (2.0, f64::INFINITY)
        );
    }
}
