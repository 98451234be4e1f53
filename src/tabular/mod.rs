//! Searches judged where the truth is known: NAS-Bench-201 with the accuracy
//! of every architecture from a table, and devices whose latencies are tabled
//! too. A strategy sees an accuracy when it asks for it, and latencies only as
//! the predictor foretells them from a few measurements of the device; the
//! table's latencies serve to score it. Needs neither burn nor an engine.

mod benchmark;
mod limits;
mod scenario;
mod tournament;
mod trial;
mod truth;

pub use benchmark::{AccuracyColumn, Benchmark, BenchmarkError};
pub use limits::{FINALISTS, HELP_ROWS, HelpRow, Limited, LimitedError, search_limited};
pub use scenario::{Scenario, ScenarioError};
pub use tournament::{
    Course, ExportError, Peers, Quartiles, Setup, TournamentError, after, best_accuracies, export,
    fronts, limited, until,
};
pub use trial::{Plan, TrialError, search, search_best, search_front};
pub use truth::{Truth, handed_over};

#[cfg(test)]
mod tests;
