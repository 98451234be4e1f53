//! What a user would do without meta-learning, or with another's: simple and
//! published latency predictors, adapted from the same measurements and judged
//! in the same harness, so that one sees what our method buys. They are honest
//! but small: each module names its source and says where it is simplified.
//! None is tuned on a test device; their settings are fixed constants.

mod analytic;
mod encode;
mod gaussian;
mod gnn;
mod graph;
mod linear;
mod lookup;
mod maml;
mod tape;
mod tokens;
mod trees;

use std::str::FromStr;

use rayon::prelude::*;

use super::eval::{DeviceScores, score_predictions};
use super::features::{Features, Kernel, kernels};
use super::protocol::split;
use super::train::Measured;
use crate::network::Network;
use crate::space::codec::CodecError;
use graph::{Graphs, Motifs};

/// A predictor prepared for one table (and meta-trained, where it learns from
/// known devices), ready to be adapted to a device.
pub trait Baseline: Send + Sync {
    /// Latencies in milliseconds of every architecture of the table, after
    /// measuring `rows` of them as `latency_ms`; where nothing was measured,
    /// figures that only rank.
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64>;
}

/// The baselines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Macs,
    Parameters,
    Roofline,
    LookupTable,
    NearestDevice,
    Ridge,
    DeviceRidge,
    GaussianProcess,
    Trees,
    Gnn,
    PretrainedGnn,
    Maml,
    Tokens,
}

impl Kind {
    pub const ALL: [Kind; 13] = [
        Kind::Macs,
        Kind::Parameters,
        Kind::Roofline,
        Kind::LookupTable,
        Kind::NearestDevice,
        Kind::Ridge,
        Kind::DeviceRidge,
        Kind::GaussianProcess,
        Kind::Trees,
        Kind::Gnn,
        Kind::PretrainedGnn,
        Kind::Maml,
        Kind::Tokens,
    ];

    /// The name on the command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Macs => "macs",
            Kind::Parameters => "parameters",
            Kind::Roofline => "roofline",
            Kind::LookupTable => "lookup-table",
            Kind::NearestDevice => "nearest-device",
            Kind::Ridge => "ridge",
            Kind::DeviceRidge => "device-ridge",
            Kind::GaussianProcess => "gaussian-process",
            Kind::Trees => "boosted-trees",
            Kind::Gnn => "gnn",
            Kind::PretrainedGnn => "gnn-pretrained",
            Kind::Maml => "maml-help",
            Kind::Tokens => "token-sequence",
        }
    }

    /// Whether it learns from the training devices of the table.
    pub fn is_meta_trained(self) -> bool {
        matches!(
            self,
            Kind::NearestDevice
                | Kind::DeviceRidge
                | Kind::PretrainedGnn
                | Kind::Maml
                | Kind::Tokens
        )
    }

    /// Prepares the baseline on a table; equal seeds give equal predictors.
    pub fn prepare<'a>(self, world: &'a World, seed: u64) -> Box<dyn Baseline + 'a> {
        match self {
            Kind::Macs => Box::new(analytic::Proportional(&world.macs)),
            Kind::Parameters => Box::new(analytic::Proportional(&world.parameters)),
            Kind::Roofline => Box::new(analytic::Roofline(world)),
            Kind::LookupTable => Box::new(lookup::LookupTable(world)),
            Kind::NearestDevice => Box::new(lookup::NearestDevice::new(world)),
            Kind::Ridge => Box::new(linear::one_hot(world)),
            Kind::DeviceRidge => Box::new(linear::known_devices(world)),
            Kind::GaussianProcess => Box::new(gaussian::GaussianProcess::new(world)),
            Kind::Trees => Box::new(trees::Trees::new(world, seed)),
            Kind::Gnn => Box::new(gnn::Gnn::from_scratch(world, seed)),
            Kind::PretrainedGnn => Box::new(gnn::Gnn::pretrained(world, seed)),
            Kind::Maml => Box::new(maml::Maml::train(world, seed)),
            Kind::Tokens => Box::new(tokens::TokenModel::train(world, seed)),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Kind::ALL
            .into_iter()
            .find(|k| k.name() == text)
            .ok_or_else(|| {
                let names: Vec<&str> = Kind::ALL.iter().map(|k| k.name()).collect();
                format!("no baseline `{text}`; there are {}", names.join(", "))
            })
    }
}

