//! A supernet as a file: safetensors, with what else there is in its metadata, so
//! that any reader of safetensors can look at the weights.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{SharedWeights, Supernet, SupernetConfig, SupernetError, SupernetRecord};

const FORMAT: &str = "bespoke supernet 1";
const KEY: &str = "bespoke";

/// Tensors by name, their dimensions and bytes.
type Raw = Vec<(String, Vec<usize>, Vec<u8>)>;

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    space_name: String,
    space: String,
    dataset: String,
    config: SupernetConfig,
    curve: Vec<SupernetRecord>,
}

impl Supernet {
    /// Writes the supernet; a file of that name is replaced at once or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), SupernetError> {
        let header = Header {
            format: FORMAT.into(),
            space_name: self.space_name.clone(),
            space: self.space_text.clone(),
            dataset: self.dataset.clone(),
            config: self.config.clone(),
            curve: self.curve.clone(),
        };
        let header = serde_json::to_string(&header).expect("plain data");
        let bytes = packed(&self.weights, header);
        replace(path, &bytes).map_err(|source| SupernetError::Io {
            path: path.to_path_buf(),
            source,
        })
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// When the file cannot be read or is no supernet.
    pub fn load(path: &Path) -> Result<Supernet, SupernetError> {
        let bytes = std::fs::read(path).map_err(|source| SupernetError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        let damaged = |reason: String| SupernetError::Format {
            path: path.to_path_buf(),
            reason,
        };
        let (header, tensors) = unpacked(&bytes).map_err(damaged)?;
        let header: Header = serde_json::from_str(&header).map_err(|e| damaged(e.to_string()))?;
        if header.format != FORMAT {
            return Err(damaged(format!("its format is `{}`", header.format)));
        }
        Ok(Supernet {
            weights: SharedWeights::restored(header.config.seed, tensors.into_iter()),
            space_name: header.space_name,
            space_text: header.space,
            dataset: header.dataset,
            config: header.config,
            curve: header.curve,
        })
    }
}

/// Weights and their momenta under a header.
pub(crate) fn packed(weights: &SharedWeights, header: String) -> Vec<u8> {
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut raw: Raw = Vec::new();
    for (key, shared) in weights.tensors() {
        raw.push((key.clone(), shared.dims.clone(), bytes(&shared.value)));
        let momentum = format!("momentum {key}");
        raw.push((momentum, shared.dims.clone(), bytes(&shared.momentum)));
    }
    let views = raw.iter().map(|(name, dims, bytes)| {
        let view = TensorView::new(Dtype::F32, dims.clone(), bytes);
        (name, view.expect("as many bytes as the dimensions say"))
    });
    let metadata = HashMap::from([(KEY.to_string(), header)]);
    safetensors::serialize(views, Some(metadata)).expect("tensors of their sizes")
}

/// A tensor's name, dimensions, values and momentum.
pub(crate) type Restored = (String, Vec<usize>, Vec<f32>, Vec<f32>);

/// The inverse of [`packed`], or what is wrong.
pub(crate) fn unpacked(bytes: &[u8]) -> Result<(String, Vec<Restored>), String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let header = metadata
        .metadata()
        .as_ref()
        .and_then(|m| m.get(KEY))
        .ok_or("its header is missing: it holds the weights of something else")?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let floats = |view: &TensorView| -> Result<Vec<f32>, String> {
        if view.dtype() != Dtype::F32 {
            return Err(format!("a tensor is {:?} instead of F32", view.dtype()));
        }
        let numbers = view.data().chunks_exact(4);
        Ok(numbers
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect())
    };
    let mut tensors = Vec::new();
    for (name, view) in file.tensors() {
        if name.starts_with("momentum ") {
            continue;
        }
        let momentum = file
            .tensor(&format!("momentum {name}"))
            .map_err(|e| e.to_string())?;
        if momentum.shape() != view.shape() {
            return Err(format!("the momentum of `{name}` has another shape"));
        }
        let dims = view.shape().to_vec();
        tensors.push((name, dims, floats(&view)?, floats(&momentum)?));
    }
    Ok((header.clone(), tensors))
}

/// Writes beside the file and renames, so that a crash leaves one of the two.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = std::fs::File::create(&part).and_then(|mut file| {
        use std::io::Write;
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&part, path))
}
