//! The command line: arguments to calls.
