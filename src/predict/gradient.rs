//! The differentiable form, for gradient strategies (DARTS, GDAS, FBNet,
//! ProxylessNAS): the latency of a relaxed architecture, in which every choice
//! is a distribution over its options, and its derivative with respect to each
//! probability. A network's costs are sums over its kernels, so a relaxed
//! architecture's are sums weighted by probability, and the predictor is an
//! analytic function of them; no automatic differentiation is needed and a
//! strategy adds the derivative to its own loss by the chain rule:
//!
//! ```text
//! let relaxed = Relaxed::of_space(&space, &base)?;          // once
//! let cost = model.relaxed(&relaxed, &softmax(alpha))?;     // every step
//! loss = cross_entropy + lambda * cost.latency_ms / target_ms
//! d_p[choice][option] += lambda / target_ms * cost.by_option[choice][option]
//! ```
//!
//! It is the latency at the expected costs. Where all probabilities are 0 or 1
//! and the choices' costs add up, that is the architecture's own prediction.

use serde::{Deserialize, Serialize};

use super::Calibrated;
use super::features::{Execution, Features, N_COSTS};
use crate::space::{Architecture, GenotypeError, Space};

/// What each option of each choice adds to the costs of a base architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relaxed {
    base: Features,
    /// `[choice][option]`, relative to the base.
    added: Vec<Vec<Features>>,
    /// Paths of the choices and labels of their options, where they come from
    /// a space.
    pub names: Vec<(String, Vec<String>)>,
}

/// The latency of a relaxed architecture and its derivatives.
#[derive(Debug, Clone, PartialEq)]
pub struct RelaxedLatency {
    /// At the expected costs, in milliseconds (millijoules for an energy).
    pub latency_ms: f64,
    /// Milliseconds a unit of probability, `[choice][option]`.
    pub by_option: Vec<Vec<f64>>,
}

/// Why there is no such latency.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RelaxedError {
    #[error("{found} distributions for {expected} choices")]
    Choices { found: usize, expected: usize },
    #[error("choice {choice} has {expected} options, {found} probabilities were given")]
    Options {
        choice: usize,
        found: usize,
        expected: usize,
    },
    #[error("option {option} of choice {choice} has probability {value}; it must lie in 0 to 1")]
    Probability {
        choice: usize,
        option: usize,
        value: f64,
    },
}

impl Relaxed {
    /// From the features of a base and, for each choice and option, of the
    /// network in which only that choice is taken otherwise. Exact where
    /// choices do not change each other's kernels, else to first order.
    pub fn around(base: &Features, alternatives: &[Vec<Features>]) -> Relaxed {
        // Both ways of execution where any of the networks knows two.
        let both = std::iter::once(base)
            .chain(alternatives.iter().flatten())
            .any(|f| f.optimised.is_some());
        let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        let optimised = |f: &Features| both.then(|| f.on(Execution::Optimised).to_vec());
        let difference = |f: &Features| Features {
            costs: minus(&f.costs, &base.costs),
            optimised: optimised(f).map(|o| minus(&o, base.on(Execution::Optimised))),
        };
        Relaxed {
            base: Features {
                costs: base.costs.clone(),
                optimised: optimised(base),
            },
            added: alternatives
                .iter()
                .map(|options| options.iter().map(difference).collect())
                .collect(),
            names: Vec::new(),
        }
    }

    /// All decisions of an architecture, each option tried alone. Options that
    /// would raise further questions than the base answers are left out; a
    /// base of the space's largest architecture has the fewest of them.
    ///
    /// # Errors
    /// When the base is not of this space.
    pub fn of_space(space: &Space, base: &Architecture) -> Result<Relaxed, GenotypeError> {
        let features = Features::of(&space.network(base)?);
        let choices = space.choices();
        let (mut alternatives, mut names) = (Vec::new(), Vec::new());
        for (choice, taken) in base.decisions() {
            let choice_of = &choices[*choice];
            let (mut options, mut labels) = (Vec::new(), Vec::new());
            for (option, label) in choice_of.labels.iter().enumerate() {
                let other = match option == *taken {
                    true => Some(features.clone()),
                    false => changed(space, base, &choice_of.path, label),
                };
                if let Some(other) = other {
                    options.push(other);
                    labels.push(label.to_string());
                }
            }
            alternatives.push(options);
            names.push((choice_of.path.to_string(), labels));
        }
        let mut relaxed = Relaxed::around(&features, &alternatives);
        relaxed.names = names;
        Ok(relaxed)
    }

