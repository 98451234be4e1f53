//! A predictor calibrated to one device, with what it was calibrated on, as a
//! file that can be kept and checked: the one interface to latency, energy and
//! memory. The file is JSON with a version and a checksum; one that was edited
//! or cut is refused.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::features::Features;
use super::memory::MemoryModel;
use super::quantity::{BadValue, Quantity};
use super::range::{MeasuredRange, Note};
use super::{Calibrated, CalibrationError, Options, Predictor, Warning};
use crate::network::Network;

const FORMAT: &str = "bespoke device model";
/// Changes whenever the meaning of the features or of the file does.
const VERSION: u32 = 2;

/// Where and on what a model was calibrated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The device's name, as the user gave it.
    pub device: String,
    /// Name and hash of the space the measured networks come from.
    pub space: String,
    pub space_hash: String,
    /// Whether the device runs operators that cannot reach the output.
    pub as_written: bool,
}

/// One measured network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub genotype: String,
    /// In the quantity's unit.
    pub value: f64,
}

/// A measured network on its way into a model.
#[derive(Debug, Clone)]
pub struct Sample<'a> {
    pub genotype: String,
    pub network: &'a Network,
    /// In the quantity's unit.
    pub value: f64,
}

/// A prediction in the unit of the model's [`Quantity`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Posterior median.
    pub value: f64,
    /// Lower end of the 90 % interval.
    pub low: f64,
    /// Upper end of the 90 % interval.
    pub high: f64,
    /// Why it is an extrapolation; empty inside the measured range.
    pub notes: Vec<Note>,
}

/// Why measurements give no model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    #[error("measurement {index} (counted from 0): {source}")]
    Value { index: usize, source: BadValue },
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
}

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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Head {
    Kernels(Box<Calibrated>),
    Memory(MemoryModel),
}

/// A calibrated model of one quantity on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceModel {
    pub origin: Origin,
    pub quantity: Quantity,
    pub measured: Vec<Measured>,
    range: MeasuredRange,
    warnings: Vec<Warning>,
    head: Head,
    /// Values of measured networks whose output is constant.
    constants: Vec<f64>,
}

impl DeviceModel {
    /// Calibrates a quantity from measured networks.
    ///
    /// # Errors
    /// When a value cannot be one, or there are too few different networks.
    pub fn calibrate(
        predictor: &Predictor,
        quantity: Quantity,
        origin: Origin,
        samples: &[Sample<'_>],
    ) -> Result<DeviceModel, ModelError> {
        for (index, sample) in samples.iter().enumerate() {
            quantity
                .check(sample.value)
                .map_err(|source| ModelError::Value { index, source })?;
        }
        let all = samples;
        let (constant, kept): (Vec<usize>, Vec<usize>) =
            (0..all.len()).partition(|i| super::checks::is_constant(all[*i].network));
        let samples: Vec<&Sample<'_>> = kept.iter().map(|i| &all[*i]).collect();
        let features: Vec<Features> = samples.iter().map(|s| Features::of(s.network)).collect();
        let pairs: Vec<(&Features, f64)> = features
            .iter()
            .zip(&samples)
            .map(|(f, s)| (f, s.value))
            .collect();
        // Energy is a sum over kernels as latency is: the same head, in
        // millijoules. Memory is a peak, not a sum, and has its own.
        let (head, warnings): (Head, Vec<Warning>) = match quantity {
            Quantity::Latency | Quantity::Energy => {
                let calibrated = predictor.calibrate(&pairs, &Options::default())?;
                let warnings = calibrated.warnings().iter().cloned();
                let warnings = warnings
                    .filter(|w| {
                        quantity == Quantity::Latency
                            || !matches!(w, Warning::ImplausibleSpeed { .. })
                    })
                    .collect();
                (Head::Kernels(Box::new(calibrated)), warnings)
            }
            Quantity::Memory => {
                let measured: Vec<_> = samples
                    .iter()
                    .map(|s| (s.network.costs(), s.value))
                    .collect();
                if measured.len() < super::calibrate::MIN_MEASUREMENTS {
                    return Err(CalibrationError::TooFew {
                        found: measured.len(),
                    }
                    .into());
                }
                super::checks::refuse(&features.iter().collect::<Vec<_>>())?;
                let model = MemoryModel::fit(&measured);
                let warnings = super::checks::memory(&measured, &model);
                (Head::Memory(model), warnings)
            }
        };
        let mut warnings: Vec<Warning> =
            warnings.into_iter().map(|w| w.renumbered(&kept)).collect();
        let constants = constant.iter().map(|i| all[*i].value).collect();
        if !constant.is_empty() {
            warnings.push(Warning::ConstantOutput { indices: constant });
        }
        Ok(DeviceModel {
            origin,
            quantity,
            constants,
            measured: all
                .iter()
                .map(|s| Measured {
                    genotype: s.genotype.clone(),
                    value: s.value,
                })
                .collect(),
            range: MeasuredRange::of(&features),
            warnings,
            head,
        })
    }

    /// Predicts a network, with its interval and notes.
    pub fn predict(&self, network: &Network) -> Estimate {
        if super::checks::is_constant(network) {
            return self.constant(network);
        }
        self.predict_varying(network)
    }

    /// A network whose output is constant costs what such ones did, where any
    /// was measured. Else whether the engine folds constants is not known, and
    /// the interval reaches down to nothing.
    fn constant(&self, network: &Network) -> Estimate {
        let mut e = self.predict_varying(network);
        e.notes.push(Note::ConstantOutput);
        let mut values = self.constants.clone();
        values.sort_by(f64::total_cmp);
        match values.get(values.len() / 2) {
            Some(median) => {
                e.value = *median;
                e.low = values[0] / 2.0;
                e.high = values[values.len() - 1] * 2.0;
            }
            None => e.low = 0.0,
        }
        e
    }

    fn predict_varying(&self, network: &Network) -> Estimate {
        let features = Features::of(network);
        let notes = self.range.notes(&features);
        let (value, low, high) = match &self.head {
            Head::Kernels(calibrated) => {
                let p = calibrated.predict(&features);
                (p.latency_ms, p.low_ms, p.high_ms)
            }
            Head::Memory(model) => model.predict(&network.costs()),
        };
        Estimate {
            value,
            low,
            high,
            notes,
        }
    }

    /// The calibrated sum over kernels, for latency and energy.
    pub fn calibrated(&self) -> Option<&Calibrated> {
        match &self.head {
            Head::Kernels(calibrated) => Some(calibrated),
            Head::Memory(_) => None,
        }
    }

    /// What to doubt about the measurements.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Each measurement beside its prediction from the others.
    pub fn leave_one_out(&self) -> Vec<(f64, f64)> {
        match &self.head {
            Head::Kernels(calibrated) => calibrated
                .leave_one_out()
                .iter()
                .map(|l| (l.measured_ms, l.predicted.latency_ms))
                .collect(),
            Head::Memory(model) => model.left_out().to_vec(),
        }
    }

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
