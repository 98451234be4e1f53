//! The evaluation that others can repeat: HELP's protocol (Lee et al. 2021) on
//! the public tables, with ten random reference sets, HELP's fixed one and one
//! we choose, on devices no training saw; and the same on a space whose table
//! was left out of training.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::calibrate::MIN_MEASUREMENTS;
use super::features::Features;
use super::metrics::{Agreement, agreement, spearman};
use super::protocol::split;
use super::train::Measured;
use super::{Options, Predictor};

/// How a device's reference architectures are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum References {
    /// Drawn uniformly with seeds 0 to `sets - 1`.
    Random { sets: usize },
    /// HELP's ten fixed indices.
    Help,
    /// Chosen by [`Predictor::choose_references`] with seeds 0 to `sets - 1`.
    Chosen { sets: usize },
}

/// What one reference set gave on one device, over all other architectures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub agreement: Agreement,
    /// Share of measurements inside the 90 % intervals; NaN where a predictor
    /// gives none.
    pub coverage: f64,
    /// Median of upper over lower end of the intervals; NaN without them.
    pub interval_ratio: f64,
}

/// Scores of one device, one a reference set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceScores {
    pub device: String,
    pub scores: Vec<Score>,
}

/// Calibrates on each test device of a table with `n` references and scores
/// the predictions of every other architecture.
pub fn evaluate(
    predictor: &Predictor,
    measured: &Measured,
    devices: &[&str],
    references: References,
    n: usize,
) -> Vec<DeviceScores> {
    let sets = reference_sets(predictor, measured, references, n);
    evaluate_sets(predictor, measured, devices, &sets)
}

/// [`evaluate`] on reference sets drawn before.
pub fn evaluate_sets(
    predictor: &Predictor,
    measured: &Measured,
    devices: &[&str],
    sets: &[Vec<usize>],
) -> Vec<DeviceScores> {
    devices
        .iter()
        .map(|device| DeviceScores {
            device: device.to_string(),
            scores: sets
                .par_iter()
                .map(|rows| score(predictor, measured, device, rows))
                .collect(),
        })
        .collect()
}

/// The reference sets, as rows of the table. Without measurements all sets
/// are alike, and there is one.
pub fn reference_sets(
    predictor: &Predictor,
    measured: &Measured,
    references: References,
    n: usize,
) -> Vec<Vec<usize>> {
    let total = measured.features.len();
    if n == 0 {
        return vec![Vec::new()];
    }
    match references {
        References::Random { sets } => (0..sets as u64)
            .map(|seed| {
                index::sample(&mut ChaCha8Rng::seed_from_u64(seed), total, n.min(total)).into_vec()
            })
            .collect(),
        References::Help => {
            let fixed = split(measured.table.space).help_references;
            vec![fixed.into_iter().filter(|i| *i < total).take(n).collect()]
        }
        References::Chosen { sets } => (0..sets as u64)
            .map(|seed| predictor.choose_references(&measured.features, n, seed))
            .collect(),
    }
}

/// Scores one calibration on the rows that were not its references.
fn score(predictor: &Predictor, measured: &Measured, device: &str, rows: &[usize]) -> Score {
    let latency = measured.latencies(device);
    if rows.len() < MIN_MEASUREMENTS {
        let known = predictor.unmeasured();
        return score_predictions(latency, rows, |i| {
            let p = known.predict(&measured.features[i]);
            (p.latency_ms, Some((p.low_ms, p.high_ms)))
        });
    }
    let pairs: Vec<(&Features, f64)> = rows
        .iter()
        .map(|i| (&measured.features[*i], latency[*i]))
        .collect();
    let calibrated = predictor
        .calibrate(&pairs, &Options::default())
        .expect("tables hold positive latencies");
    score_predictions(latency, rows, |i| {
        let p = calibrated.predict(&measured.features[i]);
        (p.latency_ms, Some((p.low_ms, p.high_ms)))
    })
}