    /// Options of each choice.
    pub fn shape(&self) -> Vec<usize> {
        self.added.iter().map(Vec::len).collect()
    }

    fn check(&self, probabilities: &[Vec<f64>]) -> Result<(), RelaxedError> {
        if probabilities.len() != self.added.len() {
            return Err(RelaxedError::Choices {
                found: probabilities.len(),
                expected: self.added.len(),
            });
        }
        for (choice, (given, added)) in probabilities.iter().zip(&self.added).enumerate() {
            if given.len() != added.len() {
                return Err(RelaxedError::Options {
                    choice,
                    found: given.len(),
                    expected: added.len(),
                });
            }
            // A hair outside is rounding.
            let bad = given.iter().position(|p| !(-1e-6..=1.0 + 1e-6).contains(p));
            if let Some(option) = bad {
                return Err(RelaxedError::Probability {
                    choice,
                    option,
                    value: given[option],
                });
            }
        }
        Ok(())
    }

    /// The expected features.
    fn expected(&self, probabilities: &[Vec<f64>]) -> Features {
        let mut sum = self.base.clone();
        for (given, added) in probabilities.iter().zip(&self.added) {
            for (p, option) in given.iter().zip(added) {
                for (slot, value) in entries_mut(&mut sum).zip(entries(option)) {
                    *slot += p * value;
                }
            }
        }
        sum
    }
}

/// All costs, as written and then as optimised.
fn entries(features: &Features) -> impl Iterator<Item = &f64> {
    let optimised = features.optimised.iter().flatten();
    features.costs.iter().chain(optimised)
}

fn entries_mut(features: &mut Features) -> impl Iterator<Item = &mut f64> {
    let optimised = features.optimised.iter_mut().flatten();
    features.costs.iter_mut().chain(optimised)
}

/// Features with one decision taken otherwise; `None` where the others no
/// longer make a whole architecture.
fn changed(space: &Space, base: &Architecture, path: &str, label: &str) -> Option<Features> {
    let choices = space.choices();
    let parts: Vec<String> = base
        .decisions()
        .iter()
        .map(|(c, o)| match choices[*c].path == path {
            true => format!("{path}={label}"),
            false => format!("{}={}", choices[*c].path, choices[*c].labels[*o]),
        })
        .collect();
    let architecture = space.parse_genotype(&parts.join(" ")).ok()?;
    Some(Features::of(&space.network(&architecture).ok()?))
}

impl Calibrated {
    /// The latency of a network of these features, in milliseconds, and its
    /// derivative with respect to each cost: what one more unit of it, such as a
    /// kernel launched, takes.
    ///
    /// # Panics
    /// When the costs are not [`N_COSTS`].
    pub fn latency_and_gradient(&self, features: &Features) -> (f64, Features) {
        assert_eq!(features.costs.len(), N_COSTS);
        let (log_mean, mut gradient) = self.posterior.log_mean_and_gradient(features);
        let latency_ms = log_mean.exp();
        entries_mut(&mut gradient).for_each(|g| *g *= latency_ms);
        (latency_ms, gradient)
    }

    /// The latency of a relaxed architecture with its derivatives.
    ///
    /// # Errors
    /// When the probabilities do not fit the choices.
    pub fn relaxed(
        &self,
        relaxed: &Relaxed,
        probabilities: &[Vec<f64>],
    ) -> Result<RelaxedLatency, RelaxedError> {
        relaxed.check(probabilities)?;
        let mut features = relaxed.expected(probabilities);
        // Interactions between choices could make a small cost negative.
        let clipped: Vec<bool> = entries(&features).map(|c| *c < 0.0).collect();
        entries_mut(&mut features).for_each(|c| *c = c.max(0.0));
        let (latency_ms, mut gradient) = self.latency_and_gradient(&features);
        for (slot, clipped) in entries_mut(&mut gradient).zip(clipped) {
            if clipped {
                *slot = 0.0;
            }
        }
        let slope = |added: &Features| {
            let products = entries(added).zip(entries(&gradient));
            products.map(|(a, g)| a * g).sum()
        };
        let by_option = relaxed
            .added
            .iter()
            .map(|options| options.iter().map(slope).collect())
            .collect();
        Ok(RelaxedLatency {
            latency_ms,
            by_option,
        })
    }
}