/// A table's architectures in every form a baseline reads, and the latencies
/// of its training devices. Row `i` is architecture `i` throughout.
pub struct World {
    features: Vec<Features>,
    /// Multiply-accumulates.
    macs: Vec<f64>,
    parameters: Vec<f64>,
    /// One-hot choices, see [`encode`].
    one_hot: Vec<Vec<f64>>,
    /// Distinct fused kernels of the table.
    kernels: Vec<Kernel>,
    /// Indices of `kernels` in execution order.
    sequences: Vec<Vec<u32>>,
    graphs: Graphs,
    /// Latencies in milliseconds of the training devices.
    known: Vec<Vec<f64>>,
}

impl World {
    /// The forms of a table's architectures, and its training devices.
    ///
    /// # Errors
    /// When an architecture is malformed.
    pub fn of(measured: &Measured) -> Result<Self, CodecError> {
        let space = measured.table.space;
        let known = split(space)
            .train
            .iter()
            .map(|d| measured.latencies(d).to_vec())
            .collect();
        World::new(
            &measured.table.architectures,
            &measured.features,
            known,
            |text| space.network(text),
        )
    }

    /// From texts (whose numbers and words are the choices), their features,
    /// the known devices' latencies, and the network of a text.
    ///
    /// # Errors
    /// Those of `network`.
    pub fn new<E: Send>(
        texts: &[String],
        features: &[Features],
        known: Vec<Vec<f64>>,
        network: impl Fn(&str) -> Result<Network, E> + Sync,
    ) -> Result<Self, E> {
        // A network is large: each is dropped as soon as it was looked at.
        let looked: Vec<(f64, f64, Vec<Kernel>, Motifs)> = texts
            .par_iter()
            .map(|text| {
                let network = network(text)?;
                let costs = network.costs();
                Ok((
                    costs.macs as f64,
                    costs.params as f64,
                    kernels(&network),
                    Motifs::of(&network),
                ))
            })
            .collect::<Result<_, E>>()?;
        let mut distinct: rustc_hash::FxHashMap<[usize; 9], u32> = Default::default();
        let mut kernels = Vec::new();
        let (mut macs, mut parameters) = (Vec::new(), Vec::new());
        let (mut sequences, mut motifs) = (Vec::new(), Vec::new());
        for (m, p, row, motif) in looked {
            macs.push(m);
            parameters.push(p);
            motifs.push(motif);
            let sequence = row.into_iter().map(|kernel| {
                let next = kernels.len() as u32;
                *distinct.entry(kernel_key(&kernel)).or_insert_with(|| {
                    kernels.push(kernel);
                    next
                })
            });
            sequences.push(sequence.collect());
        }
        Ok(World {
            features: features.to_vec(),
            macs,
            parameters,
            one_hot: encode::one_hot(texts),
            kernels,
            sequences,
            graphs: Graphs::new(motifs),
            known,
        })
    }

    fn len(&self) -> usize {
        self.features.len()
    }

    /// What all known devices have in common: the mean of their centred
    /// log-latencies. Latencies far below a device's median (networks an
    /// engine optimised away) count as a tenth of it.
    fn common_log_latency(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.len()];
        for latency in &self.known {
            let logs = floored_logs(latency);
            let centre = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
            for (slot, log) in mean.iter_mut().zip(&logs) {
                *slot += (log - centre) / self.known.len() as f64;
            }
        }
        mean
    }
}

/// Natural logarithms of latencies of at least a tenth of their median.
fn floored_logs(latency_ms: &[f64]) -> Vec<f64> {
    let mut sorted = latency_ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let floor = sorted.get(sorted.len() / 2).map_or(0.0, |m| 0.1 * m);
    latency_ms.iter().map(|l| l.max(floor).ln()).collect()
}

/// What tells kernels apart: everything a look-up table is keyed by.
fn kernel_key(k: &Kernel) -> [usize; 9] {
    [
        k.kind as usize,
        k.in_channels,
        k.out_channels,
        k.window,
        k.stride,
        k.groups,
        k.out_pixels,
        k.input_bytes as usize,
        usize::from(k.smooth_activation),
    ]
}

/// Scores a prepared baseline on devices with the given reference sets, over
/// all other architectures. Baselines give no intervals: coverage and width
/// are NaN.
pub fn evaluate(
    baseline: &dyn Baseline,
    measured: &Measured,
    devices: &[&str],
    sets: &[Vec<usize>],
) -> Vec<DeviceScores> {
    devices
        .par_iter()
        .map(|device| {
            let latency = measured.latencies(device);
            let scores = sets
                .par_iter()
                .map(|rows| {
                    let known: Vec<f64> = rows.iter().map(|i| latency[*i]).collect();
                    let predicted = baseline.predict(rows, &known);
                    score_predictions(latency, rows, |i| (predicted[i], None))
                })
                .collect();
            DeviceScores {
                device: device.to_string(),
                scores,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
