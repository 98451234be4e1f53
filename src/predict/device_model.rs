//! A predictor calibrated to one device, with what it was calibrated on: the one
//! interface to latency, energy and memory. Without any measurement it is what
//! known devices make likely of a latency.

use serde::{Deserialize, Serialize};

use super::features::Features;
use super::gain::{Gain, GainOptions};
use super::memory::MemoryModel;
use super::quantity::{BadValue, Quantity};
use super::range::{MeasuredRange, Note};
use super::unmeasured::Unmeasured;
use super::{Calibrated, CalibrationError, Options, Predictor, Warning};
use crate::network::Network;

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
    #[error(
        "nothing is known of a device's {} before one is measured: give at least one measurement, better ten", .quantity.name()
    )]
    Unmeasured { quantity: Quantity },
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Head {
    Kernels(Box<Calibrated>),
    Memory(MemoryModel),
    Unmeasured(Box<Unmeasured>),
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
    /// Calibrates a quantity from measured networks. Without any it is the
    /// latency that known devices make likely.
    ///
    /// # Errors
    /// When a value cannot be one, there are too few different networks, or no
    /// measurement of energy or memory.
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
        if samples.is_empty() {
            return match quantity {
                Quantity::Latency => Ok(Self::unmeasured(predictor, origin)),
                _ => Err(ModelError::Unmeasured { quantity }),
            };
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

    /// What is expected of the latency of a device nothing was measured on.
    pub fn unmeasured(predictor: &Predictor, origin: Origin) -> DeviceModel {
        let known = predictor.unmeasured();
        let devices = known.devices();
        DeviceModel {
            origin,
            quantity: Quantity::Latency,
            measured: Vec::new(),
            range: MeasuredRange::of(&[]),
            warnings: vec![Warning::Unmeasured { devices }],
            head: Head::Unmeasured(Box::new(known)),
            constants: Vec::new(),
        }
    }

    /// Whether anything was measured on the device.
    pub fn is_calibrated(&self) -> bool {
        !matches!(self.head, Head::Unmeasured(_))
    }

    /// What measuring some of the candidates would bring beside the samples it
    /// was calibrated with; `None` where nothing was measured yet.
    ///
    /// # Errors
    /// When the samples cannot calibrate a predictor.
    pub fn expected_gain(
        &self,
        predictor: &Predictor,
        samples: &[Sample<'_>],
        candidates: &[Network],
        options: &GainOptions,
    ) -> Result<Option<Gain>, ModelError> {
        let varying: Vec<&Sample<'_>> = samples
            .iter()
            .filter(|s| !super::checks::is_constant(s.network))
            .collect();
        Ok(match &self.head {
            Head::Unmeasured(_) => None,
            Head::Kernels(_) => {
                let pairs: Vec<(&Network, f64)> =
                    varying.iter().map(|s| (s.network, s.value)).collect();
                let features: Vec<Features> = candidates.iter().map(Features::of).collect();
                Some(predictor.expected_gain(&pairs, &features, options)?)
            }
            Head::Memory(model) => {
                let measured: Vec<_> = varying
                    .iter()
                    .map(|s| (s.network.costs(), s.value))
                    .collect();
                let candidates: Vec<_> = candidates.iter().map(Network::costs).collect();
                Some(model.expected_gain(&measured, &candidates, options))
            }
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
        let notes = match self.is_calibrated() {
            true => self.range.notes(&features),
            false => vec![Note::Unmeasured],
        };
        let (value, low, high) = match &self.head {
            Head::Kernels(calibrated) => {
                let p = calibrated.predict(&features);
                (p.latency_ms, p.low_ms, p.high_ms)
            }
            Head::Memory(model) => model.predict(&network.costs()),
            Head::Unmeasured(known) => {
                let p = known.predict(&features);
                (p.latency_ms, p.low_ms, p.high_ms)
            }
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
            Head::Memory(_) | Head::Unmeasured(_) => None,
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
            Head::Unmeasured(_) => Vec::new(),
        }
    }
}
