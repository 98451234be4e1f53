//! Bounds on costs: `require params < 5M`. Sampling, mutation and crossover
//! keep to them.

use std::fmt;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ast::Binary;
use super::error::{Problem, Span};
use super::{Architecture, Space};
use crate::network::Costs;

/// A cost known from the network alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Learned parameters.
    Params,
    /// Multiply-accumulates for one sample.
    Macs,
    /// Peak of live activations, in bytes at their precision.
    Memory,
    /// Weights, in bytes at their precision.
    Flash,
}

impl Metric {
    pub const ALL: [(&'static str, Metric); 4] = [
        ("params", Metric::Params),
        ("macs", Metric::Macs),
        ("memory", Metric::Memory),
        ("flash", Metric::Flash),
    ];

    pub fn by_name(name: &str) -> Option<Metric> {
        let found = Self::ALL.iter().find(|(n, _)| *n == name);
        found.map(|(_, metric)| *metric)
    }

    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, m)| *m == self);
        found.map_or("", |(name, _)| name)
    }

    /// The cost in the metric's own unit: a count or bytes.
    pub fn of(self, costs: &Costs) -> u64 {
        match self {
            Metric::Params => costs.params,
            Metric::Macs => costs.macs,
            Metric::Memory => costs.peak_activation_bytes,
            Metric::Flash => costs.weight_bytes,
        }
    }
}

/// What is required of every architecture that the space gives out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constraint {
    pub metric: Metric,
    /// One of `<`, `<=`, `>`, `>=`.
    pub sign: Binary,
    /// In the metric's own unit.
    pub bound: f64,
    pub span: Span,
}

impl Constraint {
    pub fn holds(&self, costs: &Costs) -> bool {
        self.excess(costs) == 0.0
    }

    /// How far the costs lie beyond the bound, as a share of it; 0 where it
    /// holds.
    pub fn excess(&self, costs: &Costs) -> f64 {
        let value = self.metric.of(costs) as f64;
        let (holds, distance) = match self.sign {
            Binary::Lt => (value < self.bound, value - self.bound),
            Binary::Le => (value <= self.bound, value - self.bound),
            Binary::Gt => (value > self.bound, self.bound - value),
            _ => (value >= self.bound, self.bound - value),
        };
        match holds {
            true => 0.0,
            // At the bound itself, a strict sign is still missed.
            false => (distance / self.bound.max(1.0)).max(f64::MIN_POSITIVE),
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.sign {
            Binary::Lt => "<",
            Binary::Le => "<=",
            Binary::Gt => ">",
            _ => ">=",
        };
        write!(f, "{} {sign} {}", self.metric.name(), self.bound)
    }
}

/// Draws of a rejection sampler before it looks for an architecture by descent.
const MAX_DRAWS: usize = 10_000;
/// Mutations tried by a descent.
const MAX_STEPS: usize = 20_000;
/// Draws at random when a space is loaded, to know that its bounds can be met.
const PROBE_DRAWS: usize = 500;

impl Space {
    /// What is required of every architecture given out.
    pub fn constraints(&self) -> &[Constraint] {
        &self.program().constraints
    }

    /// Whether an architecture of this space keeps to its constraints.
    pub fn admits(&self, architecture: &Architecture) -> bool {
        self.excess(architecture) == 0.0
    }

    /// How far an architecture lies beyond the constraints, summed; 0 where all
    /// hold.
    pub fn excess(&self, architecture: &Architecture) -> f64 {
        if self.constraints().is_empty() {
            return 0.0;
        }
        match self.network(architecture) {
            Ok(network) => {
                let costs = network.costs();
                self.constraints().iter().map(|c| c.excess(&costs)).sum()
            }
            Err(_) => f64::INFINITY,
        }
    }

    /// Draws an architecture uniformly among all that keep to the constraints,
    /// however conditions and depths vary: by rejection. Where fewer than about
    /// one in 10,000 keeps to them, the best draw is led there by mutations
    /// instead, which is no longer uniform.
    pub fn sample(&self, rng: &mut impl Rng) -> Architecture {
        let (found, excess) = self.seek(MAX_DRAWS, MAX_STEPS, rng);
        match (excess == 0.0, &self.witness) {
            (false, Some(witness)) => witness.clone(),
            _ => found,
        }
    }

    /// The first of so many draws that keeps to the constraints; else the best of
    /// them, led towards the constraints by so many mutations. With the excess.
    fn seek(&self, draws: usize, steps: usize, rng: &mut impl Rng) -> (Architecture, f64) {
        let mut best = self.draw(rng);
        let mut least = self.excess(&best);
        for _ in 1..draws {
            if least == 0.0 {
                return (best, least);
            }
            let drawn = self.draw(rng);
            let excess = self.excess(&drawn);
            if excess < least {
                (best, least) = (drawn, excess);
            }
        }
        self.descend(best, steps, rng)
    }

    /// How many of so many uniform draws keep to the constraints.
    pub fn admitted(&self, draws: usize, rng: &mut impl Rng) -> usize {
        (0..draws).filter(|_| self.admits(&self.draw(rng))).count()
    }

    /// Mutates towards the constraints; returns where it ended, and the excess
    /// there.
    fn descend(
        &self,
        start: Architecture,
        steps: usize,
        rng: &mut impl Rng,
    ) -> (Architecture, f64) {
        let mut excess = self.excess(&start);
        let mut at = start;
        for _ in 0..steps {
            if excess == 0.0 {
                break;
            }
            let next = self.vary(&at, rng);
            let there = self.excess(&next);
            // Steps on the level let it leave a plateau.
            if there <= excess {
                (at, excess) = (next, there);
            }
        }
        (at, excess)
    }

    /// An architecture that keeps to the constraints, looked for when the space
    /// is loaded.
    ///
    /// # Errors
    /// The constraint that could not be met, with the nearest that was found.
    pub(super) fn find_witness(&self) -> Result<Option<Architecture>, Problem> {
        if self.constraints().is_empty() {
            return Ok(None);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (found, excess) = self.seek(PROBE_DRAWS, MAX_STEPS / 10, &mut rng);
        if excess == 0.0 {
            return Ok(Some(found));
        }
        let costs = self.network(&found).map(|n| n.costs());
        let failing = self.constraints().iter().find_map(|c| match &costs {
            Ok(costs) if !c.holds(costs) => Some((c, c.metric.of(costs))),
            _ => None,
        });
        let Some((constraint, value)) = failing else {
            return Ok(None);
        };
        Err(Problem::new(
            constraint.span,
            format!("no architecture was found that meets `{constraint}`"),
            format!("the nearest found has {value}"),
        )
        .help(format!(
            "loosen the bound, or widen the space; the nearest is {}",
            self.genotype(&found)
        )))
    }
}
