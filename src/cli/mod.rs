//! The command line: arguments to calls.

pub mod runs;
