//! Predictors that know the network's arithmetic and little of the device:
//! multiply-accumulates or parameters times a constant, and a roofline
//! (Williams et al. 2009, "Roofline: an insightful visual performance model").

use super::{Baseline, World};

/// Latency proportional to one count, which is also a mere ranking where
/// nothing was measured. The factor is fitted in logarithms.
pub struct Proportional<'a>(pub &'a [f64]);

impl Baseline for Proportional<'_> {
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64> {
        let ratios = rows
            .iter()
            .zip(latency_ms)
            .map(|(i, y)| (y / self.0[*i].max(1.0)).ln());
        let factor = (ratios.sum::<f64>() / rows.len().max(1) as f64).exp();
        self.0.iter().map(|x| x.max(1.0) * factor).collect()
    }
}

/// Every kernel takes the longer of its arithmetic and its traffic. The two
/// parameters, throughput and bandwidth, are fitted to the measurements in
/// relative error: for each ratio of the two on a grid, the best speed is a
/// mean of logarithms. Launches and overheads are not modelled.
pub struct Roofline<'a>(pub &'a World);

/// Multiply-accumulates a byte at which the roof bends, tried in this range.
const RIDGE_POINTS: std::ops::RangeInclusive<i32> = -4..=12;
/// Where nothing is measured: about a desktop CPU.
const TYPICAL_RIDGE_POINT: i32 = 3;

impl Roofline<'_> {
    /// Time of each row in bytes' worth, where a byte is worth
    /// `2^ridge_point` multiply-accumulates.
    fn times(&self, rows: &mut dyn Iterator<Item = usize>, ridge_point: i32) -> Vec<f64> {
        let worth: Vec<f64> = self
            .0
            .kernels
            .iter()
            .map(|k| {
                let bytes = k.input_bytes + k.output_bytes + k.weight_bytes;
                bytes.max(k.macs / f64::from(ridge_point).exp2())
            })
            .collect();
        rows.map(|i| {
            let sum: f64 = self.0.sequences[i].iter().map(|k| worth[*k as usize]).sum();
            sum.max(1.0)
        })
        .collect()
    }
}

impl Baseline for Roofline<'_> {
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64> {
        let fit = |ridge_point: i32| {
            let times = self.times(&mut rows.iter().copied(), ridge_point);
            let logs: Vec<f64> = times
                .iter()
                .zip(latency_ms)
                .map(|(t, y)| (y / t).ln())
                .collect();
            let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
            let error: f64 = logs.iter().map(|l| (l - mean).powi(2)).sum();
            (error, mean)
        };
        let best = if rows.is_empty() {
            TYPICAL_RIDGE_POINT
        } else {
            RIDGE_POINTS
                .min_by(|a, b| fit(*a).0.total_cmp(&fit(*b).0))
                .expect("a range that is not empty")
        };
        let speed = fit(best).1.exp();
        self.times(&mut (0..self.0.len()), best)
            .into_iter()
            .map(|t| t * speed)
            .collect()
    }
}
