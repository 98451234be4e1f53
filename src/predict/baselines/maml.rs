//! Meta-learning as HELP does it (Lee et al., arXiv 2106.08630, on MAML, Finn
//! et al., arXiv 1703.03400): a network over the one-hot architecture and an
//! embedding of the device, whose initial weights are trained over the training
//! devices so that a few gradient steps on the measurements adapt it.
//!
//! Simplified: first-order gradients through the inner steps; a plain inner
//! rate instead of a learned scale of the weights (z); and, so that any
//! references will do, the device's embedding is a learned mean over the
//! (architecture, latency) pairs instead of HELP's latencies of ten fixed
//! architectures. HELP's graph encoder on NAS-Bench-201 is an MLP here.

use std::sync::Arc;

use rand::SeedableRng;
use rand::{RngExt, seq::index};
use rand_chacha::ChaCha8Rng;

use super::tape::{Adam, Matrix, Mix, Tape, Var, layer};
use super::{Baseline, World, floored_logs};

const HIDDEN: usize = 48;
const EMBEDDING: usize = 12;
const INNER_STEPS: usize = 3;
const INNER_RATE: f32 = 0.02;
const EPISODES: usize = 2500;
const QUERIES: usize = 48;

pub struct Maml {
    /// One column an architecture.
    inputs: Matrix,
    weights: Vec<Matrix>,
    fallback: Vec<f64>,
}

impl Maml {
    pub fn train(world: &World, seed: u64) -> Self {
        let d = world.one_hot[0].len();
        let inputs = Matrix::from_iterator(
            d,
            world.len(),
            world.one_hot.iter().flatten().map(|v| *v as f32),
        );
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let layers = [
            // The device's encoder, then the predictor.
            layer(&mut rng, HIDDEN, d + 1),
            layer(&mut rng, EMBEDDING, HIDDEN),
            layer(&mut rng, HIDDEN, d + EMBEDDING),
            layer(&mut rng, HIDDEN, HIDDEN),
            layer(&mut rng, 1, HIDDEN),
        ];
        let mut weights: Vec<Matrix> = layers.into_iter().flatten().collect();
        let mut adam = Adam::new(&weights, 2e-3);
        let logs: Vec<Vec<f64>> = world.known.iter().map(|l| floored_logs(l)).collect();
        for episode in 0..EPISODES {
            // The rate falls to nothing, as in HELP.
            adam.set_rate(2e-3 * (1.0 - episode as f32 / EPISODES as f32));
            let log = &logs[rng.random_range(0..logs.len())];
            let support = [3, 5, 10, 10, 20][rng.random_range(0..5)];
            let drawn = (support + QUERIES).min(world.len());
            let rows = index::sample(&mut rng, world.len(), drawn).into_vec();
            let (support, query) = rows.split_at(support.min(drawn - 1));
            let centre = support.iter().map(|i| log[*i]).sum::<f64>() / support.len() as f64;
            let targets = |rows: &[usize]| {
                Matrix::from_iterator(
                    1,
                    rows.len(),
                    rows.iter().map(|i| (log[*i] - centre) as f32),
                )
            };
            let known = Support {
                inputs: inputs.select_columns(support),
                targets: targets(support),
            };
            let adapted = adapt(&weights, &known);
            let query = Support {
                inputs: inputs.select_columns(query),
                targets: targets(query),
            };
            let gradients = gradients(&adapted, &known, &query);
            adam.step(&mut weights, &gradients);
        }
        Maml {
            inputs,
            weights,
            fallback: world.common_log_latency().iter().map(|l| l.exp()).collect(),
        }
    }
}

/// Architectures, and their log-latencies less the references' mean.
struct Support {
    inputs: Matrix,
    targets: Matrix,
}

fn forward(tape: &mut Tape, w: &[Var], known: &Support, inputs: Matrix) -> Var {
    let n = known.targets.len();
    let x = tape.leaf(known.inputs.clone());
    let y = tape.leaf(known.targets.clone());
    let pairs = tape.stack(x, y);
    let hidden = tape.affine(w[0], pairs, w[1]);
    let hidden = tape.relu(hidden);
    let each = tape.affine(w[2], hidden, w[3]);
    let mean = Arc::new(Mix::new(
        [(0..n as u32).map(|i| (i, 1.0 / n as f32))].into_iter(),
    ));
    let device = tape.mix(each, &mean);
    let times = inputs.ncols();
    let x = tape.leaf(inputs);
    let device = tape.repeat(device, times);
    let both = tape.stack(x, device);
    let hidden = tape.affine(w[4], both, w[5]);
    let hidden = tape.relu(hidden);
    let hidden = tape.affine(w[6], hidden, w[7]);
    let hidden = tape.relu(hidden);
    tape.affine(w[8], hidden, w[9])
}

fn gradients(weights: &[Matrix], known: &Support, query: &Support) -> Vec<Matrix> {
    let mut tape = Tape::default();
    let w = tape.leaves(weights);
    let out = forward(&mut tape, &w, known, query.inputs.clone());
    let loss = tape.mean_square(out, query.targets.clone());
    tape.gradients(loss, &w)
}

/// The inner loop: a few plain gradient steps on the measurements.
fn adapt(weights: &[Matrix], known: &Support) -> Vec<Matrix> {
    let mut weights = weights.to_vec();
    for _ in 0..INNER_STEPS {
        let gradients = gradients(&weights, known, known);
        for (w, g) in weights.iter_mut().zip(gradients) {
            *w -= g * INNER_RATE;
        }
    }
    weights
}

impl Baseline for Maml {
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64> {
        if rows.is_empty() {
            return self.fallback.clone();
        }
        let centre = latency_ms.iter().map(|y| y.ln()).sum::<f64>() / rows.len() as f64;
        let known = Support {
            inputs: self.inputs.select_columns(rows),
            targets: Matrix::from_iterator(
                1,
                rows.len(),
                latency_ms.iter().map(|y| (y.ln() - centre) as f32),
            ),
        };
        let weights = adapt(&self.weights, &known);
        let mut tape = Tape::default();
        let w = tape.leaves(&weights);
        let out = forward(&mut tape, &w, &known, self.inputs.clone());
        tape.value(out)
            .iter()
            .map(|l| (centre + f64::from(*l)).clamp(-50.0, 50.0).exp())
            .collect()
    }
}