/// Scores predictions (with their 90 % intervals, where there are any) of all
/// rows but the references.
pub fn score_predictions(
    latency_ms: &[f64],
    references: &[usize],
    predict: impl Fn(usize) -> (f64, Option<(f64, f64)>),
) -> Score {
    let mut held_out = vec![true; latency_ms.len()];
    references.iter().for_each(|i| held_out[*i] = false);
    let (mut predicted, mut truth) = (Vec::new(), Vec::new());
    let (mut covered, mut ratios) = (0usize, Vec::new());
    for i in (0..latency_ms.len()).filter(|i| held_out[*i]) {
        let (prediction, interval) = predict(i);
        predicted.push(prediction);
        truth.push(latency_ms[i]);
        if let Some((low, high)) = interval {
            covered += usize::from((low..=high).contains(&latency_ms[i]));
            ratios.push(high / low);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let coverage = if ratios.is_empty() {
        f64::NAN
    } else {
        covered as f64 / ratios.len() as f64
    };
    Score {
        agreement: agreement(&predicted, &truth),
        coverage,
        interval_ratio: ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN),
    }
}

/// Spearman's correlation of multiply-accumulates alone: the floor.
pub fn macs_spearman(measured: &Measured, device: &str) -> f64 {
    let macs: Vec<f64> = measured.features.iter().map(Features::mega_macs).collect();
    spearman(&macs, measured.latencies(device))
}

/// Means over devices and reference sets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub spearman: f64,
    /// Standard deviation over reference sets of the mean over devices.
    pub spearman_sd: f64,
    /// The lowest mean over devices that a single reference set gave.
    pub worst_set_spearman: f64,
    pub kendall: f64,
    pub mape: f64,
    pub median_ape: f64,
    pub within_10_percent: f64,
    pub coverage: f64,
    /// Median over devices and sets.
    pub interval_ratio: f64,
}

/// Summarises the scores of a table's devices.
pub fn summarise(devices: &[DeviceScores]) -> Summary {
    let all: Vec<&Score> = devices.iter().flat_map(|d| &d.scores).collect();
    let mean =
        |f: &dyn Fn(&Score) -> f64| all.iter().map(|s| f(s)).sum::<f64>() / all.len().max(1) as f64;
    let sets = devices.iter().map(|d| d.scores.len()).min().unwrap_or(0);
    let by_set: Vec<f64> = (0..sets)
        .map(|set| {
            let sum: f64 = devices
                .iter()
                .map(|d| d.scores[set].agreement.spearman)
                .sum();
            sum / devices.len() as f64
        })
        .collect();
    let centre = by_set.iter().sum::<f64>() / sets.max(1) as f64;
    let squares: f64 = by_set.iter().map(|s| (s - centre).powi(2)).sum();
    let mut ratios: Vec<f64> = all.iter().map(|s| s.interval_ratio).collect();
    ratios.sort_by(f64::total_cmp);
    Summary {
        spearman: mean(&|s| s.agreement.spearman),
        spearman_sd: (squares / sets.saturating_sub(1).max(1) as f64).sqrt(),
        worst_set_spearman: by_set.iter().copied().fold(f64::INFINITY, f64::min),
        kendall: mean(&|s| s.agreement.kendall),
        mape: mean(&|s| s.agreement.mape),
        median_ape: mean(&|s| s.agreement.median_ape),
        within_10_percent: mean(&|s| s.agreement.within_10_percent),
        coverage: mean(&|s| s.coverage),
        interval_ratio: ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::predict::tables::TableSpace;

    #[test]
    fn references_are_not_judged_and_intervals_are_counted() {
        let truth = [1.0, 2.0, 3.0, 4.0, 5.0];
        // Row 2 is a reference, and would be far off.
        let predict = |i: usize| (if i == 2 { 99.0 } else { truth[i] }, Some((0.0001, 2.5)));
        let score = score_predictions(&truth, &[2], predict);
        assert_eq!(score.agreement.mape, 0.0);
        assert_eq!(score.agreement.spearman, 1.0);
        assert_eq!(score.coverage, 0.5);
        let none = score_predictions(&truth, &[], |i| (truth[i], None));
        assert!(none.coverage.is_nan() && none.interval_ratio.is_nan());
    }

    #[test]
    fn a_summary_tells_the_spread_and_the_worst_over_reference_sets() {
        let score = |spearman| {
            let mut score = score_predictions(&[1.0, 2.0], &[], |i| (i as f64 + 1.0, None));
            score.agreement.spearman = spearman;
            score
        };
        let device = |a, b| DeviceScores {
            device: "d".into(),
            scores: vec![score(a), score(b)],
        };
        let s = summarise(&[device(0.8, 1.0), device(0.6, 0.8)]);
        assert!((s.spearman - 0.8).abs() < 1e-12);
        assert!((s.worst_set_spearman - 0.7).abs() < 1e-12);
        assert!((s.spearman_sd - 0.02f64.sqrt()).abs() < 1e-12);
        assert!(s.coverage.is_nan());
    }

    #[test]
    fn without_measurements_the_known_devices_speak() {
        let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("predictors/data");
        let measured = Measured::read(&tables, TableSpace::FbNet).unwrap();
        let random = References::Random { sets: 10 };
        let predictor = Predictor::shipped();
        let scores = evaluate(predictor, &measured, &["gold_6240"], random, 0);
        assert_eq!(scores[0].scores.len(), 1);
        let score = scores[0].scores[0];
        assert!(score.agreement.spearman > macs_spearman(&measured, "gold_6240"));
        // As wide as known devices differ: covered, and said to be vague.
        assert!(score.coverage > 0.5 && score.interval_ratio > 4.0);
    }
}
