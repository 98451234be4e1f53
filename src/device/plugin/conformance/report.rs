//! What came of the checks.

use crate::device::Measurement;

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// Not wrong, but its author should know.
    Noted,
    Failed,
}

#[derive(Debug, Clone)]
pub struct Check {
    pub name: &'static str,
    pub outcome: Outcome,
    /// What was seen and, where it failed, what to change.
    pub detail: String,
}

/// All checks that could be made.
#[derive(Debug, Default)]
pub struct Report {
    pub checks: Vec<Check>,
    /// The measurement at the end, where it came to that.
    pub measurement: Option<Measurement>,
}

impl Report {
    pub fn passed(&self) -> bool {
        !self.checks.iter().any(|c| c.outcome == Outcome::Failed)
    }

    pub(super) fn add(&mut self, name: &'static str, result: Result<String, String>) -> bool {
        let (outcome, detail) = match result {
            Ok(detail) => (Outcome::Passed, detail),
            Err(detail) => (Outcome::Failed, detail),
        };
        let passed = outcome == Outcome::Passed;
        self.checks.push(Check {
            name,
            outcome,
            detail,
        });
        passed
    }

    pub(super) fn note(&mut self, name: &'static str, detail: String) {
        let outcome = Outcome::Noted;
        self.checks.push(Check {
            name,
            outcome,
            detail,
        });
    }
}
