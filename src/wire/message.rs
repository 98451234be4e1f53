//! The messages. Each is a JSON object with one field, its kind, or the kind
//! alone as a string; a field that a version does not know is ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, Job, JobSpec, Outcome};
use crate::device::{DeviceFacts, Limits};

/// The first message of a connection, of whichever kind the caller is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Greeting {
    /// A device that has no name yet and shows its token's secret.
    Enrol { version: u32, secret: String },
    /// A device that was enrolled.
    Hello { version: u32, hello: Box<Hello> },
    /// The command line or a search.
    Client { version: u32 },
}

impl Greeting {
    pub fn version(&self) -> u32 {
        match self {
            Greeting::Enrol { version, .. }
            | Greeting::Hello { version, .. }
            | Greeting::Client { version } => *version,
        }
    }
}

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Hello {
    /// The agent's version.
    pub agent: String,
    pub engines: Vec<String>,
    /// What networks must not exceed there, by engine, where its owner limits them.
    #[serde(default)]
    pub limits: BTreeMap<String, Limits>,
    pub facts: DeviceFacts,
    /// The job that it is measuring, or whose outcome it still has.
    pub holding: Option<Digest>,
}

/// Why the coordinator ends a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("the coordinator speaks version {ours} of the protocol; install the matching bespoke")]
    Version { ours: u32 },
    #[error("the coordinator does not know this key; enrol the device with a new token")]
    UnknownKey,
    #[error("this device was revoked; enrol it again with a new token")]
    Revoked,
    #[error("the coordinator did not issue this token")]
    UnknownToken,
    #[error("this token is used up; ask for a new one")]
    UsedToken,
    #[error("this token has expired; ask for a new one")]
    ExpiredToken,
    #[error("another agent has connected with the same key")]
    Replaced,
    #[error("the agent did not keep to the protocol: {reason}")]
    Misbehaved { reason: String },
    #[error("the coordinator is busy with too many connections")]
    Busy,
    #[error("{reason}")]
    Request { reason: String },
    #[error("the coordinator is stopping")]
    Stopping,
}

impl Refusal {
    /// Whether calling again cannot help.
    pub fn is_final(&self) -> bool {
        !matches!(
            self,
            Refusal::Busy | Refusal::Stopping | Refusal::Misbehaved { .. }
        )
    }
}

/// From a device to the coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromAgent {
    /// Still there, with new facts now and then.
    Beat {
        facts: Option<Box<DeviceFacts>>,
    },
    /// Send the job's network from this byte on; a chunk is the answer.
    Fetch {
        onnx: Digest,
        offset: u64,
    },
    /// The network is here and measuring begins.
    Started {
        job: Digest,
    },
    Outcome {
        job: Digest,
        outcome: Outcome,
    },
}

/// From the coordinator to a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToAgent {
    Enrolled {
        device: String,
    },
    Welcome {
        device: String,
        /// Time between two beats.
        beat_ms: u64,
        /// Whether the device goes on with the job that it holds.
        resume: bool,
    },
    Job(Box<Job>),
    /// The outcome is kept; the device may forget it.
    Recorded {
        job: Digest,
    },
    /// Stop and forget this job.
    Drop {
        job: Digest,
    },
    Beat,
    Refused(Refusal),
}

/// From a client to the coordinator; each is answered before the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromClient {
    Submit(Box<JobSpec>),
    /// The network's bytes follow in chunks, once the coordinator is ready.
    Upload {
        onnx: Digest,
        bytes: u64,
    },
    /// What came of a job, as soon as something did, else after this time.
    Wait {
        job: Digest,
        patience_ms: u64,
    },
    Devices,
    Enrol {
        device: String,
        valid_s: u64,
    },
    Revoke {
        device: String,
    },
    /// What happened after the event of this number.
    Events {
        after: u64,
    },
}

/// What became of a submitted job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Submitted {
    /// It was measured before.
    Done,
    Queued,
    /// The coordinator has not got the network: upload it and submit again.
    NeedsNetwork,
}

/// Where a job stands that is not done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Jobs that come first.
    pub ahead: usize,
    /// For how long its device has not been connected, if it is not.
    pub away_s: Option<f64>,
}

/// From the coordinator to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToClient {
    Welcome {
        version: String,
    },
    Submitted {
        job: Digest,
        state: Submitted,
    },
    /// Send the network's bytes.
    Ready,
    Uploaded,
    Outcome(Box<Outcome>),
    Waiting(Waiting),
    Devices(Vec<DeviceInfo>),
    /// A token, where a device reaches the coordinator, and for how long.
    Token {
        token: String,
        address: String,
    },
    Revoked,
    Events(Vec<Event>),
    Refused(Refusal),
}

/// What a device is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    Idle,
    Fetching,
    Measuring,
    Away,
    /// Known, but not seen since the coordinator started.
    Unseen,
    Revoked,
}

/// A device as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    pub name: String,
    pub key: Digest,
    pub state: DeviceState,
    pub agent: String,
    pub engines: Vec<String>,
    /// As [`Hello::limits`].
    #[serde(default)]
    pub limits: BTreeMap<String, Limits>,
    pub facts: DeviceFacts,
    /// Jobs waiting for it.
    pub queued: usize,
    /// Measurements kept of it.
    pub measured: usize,
    pub failed: usize,
    /// Since it was last heard of, where it was.
    pub silent_s: Option<f64>,
}

/// Something that happened, for people to watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub number: u64,
    /// Seconds since 1970.
    pub at: u64,
    pub text: String,
}

/// Text from elsewhere as it may be shown: control characters, which terminals
/// obey, become spaces, and no more than `longest` characters are kept.
pub fn plain(text: &str, longest: usize) -> String {
    let shown = text.chars().take(longest);
    shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Makes what a device says of itself fit to be kept and shown: every text in it,
/// whichever facts there are.
pub(crate) fn clean(facts: &mut DeviceFacts) {
    let mut value = serde_json::to_value(&*facts).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        for field in fields.values_mut() {
            if let serde_json::Value::String(text) = field {
                *text = plain(text, 200);
            }
        }
    }
    // Numbers that are none have become absent on the way.
    *facts = serde_json::from_value(value).unwrap_or_default();
}

impl Hello {
    /// As far as it can be kept and shown; names that are none are left out.
    pub fn cleaned(mut self) -> Hello {
        self.agent = plain(&self.agent, 64);
        self.engines.retain(|name| super::is_name(name));
        self.engines.truncate(32);
        self.limits.retain(|name, _| self.engines.contains(name));
        clean(&mut self.facts);
        self
    }
}
