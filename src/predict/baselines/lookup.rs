//! Layer-wise look-up tables, as ProxylessNAS (Cai et al., arXiv 1812.00332)
//! and nn-Meter (Zhang et al. 2021) use them: a latency is the sum of its fused
//! kernels' latencies. Theirs come from timing each kernel; ours are recovered
//! from whole networks by non-negative least squares in relative error, as that
//! is all a user measures here. Kernels no reference contains are priced by a
//! line through work (multiply-accumulates and bytes), towards which the
//! others are shrunk.

use super::{Baseline, World, floored_logs};
use crate::predict::metrics::spearman;

/// Fitted to the measurements of the new device alone.
pub struct LookupTable<'a>(pub &'a World);

/// Weight of the line against a kernel's own price.
const SHRINKAGE: f64 = 0.05;
const SWEEPS: usize = 400;

impl Baseline for LookupTable<'_> {
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64> {
        sum_of_prices(self.0, &prices(self.0, rows, latency_ms, SWEEPS))
    }
}

fn sum_of_prices(world: &World, prices: &[f64]) -> Vec<f64> {
    world
        .sequences
        .iter()
        .map(|s| s.iter().map(|k| prices[*k as usize]).sum::<f64>().max(1e-9))
        .collect()
}

/// A price in milliseconds for every kernel of the table.
fn prices(world: &World, rows: &[usize], latency_ms: &[f64], sweeps: usize) -> Vec<f64> {
    let mut prior = work(world);
    // The line's slope: mean ratio of latency to work.
    let worked = sum_of_prices(world, &prior);
    let slope = rows
        .iter()
        .zip(latency_ms)
        .map(|(i, y)| (y / worked[*i]).ln());
    let slope = (slope.sum::<f64>() / rows.len().max(1) as f64).exp();
    prior.iter_mut().for_each(|p| *p *= slope);
    // Each kernel's entries (row, count / latency), so that errors are relative.
    let mut entries: Vec<Vec<(u32, f64)>> = vec![Vec::new(); prior.len()];
    for (row, (i, y)) in rows.iter().zip(latency_ms).enumerate() {
        for k in &world.sequences[*i] {
            match entries[*k as usize].last_mut() {
                Some((last, count)) if *last == row as u32 => *count += 1.0 / y,
                _ => entries[*k as usize].push((row as u32, 1.0 / y)),
            }
        }
    }
    let mut price = prior.clone();
    let mut residual: Vec<f64> = vec![1.0; rows.len()];
    for (k, column) in entries.iter().enumerate() {
        for (row, value) in column {
            residual[*row as usize] -= value * price[k];
        }
    }
    // Projected coordinate descent on |residual|² + shrinkage |price/prior - 1|².
    let shrinkage = SHRINKAGE / prior.len() as f64 * rows.len() as f64;
    for _ in 0..sweeps {
        for (k, column) in entries.iter().enumerate().filter(|(_, c)| !c.is_empty()) {
            let pull = shrinkage / prior[k].powi(2);
            let square: f64 = column.iter().map(|(_, v)| v * v).sum();
            let slope: f64 = column
                .iter()
                .map(|(row, v)| v * residual[*row as usize])
                .sum();
            let step = (slope - pull * (price[k] - prior[k])) / (square + pull);
            let moved = (price[k] + step).max(0.0);
            for (row, value) in column {
                residual[*row as usize] -= value * (moved - price[k]);
            }
            price[k] = moved;
        }
    }
    price
}

/// Relative price of a kernel before any measurement: bytes moved, or
/// arithmetic at eight multiply-accumulates a byte.
fn work(world: &World) -> Vec<f64> {
    world
        .kernels
        .iter()
        .map(|k| (k.input_bytes + k.output_bytes + k.weight_bytes + k.macs / 8.0).max(1.0) * 1e-6)
        .collect()
}

/// The look-up table of the known device whose latencies agree best with the
/// measurements (Spearman's correlation, then the tighter ratio), scaled by one
/// factor: what a team does that has profiled other devices. Where nothing is
/// measured, the first device.
pub struct NearestDevice {
    /// Look-up predictions of the known devices.
    tables: Vec<Vec<f64>>,
}

impl NearestDevice {
    pub fn new(world: &World) -> Self {
        // Thinned: prices of kernels do not need every network.
        let step = (world.len() / 1500).max(1);
        let rows: Vec<usize> = (0..world.len()).step_by(step).collect();
        let tables = world.known.iter().map(|latency| {
            let logs = floored_logs(latency);
            let floored: Vec<f64> = rows.iter().map(|i| logs[*i].exp()).collect();
            sum_of_prices(world, &prices(world, &rows, &floored, 60))
        });
        NearestDevice {
            tables: tables.collect(),
        }
    }
}

impl Baseline for NearestDevice {
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64> {
        let ratios = |table: &[f64]| -> Vec<f64> {
            rows.iter()
                .zip(latency_ms)
                .map(|(i, y)| (y / table[*i]).ln())
                .collect()
        };
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let score = |table: &[f64]| {
            let own: Vec<f64> = rows.iter().map(|i| table[*i]).collect();
            let ratios = ratios(table);
            let centre = mean(&ratios);
            let spread = ratios.iter().map(|r| (r - centre).powi(2)).sum::<f64>();
            spearman(&own, latency_ms) - 1e-3 * spread
        };
        let Some(best) = self
            .tables
            .iter()
            .rev()
            .max_by(|a, b| score(a).total_cmp(&score(b)))
        else {
            return Vec::new();
        };
        let factor = mean(&ratios(best)).exp();
        best.iter().map(|t| t * factor).collect()
    }
}
