//! What is exactly known of a benchmark and a device: the front of all
//! architectures, its hypervolume, and the best accuracy under a limit.

use super::Benchmark;
use crate::pareto::{front, hypervolume_2d};

/// The exact front of a device.
#[derive(Debug, Clone)]
pub struct Truth {
    /// `[latency_ms, error]` by row.
    points: Vec<[f64; 2]>,
    /// Rows of the front, the fastest first.
    pub front: Vec<usize>,
    /// `[latency_ms, error]`: the nadir of the exact front, and a tenth of the
    /// front's extent beyond it in both objectives, so that the ends of the
    /// front count too.
    pub reference: [f64; 2],
    /// Hypervolume of the exact front within the reference point.
    pub hypervolume: f64,
}

impl Truth {
    /// # Panics
    /// When the table has no such device.
    pub fn of(benchmark: &Benchmark, device: &str) -> Self {
        let latency = benchmark.measured.latencies(device);
        let points: Vec<[f64; 2]> = latency
            .iter()
            .zip(&benchmark.accuracy)
            .map(|(ms, accuracy)| [*ms, 1.0 - accuracy])
            .collect();
        let front = front(&points);
        let ends = [0, 1].map(|objective| {
            let along = front.iter().map(|row| points[*row][objective]);
            along.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)))
        });
        // A front of one point has no extent: a tenth of its value then.
        let reference = ends.map(|(low, high)| match high > low {
            true => high + 0.1 * (high - low),
            false => 1.1 * high + f64::MIN_POSITIVE,
        });
        let hypervolume = hypervolume_2d(&points, reference);
        Truth {
            points,
            front,
            reference,
            hypervolume,
        }
    }

    /// Share of the exact front's hypervolume that these rows reach, 0 to 1.
    pub fn share(&self, rows: impl IntoIterator<Item = usize>) -> f64 {
        let points: Vec<[f64; 2]> = rows.into_iter().map(|row| self.points[row]).collect();
        hypervolume_2d(&points, self.reference) / self.hypervolume
    }

    /// The best accuracy (0 to 1) of all architectures within a latency limit
    /// in ms; none where nothing keeps it.
    pub fn best_within(&self, limit_ms: f64) -> Option<f64> {
        let within = self.points.iter().filter(|p| p[0] <= limit_ms);
        within.map(|p| 1.0 - p[1]).reduce(f64::max)
    }
}

/// Rows of the front of true accuracy against predicted latency: what a search
/// would hand over before any of it is measured.
pub fn handed_over(
    rows: &[usize],
    accuracy: &[f64],
    predicted_ms: impl Fn(usize) -> f64,
) -> Vec<usize> {
    let points: Vec<[f64; 2]> = rows
        .iter()
        .map(|row| [predicted_ms(*row), 1.0 - accuracy[*row]])
        .collect();
    front(&points).into_iter().map(|at| rows[at]).collect()
}
