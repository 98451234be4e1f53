//! Ask/tell searchers. A strategy proposes architectures and is told what they
//! are worth; it knows nothing of training, devices, storage or progress bars.
//! Everything random comes from the seed it is given, so the same answers in
//! the same order make the same questions: a run resumes by being told its
//! recorded results again. [`drive`](drive()) keeps that order whatever the
//! number of threads.

mod bayes;
mod bracket;
mod directions;
#[cfg(feature = "predict")]
mod drive;
mod evolution;
mod generational;
mod guided;
mod halving;
mod kinds;
mod ledger;
mod local;
mod moead;
mod normalise;
mod nsga2;
mod nsga3;
mod objective;
mod policy;
mod problem;
mod random;
mod reinforce;
mod reward;
pub mod sorting;
mod surrogate;
mod text;
mod timed;

#[cfg(feature = "predict")]
pub use drive::{Budget, Told, drive};
pub use evolution::Evolution;
pub use halving::{Fidelities, Halving, Rule};
pub use kinds::{Kind, Settings, StrategyError, build};
pub use local::Local;
pub use moead::Moead;
pub use nsga2::{Nsga2, Nsga2Config};
pub use nsga3::Nsga3;
pub use objective::{Constraint, GoalError, Goals, Metric, Side};
pub use problem::{Estimate, Knowledge, Known, Nothing, Problem};
pub use random::Random;
pub use reinforce::Reinforce;
pub use surrogate::{DESCRIPTION, chance, describe};
pub use timed::Timed;

use serde::{Deserialize, Serialize};

use crate::space::Architecture;

/// An architecture a strategy wants evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Unique within a run, ascending in the order of asking.
    pub id: u64,
    /// Which round of the strategy proposed it, from 0.
    pub generation: usize,
    pub architecture: Architecture,
    /// Share of a full evaluation (of the epochs) to spend on it, above 0 and
    /// at most 1. The same architecture may be asked for again at a higher one.
    pub fidelity: f64,
}

/// What a candidate turned out to be worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worth {
    /// Every objective as a loss (see [`Metric::loss`]): smaller is better.
    pub objectives: Vec<f64>,
    /// By how much constraints are exceeded, 0 when all hold. Feasible
    /// candidates always come before infeasible ones (Deb 2000).
    pub violation: f64,
}

/// The answer to a candidate; `None` for an evaluation that failed.
pub type Answer = Option<Worth>;

/// A searcher.
pub trait Strategy: Send {
    /// The next candidates, at most `limit`. Empty when it waits for answers,
    /// or for good when [`is_exhausted`](Self::is_exhausted).
    fn ask(&mut self, limit: usize) -> Vec<Candidate>;

    /// Answers a candidate. Answers may come in any order; unknown and
    /// repeated identifiers are ignored, and what cannot be ranked counts as
    /// failed: what is not finite, or of another number of objectives.
    fn tell(&mut self, id: u64, answer: Answer);

    /// Whether nothing new is left to ask.
    fn is_exhausted(&self) -> bool;
}

#[cfg(test)]
mod tests;
