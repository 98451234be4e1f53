//! Interval widths, learned on the training devices without their families and
//! on the validation devices, each counting alike: with their table known and
//! without it, from several numbers of measurements, drawn and chosen.

use rayon::prelude::*;

use super::episodes::{Episode, episodes};
use super::{Measured, TrainOptions};
use crate::predict::basis::Basis;
use crate::predict::features::Features;
use crate::predict::protocol::split;
use crate::predict::widths::{IntervalPrior, Width, fit};
use crate::predict::{Options, Predictor};

/// Numbers of measurements for which widths are learned.
const SIZES: [usize; 6] = [1, 2, 3, 5, 10, 20];
/// Architectures an episode is judged by.
const JUDGED: usize = 250;
/// Architectures to choose references from.
const POOL: usize = 200;

pub(super) fn learn(
    predictor: &Predictor,
    measured: &[&Measured],
    options: &TrainOptions,
) -> IntervalPrior {
    let known = &predictor.bases;
    let mut all = episodes(measured, known, |space| split(space).train);
    all.extend(episodes(measured, known, |space| split(space).validate));
    let usual = IntervalPrior::default();
    let widths = |home: bool| -> Vec<Width> {
        let learned: Vec<Width> = SIZES
            .iter()
            .filter_map(|n| {
                let judged: Vec<(f64, Vec<f64>)> = all
                    .par_iter()
                    .enumerate()
                    .flat_map_iter(|(index, e)| {
                        let stranger = stranger(predictor, e, home);
                        (0..options.draws.div_ceil(6)).flat_map(move |draw| {
                            let seed = options.seed ^ ((index as u64 + 1001) << 32) ^ draw as u64;
                            sets(&stranger, e, *n, seed)
                                .map(|(rows, judged)| errors(&stranger, e, &rows, &judged))
                        })
                    })
                    .collect();
                fit(*n, &judged)
            })
            .collect();
        match learned.is_empty() {
            true => usual.home.clone(),
            false => learned,
        }
    };
    IntervalPrior {
        home: widths(true),
        away: widths(false),
        z90_unmeasured: unmeasured(predictor, &all, options).unwrap_or(usual.z90_unmeasured),
    }
}

/// The predictor as if it did not know the episode's device, nor its table.
fn stranger(predictor: &Predictor, episode: &Episode, home: bool) -> Predictor {
    Predictor {
        bases: home
            .then_some(&episode.home)
            .into_iter()
            .chain(&episode.away)
            .cloned()
            .chain([Basis::generic()])
            .collect(),
        ..predictor.clone()
    }
}

type Rows = Vec<usize>;

/// References drawn and chosen, each with others to judge by.
fn sets(stranger: &Predictor, episode: &Episode, n: usize, seed: u64) -> [(Rows, Rows); 2] {
    let features = &episode.measured.features;
    let mut drawn = episode.draw(n + JUDGED, seed);
    let judged = drawn.split_off(n);
    let pool = episode.draw(POOL.max(n), !seed);
    let candidates: Vec<&Features> = pool.iter().map(|i| &features[*i]).collect();
    let chosen: Rows = stranger
        .choose_references(&candidates, n, seed)
        .into_iter()
        .map(|i| pool[i])
        .collect();
    let others = judged.iter().filter(|i| !chosen.contains(i));
    let others = others.copied().collect();
    [(drawn, judged), (chosen, others)]
}

/// The scale that the references tell, and the errors of the judged in
/// deviations.
fn errors(
    stranger: &Predictor,
    episode: &Episode,
    references: &[usize],
    judged: &[usize],
) -> (f64, Vec<f64>) {
    let latency = episode.measured.latencies(episode.device);
    let features = &episode.measured.features;
    let pairs: Vec<(&Features, f64)> = references
        .iter()
        .map(|i| (&features[*i], latency[*i]))
        .collect();
    let calibrated = stranger
        .calibrate(&pairs, &Options::default())
        .expect("tables hold positive latencies");
    let errors = judged
        .iter()
        .map(|i| calibrated.standardised_error(&features[*i], latency[*i]));
    (calibrated.log_scale, errors.collect())
}

/// Deviations of the known devices that hold 90 % of another's latencies.
fn unmeasured(predictor: &Predictor, episodes: &[Episode], options: &TrainOptions) -> Option<f64> {
    let mut errors: Vec<f64> = episodes
        .par_iter()
        .enumerate()
        .flat_map_iter(|(index, episode)| {
            let known = stranger(predictor, episode, true).unmeasured();
            let latency = episode.measured.latencies(episode.device);
            let rows = episode.draw(JUDGED, options.seed ^ index as u64);
            rows.into_iter().map(move |i| {
                let (mean, sd) = known.log_mean_and_sd(&episode.measured.features[i]);
                (latency[i].ln() - mean).abs() / sd.max(1e-9)
            })
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    errors.get(errors.len().saturating_sub(1) * 9 / 10).copied()
}
