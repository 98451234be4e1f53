//! What is asked of a device: one pass over one network. The identity of a job
//! is the digest of what is asked, so asking twice is asking once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Digest;
use crate::device::{ProbeError, Protocol, RunOptions};
use crate::network::InputSpec;

/// Most bytes of a network in ONNX.
pub const MAX_NETWORK_BYTES: u64 = 1 << 30;

/// Most samples of one pass; a report of them fits a frame.
pub const MAX_SAMPLES: usize = 16_000;

/// Most values of one input batch.
const MAX_INPUT: usize = 1 << 28;

/// Longest warm-up or sampling that a protocol may ask for, in ms.
const MAX_PHASE_MS: f64 = 600_000.0;

/// A job as clients submit it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Name of the device.
    pub device: String,
    pub engine: String,
    /// What reports call the network.
    pub network: String,
    /// Digest of the ONNX file.
    pub onnx: Digest,
    pub bytes: u64,
    pub input: InputSpec,
    pub options: RunOptions,
    pub protocol: Protocol,
    /// Which pass over the network this is; each is a measurement of its own.
    pub pass: u32,
    /// Measurements of another series are made anew; usually empty.
    pub series: String,
}

/// Why a job cannot be done anywhere.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error(
        "the name of the {0} is empty, too long, or has other characters than letters, digits, `-`, `_` and `.`"
    )]
    Name(&'static str),
    #[error("a network of {0} bytes is too large: at most 1 GiB can be sent to a device")]
    NetworkSize(u64),
    #[error("an input batch must have between 1 and 2^28 values")]
    Input,
    #[error(
        "a device takes at most {MAX_SAMPLES} samples in a pass: lower the protocol's max_samples"
    )]
    Samples,
    #[error("a device warms up or samples for at most ten minutes: lower the protocol's {0}")]
    Time(&'static str),
    #[error(transparent)]
    Protocol(#[from] ProbeError),
}

impl JobSpec {
    /// The job's identity, given the key of the device. What a survey's passes
    /// are about and the network's name are not part of what is measured.
    pub fn id(&self, device_key: Digest) -> Digest {
        let protocol = Protocol {
            passes: 1,
            max_passes: 1,
            target_pass_error: 1.0,
            ..self.protocol.clone()
        };
        let asked = (
            (device_key, &self.engine, self.onnx, self.input),
            (self.options, protocol, self.pass, &self.series),
        );
        Digest::of(&serde_json::to_vec(&asked).expect("plain data"))
    }

    /// Checks what would be too much for any device.
    ///
    /// # Errors
    /// Names the first thing that is.
    pub fn check(&self) -> Result<(), SpecError> {
        for (what, name) in [("device", &self.device), ("engine", &self.engine)] {
            if !is_name(name) {
                return Err(SpecError::Name(what));
            }
        }
        if !self.series.is_empty() && !is_name(&self.series) {
            return Err(SpecError::Name("series"));
        }
        // Genotypes are long, but not as long as messages.
        if self.network.len() > 16 << 10 {
            return Err(SpecError::Name("network"));
        }
        self.job(Digest([0; 32])).check()
    }

    /// What the device is told.
    pub fn job(&self, id: Digest) -> Job {
        Job {
            id,
            engine: self.engine.clone(),
            onnx: self.onnx,
            bytes: self.bytes,
            input: self.input,
            options: self.options,
            protocol: self.protocol.clone(),
            limit_ms: self.limit().as_millis() as u64,
        }
    }

    /// How long measuring may take: what the protocol takes at worst (sampling
    /// gives up at ten times its budget), and two minutes to load the network
    /// and the reference on a slow board.
    pub fn limit(&self) -> Duration {
        let p = &self.protocol;
        let worst_ms = 2.0 * (p.max_warmup_ms + p.min_sampling_ms) + 10.0 * p.budget_ms;
        Duration::from_secs(120) + Duration::from_millis(worst_ms.clamp(0.0, 1e8) as u64)
    }
}

/// A job as the device is told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: Digest,
    pub engine: String,
    pub onnx: Digest,
    pub bytes: u64,
    pub input: InputSpec,
    pub options: RunOptions,
    pub protocol: Protocol,
    pub limit_ms: u64,
}

impl Job {
    /// As [`JobSpec::check`]; agents do not believe that the server did.
    ///
    /// # Errors
    /// Names the first thing that is too much.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.bytes == 0 || self.bytes > MAX_NETWORK_BYTES {
            return Err(SpecError::NetworkSize(self.bytes));
        }
        let values = self.input.shape.elements().checked_mul(self.options.batch);
        if !values.is_some_and(|v| (1..=MAX_INPUT).contains(&v)) || self.input.vocabulary == 0 {
            return Err(SpecError::Input);
        }
        self.protocol.check()?;
        if self.protocol.max_samples > MAX_SAMPLES {
            return Err(SpecError::Samples);
        }
        for (field, ms) in [
            ("max_warmup_ms", self.protocol.max_warmup_ms),
            ("budget_ms", self.protocol.budget_ms),
        ] {
            if ms > MAX_PHASE_MS {
                return Err(SpecError::Time(field));
            }
        }
        Ok(())
    }
}

/// Whether this can name a device, an engine or a series: at most 64 letters,
/// digits, dashes, underscores and dots, so that it can stand in file names,
/// logs and terminals.
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('.')
}
