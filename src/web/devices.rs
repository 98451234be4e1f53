//! Devices elsewhere and their health, from whoever knows: the command line
//! asks the coordinator of `bespoke serve`, tests make some up.

use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;

/// A device elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DeviceHealth {
    pub name: String,
    /// `idle`, `fetching`, `measuring`, `away`, `unseen` or `revoked`.
    pub state: String,
    /// Version of its agent.
    pub agent: String,
    pub engines: Vec<String>,
    /// Jobs waiting for it.
    pub queued: usize,
    pub measured: usize,
    pub failed: usize,
    /// Seconds since it was last heard of.
    pub silent_s: Option<f64>,
    pub cpu: Option<String>,
    pub architecture: Option<String>,
    pub cores: Option<usize>,
    pub memory_bytes: Option<u64>,
    pub os: Option<String>,
    /// Frequency governor: anything but `performance` makes latencies vary.
    pub governor: Option<String>,
    /// Hottest sensor, degrees Celsius.
    pub temperature_c: Option<f32>,
    /// Processes that wanted to run, averaged over a minute.
    pub load_1min: Option<f64>,
}

type Answer = Result<Vec<DeviceHealth>, String>;

type Asked = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Asks for all devices; the error is for people.
#[derive(Clone)]
pub struct DeviceSource(Arc<dyn Fn() -> Asked + Send + Sync>);

impl DeviceSource {
    /// Asks with this.
    pub fn new<A>(ask: impl Fn() -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Answer> + Send + 'static,
    {
        DeviceSource(Arc::new(move || Box::pin(ask())))
    }

    pub(super) fn ask(&self) -> Asked {
        (self.0)()
    }
}
