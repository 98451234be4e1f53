//! A cost model that reads the network as text, as work on MLIR does (Das and
//! Mannarswamy, "ML-driven hardware cost model for MLIR", arXiv 2302.11405):
//! one word a kernel, embedded, a convolution over each three words, sum
//! pooling, a regressor. Trained on what the training devices have in common,
//! then calibrated to a device by a line through the measurements.
//!
//! Simplified: a word's embedding is the sum of those of its parts (kind,
//! window and stride, channels in and out, pixels), so that rare words are
//! known; and equal triples are computed once for the whole table, which
//! changes nothing.

use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rustc_hash::FxHashMap;

use super::tape::{Adam, Matrix, Mix, Tape, Var, layer};
use super::{Baseline, World};

const EMBEDDING: usize = 16;
const FILTERS: usize = 24;
const STEPS: usize = 500;
const BATCH: usize = 64;

pub struct TokenModel {
    /// Predicted centred log-latency of every architecture.
    common: Vec<f64>,
}

/// Words of some networks, as mixes of what lies below each.
struct Text {
    /// Words from parts.
    words: Arc<Mix>,
    /// The left, middle and right word of each distinct triple.
    triples: [Arc<Mix>; 3],
    /// How often a network holds each triple, over a hundred.
    networks: Arc<Mix>,
}

impl Text {
    /// `words` holds the parts of each word; the last word stands for an end.
    fn new(words: &[Vec<u32>], sequences: &[&Vec<u32>]) -> Self {
        let end = words.len() as u32 - 1;
        let mut known: FxHashMap<[u32; 3], u32> = FxHashMap::default();
        let mut triples: Vec<[u32; 3]> = Vec::new();
        let networks = Mix::new(sequences.iter().map(|s| {
            let at = |i: isize| {
                usize::try_from(i)
                    .ok()
                    .and_then(|i| s.get(i))
                    .unwrap_or(&end)
            };
            let mut counts: FxHashMap<u32, f32> = FxHashMap::default();
            for i in 0..s.len() as isize {
                let triple = [*at(i - 1), *at(i), *at(i + 1)];
                let next = triples.len() as u32;
                let index = *known.entry(triple).or_insert_with(|| {
                    triples.push(triple);
                    next
                });
                *counts.entry(index).or_insert(0.0) += 0.01;
            }
            let mut counts: Vec<(u32, f32)> = counts.into_iter().collect();
            counts.sort_unstable_by_key(|c| c.0);
            counts
        }));
        let sum = |parts: &Vec<u32>| parts.iter().map(|p| (*p, 1.0)).collect::<Vec<_>>();
        Text {
            words: Arc::new(Mix::new(words.iter().map(sum))),
            triples: [0, 1, 2].map(|k| Arc::new(Mix::new(triples.iter().map(|t| [(t[k], 1.0)])))),
            networks: Arc::new(networks),
        }
    }
}

impl TokenModel {
    pub fn train(world: &World, seed: u64) -> Self {
        let mut parts: FxHashMap<(u8, usize), u32> = FxHashMap::default();
        let mut part = |place: u8, value: usize| {
            let next = parts.len() as u32;
            *parts.entry((place, value)).or_insert(next)
        };
        let mut words: Vec<Vec<u32>> = world
            .kernels
            .iter()
            .map(|k| {
                vec![
                    part(0, k.kind as usize),
                    part(1, 100 * k.window + k.stride),
                    part(2, k.in_channels),
                    part(3, k.out_channels),
                    part(4, k.out_pixels),
                ]
            })
            .collect();
        words.push(vec![part(5, 0)]);
        let n_parts = parts.len();
        let target = world.common_log_latency();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut weights: Vec<Matrix> = [
            layer(&mut rng, EMBEDDING, n_parts),
            layer(&mut rng, FILTERS, 3 * EMBEDDING),
            layer(&mut rng, FILTERS, FILTERS),
            layer(&mut rng, 1, FILTERS),
        ]
        .into_iter()
        .flatten()
        .collect();
        // Embeddings start at half the size of a feature, not by their number.
        let scale = 0.5 * (n_parts as f32 / 6.0).sqrt();
        weights[0] *= scale;
        let mut adam = Adam::new(&weights, 3e-3);
        for step in 0..STEPS {
            adam.set_rate(3e-3 * (1.0 - step as f32 / STEPS as f32));
            let rows = index::sample(&mut rng, world.len(), BATCH.min(world.len())).into_vec();
            let sequences: Vec<&Vec<u32>> = rows.iter().map(|i| &world.sequences[*i]).collect();
            let text = Text::new(&words, &sequences);
            let mut tape = Tape::default();
            let w = tape.leaves(&weights);
            let out = forward(&mut tape, &w, &text);
            let logs = rows.iter().map(|i| target[*i] as f32);
            let loss = tape.mean_square(out, Matrix::from_iterator(1, rows.len(), logs));
            let gradients = tape.gradients(loss, &w);
            adam.step(&mut weights, &gradients);
        }
        let mut common = Vec::with_capacity(world.len());
        for chunk in world.sequences.chunks(1000) {
            let text = Text::new(&words, &chunk.iter().collect::<Vec<_>>());
            let mut tape = Tape::default();
            let w = tape.leaves(&weights);
            let out = forward(&mut tape, &w, &text);
            common.extend(tape.value(out).iter().map(|v| f64::from(*v)));
        }
        TokenModel { common }
    }
}

fn forward(tape: &mut Tape, w: &[Var], text: &Text) -> Var {
    // Embeddings are the columns of w[0]: one mix looks words up.
    let words = tape.mix(w[0], &text.words);
    let [left, middle, right] = [0, 1, 2].map(|k| tape.mix(words, &text.triples[k]));
    let pair = tape.stack(left, middle);
    let triples = tape.stack(pair, right);
    let hidden = tape.affine(w[2], triples, w[3]);
    let hidden = tape.relu(hidden);
    let pooled = tape.mix(hidden, &text.networks);
    let hidden = tape.affine(w[4], pooled, w[5]);
    let hidden = tape.relu(hidden);
    tape.affine(w[6], hidden, w[7])
}

/// Weight, in measurements, of a slope of one against the fitted slope.
const SLOPE_PRIOR: f64 = 0.5;

impl Baseline for TokenModel {
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64> {
        let n = rows.len().max(1) as f64;
        let x: Vec<f64> = rows.iter().map(|i| self.common[*i]).collect();
        let y: Vec<f64> = latency_ms.iter().map(|y| y.ln()).collect();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
        let (mx, my) = (mean(&x), mean(&y));
        let variance = {
            let centre = self.common.iter().sum::<f64>() / self.common.len() as f64;
            let squares = self.common.iter().map(|c| (c - centre).powi(2));
            squares.sum::<f64>() / self.common.len() as f64
        };
        let prior = SLOPE_PRIOR * variance;
        let xy: f64 = x.iter().zip(&y).map(|(x, y)| (x - mx) * (y - my)).sum();
        let xx: f64 = x.iter().map(|x| (x - mx).powi(2)).sum();
        let slope = ((xy + prior) / (xx + prior).max(1e-12)).max(0.05);
        self.common
            .iter()
            .map(|c| (my + slope * (c - mx)).clamp(-50.0, 50.0).exp())
            .collect()
    }
}
