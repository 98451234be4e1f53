//! A distribution over the architectures of a space that can be pushed towards
//! good ones: a softmax over the open options of each choice, with the choices
//! independent of each other but for those that others switch on (as in TuNAS,
//! Bender et al. 2020, arXiv 2008.06120). Plain gradients, plain Adam.

use rand::{Rng, RngExt};

use crate::space::{Architecture, ChoiceId, Space};

/// The clipping of proximal policy optimisation (Schulman et al. 2017).
const CLIP: f64 = 0.2;
/// Steps on each batch.
const EPOCHS: usize = 4;
const LEARNING_RATE: f64 = 0.15;
/// Weight of the entropy, which keeps the policy from settling early.
const ENTROPY: f64 = 0.02;
/// Adam's (Kingma and Ba 2015).
const BETA: (f64, f64) = (0.9, 0.999);

/// The policy and the state of its optimiser, by choice and option.
pub(super) struct Policy {
    logits: Vec<Vec<f64>>,
    moments: Vec<Vec<(f64, f64)>>,
    steps: i32,
}

/// What led to an architecture.
#[derive(Debug, Clone)]
pub(super) struct Episode {
    decisions: Vec<Decision>,
    /// Under the policy that is said to have drawn it.
    log_probability: f64,
}

#[derive(Debug, Clone)]
struct Decision {
    choice: ChoiceId,
    open: Vec<usize>,
    /// Index into `open`.
    taken: usize,
}

impl Policy {
    /// As often at each option as architectures drawn uniformly are, estimated
    /// from some.
    pub fn new(space: &Space, rng: &mut impl Rng) -> Self {
        const DRAWN: usize = 256;
        let options = space.choices().iter().map(|c| c.labels.len());
        // As if each option had been seen once before.
        let mut counts: Vec<Vec<f64>> = options.map(|n| vec![1.0; n]).collect();
        for _ in 0..DRAWN {
            for (choice, option) in space.sample(rng).decisions() {
                counts[*choice][*option] += 1.0;
            }
        }
        let moments = counts.iter().map(|c| vec![(0.0, 0.0); c.len()]).collect();
        let logits = counts.into_iter().map(|choice| {
            let sum: f64 = choice.iter().sum();
            choice.into_iter().map(|count| (count / sum).ln()).collect()
        });
        Policy {
            logits: logits.collect(),
            moments,
            steps: 0,
        }
    }

    /// The chance of each of the open options.
    fn chances(&self, choice: ChoiceId, open: &[usize]) -> Vec<f64> {
        let logits = &self.logits[choice];
        let largest = open.iter().map(|o| logits[*o]).fold(f64::MIN, f64::max);
        let mut chances: Vec<f64> = open.iter().map(|o| (logits[*o] - largest).exp()).collect();
        let sum: f64 = chances.iter().sum();
        chances.iter_mut().for_each(|chance| *chance /= sum);
        chances
    }

    /// Draws an architecture; one of uniform draws where what it drew does not
    /// keep to the space's constraints.
    pub fn draw(&self, space: &Space, rng: &mut impl Rng) -> Architecture {
        const TRIES: usize = 32;
        for _ in 0..TRIES {
            let drawn = space.decide(|choice, open| {
                let mut at: f64 = rng.random();
                let chances = self.chances(choice, open);
                let place = chances.iter().position(|chance| {
                    at -= chance;
                    at < 0.0
                });
                // Rounding may leave a rest.
                open[place.unwrap_or(open.len() - 1)]
            });
            if let Some(architecture) = drawn {
                return architecture;
            }
        }
        space.sample(rng)
    }

    /// The decisions of an architecture, seen from this policy.
    pub fn episode(&self, space: &Space, architecture: &Architecture) -> Episode {
        let mut decisions = Vec::new();
        space.decide(|choice, open| {
            let taken = architecture.option(choice).unwrap_or(open[0]);
            let taken = open.iter().position(|o| *o == taken).unwrap_or(0);
            decisions.push(Decision {
                choice,
                open: open.to_vec(),
                taken,
            });
            open[taken]
        });
        Episode {
            log_probability: self.log_probability(&decisions),
            decisions,
        }
    }

    fn log_probability(&self, decisions: &[Decision]) -> f64 {
        let chance = |d: &Decision| self.chances(d.choice, &d.open)[d.taken];
        decisions.iter().map(|d| chance(d).ln()).sum()
    }

    /// Makes episodes with a positive advantage likelier and the others less
    /// likely, within the clip.
    pub fn improve(&mut self, batch: &[(Episode, f64)]) {
        for _ in 0..EPOCHS {
            let mut gradient: Vec<Vec<f64>> =
                self.logits.iter().map(|l| vec![0.0; l.len()]).collect();
            for (episode, advantage) in batch {
                self.add_gradient(episode, *advantage, &mut gradient);
            }
            self.step(&gradient, batch.len().max(1) as f64);
        }
    }

