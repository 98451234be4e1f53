//! The command line: arguments to calls.

pub mod bench_predictor;
pub mod predict;
pub mod runs;
