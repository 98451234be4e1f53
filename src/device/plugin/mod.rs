//! Command plugins: an engine in any language, as a child process that answers
//! one JSON object a line. It loads ONNX files and times its own runs, so that
//! the pipe is no part of a latency; warm-up, repeats and the interleaved
//! reference network stay this side's, so that every engine is measured alike.
//! `docs/plugins.md` is the protocol; [`conformance`] tells a plugin's author
//! what is wrong with it.

mod client;
mod command;
pub mod conformance;
mod engine;
mod failure;
mod message;
mod process;
mod scratch;
mod self_contained;

pub use client::Plugin;
pub use command::CommandLine;
pub use engine::{PluginEngine, PluginSession};
pub use failure::PluginFailure;
pub use message::{Hello, PROTOCOL_VERSION};

#[cfg(test)]
mod tests;
