//! Reinforcement learning after MnasNet (Tan et al. 2019, arXiv 1807.11626): a
//! policy draws architectures and is moved by proximal policy optimisation
//! towards those of a high reward, accuracy × (latency / target)^w. It settles
//! on one trade-off, that of its reward, rather than on a front.

use std::collections::BTreeMap;

use super::ledger::Ledger;
use super::policy::{Episode, Policy};
use super::reward::Reward;
use super::{Answer, Candidate, Problem, Settings, Strategy};
use crate::space::Architecture;

/// Candidates of a batch where no population is set.
const BATCH: usize = 8;
/// How much of the baseline stays from batch to batch.
const MEMORY: f64 = 0.7;
/// An advantage, in standard deviations, at most.
const BOUND: f64 = 3.0;
/// Draws that were asked before until a draw is mutated as well: a policy that
/// has nearly settled draws little that is new.
const DRAWS: usize = 20;

/// The state of a search.
pub struct Reinforce {
    ledger: Ledger,
    policy: Policy,
    reward: Reward,
    batch_size: usize,
    updates: usize,
    /// What led to each question that is open.
    episodes: BTreeMap<u64, Episode>,
    batch: Vec<(Episode, Answer)>,
    /// What was drawn and not asked, since it is known to be beyond a limit: by
    /// how much.
    refused: Vec<(Episode, f64)>,
    /// Mean and mean square of rewards, fading.
    baseline: Option<(f64, f64)>,
}

impl Reinforce {
    pub(super) fn of(problem: Problem, settings: &Settings) -> Self {
        let reward = Reward::new(problem.goals.clone());
        let mut ledger = Ledger::new(problem, settings);
        Reinforce {
            policy: Policy::new(&ledger.problem.space, &mut ledger.rng),
            reward,
            batch_size: settings.population(BATCH),
            ledger,
            updates: 0,
            episodes: BTreeMap::new(),
            batch: Vec::new(),
            refused: Vec::new(),
            baseline: None,
        }
    }

    fn update(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.reward
            .aim(batch.iter().filter_map(|(_, a)| a.as_ref()));
        let rewards: Vec<f64> = batch
            .iter()
            .map(|(_, answer)| self.reward.of(answer.as_ref()))
            .collect();
        let n = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / n;
        let square = rewards.iter().map(|r| r * r).sum::<f64>() / n;
        let (mean, square) = match self.baseline {
            Some((m, s)) => (
                MEMORY * m + (1.0 - MEMORY) * mean,
                MEMORY * s + (1.0 - MEMORY) * square,
            ),
            None => (mean, square),
        };
        self.baseline = Some((mean, square));
        let deviation = (square - mean * mean).max(0.0).sqrt();
        // Of what was refused, as if it were as accurate as others.
        let refused = std::mem::take(&mut self.refused).into_iter();
        let refused = refused.map(|(episode, violation)| (episode, mean / (1.0 + violation)));
        let told = batch.into_iter().map(|(episode, _)| episode);
        let all = told.zip(rewards).chain(refused);
        if deviation > 0.0 {
            let advantage = |reward: f64| ((reward - mean) / deviation).clamp(-BOUND, BOUND);
            let batch: Vec<(Episode, f64)> = all.map(|(e, r)| (e, advantage(r))).collect();
            self.policy.improve(&batch);
        }
        self.updates += 1;
    }

    /// The next architecture; nothing where the space is spent.
    fn next(&mut self) -> Option<Architecture> {
        if let Some(initial) = self.ledger.first() {
            return Some(initial);
        }
        let (policy, mut draws) = (&self.policy, Vec::new());
        let accepted = self.ledger.fresh(|space, rng| {
            let drawn = policy.draw(space, rng);
            let drawn = match draws.len() >= DRAWS {
                true => space.mutate(&drawn, rng),
                false => drawn,
            };
            draws.push(drawn.clone());
            drawn
        });
        let problem = &self.ledger.problem;
        if !problem.goals.constraints().is_empty() {
            for drawn in draws.iter().take(DRAWS) {
                let violation = problem.known_violation(&problem.knowledge.known(drawn));
                if violation > 0.0 && self.refused.len() < self.batch_size {
                    let episode = self.policy.episode(&problem.space, drawn);
                    self.refused.push((episode, violation));
                }
            }
        }
        accepted
    }
}

impl Strategy for Reinforce {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let room = self.batch_size.saturating_sub(self.ledger.open());
        let mut asked = Vec::new();
        while asked.len() < limit.min(room) {
            let Some(architecture) = self.next() else {
                break;
            };
            let episode = self
                .policy
                .episode(&self.ledger.problem.space, &architecture);
            let candidate = self.ledger.issue(architecture, self.updates);
            self.episodes.insert(candidate.id, episode);
            asked.push(candidate);
        }
        asked
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        let Some((_, answer)) = self.ledger.settle(id, answer) else {
            return;
        };
        if let Some(episode) = self.episodes.remove(&id) {
            self.batch.push((episode, answer));
        }
        if self.batch.len() >= self.batch_size {
            self.update();
        }
    }

    fn is_exhausted(&self) -> bool {
        self.ledger.is_spent() && self.ledger.open() == 0
    }
}
