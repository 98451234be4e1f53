//! What the posterior says of one network: mean, deviation, and derivatives
//! with respect to its costs.

use super::{FittedLens, Posterior, SPEED_VARIANCE};
use crate::predict::basis::N_GROUPS;
use crate::predict::features::{Execution, Features};
use crate::predict::lens::dot;

impl Posterior {
    /// Probability that the engine optimises graphs before it runs them.
    #[cfg(test)]
    pub fn optimised(&self) -> f64 {
        let of = |l: &&FittedLens| l.execution == Execution::Optimised;
        self.lenses.iter().filter(of).map(|l| l.weight).sum()
    }

    /// Posterior mean of the log-latency.
    pub fn log_mean(&self, features: &Features) -> f64 {
        self.lenses.iter().map(|fitted| fitted.mean(features)).sum()
    }

    /// Posterior mean and standard deviation of a measurement's log-latency.
    pub fn log_mean_and_sd(&self, features: &Features) -> (f64, f64) {
        let mut mean = 0.0;
        let views: Vec<View> = self
            .lenses
            .iter()
            .map(|fitted| {
                let mut directions = vec![0.0; fitted.lens.dimensions()];
                let log_mean = fitted
                    .lens
                    .look(features.on(fitted.execution), &mut directions);
                mean += fitted.mean(features);
                View::new(fitted, log_mean, &directions)
            })
            .collect();
        let mut moments = (0.0, 0.0);
        for hypothesis in &self.hypotheses {
            let view = &views[hypothesis.lens];
            let s = &hypothesis.scales;
            let k: Vec<f64> = view
                .with_references
                .iter()
                .map(|p| SPEED_VARIANCE + s.groups * p[0] + s.devices * p[1] + s.shares * p[2])
                .collect();
            let own = &view.with_itself;
            let prior = SPEED_VARIANCE + s.groups * own[0] + s.devices * own[1] + s.shares * own[2];
            let explained: f64 = hypothesis
                .inverse
                .chunks_exact(k.len())
                .zip(&k)
                .map(|(row, ki)| ki * dot(row, &k))
                .sum();
            let variance = (prior - explained).max(0.0) + s.noise;
            let centre = view.prior_mean + dot(&k, &hypothesis.alpha);
            moments.0 += hypothesis.weight * variance;
            moments.1 += hypothesis.weight * (centre - mean).powi(2);
        }
        (mean, (moments.0 + moments.1).sqrt())
    }
}

impl FittedLens {
    fn mean(&self, features: &Features) -> f64 {
        let costs = features.on(self.execution);
        self.intercept + self.lens.mean(costs, self.weight, &self.coefficients)
    }
}

/// A network's inner products with the references through one lens, by block.
struct View {
    prior_mean: f64,
    with_references: Vec<[f64; 3]>,
    with_itself: [f64; 3],
}

impl View {
    fn new(fitted: &FittedLens, log_mean: f64, directions: &[f64]) -> Self {
        let devices = fitted.lens.device_range();
        let blocks = |row: &[f64]| {
            [
                dot(&row[..N_GROUPS], &directions[..N_GROUPS]),
                dot(&row[devices.clone()], &directions[devices.clone()]),
                dot(&row[devices.end..], &directions[devices.end..]),
            ]
        };
        View {
            prior_mean: log_mean + fitted.offset - dot(&directions[..N_GROUPS], &fitted.theta),
            with_references: fitted.references.iter().map(|r| blocks(r)).collect(),
            with_itself: blocks(directions),
        }
    }
}

impl Posterior {
    /// Posterior mean of the log-latency and its derivative with respect to
    /// each cost, as written and as optimised.
    pub fn log_mean_and_gradient(&self, features: &Features) -> (f64, Features) {
        let zeros = |costs: &Vec<f64>| vec![0.0; costs.len()];
        let mut gradient = Features {
            costs: zeros(&features.costs),
            optimised: features.optimised.as_ref().map(zeros),
        };
        for fitted in &self.lenses {
            let slopes = match (fitted.execution, &mut gradient.optimised) {
                (Execution::Optimised, Some(optimised)) => optimised,
                _ => &mut gradient.costs,
            };
            fitted.lens.add_gradient(
                features.on(fitted.execution),
                fitted.weight,
                &fitted.coefficients,
                slopes,
            );
        }
        (self.log_mean(features), gradient)
    }
}
