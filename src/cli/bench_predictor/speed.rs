//! How fast meta-training, adaptation and predictions are.

use std::time::Instant;

use miette::IntoDiagnostic;
use serde_json::{Value, json};

use crate::predict::protocol::split;
use crate::predict::tables::TableSpace;
use crate::predict::train::{Measured, TrainOptions, train};
use crate::predict::{Features, Options, Predictor};

/// How fast the predictor is on one table.
pub(super) struct Speed {
    space: TableSpace,
    /// Meta-training on this table alone, on all cores.
    meta_training_s: f64,
    adaptation_ms: f64,
    /// On one core: features of networks, latencies and intervals from
    /// features.
    features_per_s: f64,
    predictions_per_s: f64,
    /// The same, one call a network.
    single_predictions_per_s: f64,
    intervals_per_s: f64,
}

impl Speed {
    pub fn json(&self) -> Value {
        json!({
            "space": self.space.name(),
            "meta_training_s": self.meta_training_s,
            "adaptation_ms": self.adaptation_ms,
            "features_per_s": self.features_per_s,
            "predictions_per_s": self.predictions_per_s,
            "single_predictions_per_s": self.single_predictions_per_s,
            "intervals_per_s": self.intervals_per_s,
        })
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: meta-trains in {:.1} s, adapts in {:.0} ms; a core computes features of {:.0} networks, {:.0} latencies (one by one {:.0}), {:.0} intervals a second",
            self.space.name(),
            self.meta_training_s,
            self.adaptation_ms,
            self.features_per_s,
            self.predictions_per_s,
            self.single_predictions_per_s,
            self.intervals_per_s,
        )
    }
}

/// Times meta-training, adaptation (both on all cores) and prediction.
pub(super) fn speed(
    predictor: &Predictor,
    measured: &[Measured],
    space: TableSpace,
) -> miette::Result<Speed> {
    let start = Instant::now();
    let trained = train(
        measured,
        &TrainOptions {
            spaces: vec![space],
            ..TrainOptions::default()
        },
    );
    let meta_training_s = start.elapsed().as_secs_f64();
    let measured = measured
        .iter()
        .find(|m| m.table.space == space)
        .expect("the table was read");
    let latency = measured.latencies(split(space).validate[0]);
    let pairs: Vec<(&Features, f64)> = (0..10)
        .map(|i| (&measured.features[i], latency[i]))
        .collect();
    // The first call pays for what later calls find warm.
    trained
        .calibrate(&pairs, &Options::default())
        .into_diagnostic()?;
    let start = Instant::now();
    let calibrated = predictor
        .calibrate(&pairs, &Options::default())
        .into_diagnostic()?;
    let adaptation_ms = 1e3 * start.elapsed().as_secs_f64();
    let networks = measured
        .table
        .architectures
        .iter()
        .take(500)
        .map(|text| space.network(text))
        .collect::<Result<Vec<_>, _>>()
        .into_diagnostic()?;
    let per_second = |count: usize, start: Instant| count as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let features: Vec<Features> = networks.iter().map(Features::of).collect();
    let features_per_s = per_second(features.len(), start);
    // By the thousand, as a search asks for a generation or a table.
    let all: Vec<&Features> = measured.features.iter().collect();
    let start = Instant::now();
    let batches = all.chunks(1000).flat_map(|b| calibrated.latencies_ms(b));
    let mut sum: f64 = batches.sum();
    let predictions_per_s = per_second(all.len(), start);
    let start = Instant::now();
    sum += all.iter().map(|f| calibrated.latency_ms(*f)).sum::<f64>();
    let single_predictions_per_s = per_second(all.len(), start);
    let start = Instant::now();
    let reach: f64 = measured
        .features
        .iter()
        .map(|f| calibrated.predict(f).high_ms)
        .sum();
    let intervals_per_s = per_second(measured.features.len(), start);
    // The sums are used, so that no prediction can be optimised away.
    miette::ensure!(
        sum.is_finite() && reach.is_finite(),
        "a prediction is not finite"
    );
    Ok(Speed {
        space,
        meta_training_s,
        adaptation_ms,
        features_per_s,
        predictions_per_s,
        single_predictions_per_s,
        intervals_per_s,
    })
}
