//! One number for a candidate's worth, after MnasNet (Tan et al. 2019, arXiv
//! 1807.11626): accuracy × (latency / target)^w, with one such factor for each
//! objective that is a cost.

use super::{Goals, Metric, Side, Worth};

/// The paper's exponent: twice the cost is worth 5 % of accuracy.
const EXPONENT: f64 = -0.07;

/// The reward of a set of goals.
pub(super) struct Reward {
    goals: Goals,
    /// For each objective that is a cost, the value at which its factor is 1.
    targets: Vec<Option<f64>>,
}

impl Reward {
    /// The target of a cost is its limit where there is one.
    pub fn new(goals: Goals) -> Self {
        let limit = |objective: &Metric| {
            let limits = goals.constraints().iter();
            let of = limits.filter(|c| c.metric == *objective && c.side == Side::AtMost);
            of.map(|c| c.bound).reduce(f64::min)
        };
        let targets = goals.objectives().iter().map(limit).collect();
        Reward { goals, targets }
    }

    /// Sets the targets that are still open to the medians of these.
    pub fn aim<'a>(&mut self, worths: impl Iterator<Item = &'a Worth> + Clone) {
        for (index, target) in self.targets.iter_mut().enumerate() {
            let mut values: Vec<f64> = worths.clone().map(|w| w.objectives[index]).collect();
            values.retain(|value| *value > 0.0);
            values.sort_unstable_by(f64::total_cmp);
            *target = target.or_else(|| values.get(values.len() / 2).copied());
        }
    }

    /// At least 0; 0 for a candidate that failed.
    pub fn of(&self, worth: Option<&Worth>) -> f64 {
        let Some(worth) = worth else {
            return 0.0;
        };
        let objectives = self.goals.objectives().iter().zip(&worth.objectives);
        let factors = objectives
            .zip(&self.targets)
            .map(
                |((metric, loss), target)| match (metric.is_maximised(), target) {
                    (true, _) => metric.of_loss(*loss).max(0.0),
                    (false, Some(target)) if *loss > 0.0 => (loss / target).powf(EXPONENT),
                    (false, _) => 1.0,
                },
            );
        // The paper's hard rule beyond a limit: (latency / target)^-1.
        factors.product::<f64>() / (1.0 + worth.violation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_those_of_the_paper() {
        let limit = vec!["latency_ms <= 80".parse().unwrap()];
        let goals = Goals::new(vec![Metric::Accuracy, Metric::LATENCY], limit).unwrap();
        let mut reward = Reward::new(goals);
        let worth = |error: f64, ms: f64| Worth {
            objectives: vec![error, ms],
            violation: (ms / 80.0 - 1.0).max(0.0),
        };
        reward.aim([worth(0.5, 3.0)].iter());
        assert_eq!(reward.of(Some(&worth(0.25, 80.0))), 0.75);
        let half = reward.of(Some(&worth(0.25, 40.0)));
        assert!((half - 0.75 * 2f64.powf(0.07)).abs() < 1e-12);
        let twice = reward.of(Some(&worth(0.25, 160.0)));
        assert!((twice - 0.75 * 2f64.powf(-0.07) / 2.0).abs() < 1e-12);
        assert_eq!(reward.of(None), 0.0);
    }
}
