//! The strategies by name. A new one is a file of its own and a line in the
//! table below, which gives it a name, a line of help and a constructor.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::evolution::Evolution;
use super::local::Local;
use super::moead::Moead;
use super::nsga2::Nsga2;
use super::nsga3::Nsga3;
use super::random::Random;
use super::reinforce::Reinforce;
use super::text::serde_as_text;
use super::{Fidelities, Halving, Problem, Rule, Strategy, bayes, guided};
use crate::space::{Architecture, GenotypeError};

/// What any strategy can be told beyond its problem; each has defaults of its
/// own for what is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// All that is random comes from it.
    pub seed: u64,
    /// Candidates that it thinks of together, at least 2: a generation, or the
    /// most that may be under way.
    pub population: Option<usize>,
    /// Architectures to ask for first.
    pub initial: Vec<Architecture>,
    /// Evaluates briefly first, and the best again and longer.
    pub fidelities: Option<Fidelities>,
}

impl Settings {
    /// The population, where `default` stands for none given.
    pub(super) fn population(&self, default: usize) -> usize {
        self.population.unwrap_or(default)
    }
}

/// Why a strategy cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StrategyError {
    #[error("there is no strategy `{0}`: choose among {names}", names = Kind::names())]
    Kind(String),
    #[error("a population of {0} cannot be searched with: it needs at least 2 candidates")]
    Population(usize),
    #[error(
        "there is no rule `{0}` of promotion: choose among {names}",
        names = Rule::ALL.map(Rule::name).join(", ")
    )]
    Rule(String),
    #[error("one in {0} cannot be promoted: give a reduction of at least 2, such as 3")]
    Reduction(usize),
    #[error("the least fidelity {0} is no share of an evaluation: give one above 0 and at most 1")]
    Fidelity(f64),
    #[error("initial architecture {index} is not of this space: {source}")]
    Initial {
        /// From 0.
        index: usize,
        source: GenotypeError,
    },
}

macro_rules! kinds {
    ($($(#[$attribute:meta])* $variant:ident, $name:literal, $about:literal, $make:expr;)*) => {
        /// A strategy by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Kind {
            $($(#[$attribute])* #[doc = $about] $variant,)*
        }

        impl Kind {
            /// Every strategy of this build.
            pub const ALL: &[Kind] = &[$($(#[$attribute])* Kind::$variant,)*];

            pub fn name(self) -> &'static str {
                match self {
                    $($(#[$attribute])* Kind::$variant => $name,)*
                }
            }

            /// What it does, in a line.
            pub fn about(self) -> &'static str {
                match self {
                    $($(#[$attribute])* Kind::$variant => $about,)*
                }
            }

            fn make(self, problem: Problem, settings: &Settings) -> Box<dyn Strategy> {
                match self {
                    $($(#[$attribute])* Kind::$variant => Box::new($make(problem, settings)),)*
                }
            }
        }
    };
}

kinds! {
    Random, "random", "Uniformly at random, nothing twice", Random::of;
    Local, "local", "Local search, of a front where there are several objectives (White et al. 2021)", Local::of;
    Evolution, "evolution", "Regularised evolution: the oldest dies (Real et al. 2019)", Evolution::of;
    Nsga2, "nsga2", "NSGA-II: rank and crowding (Deb et al. 2002)", Nsga2::of;
    Nsga3, "nsga3", "NSGA-III, for three and more objectives (Deb and Jain 2014)", Nsga3::of;
    Moead, "moead", "MOEA/D: three and more objectives without generations (Zhang and Li 2007)", Moead::of;
    Reinforce, "reinforce", "A policy rewarded as in MnasNet: accuracy x (latency / target)^w (Tan et al. 2019)", Reinforce::of;
    Bayes, "bayes", "Surrogates and Thompson sampling in the manner of BANANAS (White et al. 2021)", bayes::of;
    Guided, "guided", "Models what is not foretold; expected hypervolume improvement", guided::of;
}

/// Makes a strategy.
///
/// # Errors
/// A population below 2, fidelities that make no sense, or an initial
/// architecture of another space.
pub fn build(
    kind: Kind,
    problem: Problem,
    settings: &Settings,
) -> Result<Box<dyn Strategy>, StrategyError> {
    if let Some(population @ (0 | 1)) = settings.population {
        return Err(StrategyError::Population(population));
    }
    for (index, architecture) in settings.initial.iter().enumerate() {
        if let Err(source) = problem.space.network(architecture) {
            return Err(StrategyError::Initial { index, source });
        }
    }
    let objectives = problem.goals.objectives().len();
    let strategy = kind.make(problem, settings);
    Ok(match settings.fidelities {
        Some(fidelities) => Box::new(Halving::new(strategy, objectives, fidelities)?),
        None => strategy,
    })
}

impl Kind {
    fn names() -> String {
        let names: Vec<&str> = Self::ALL.iter().map(|k| k.name()).collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => names.concat(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = StrategyError;

    fn from_str(text: &str) -> Result<Self, StrategyError> {
        let found = Self::ALL.iter().find(|kind| kind.name() == text.trim());
        found
            .copied()
            .ok_or_else(|| StrategyError::Kind(text.trim().to_string()))
    }
}

serde_as_text!(Kind);
