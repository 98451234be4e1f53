//! An engine is what executes a network on a device: tract, burn, a vendor's
//! runtime. All it must do here is load a network and run it once at a time;
//! timing is somebody else's work, so that every engine is timed alike.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::{Clock, DeviceFacts, PeakMemory, ProbeError, trace::time_loop};
use crate::network::onnx::{OnnxError, OnnxOptions, export};
use crate::network::{Array, InputSpec, Network, Weights};

/// A network ready to be deployed: its graph, its weights and, once somebody
/// asks, its ONNX form.
#[derive(Debug)]
pub struct Deployable {
    name: String,
    network: Network,
    weights: Weights,
    onnx: OnceLock<Vec<u8>>,
}

impl Deployable {
    /// `name` is what reports and errors call the network.
    pub fn new(name: impl Into<String>, network: Network, weights: Weights) -> Self {
        Deployable {
            name: name.into(),
            network,
            weights,
            onnx: OnceLock::new(),
        }
    }

    /// A network with untrained weights: latency does not depend on their
    /// values as long as they are ordinary numbers.
    ///
    /// # Errors
    /// When this machine has not the memory for it.
    pub fn untrained(
        name: impl Into<String>,
        network: Network,
        seed: u64,
    ) -> Result<Self, ProbeError> {
        let name = name.into();
        if let Err(reason) = super::fits(&network, 1) {
            return Err(ProbeError::Memory {
                network: name,
                reason,
            });
        }
        let weights = Weights::random(&network, seed);
        Ok(Self::new(name, network, weights))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The network as ONNX with a dynamic batch, exported at the first call.
    ///
    /// # Errors
    /// When the weights do not fit the network.
    pub fn onnx(&self) -> Result<&[u8], OnnxError> {
        if let Some(bytes) = self.onnx.get() {
            return Ok(bytes);
        }
        let options = OnnxOptions {
            name: if self.name.is_empty() {
                "network".into()
            } else {
                self.name.clone()
            },
            ..OnnxOptions::default()
        };
        let bytes = export(&self.network, &self.weights, &options)?;
        Ok(self.onnx.get_or_init(|| bytes))
    }
}

/// How a network is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Samples in one inference.
    pub batch: usize,
    /// Threads the engine may use.
    pub threads: usize,
}

impl Default for RunOptions {
    /// One sample on one thread, as the latency papers measure.
    fn default() -> Self {
        RunOptions {
            batch: 1,
            threads: 1,
        }
    }
}

/// Something that executes networks.
pub trait Engine {
    /// A short name such as `tract`, under which results are filed.
    fn name(&self) -> String;

    /// Prepares a network: everything an application would do once at start-up.
    ///
    /// # Errors
    /// When the engine rejects the network or the options.
    fn load(
        &self,
        model: &Deployable,
        options: &RunOptions,
    ) -> Result<Box<dyn Session>, ProbeError>;

    /// Prepares a network of which only the ONNX file is at hand, as on a device
    /// that a file was sent to. Engines that read no files refuse.
    ///
    /// # Errors
    /// When the engine rejects the model or the options.
    fn load_onnx(
        &self,
        _onnx: &[u8],
        _input: &InputSpec,
        _options: &RunOptions,
    ) -> Result<Box<dyn Session>, ProbeError> {
        Err(ProbeError::Unsupported {
            engine: self.name(),
            what: "ONNX files".into(),
            remedy: "choose an engine that reads them, such as tract".into(),
        })
    }

    /// What the device that it runs on says of itself now.
    fn facts(&self) -> DeviceFacts {
        DeviceFacts::collect()
    }

    /// The engine's own version, where it tells.
    fn version(&self) -> Option<String> {
        None
    }

    /// Whether latencies are computed by a model of a device rather than timed.
    fn is_simulated(&self) -> bool {
        false
    }

    /// The process on this machine whose memory networks take; `None` where
    /// there is none, as on a board.
    fn process_id(&self) -> Option<u32> {
        Some(std::process::id())
    }
}

/// A loaded network with an input of its own.
pub trait Session {
    /// One inference of the whole batch; returns when the output is computed.
    ///
    /// # Errors
    /// When the engine fails.
    fn run(&mut self) -> Result<(), ProbeError>;

    /// Mean duration, in ms, of `runs` consecutive inferences. An engine in
    /// another process or on another device times itself; others are timed here.
    ///
    /// # Errors
    /// When the engine fails or the clock goes backwards.
    fn time(&mut self, runs: usize, clock: &dyn Clock) -> Result<f64, ProbeError> {
        time_loop(&mut || self.run(), runs, clock)
    }

    /// As [`Engine::is_simulated`].
    fn is_simulated(&self) -> bool {
        false
    }

    /// Milliseconds that loading took, where the session knows better than who
    /// waited for it.
    fn load_ms(&self) -> Option<f64> {
        None
    }

    /// Energy of one inference in mJ, the mean of `runs`, where the device has
    /// a meter of its own.
    ///
    /// # Errors
    /// When the engine fails.
    fn energy_mj(&mut self, runs: usize) -> Result<Option<f64>, ProbeError> {
        let _ = runs;
        Ok(None)
    }

    /// Memory as the device tells it, where this machine cannot see it.
    ///
    /// # Errors
    /// When the engine fails.
    fn memory(&mut self) -> Result<Option<PeakMemory>, ProbeError> {
        Ok(None)
    }

    /// What the network computes from the session's input, to be compared with
    /// another engine's; `None` where the engine does not tell.
    ///
    /// # Errors
    /// When the engine fails.
    fn output(&mut self) -> Result<Option<Array>, ProbeError> {
        Ok(None)
    }
}
