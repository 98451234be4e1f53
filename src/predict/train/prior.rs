//! The prior over hypotheses, by expectation maximisation of the marginal
//! likelihood over training devices.

use rayon::prelude::*;

use super::episodes::episodes;
use super::{Measured, TrainOptions};
use crate::predict::basis::Basis;
use crate::predict::posterior::{HyperPrior, N_HYPOTHESES};
use crate::predict::protocol::split;

/// Share of the learned prior spread evenly, so that nothing is impossible.
const PRIOR_SMOOTHING: f64 = 0.1;
const EM_ROUNDS: usize = 3;

pub(super) fn learn_prior(
    measured: &[&Measured],
    known: &[Basis],
    options: &TrainOptions,
) -> HyperPrior {
    let episodes = episodes(measured, known, |space| split(space).train);
    let mut prior = HyperPrior::uniform();
    for _ in 0..EM_ROUNDS {
        let counts: Vec<(Vec<f64>, Vec<f64>)> = episodes
            .par_iter()
            .enumerate()
            .map(|(index, episode)| {
                let mut home = vec![0.0; N_HYPOTHESES];
                let mut away = vec![0.0; N_HYPOTHESES];
                let mut strangers = episode.away.clone();
                strangers.push(Basis::generic());
                for draw in 0..options.draws {
                    let seed = options.seed ^ ((index as u64 + 1) << 32) ^ draw as u64;
                    let rows = episode.draw(options.references, seed);
                    episode.count(
                        std::slice::from_ref(&episode.home),
                        &prior,
                        &rows,
                        &mut home,
                    );
                    episode.count(&strangers, &prior, &rows, &mut away);
                }
                (home, away)
            })
            .collect();
        let log_mean = |rows: Vec<&Vec<f64>>| -> Vec<f64> {
            let total: f64 = rows.iter().flat_map(|r| r.iter()).sum();
            let even = PRIOR_SMOOTHING / N_HYPOTHESES as f64;
            (0..N_HYPOTHESES)
                .map(|cell| {
                    let weight = rows.iter().map(|r| r[cell]).sum::<f64>() / total.max(1e-300);
                    ((1.0 - PRIOR_SMOOTHING) * weight + even).ln()
                })
                .collect()
        };
        prior = HyperPrior {
            home: log_mean(counts.iter().map(|c| &c.0).collect()),
            away: log_mean(counts.iter().map(|c| &c.1).collect()),
        };
    }
    prior
}
