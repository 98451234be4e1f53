//! The expected latency of a distribution over architectures, and its derivative
//! by each option's probability.
//!
//! With choices drawn independently the expectation is linear in each
//! probability, so its derivative is the expected latency where that option is
//! taken. Both are averages over drawn architectures, each looked at with every
//! decision changed in turn: no linearisation of the predictor, whatever choices
//! do to each other, and the same architectures for all options, so that what
//! differs between options is not the draw.

use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;

use super::alphas::{Alphas, ByOption, draw};
use crate::network::Network;
use crate::space::{Architecture, Space};

/// The latency of a network, in ms (or any cost, in its unit).
pub type Cost<'a> = &'a (dyn Fn(&Network) -> f64 + Sync);

/// Latencies are kept of so many architectures.
const KEPT: usize = 200_000;

/// Expected latencies of a space.
pub struct ExpectedLatency<'a> {
    space: &'a Space,
    cost: Cost<'a>,
    known: HashMap<Architecture, f64>,
}

/// An expected latency with its derivatives.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// In ms.
    pub mean_ms: f64,
    /// By the probability of each option, in ms; only differences within a choice
    /// mean something.
    pub by_option: ByOption,
}

impl<'a> ExpectedLatency<'a> {
    pub fn new(space: &'a Space, cost: Cost<'a>) -> Self {
        ExpectedLatency {
            space,
            cost,
            known: HashMap::new(),
        }
    }

    /// The latency of an architecture, in ms.
    pub fn of(&mut self, architecture: &Architecture) -> f64 {
        if let Some(known) = self.known.get(architecture) {
            return *known;
        }
        let network = self.space.network(architecture);
        let latency = (self.cost)(&network.expect("an architecture of this space"));
        if self.known.len() >= KEPT {
            self.known.clear();
        }
        self.known.insert(architecture.clone(), latency);
        latency
    }

    /// The mean alone over so many draws, in ms.
    pub fn expected_mean(&mut self, alphas: &Alphas, draws: usize, rng: &mut ChaCha8Rng) -> f64 {
        let drawn: Vec<Architecture> = (0..draws)
            .filter_map(|_| alphas.sample(self.space, rng))
            .collect();
        let sum: f64 = drawn.iter().map(|architecture| self.of(architecture)).sum();
        sum / drawn.len().max(1) as f64
    }

    /// The expectation over so many draws.
    pub fn expected(&mut self, alphas: &Alphas, draws: usize, rng: &mut ChaCha8Rng) -> Expected {
        let mut expected = Expected {
            mean_ms: 0.0,
            by_option: alphas.zeros(),
        };
        let share = 1.0 / draws as f64;
        for _ in 0..draws {
            let Some(drawn) = alphas.sample(self.space, rng) else {
                continue;
            };
            let own = self.of(&drawn);
            expected.mean_ms += own * share;
            for (choice, taken) in drawn.decisions().to_vec() {
                for option in 0..alphas.logits(choice).len() {
                    let latency = match option == taken {
                        true => Some(own),
                        false => self.changed(&drawn, choice, option, alphas, rng),
                    };
                    // Where the option is closed it makes no difference.
                    expected.by_option[choice][option] += latency.unwrap_or(own) * share;
                }
            }
        }
        expected
    }

    /// The latency with one decision changed; decisions that only then exist are
    /// drawn.
    fn changed(
        &mut self,
        from: &Architecture,
        choice: usize,
        option: usize,
        alphas: &Alphas,
        rng: &mut ChaCha8Rng,
    ) -> Option<f64> {
        let mut is_open = true;
        let changed = self.space.decide(|at, open| {
            let wanted = match at == choice {
                true => Some(option),
                false => from.option(at),
            };
            match wanted {
                Some(wanted) if open.contains(&wanted) => wanted,
                Some(_) if at == choice => {
                    is_open = false;
                    open[0]
                }
                _ => draw(alphas.logits(at), open, rng),
            }
        })?;
        is_open.then(|| self.of(&changed))
    }
}
