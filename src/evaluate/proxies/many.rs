//! Many architectures by several proxies, side by side.

use std::time::Instant;

use burn::tensor::Device;

use super::{Proxy, ProxyError, Source, score};
use crate::network::Network;
use crate::workers::in_parallel;

/// What one proxy says of one architecture.
#[derive(Debug)]
pub struct Scored {
    pub score: Result<f64, ProxyError>,
    /// Wall time of one thread.
    pub seconds: f64,
}

impl Scored {
    /// For ranking: a network without a score is the worst.
    pub fn rank_value(&self) -> f64 {
        *self.score.as_ref().unwrap_or(&f64::NEG_INFINITY)
    }
}

/// How to score many.
#[derive(Debug, Clone, Copy)]
pub struct Many<'a> {
    pub proxies: &'a [Proxy],
    pub source: Source<'a>,
    /// Samples in the batch.
    pub batch: usize,
    /// Of the batch and of each network's weights.
    pub seed: u64,
    pub threads: usize,
}

/// Scores each network by every proxy, `threads` networks at a time. `done` is
/// told of each network that is through.
pub fn score_many(
    networks: &[Network],
    many: Many,
    device: &Device,
    done: &(dyn Fn() + Sync),
) -> Vec<Vec<Scored>> {
    in_parallel(networks.len(), many.threads, |index| {
        let network = &networks[index];
        let batch = many.source.batch(network, many.batch, many.seed);
        let scores = many.proxies.iter().map(|proxy| {
            let start = Instant::now();
            let score = match &batch {
                Ok(batch) => score(*proxy, network, batch, many.seed, device),
                Err(error) => Err(ProxyError::Data(*error)),
            };
            Scored {
                score,
                seconds: start.elapsed().as_secs_f64(),
            }
        });
        let scores = scores.collect();
        done();
        scores
    })
}
