//! The differentiable strategies: which options each builds in a step, by what
//! weights, and how the loss's derivative by those weights becomes one by logits.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::alphas::{Alphas, draw, largest, perturbed, softmax, through_softmax};
use crate::space::ChoiceId;
use crate::space::mixed::{Paths, Picked};

/// A differentiable strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// All options by their probability; first-order gradients (Liu et al. 2019,
    /// arXiv 1806.09055).
    Darts,
    /// The same, looking one step of the weights ahead.
    DartsSecond,
    /// One option by Gumbel noise, its soft weight's gradient straight through
    /// (Dong and Yang 2019, arXiv 1910.04465).
    #[default]
    Gdas,
    /// All options by Gumbel-softmax (Wu et al. 2019, arXiv 1812.03443).
    Fbnet,
    /// One option to train weights; two to compare, of which one is kept out of
    /// memory (Cai et al. 2019, arXiv 1812.00332).
    Proxyless,
}

impl Method {
    pub const ALL: [Method; 5] = [
        Method::Darts,
        Method::DartsSecond,
        Method::Gdas,
        Method::Fbnet,
        Method::Proxyless,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Method::Darts => "darts",
            Method::DartsSecond => "darts2",
            Method::Gdas => "gdas",
            Method::Fbnet => "fbnet",
            Method::Proxyless => "proxyless",
        }
    }

    /// What it does, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Method::Darts => "DARTS: all options weighed, first order (Liu et al. 2019)",
            Method::DartsSecond => "DARTS, second order: looks one step of the weights ahead",
            Method::Gdas => {
                "GDAS: one path by Gumbel-softmax, straight through (Dong and Yang 2019)"
            }
            Method::Fbnet => "FBNet: all options weighed by Gumbel-softmax (Wu et al. 2019)",
            Method::Proxyless => {
                "ProxylessNAS: binary gates, the memory of one path (Cai et al. 2019)"
            }
        }
    }

    /// Whether every option is built in every step.
    pub fn mixes(self) -> bool {
        matches!(self, Method::Darts | Method::DartsSecond | Method::Fbnet)
    }
}

/// What is random in one step: how options are weighed or picked.
#[derive(Debug, Clone)]
pub struct Draw {
    method: Method,
    /// By choice, weights of options that are all built, or the soft weights of
    /// which one option is built.
    soft: Vec<Vec<f64>>,
    temperature: f64,
    /// What was picked of a choice of which one or two options are built.
    pub picked: BTreeMap<ChoiceId, [Option<usize>; 2]>,
    logits: Vec<Vec<f64>>,
    rng: ChaCha8Rng,
}

impl Draw {
    /// Draws anew for a step at a temperature.
    pub fn new(
        method: Method,
        alphas: &Alphas,
        choices: usize,
        temperature: f64,
        rng: &mut ChaCha8Rng,
    ) -> Draw {
        let noisy = matches!(method, Method::Gdas | Method::Fbnet);
        let logits: Vec<Vec<f64>> = (0..choices)
            .map(|choice| match noisy {
                true => perturbed(alphas.logits(choice), rng),
                false => alphas.logits(choice).to_vec(),
            })
            .collect();
        let temperature = match noisy {
            true => temperature,
            false => 1.0,
        };
        Draw {
            method,
            soft: logits.iter().map(|l| softmax(l, temperature)).collect(),
            temperature,
            picked: BTreeMap::new(),
            logits,
            rng: ChaCha8Rng::seed_from_u64(rng.random()),
        }
    }

    /// The option of a single path.
    fn one(&mut self, choice: ChoiceId, open: &[usize]) -> usize {
        match self.method {
            Method::Proxyless => draw(&self.logits[choice], open, &mut self.rng),
            _ => largest(&self.logits[choice], open),
        }
    }

    /// The paths along which weights are trained.
    pub fn for_weights(&mut self) -> impl Paths {
        |choice: ChoiceId, open: &[usize]| match self.method.mixes() {
            true => Picked::Mixed(open.to_vec()),
            false => Picked::One(self.one(choice, open)),
        }
    }

    /// The paths along which logits are.
    pub fn for_alphas(&mut self) -> impl Paths {
        |choice: ChoiceId, open: &[usize]| {
            if self.method.mixes() {
                return Picked::Mixed(open.to_vec());
            }
            let first = self.one(choice, open);
            let others: Vec<usize> = open.iter().copied().filter(|o| *o != first).collect();
            let second = match self.method == Method::Proxyless && !others.is_empty() {
                true => Some(draw(&self.logits[choice], &others, &mut self.rng)),
                false => None,
            };
            let (active, passive) = match second {
                // Of the two, one by their own probabilities.
                Some(second) => {
                    let pair = [first, second];
                    let active = draw(&self.logits[choice], &pair, &mut self.rng);
                    (active, Some(first + second - active))
                }
                None => (first, None),
            };
            self.picked.insert(choice, [Some(active), passive]);
            Picked::Gated { active, passive }
        }
    }

    /// The weight of every option of each choice.
    pub fn gates(&self) -> BTreeMap<ChoiceId, Vec<f64>> {
        if self.method.mixes() {
            return self.soft.iter().cloned().enumerate().collect();
        }
        self.picked
            .iter()
            .map(|(choice, [active, _])| {
                let mut gates = vec![0.0; self.soft[*choice].len()];
                if let Some(active) = active {
                    gates[*active] = 1.0;
                }
                (*choice, gates)
            })
            .collect()
    }

    /// The derivative by the logits of a choice, given that by its gates.
    pub fn through_gates(&self, choice: ChoiceId, gates: &[f64]) -> Vec<f64> {
        match self.method {
            Method::Proxyless => {
                let mut gradient = vec![0.0; gates.len()];
                if let Some([Some(active), Some(passive)]) = self.picked.get(&choice) {
                    let pair = [*active, *passive];
                    let own = softmax(&pair.map(|o| self.logits[choice][o]), 1.0);
                    let both = through_softmax(&own, &pair.map(|o| gates[o]), 1.0);
                    for (option, value) in pair.into_iter().zip(both) {
                        gradient[option] = value;
                    }
                }
                gradient
            }
            _ => through_softmax(&self.soft[choice], gates, self.temperature),
        }
    }
}
