//! The predictor's file: a magic word, a version, the SHA-256 of what follows
//! and gzipped JSON. Anything that is not exactly such a file is refused with
//! the reason.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::Predictor;
use super::features::N_COSTS;
use super::posterior::N_HYPOTHESES;

const MAGIC: &[u8; 8] = b"BESPOKEL";
/// Changes whenever the meaning of the features or the weights does.
const VERSION: u32 = 4;
const HEADER: usize = 8 + 4 + 32;

/// Why bytes are no predictor.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("this is not a bespoke latency predictor (it does not start with its magic word)")]
    NotACheckpoint,
    #[error(
        "the predictor is of version {found}, this program reads version {VERSION}: train it again with `bespoke predictor train`, or use the shipped one"
    )]
    Version { found: u32 },
    #[error(
        "the predictor's file is damaged or truncated (its checksum does not match): fetch or train it again"
    )]
    Damaged,
    #[error("the predictor's content does not fit this program: {0}")]
    Content(String),
}

/// Why a predictor's file cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum OpenError {
    #[error("cannot read the predictor {}: {source}", .path.display())]
    #[diagnostic(help("without --predictor, the shipped predictor is used"))]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {source}", .path.display())]
    #[diagnostic(help(
        "without --predictor, the shipped predictor is used; `bespoke predictor train` makes one"
    ))]
    Checkpoint {
        path: PathBuf,
        source: CheckpointError,
    },
}

impl Predictor {
    /// The predictor in a file, or the shipped one where none is named.
    ///
    /// # Errors
    /// When the file cannot be read or is no sound checkpoint.
    pub fn open(path: Option<&Path>) -> Result<Predictor, OpenError> {
        let Some(path) = path else {
            return Ok(Predictor::shipped().clone());
        };
        let bytes = std::fs::read(path).map_err(|source| OpenError::Read {
            path: path.into(),
            source,
        })?;
        Predictor::load(&bytes).map_err(|source| OpenError::Checkpoint {
            path: path.into(),
            source,
        })
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// When the bytes are no checkpoint, of another version, damaged, or do
    /// not fit this program's features.
    pub fn load(bytes: &[u8]) -> Result<Predictor, CheckpointError> {
        if bytes.len() < 8 || &bytes[..8] != MAGIC {
            return Err(CheckpointError::NotACheckpoint);
        }
        if bytes.len() < HEADER {
            return Err(CheckpointError::Damaged);
        }
        let found = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
        if found != VERSION {
            return Err(CheckpointError::Version { found });
        }
        let payload = &bytes[HEADER..];
        if Sha256::digest(payload)[..] != bytes[12..HEADER] {
            return Err(CheckpointError::Damaged);
        }
        let mut json = Vec::new();
        GzDecoder::new(payload)
            .read_to_end(&mut json)
            .map_err(|_| CheckpointError::Damaged)?;
        let predictor: Predictor =
            serde_json::from_slice(&json).map_err(|e| CheckpointError::Content(e.to_string()))?;
        predictor.check()?;
        Ok(predictor)
    }

    /// Writes a checkpoint.
    pub fn save(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("plain data");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&json).expect("writing to memory");
        let payload = encoder.finish().expect("writing to memory");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(Sha256::digest(&payload));
        bytes.extend(payload);
        bytes
    }

    fn check(&self) -> Result<(), CheckpointError> {
        let fail = |what: &str| Err(CheckpointError::Content(what.into()));
        let good = |w: &f64| w.is_finite() && *w >= 0.0;
        if self.bases.last().is_none_or(|b| b.range.is_some()) {
            return fail("the generic basis is missing");
        }
        for basis in &self.bases {
            if basis.devices.len() != basis.weights.len() || basis.devices.is_empty() {
                return fail("a basis names other devices than it has weights for");
            }
            let whole = |w: &Vec<f64>| w.len() == N_COSTS && w.iter().all(good);
            if !basis.weights.iter().all(whole) {
                return fail("a device's weights are not one non-negative number a cost");
            }
            if let Some((low, high)) = &basis.range
                && (low.len() != N_COSTS || high.len() != N_COSTS)
            {
                return fail("a basis' range is not one number a cost");
            }
        }
        if self.prior.home.len() != N_HYPOTHESES || self.prior.away.len() != N_HYPOTHESES {
            return fail("the prior is over other hypotheses");
        }
        let widths = [&self.interval.home, &self.interval.away];
        if widths.iter().any(|w| w.is_empty()) {
            return fail("no interval widths were learned");
        }
        Ok(())
    }
}

/// The version of the checkpoints this program reads and writes.
pub fn checkpoint_version() -> u32 {
    VERSION
}
