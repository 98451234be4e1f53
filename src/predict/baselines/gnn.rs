//! A small message-passing network over the operator graph (the graph
//! convolutions of BRP-NAS, Dudziak et al., arXiv 2007.08668, with directions
//! kept apart and a sum of positive node latencies at the end, so that it
//! extrapolates as latencies do). From scratch it sees the new device's
//! measurements alone; pretrained, it starts from what the training devices
//! have in common. Simplified: two rounds, sixteen channels, no attention.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::graph::{Graphs, N_NODE};
use super::tape::{Adam, Matrix, Tape, Var, layer};
use super::{Baseline, World};

const CHANNELS: usize = 16;
const SCRATCH_STEPS: usize = 200;
const PRETRAIN_STEPS: usize = 400;
const TUNE_STEPS: usize = 60;
const BATCH: usize = 32;

pub struct Gnn<'a> {
    world: &'a World,
    weights: Vec<Matrix>,
    steps: usize,
    rate: f32,
}

impl<'a> Gnn<'a> {
    pub fn from_scratch(world: &'a World, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let weights = [
            layer(&mut rng, CHANNELS, N_NODE),
            layer(&mut rng, CHANNELS, 3 * CHANNELS),
            layer(&mut rng, CHANNELS, 3 * CHANNELS),
            layer(&mut rng, 1, CHANNELS),
        ];
        let mut weights: Vec<Matrix> = weights.into_iter().flatten().collect();
        // The device's speed, a factor on every latency.
        weights.push(Matrix::zeros(1, 1));
        Gnn {
            world,
            weights,
            steps: SCRATCH_STEPS,
            rate: 5e-3,
        }
    }

    /// Trained on the mean of the training devices' centred log-latencies.
    pub fn pretrained(world: &'a World, seed: u64) -> Self {
        let mut gnn = Gnn::from_scratch(world, seed);
        let target = world.common_log_latency();
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
        let mut adam = Adam::new(&gnn.weights, 1e-2);
        for step in 0..PRETRAIN_STEPS {
            let rows = index::sample(&mut rng, world.len(), BATCH.min(world.len())).into_vec();
            let logs: Vec<f64> = rows.iter().map(|i| target[*i]).collect();
            if step == 0 {
                gnn.weights = centred(gnn.weights, &world.graphs.pick(&rows), &logs);
            }
            let gradients = gradients(&gnn.weights, &world.graphs.pick(&rows), &logs);
            adam.step(&mut gnn.weights, &gradients);
        }
        Gnn {
            steps: TUNE_STEPS,
            rate: 2e-3,
            ..gnn
        }
    }
}

/// Log-latencies of the networks, as a row.
fn forward(tape: &mut Tape, w: &[Var], graphs: &Graphs) -> Var {
    let nodes = tape.leaf(graphs.nodes.clone());
    let hidden = tape.affine(w[0], nodes, w[1]);
    let mut hidden = tape.relu(hidden);
    for (round, at) in graphs.rounds.iter().zip([2, 4]) {
        let own = tape.mix(hidden, &round.own);
        let before = tape.mix(hidden, &round.before);
        let after = tape.mix(hidden, &round.after);
        let both = tape.stack(own, before);
        let all = tape.stack(both, after);
        let next = tape.affine(w[at], all, w[at + 1]);
        hidden = tape.relu(next);
    }
    let cost = tape.affine(w[6], hidden, w[7]);
    let cost = tape.softplus(cost);
    let sum = tape.mix(cost, &graphs.networks);
    let log = tape.ln(sum);
    tape.shift(log, w[8])
}

fn log_latencies(weights: &[Matrix], graphs: &Graphs) -> Vec<f64> {
    let mut tape = Tape::default();
    let w = tape.leaves(weights);
    let out = forward(&mut tape, &w, graphs);
    tape.value(out).iter().map(|v| f64::from(*v)).collect()
}

fn gradients(weights: &[Matrix], graphs: &Graphs, logs: &[f64]) -> Vec<Matrix> {
    let mut tape = Tape::default();
    let w = tape.leaves(weights);
    let out = forward(&mut tape, &w, graphs);
    let target = Matrix::from_iterator(1, logs.len(), logs.iter().map(|l| *l as f32));
    let loss = tape.mean_square(out, target);
    tape.gradients(loss, &w)
}

/// With the speed that fits the mean of the logarithms.
fn centred(mut weights: Vec<Matrix>, graphs: &Graphs, logs: &[f64]) -> Vec<Matrix> {
    let now = log_latencies(&weights, graphs);
    let gap = logs.iter().zip(&now).map(|(l, n)| l - n).sum::<f64>() / logs.len() as f64;
    weights[8][(0, 0)] += gap as f32;
    weights
}

impl Baseline for Gnn<'_> {
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64> {
        let mut weights = self.weights.clone();
        if !rows.is_empty() {
            let logs: Vec<f64> = latency_ms.iter().map(|y| y.ln()).collect();
            let graphs = self.world.graphs.pick(rows);
            weights = centred(weights, &graphs, &logs);
            let mut adam = Adam::new(&weights, self.rate);
            for _ in 0..self.steps {
                let gradients = gradients(&weights, &graphs, &logs);
                adam.step(&mut weights, &gradients);
            }
        }
        log_latencies(&weights, &self.world.graphs)
            .into_iter()
            .map(|l| l.clamp(-50.0, 50.0).exp())
            .collect()
    }
}