    fn add_gradient(&self, episode: &Episode, advantage: f64, gradient: &mut [Vec<f64>]) {
        let log_probability = self.log_probability(&episode.decisions);
        let ratio = (log_probability - episode.log_probability).exp();
        let clipped = match advantage > 0.0 {
            true => ratio > 1.0 + CLIP,
            false => ratio < 1.0 - CLIP,
        };
        let weight = match clipped || !ratio.is_finite() {
            true => 0.0,
            false => advantage * ratio,
        };
        for decision in &episode.decisions {
            let chances = self.chances(decision.choice, &decision.open);
            let entropy: f64 = chances.iter().map(|p| -p * p.max(1e-300).ln()).sum();
            let gradient = &mut gradient[decision.choice];
            for (place, (option, chance)) in decision.open.iter().zip(&chances).enumerate() {
                let taken = f64::from(u8::from(place == decision.taken));
                let flatter = -chance * (chance.max(1e-300).ln() + entropy);
                gradient[*option] += weight * (taken - chance) + ENTROPY * flatter;
            }
        }
    }

    fn step(&mut self, gradient: &[Vec<f64>], episodes: f64) {
        self.steps = self.steps.saturating_add(1);
        let (first, second) = BETA;
        let correct = |beta: f64| 1.0 - beta.powi(self.steps);
        let (correct_first, correct_second) = (correct(first), correct(second));
        let choices = self.logits.iter_mut().zip(&mut self.moments).zip(gradient);
        for ((logits, moments), gradient) in choices {
            for ((logit, (m, v)), g) in logits.iter_mut().zip(moments).zip(gradient) {
                let g = g / episodes;
                *m = first * *m + (1.0 - first) * g;
                *v = second * *v + (1.0 - second) * g * g;
                let scale = (*v / correct_second).sqrt() + 1e-8;
                *logit += LEARNING_RATE * (*m / correct_first) / scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn what_is_rewarded_becomes_likely() {
        let text = "space t input image 3x8x8 network {
            repeat 1..3 { conv({1, 3, 5}, {4, 8}) } }";
        let space = Space::parse("t", text).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut policy = Policy::new(&space, &mut rng);
        let depth = |a: &Architecture| a.decisions().len();
        let deepest = space.enumerate().map(|a| depth(&a)).max().unwrap();
        for _ in 0..60 {
            let batch: Vec<(Episode, f64)> = (0..10)
                .map(|_| {
                    let drawn = policy.draw(&space, &mut rng);
                    let good = depth(&drawn) == deepest;
                    let episode = policy.episode(&space, &drawn);
                    (episode, if good { 1.0 } else { -1.0 })
                })
                .collect();
            policy.improve(&batch);
        }
        let hits = (0..100).filter(|_| depth(&policy.draw(&space, &mut rng)) == deepest);
        assert!(hits.count() > 80);
    }

    /// The gradient of one unclipped episode, by finite differences.
    #[test]
    fn the_gradient_is_that_of_the_surrogate() {
        let text = "space t input image 3x8x8 network { conv({1, 3, 5}, {4, 8}) }";
        let space = Space::parse("t", text).unwrap();
        let mut policy = Policy::new(&space, &mut ChaCha8Rng::seed_from_u64(0));
        policy.logits[0] = vec![0.3, -0.2, 0.1];
        let architecture = space.enumerate().next().unwrap();
        let episode = policy.episode(&space, &architecture);
        let mut gradient: Vec<Vec<f64>> =
            policy.logits.iter().map(|l| vec![0.0; l.len()]).collect();
        policy.add_gradient(&episode, 0.7, &mut gradient);
        let value = |policy: &Policy| {
            let now = policy.log_probability(&episode.decisions);
            let entropy: f64 = episode
                .decisions
                .iter()
                .flat_map(|d| policy.chances(d.choice, &d.open))
                .map(|p| -p * p.ln())
                .sum();
            0.7 * (now - episode.log_probability).exp() + ENTROPY * entropy
        };
        for (option, gradient) in gradient[0].iter().enumerate() {
            let mut moved = [-1e-5, 1e-5].map(|by| {
                policy.logits[0][option] += by;
                let value = value(&policy);
                policy.logits[0][option] -= by;
                value
            });
            moved.reverse();
            let slope = (moved[0] - moved[1]) / 2e-5;
            assert!((slope - gradient).abs() < 1e-6);
        }
    }
}
