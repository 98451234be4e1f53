//! A device's model as a file that can be kept and checked: JSON with a version
//! and a checksum; one that was edited or cut is refused.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::DeviceModel;

const FORMAT: &str = "bespoke device model";
/// Changes whenever the meaning of the features or of the file does.
const VERSION: u32 = 3;

/// Why a file holds no model.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ModelFileError {
    #[error("cannot read the calibration {}: {source}", .path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is no calibration: {reason}", .path.display())]
    #[diagnostic(help("`bespoke calibrate DEVICE --space FILE.space --out FILE.json` writes one"))]
    NoModel { path: PathBuf, reason: String },
    #[error(
        "{} is a calibration of version {found}, this program reads version {VERSION}", .path.display()
    )]
    #[diagnostic(help(
        "calibrate again with `bespoke calibrate`; its `measured` list has the measurements"
    ))]
    Version { path: PathBuf, found: u64 },
    #[error("{} is damaged: its checksum does not match its content", .path.display())]
    #[diagnostic(help("it was cut or edited; calibrate again with `bespoke calibrate`"))]
    Damaged { path: PathBuf },
}

impl DeviceModel {
    /// The model as the text of a file.
    pub fn to_json(&self) -> String {
        let model = serde_json::to_value(self).expect("plain data");
        let file = serde_json::json!({
            "format": FORMAT,
            "version": VERSION,
            "sha256": digest(&model),
            "model": model,
        });
        format!("{file:#}\n")
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `path` only serves
    /// messages.
    ///
    /// # Errors
    /// When the text is no model, of another version, or damaged.
    pub fn from_json(text: &[u8], path: &Path) -> Result<DeviceModel, ModelFileError> {
        let no_model = |reason: String| ModelFileError::NoModel {
            path: path.into(),
            reason,
        };
        let file: serde_json::Value =
            serde_json::from_slice(text).map_err(|e| no_model(e.to_string()))?;
        if file["format"] != FORMAT {
            return Err(no_model(format!("its `format` is not \"{FORMAT}\"")));
        }
        match file["version"].as_u64() {
            Some(found) if found == u64::from(VERSION) => {}
            Some(found) => {
                return Err(ModelFileError::Version {
                    path: path.into(),
                    found,
                });
            }
            None => return Err(no_model("it has no version".into())),
        }
        if file["sha256"].as_str() != Some(&digest(&file["model"])) {
            return Err(ModelFileError::Damaged { path: path.into() });
        }
        serde_json::from_value(file["model"].clone()).map_err(|e| no_model(e.to_string()))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), and when it cannot be read.
    pub fn open(path: &Path) -> Result<DeviceModel, ModelFileError> {
        let text = std::fs::read(path).map_err(|source| ModelFileError::Read {
            path: path.into(),
            source,
        })?;
        Self::from_json(&text, path)
    }
}

fn digest(model: &serde_json::Value) -> String {
    Sha256::digest(model.to_string().as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
