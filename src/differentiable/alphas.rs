//! Architecture parameters: a logit for every option of every choice, and Adam,
//! which moves them.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::space::{Architecture, ChoiceId, Space};

/// One number for every option, by choice.
pub type ByOption = Vec<Vec<f64>>;

/// The logits, with what Adam (Kingma and Ba 2015) keeps of their gradients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alphas {
    logits: ByOption,
    means: ByOption,
    squares: ByOption,
    /// Updates of each choice so far.
    updates: Vec<u32>,
}

/// Adam's settings for architecture parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    pub learning_rate: f64,
    pub betas: [f64; 2],
    pub weight_decay: f64,
}

const EPSILON: f64 = 1e-8;

impl Alphas {
    /// Every option alike.
    pub fn new(space: &Space) -> Alphas {
        let zeros: ByOption = space
            .choices()
            .iter()
            .map(|choice| vec![0.0; choice.labels.len()])
            .collect();
        Alphas {
            updates: vec![0; zeros.len()],
            means: zeros.clone(),
            squares: zeros.clone(),
            logits: zeros,
        }
    }

    /// Zeros in the same shape.
    pub fn zeros(&self) -> ByOption {
        self.logits.iter().map(|l| vec![0.0; l.len()]).collect()
    }

    pub fn logits(&self, choice: ChoiceId) -> &[f64] {
        &self.logits[choice]
    }

    /// The probability of each option, by choice.
    pub fn probabilities(&self) -> ByOption {
        self.logits.iter().map(|l| softmax(l, 1.0)).collect()
    }

    /// Moves the choices that have a gradient against it.
    pub fn update(&mut self, gradient: &[Option<Vec<f64>>], adam: &Adam) {
        for (choice, gradient) in gradient.iter().enumerate() {
            let Some(gradient) = gradient else { continue };
            self.updates[choice] += 1;
            let t = self.updates[choice] as i32;
            let [first, second] = adam.betas;
            for (option, gradient) in gradient.iter().enumerate() {
                let logit = &mut self.logits[choice][option];
                let gradient = gradient + adam.weight_decay * *logit;
                let mean = &mut self.means[choice][option];
                *mean = first * *mean + (1.0 - first) * gradient;
                let square = &mut self.squares[choice][option];
                *square = second * *square + (1.0 - second) * gradient * gradient;
                let mean = *mean / (1.0 - first.powi(t));
                let square = *square / (1.0 - second.powi(t));
                *logit -= adam.learning_rate * mean / (square.sqrt() + EPSILON);
            }
        }
    }

    /// Moves two options of a choice without changing the share that both have
    /// together: the others' probabilities stay as they are (ProxylessNAS).
    pub fn update_pair(
        &mut self,
        choice: ChoiceId,
        pair: [usize; 2],
        gradient: [f64; 2],
        adam: &Adam,
    ) {
        let before = self.logits[choice].clone();
        let mut whole = vec![0.0; before.len()];
        for (option, gradient) in pair.into_iter().zip(gradient) {
            whole[option] = gradient;
        }
        let mut gradients = vec![None; self.logits.len()];
        gradients[choice] = Some(whole);
        let together = |logits: &[f64]| log_sum_exp(&pair.map(|option| logits[option]));
        let wanted = together(&before);
        self.update(&gradients, adam);
        for (option, old) in before.iter().enumerate() {
            if !pair.contains(&option) {
                self.logits[choice][option] = *old;
            }
        }
        let off = wanted - together(&self.logits[choice]);
        pair.iter()
            .for_each(|option| self.logits[choice][*option] += off);
    }

    /// The most probable architecture, decision by decision.
    pub fn most_probable(&self, space: &Space) -> Option<Architecture> {
        space.decide(|choice, open| largest(&self.logits[choice], open))
    }

    /// An architecture drawn by its probability.
    pub fn sample(&self, space: &Space, rng: &mut ChaCha8Rng) -> Option<Architecture> {
        space.decide(|choice, open| draw(&self.logits[choice], open, rng))
    }

    /// The log of the probability that the decisions of an architecture are taken,
    /// each given those before it.
    pub fn log_probability(&self, architecture: &Architecture) -> f64 {
        let decisions = architecture.decisions().iter();
        decisions
            .map(|(choice, option)| {
                self.logits[*choice][*option] - log_sum_exp(&self.logits[*choice])
            })
            .sum()
    }

    /// The mean entropy of the choices, as a share of that of equal probabilities.
    pub fn entropy(&self) -> f64 {
        let shares = self.logits.iter().map(|logits| {
            let entropy: f64 = softmax(logits, 1.0)
                .into_iter()
                .filter(|p| *p > 0.0)
                .map(|p| -p * p.ln())
                .sum();
            entropy / (logits.len() as f64).ln()
        });
        shares.sum::<f64>() / self.logits.len().max(1) as f64
    }
}

fn log_sum_exp(logits: &[f64]) -> f64 {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + logits.iter().map(|l| (l - most).exp()).sum::<f64>().ln()
}

/// Probabilities from logits at a temperature.
pub fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let scaled: Vec<f64> = logits.iter().map(|l| l / temperature).collect();
    let all = log_sum_exp(&scaled);
    scaled.iter().map(|l| (l - all).exp()).collect()
}

/// The derivative by each logit, given that by each probability of their softmax.
pub fn through_softmax(probabilities: &[f64], gradient: &[f64], temperature: f64) -> Vec<f64> {
    let mean: f64 = probabilities.iter().zip(gradient).map(|(p, g)| p * g).sum();
    probabilities
        .iter()
        .zip(gradient)
        .map(|(p, g)| p * (g - mean) / temperature)
        .collect()
}

/// Logits with Gumbel noise added: whose largest is distributed as the
/// probabilities say (Jang et al. 2017, arXiv 1611.01144).
pub fn perturbed(logits: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    logits
        .iter()
        .map(|logit| {
            let uniform: f64 = rng.random_range(f64::MIN_POSITIVE..1.0);
            logit - (-uniform.ln()).ln()
        })
        .collect()
}

/// One of the open options, by probability.
pub fn draw(logits: &[f64], open: &[usize], rng: &mut ChaCha8Rng) -> usize {
    let noisy = perturbed(logits, rng);
    largest(&noisy, open)
}

/// The open option of the largest value, the first of equals.
pub fn largest(values: &[f64], open: &[usize]) -> usize {
    let by_value = |a: &&usize, b: &&usize| values[**a].total_cmp(&values[**b]);
    *open
        .iter()
        .rev()
        .max_by(by_value)
        .expect("an option is open")
}
