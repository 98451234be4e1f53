//! Multi-fidelity: many candidates are evaluated briefly and the best of them
//! again and longer. A wrapper around any strategy, which proposes what enters
//! and is told the first answer of each: successive halving (Jamieson and
//! Talwalkar 2016, arXiv 1502.07943), Hyperband (Li et al. 2018, arXiv
//! 1603.06560) and ASHA (Li et al. 2020, arXiv 1810.05934), here for several
//! objectives by rank and crowding.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bracket::{Bracket, Promotion};
use super::{Answer, Candidate, Strategy, StrategyError, Worth};
use crate::space::Architecture;

/// Who is promoted when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// A bracket of candidates at a time, all from the least fidelity on.
    Successive,
    /// Brackets that begin at the least fidelity, the next one, and so on.
    Hyperband,
    /// Each as soon as it is among the best so far; nobody waits.
    Asha,
}

impl Rule {
    pub const ALL: [Rule; 3] = [Rule::Successive, Rule::Hyperband, Rule::Asha];

    pub fn name(self) -> &'static str {
        match self {
            Rule::Successive => "successive",
            Rule::Hyperband => "hyperband",
            Rule::Asha => "asha",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rule {
    type Err = StrategyError;

    fn from_str(text: &str) -> Result<Self, StrategyError> {
        let found = Rule::ALL
            .into_iter()
            .find(|rule| rule.name() == text.trim());
        found.ok_or_else(|| StrategyError::Rule(text.trim().to_string()))
    }
}

/// How fidelities rise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fidelities {
    pub rule: Rule,
    /// One in so many is promoted, to so many times the fidelity; at least 2.
    pub reduction: usize,
    /// The share of a full evaluation that candidates begin with, or up to
    /// `reduction` times as much; above 0 and at most 1.
    pub least: f64,
}

impl Default for Fidelities {
    fn default() -> Self {
        Fidelities {
            rule: Rule::Asha,
            reduction: 3,
            least: 1.0 / 9.0,
        }
    }
}

impl Fidelities {
    /// All of them, rising to 1.
    ///
    /// # Errors
    /// When the figures make no sense.
    pub fn rungs(&self) -> Result<Vec<f64>, StrategyError> {
        if self.reduction < 2 {
            return Err(StrategyError::Reduction(self.reduction));
        }
        if !(self.least > 0.0 && self.least <= 1.0) {
            return Err(StrategyError::Fidelity(self.least));
        }
        const ROUNDING: f64 = 1e-9;
        let mut rungs = vec![1.0];
        let mut fidelity = 1.0 / self.reduction as f64;
        while fidelity >= self.least * (1.0 - ROUNDING) {
            rungs.push(fidelity);
            fidelity /= self.reduction as f64;
        }
        rungs.reverse();
        Ok(rungs)
    }
}

/// A strategy whose candidates rise through fidelities.
pub struct Halving {
    inner: Box<dyn Strategy>,
    objectives: usize,
    rule: Rule,
    reduction: usize,
    /// Rising to 1.
    rungs: Vec<f64>,
    brackets: Vec<Bracket>,
    /// How many brackets there have been.
    begun: usize,
    next_id: u64,
    open: BTreeMap<u64, Trial>,
    /// Whether the inner strategy has nothing left to propose.
    dry: bool,
    /// Whether nothing is left to promote either.
    ended: bool,
}

struct Trial {
    /// Of the inner strategy, where it is to be told.
    inner: Option<u64>,
    bracket: usize,
    rung: usize,
    generation: usize,
    architecture: Architecture,
}

impl Halving {
    /// # Errors
    /// When the fidelities make no sense.
    pub fn new(
        inner: Box<dyn Strategy>,
        objectives: usize,
        fidelities: Fidelities,
    ) -> Result<Self, StrategyError> {
        Ok(Halving {
            inner,
            objectives,
            rule: fidelities.rule,
            reduction: fidelities.reduction,
            rungs: fidelities.rungs()?,
            brackets: Vec::new(),
            begun: 0,
            next_id: 0,
            open: BTreeMap::new(),
            dry: false,
            ended: false,
        })
    }

    fn next(&mut self) -> Option<Candidate> {
        if let Some(promoted) = self.promote() {
            return Some(promoted);
        }
        if !self.dry {
            if let Some(entering) = self.inner.ask(1).pop() {
                return Some(self.enter(entering));
            }
            self.dry = self.inner.is_exhausted();
        }
        // Nobody else will come: whoever waits for company goes on.
        if self.dry && self.open.is_empty() {
            self.brackets.iter_mut().for_each(Bracket::close);
            let promoted = self.promote();
            self.ended = promoted.is_none();
            return promoted;
        }
        None
    }

    fn promote(&mut self) -> Option<Candidate> {
        let reduction = self.reduction;
        let promotion = self.brackets.iter_mut().find_map(|b| b.promote(reduction));
        let Promotion {
            bracket,
            rung,
            generation,
            architecture,
        } = promotion?;
        Some(self.issue(Trial {
            inner: None,
            bracket,
            rung,
            generation,
            architecture,
        }))
    }

    fn enter(&mut self, entering: Candidate) -> Candidate {
        if self.brackets.last().is_none_or(Bracket::is_full) {
            self.begin();
        }
        let newest = self.brackets.last_mut().expect("one was begun");
        let (bracket, rung) = newest.enter();
        self.issue(Trial {
            inner: Some(entering.id),
            bracket,
            rung,
            generation: entering.generation,
            architecture: entering.architecture,
        })
    }

    fn begin(&mut self) {
        let reduction = self.reduction;
        self.brackets.retain(|b| !b.is_done(reduction));
        let last = self.rungs.len() - 1;
        let rises = match self.rule {
            Rule::Hyperband => last - self.begun % self.rungs.len(),
            Rule::Successive | Rule::Asha => last,
        };
        let most = self.reduction.saturating_pow(rises as u32);
        let size = match self.rule {
            Rule::Hyperband => Some(((last + 1) * most).div_ceil(rises + 1)),
            Rule::Successive => Some(most),
            Rule::Asha => None,
        };
        let bracket = Bracket::new(self.begun, last - rises, last, size);
        self.brackets.push(bracket);
        self.begun += 1;
    }

    fn issue(&mut self, trial: Trial) -> Candidate {
        let candidate = Candidate {
            id: self.next_id,
            generation: trial.generation,
            architecture: trial.architecture.clone(),
            fidelity: self.rungs[trial.rung],
        };
        self.next_id += 1;
        self.open.insert(candidate.id, trial);
        candidate
    }
}

impl Strategy for Halving {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let mut asked = Vec::new();
        while asked.len() < limit {
            let Some(candidate) = self.next() else {
                break;
            };
            asked.push(candidate);
        }
        asked
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        let Some(trial) = self.open.remove(&id) else {
            return;
        };
        if let Some(inner) = trial.inner {
            self.inner.tell(inner, answer.clone());
        }
        let ranks = |w: &Worth| w.is_finite() && w.objectives.len() == self.objectives;
        let worth = answer.filter(ranks);
        let bracket = self.brackets.iter_mut().find(|b| b.id() == trial.bracket);
        if let Some(bracket) = bracket {
            bracket.answer(trial.rung, trial.generation, trial.architecture, worth);
        }
    }

    fn is_exhausted(&self) -> bool {
        self.ended && self.open.is_empty()
    }
}
