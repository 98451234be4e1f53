//! From probabilities to architectures: the most probable ones, among those of
//! the wanted latency where one is wanted.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;

use super::alphas::Alphas;
use super::latency::ExpectedLatency;
use crate::space::{Architecture, Space};

/// An architecture that a search ended in.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    pub architecture: Architecture,
    /// Of its decisions together, a natural logarithm.
    pub log_probability: f64,
    /// Predicted, where latency was looked at.
    pub latency_ms: Option<f64>,
}

/// Architectures drawn by their probability, as beginnings.
const DRAWS: usize = 64;
/// Steps from each beginning, one decision each.
const STEPS: usize = 40;
/// Beginnings that are led on.
const BEGINNINGS: usize = 8;
/// How far from the target a predicted latency may be, as a share.
const TOLERANCE: f64 = 0.02;
/// Loss of log probability that a deviation of the whole target outweighs.
const DEVIATION: f64 = 1e3;

/// The `count` most probable architectures found. With a latency in ms to meet,
/// the most probable of those within 2 % of it, and where there are none, the
/// nearest.
pub fn derive(
    space: &Space,
    alphas: &Alphas,
    mut latency: Option<(&mut ExpectedLatency, Option<f64>)>,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Derived> {
    let mut beginnings: Vec<Architecture> = alphas.most_probable(space).into_iter().collect();
    for _ in 0..DRAWS {
        beginnings.extend(alphas.sample(space, rng));
    }
    let mut known: HashSet<Architecture> = HashSet::new();
    let mut found: Vec<(f64, Derived)> = Vec::new();
    let mut look = |architecture: &Architecture| -> f64 {
        let log_probability = alphas.log_probability(architecture);
        let (latency_ms, target) = match &mut latency {
            Some((expected, target)) => (Some(expected.of(architecture)), *target),
            None => (None, None),
        };
        let beyond = match (latency_ms, target) {
            (Some(ms), Some(target)) => ((ms / target - 1.0).abs() - TOLERANCE).max(0.0),
            _ => 0.0,
        };
        let score = log_probability - DEVIATION * beyond;
        if known.insert(architecture.clone()) {
            let derived = Derived {
                architecture: architecture.clone(),
                log_probability,
                latency_ms,
            };
            found.push((score, derived));
        }
        score
    };
    let mut scored: Vec<(f64, Architecture)> = beginnings
        .into_iter()
        .map(|architecture| (look(&architecture), architecture))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.dedup_by(|a, b| a.1 == b.1);
    for (mut score, mut at) in scored.into_iter().take(BEGINNINGS) {
        for _ in 0..STEPS {
            let neighbours = space.neighbours(&at, rng).into_iter();
            let next = neighbours
                .map(|neighbour| (look(&neighbour), neighbour))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            match next {
                Some((better, neighbour)) if better > score => (score, at) = (better, neighbour),
                _ => break,
            }
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().take(count).map(|(_, d)| d).collect()
}
