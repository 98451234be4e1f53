//! An engine is what executes a network on a device: tract, burn, a vendor's
//! runtime. All it must do here is load a network and run it once at a time;
//! timing is somebody else's work, so that every engine is timed alike.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::ProbeError;
use crate::network::onnx::{OnnxError, OnnxOptions, export};
use crate::network::{InputSpec, Network, Weights};

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
}

/// A loaded network with an input of its own.
pub trait Session {
    /// One inference of the whole batch; returns when the output is computed.
    ///
    /// # Errors
    /// When the engine fails.
    fn run(&mut self) -> Result<(), ProbeError>;
}
