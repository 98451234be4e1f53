//! What can go wrong between a network and its latency.

use crate::network::onnx::OnnxError;

/// Why a network could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("the network cannot be exported for the engine: {0}")]
    Export(#[from] OnnxError),
    #[error("engine `{engine}` cannot load the network: {reason}")]
    Load { engine: String, reason: String },
    #[error("engine `{engine}` failed while running the network: {reason}")]
    Run { engine: String, reason: String },
    #[error("engine `{engine}` does not support {what}; {remedy}")]
    Unsupported {
        engine: String,
        what: String,
        remedy: String,
    },
    #[error(
        "a latency of {value_ms} ms is no measurement ({reason}); \
         check the clock and the engine, and measure again"
    )]
    BadSample { value_ms: f64, reason: &'static str },
    #[error(
        "one run takes {run_ms:.0} ms, so {min_samples} samples would far exceed the budget of \
         {budget_ms:.0} ms; raise the protocol's budget_ms or lower its min_samples"
    )]
    TooSlow {
        run_ms: f64,
        min_samples: usize,
        budget_ms: f64,
    },
    #[error("the protocol's {field} {reason}")]
    Protocol {
        field: &'static str,
        reason: &'static str,
    },
    #[error("the network `{network}` is too large to be measured: {reason}")]
    Memory {
        network: String,
        reason: super::TooLarge,
    },
    /// The device is elsewhere, and what went wrong is about it or the way to it.
    #[error("device `{device}`: {reason}; {remedy}")]
    Remote {
        device: String,
        reason: String,
        remedy: String,
    },
    #[error("engine `{engine}`: the network exceeds the device's limits: {reason}")]
    Limit { engine: String, reason: String },
    #[error("plugin `{plugin}` failed {doing}: {failure}")]
    Plugin {
        plugin: String,
        doing: &'static str,
        failure: super::PluginFailure,
    },
    #[error("measuring was stopped before every network had its turn")]
    Stopped,
}
