//! What was seen of one network in one pass, before anything is made of it: what
//! a device elsewhere sends, and what a measurement here is summed up from.

use serde::{Deserialize, Serialize};

use super::{DeviceFacts, Measurement, PeakMemory, ProbeError, RunOptions, Trace};

/// One pass over one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    pub trace: Trace,
    /// The reference network's latency at the outset, in ms.
    pub baseline_ms: Option<f64>,
    /// The device just before.
    pub facts: DeviceFacts,
    /// As [`Measurement::load_ms`].
    #[serde(default)]
    pub load_ms: Option<f64>,
    #[serde(default)]
    pub memory: Option<PeakMemory>,
    #[serde(default)]
    pub energy_mj: Option<f64>,
    #[serde(default)]
    pub engine_version: Option<String>,
    #[serde(default)]
    pub simulated: bool,
}

impl Observation {
    /// Latencies alone.
    pub fn new(trace: Trace, baseline_ms: Option<f64>, facts: DeviceFacts) -> Self {
        Observation {
            trace,
            baseline_ms,
            facts,
            load_ms: None,
            memory: None,
            energy_mj: None,
            engine_version: None,
            simulated: false,
        }
    }

    /// Sums it up.
    ///
    /// # Errors
    /// When a latency is not a positive finite number.
    pub fn measurement(
        self,
        network: &str,
        engine: String,
        options: &RunOptions,
    ) -> Result<Measurement, ProbeError> {
        let mut measurement = Measurement::from_trace(
            network,
            engine,
            self.facts,
            options,
            self.trace,
            self.baseline_ms,
        )?;
        measurement.engine_version = self.engine_version;
        measurement.simulated = self.simulated;
        measurement.load_ms = self.load_ms;
        measurement.memory = self.memory;
        measurement.energy_mj = self.energy_mj;
        Ok(measurement)
    }
}
