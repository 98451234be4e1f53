//! A search's checkpoint: everything that the next epoch depends on.

use serde::{Deserialize, Serialize};

use super::{Alphas, GradientConfig, GradientError, GradientRecord, GradientSearch, Pressure};
use crate::space::Space;
use crate::supernet::{SharedWeights, packed, unpacked};

const FORMAT: &str = "bespoke differentiable search 1";

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    space: String,
    config: GradientConfig,
    alphas: Alphas,
    pressure: Option<Pressure>,
    curve: Vec<GradientRecord>,
}

impl GradientSearch {
    /// The checkpoint as safetensors with a header.
    pub fn to_bytes(&self, space: &Space) -> Vec<u8> {
        let header = Header {
            format: FORMAT.into(),
            space: space.hash().into(),
            config: self.config.clone(),
            alphas: self.alphas.clone(),
            pressure: self.pressure,
            curve: self.curve.clone(),
        };
        let header = serde_json::to_string(&header).expect("plain data");
        packed(&self.weights, header)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// When the bytes are no checkpoint, or one of another space or configuration.
    pub fn from_bytes(
        bytes: &[u8],
        space: &Space,
        config: &GradientConfig,
    ) -> Result<Self, GradientError> {
        let (header, tensors) = unpacked(bytes).map_err(GradientError::Checkpoint)?;
        let header: Header =
            serde_json::from_str(&header).map_err(|e| GradientError::Checkpoint(e.to_string()))?;
        let problem = if header.format != FORMAT {
            format!("its format is `{}`", header.format)
        } else if header.space != space.hash() {
            "it is of another space".into()
        } else if header.config != *config {
            "it is of a search with other settings".into()
        } else {
            return Ok(GradientSearch {
                weights: SharedWeights::restored(config.seed, tensors.into_iter()),
                config: header.config,
                alphas: header.alphas,
                pressure: header.pressure,
                curve: header.curve,
            });
        };
        Err(GradientError::Checkpoint(problem))
    }
}
