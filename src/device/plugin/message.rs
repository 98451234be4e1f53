//! The messages of the protocol: one JSON object a line, requests from this
//! side, one answer to each. Fields that are not known are ignored on both
//! sides, so that either may gain some within a version.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::device::Limits;

/// Changes when a plugin of an earlier version would be misunderstood.
pub const PROTOCOL_VERSION: u32 = 1;

/// Longest line either side may send, in bytes.
pub const LINE_LIMIT: usize = 1 << 20;

/// Most runs in one request, so that answers stay far below [`LINE_LIMIT`].
pub const RUNS_LIMIT: usize = 1_000;

#[derive(Debug, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request<'a> {
    /// The first request.
    Hello {
        protocol: u32,
        limits: &'a Limits,
    },
    /// What the device says of itself; asked where `facts` is offered.
    Facts,
    Load {
        session: u64,
        onnx: &'a Path,
        input: Input<'a>,
        batch: usize,
        threads: usize,
    },
    Run {
        session: u64,
        runs: usize,
    },
    /// Writes what the network computes from its input; where `output` is offered.
    Output {
        session: u64,
        path: &'a Path,
    },
    /// Millijoules of one inference; where `energy` is offered.
    Energy {
        session: u64,
        runs: usize,
    },
    /// Bytes; where `memory` is offered.
    Memory {
        session: u64,
    },
    Unload {
        session: u64,
    },
    /// A request that no version has, to see how a plugin takes it.
    NoSuchCommand,
}

impl Request<'_> {
    /// What errors say was being done.
    pub fn doing(&self) -> &'static str {
        match self {
            Request::Hello { .. } => "while it was greeted",
            Request::Facts => "while it was asked for facts",
            Request::Load { .. } => "while it loaded a network",
            Request::Run { .. } => "while it ran a network",
            Request::Output { .. } => "while it was asked for a network's output",
            Request::Energy { .. } => "while it was asked for energy",
            Request::Memory { .. } => "while it was asked for memory",
            Request::Unload { .. } => "while it unloaded a network",
            Request::NoSuchCommand => "when it was sent an unknown command",
        }
    }
}

/// Numbers for a network's only input, batch first: raw little-endian values.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Input<'a> {
    pub path: &'a Path,
    pub dims: &'a [usize],
    /// `float32`, or `int64` for token ids.
    pub dtype: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Envelope<'a> {
    pub id: u64,
    #[serde(flatten)]
    pub request: &'a Request<'a>,
}

/// `ok` or `error`, never both.
#[derive(Debug, Deserialize)]
pub struct Answer {
    pub id: u64,
    pub ok: Option<serde_json::Value>,
    pub error: Option<Complaint>,
}

/// What a plugin says of a network that it cannot load or run.
#[derive(Debug, Deserialize)]
pub struct Complaint {
    #[serde(default)]
    pub kind: ComplaintKind,
    pub message: String,
    /// What the user can do.
    pub remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComplaintKind {
    /// An operator, a number of threads or a batch that the engine lacks.
    Unsupported,
    /// The network exceeds what the device can hold.
    Limit,
    /// The network cannot be loaded for another reason.
    Load,
    /// Anything else.
    #[default]
    #[serde(other)]
    Run,
}

/// How a plugin introduces itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    /// The engine's name.
    pub name: String,
    /// The engine's version.
    #[serde(default)]
    pub version: String,
    /// Which of the optional commands it knows: `facts`, `output`, `energy`, `memory`.
    #[serde(default)]
    pub offers: Vec<String>,
    /// Whether latencies are computed rather than timed: they are then exact,
    /// and neither this machine's clock nor a budget of time says anything of them.
    #[serde(default)]
    pub simulated: bool,
}

impl Hello {
    pub fn offers(&self, command: &str) -> bool {
        self.offers.iter().any(|c| c == command)
    }
}

#[derive(Debug, Deserialize)]
pub struct Loaded {
    /// Milliseconds the engine took, without conversions that a deployment
    /// would have done beforehand.
    pub load_ms: f64,
}

#[derive(Debug, Deserialize)]
pub struct Ran {
    /// One for each run. What JSON cannot hold (a NaN) is null.
    pub samples_ms: Vec<Option<f64>>,
}

#[derive(Debug, Deserialize)]
pub struct Written {
    pub dims: Vec<usize>,
}

#[derive(Debug, Deserialize)]
pub struct EnergyTaken {
    pub energy_mj: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub struct MemoryTaken {
    pub before_bytes: u64,
    pub peak_bytes: u64,
}

#[derive(Debug, Deserialize)]
pub struct Nothing {}
