//! Searches judged where the truth is known: NAS-Bench-201 with the accuracy
//! of every architecture from a table, and devices whose latencies are tabled
//! too. A strategy sees an accuracy when it asks for it, and latencies only as
//! the predictor foretells them from a few measurements of the device; the
//! table's latencies serve to score it. Needs neither burn nor an engine.

mod benchmark;
mod course;
mod limits;
mod peers;
mod scenario;
mod scores;
mod tournament;
mod trial;
mod truth;

pub use benchmark::{AccuracyColumn, Benchmark, BenchmarkError};
pub use course::{Course, Quartiles, after, until};
pub use limits::{FINALISTS, HELP_ROWS, HelpRow, Limited, LimitedError, search_limited};
pub use peers::{ExportError, Peers, PeersError, export};
pub use scenario::{Scenario, ScenarioError};
pub use scores::ScoresError;
pub use tournament::{Fronts, Setup, TournamentError, best_accuracies, fronts, limited};
pub use trial::{Plan, TrialError, search, search_best, search_front};
pub use truth::{Truth, handed_over};

#[cfg(test)]
mod tests;
