//! What a differentiable search can be told.

use serde::{Deserialize, Serialize};

use super::GradientError;
use super::goal::LatencyGoal;
use super::method::Method;
use crate::supernet::SupernetError;

/// How a differentiable search goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradientConfig {
    pub method: Method,
    pub latency: LatencyGoal,
    /// Passes over the weights' half of the training images.
    pub epochs: usize,
    /// Of these, how many train the weights alone.
    pub warm_up: usize,
    /// Images for each step.
    pub batch_size: usize,
    /// Of the weights, at first; a cosine to zero.
    pub learning_rate: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    /// The largest norm of a step's gradient.
    pub clip: f64,
    /// Of the architecture parameters (Adam).
    pub alpha_rate: f64,
    pub alpha_decay: f64,
    /// Of Gumbel-softmax, at first and in the end; linear for GDAS, exponential
    /// for FBNet.
    pub temperature: [f64; 2],
    /// Share of the training images that the weights learn from.
    pub weight_share: f64,
    /// Architectures drawn for an expected latency.
    pub latency_draws: usize,
    /// Shift and mirror the training images at random.
    pub augment: bool,
    pub seed: u64,
    /// Use at most so many training images, class-balanced.
    pub train_images: Option<usize>,
}

impl Default for GradientConfig {
    fn default() -> Self {
        GradientConfig::of(Method::default(), 10)
    }
}

impl GradientConfig {
    /// What a method is usually run with for so many epochs; rates are larger than
    /// the papers', whose searches take hundreds.
    pub fn of(method: Method, epochs: usize) -> Self {
        GradientConfig {
            method,
            latency: LatencyGoal::Ignored,
            epochs,
            // Where a step trains one path, the others wait for their turn: options
            // with weights are compared too early otherwise, and lose.
            warm_up: match method {
                Method::Proxyless => epochs / 2,
                _ => epochs / 10,
            },
            batch_size: match method {
                Method::Proxyless => 32,
                _ => 64,
            },
            learning_rate: 0.05,
            momentum: 0.9,
            weight_decay: 3e-4,
            clip: 5.0,
            alpha_rate: 0.03,
            alpha_decay: 1e-3,
            temperature: [5.0, 0.5],
            weight_share: 0.5,
            latency_draws: 4,
            augment: false,
            seed: 0,
            train_images: None,
        }
    }

    /// Refuses what cannot work.
    pub(super) fn check(&self) -> Result<(), GradientError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let problem = if self.epochs == 0 {
            "`epochs` must be at least 1"
        } else if self.batch_size < 2 {
            "`batch_size` must be at least 2, as batch norm needs more than one image"
        } else if self.train_images.is_some_and(|images| images < 4) {
            "`train_images` must be at least 4, as weights and architecture take half each"
        } else if !positive(self.learning_rate) || !positive(self.alpha_rate) {
            "`learning_rate` and `alpha_rate` must be above 0"
        } else if !positive(self.clip) {
            "`clip` must be above 0"
        } else if !self.temperature.iter().all(|t| positive(*t)) {
            "temperatures must be above 0"
        } else if !(self.weight_share > 0.0 && self.weight_share < 1.0) {
            "`weight_share` must lie between 0 and 1"
        } else if self.latency_draws == 0 {
            "`latency_draws` must be at least 1"
        } else if matches!(self.latency, LatencyGoal::Target { ms } if !positive(ms)) {
            "a target latency is a positive number of milliseconds"
        } else {
            return Ok(());
        };
        Err(SupernetError::Config(problem.into()).into())
    }
}
