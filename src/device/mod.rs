//! Measuring a network on a device: engines that run networks, the protocol
//! that turns runs into a latency with an interval, probes that reach devices,
//! and device profiles. It needs neither burn nor a database, so that the
//! same code measures on a small board.

mod catalogue;
mod clock;
mod energy;
mod engine;
mod error;
mod facts;
mod limits;
mod measurement;
mod memory;
mod observation;
mod peak_memory;
mod pin;
pub mod plugin;
mod probe;
mod process_tree;
mod profile;
mod protocol;
mod reference;
mod stats;
mod survey;
mod trace;
mod tract;

pub use catalogue::{Catalogue, CatalogueError};
pub use clock::{Clock, MonotonicClock};
pub use energy::EnergyMeter;
pub use engine::{Deployable, Engine, RunOptions, Session};
pub use error::ProbeError;
pub use facts::DeviceFacts;
pub use limits::Limits;
pub use measurement::{
    DRIFT_TOLERANCE, INTERRUPTION_RATIO, Measurement, OUTLIER_TOLERANCE, PASS_TOLERANCE, Pass,
    WIDTH_TOLERANCE, Warning,
};
pub use memory::{TooLarge, fits, fits_training};
pub use observation::Observation;
pub use peak_memory::{MemoryWatch, PeakMemory};
pub use pin::{PinError, pin_this_process};
pub use plugin::{PluginEngine, PluginFailure};
pub use probe::{LocalProbe, Probe, measure, observe};
pub use process_tree::ProcessTree;
pub use profile::{Connection, Profile, ProfileError};
pub use protocol::{FEWEST_SAMPLES, Protocol};
pub use reference::Reference;
pub use stats::{OUTLIER_Z, Summary, median, median_ci95, spearman};
pub use survey::{Repeatability, Step, Survey, measure_many};
pub use trace::{StopReason, Trace, trace};
pub use tract::{TractEngine, infer};

use peak_memory::proc_status;
use reference::reference_network;

#[cfg(test)]
mod tests;
