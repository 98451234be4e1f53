//! How good a calibrated model is on further measurements, and the ceiling
//! that noise sets: how well repeats of the same measurements agree.

use serde::{Deserialize, Serialize};

use super::device_model::Estimate;
use super::metrics::{Agreement, agreement};

/// Predictions beside measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub networks: usize,
    pub agreement: Agreement,
    /// Share of measurements inside the 90 % intervals.
    pub coverage: f64,
    /// Median of upper over lower end of the intervals.
    pub interval_ratio: f64,
    /// Networks outside the range of the calibration.
    pub extrapolated: usize,
}

/// Judges estimates by measurements in the same order; `None` without any.
///
/// # Panics
/// When the lengths differ.
pub fn judge(estimates: &[Estimate], measured: &[f64]) -> Option<Judgement> {
    assert_eq!(estimates.len(), measured.len());
    if measured.is_empty() {
        return None;
    }
    let values: Vec<f64> = estimates.iter().map(|e| e.value).collect();
    let mut ratios: Vec<f64> = estimates
        .iter()
        .map(|e| e.high / e.low.max(1e-9 * e.high))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let covered = estimates
        .iter()
        .zip(measured)
        .filter(|(e, m)| (e.low..=e.high).contains(*m))
        .count();
    Some(Judgement {
        networks: measured.len(),
        agreement: agreement(&values, measured),
        coverage: covered as f64 / measured.len() as f64,
        interval_ratio: ratios[ratios.len() / 2],
        extrapolated: estimates.iter().filter(|e| !e.notes.is_empty()).count(),
    })
}

/// How well repeats agree: no predictor can be expected to agree better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Networks measured at least twice.
    pub networks: usize,
    /// Spearman's correlation of the first with the second measurement.
    pub spearman: f64,
    /// Median of their relative difference.
    pub median_gap: f64,
}

/// The ceiling from repeated measurements, one list a network; `None` where
/// fewer than three networks have two.
pub fn ceiling(repeats: &[Vec<f64>]) -> Option<Ceiling> {
    let (first, second): (Vec<f64>, Vec<f64>) = repeats
        .iter()
        .filter(|r| r.len() > 1)
        .map(|r| (r[0], r[1]))
        .unzip();
    if first.len() < 3 {
        return None;
    }
    let mut gaps: Vec<f64> = first
        .iter()
        .zip(&second)
        .map(|(a, b)| 2.0 * (a - b).abs() / (a + b))
        .collect();
    gaps.sort_by(f64::total_cmp);
    Some(Ceiling {
        networks: first.len(),
        spearman: crate::correlation::spearman(&first, &second)?,
        median_gap: gaps[gaps.len() / 2],
    })
}

/// Values grouped by name, in the order of first appearance.
pub fn by_name<'a>(rows: impl Iterator<Item = (&'a str, f64)>) -> Vec<Vec<f64>> {
    let mut index = std::collections::HashMap::new();
    let mut groups: Vec<Vec<f64>> = Vec::new();
    for (name, value) in rows {
        let at = *index.entry(name).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[at].push(value);
    }
    groups
}
