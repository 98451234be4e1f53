//! What a search knows of an architecture before it is trained: the latencies
//! that its calibrated predictors tell, the costs that follow from the network,
//! and the zero-cost proxies it asks for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use burn::tensor::Device;

use crate::data::Dataset;
use crate::evaluate::proxies::{Proxy, Source, score};
use crate::network::Network;
use crate::predict::{Calibrated, Features};
use crate::space::{Architecture, Space};
use crate::strategy::{Estimate, Knowledge, Known, Metric};

/// The predictor calibrated to each of a search's engines.
pub(super) struct Calibrations {
    /// To the engine whose latency is `latency_ms`.
    pub own: Calibrated,
    /// To the others, by name.
    pub others: Vec<(String, Calibrated)>,
    /// To measured energies, where they are wanted.
    pub energies: Vec<(Metric, Calibrated)>,
}

impl Calibrations {
    /// Predicted latencies of a network, the own engine's first, in ms, and
    /// energies in mJ.
    fn predicted(&self, network: &Network) -> Vec<(Metric, Estimate)> {
        let features = Features::of(network);
        let others = self.others.iter().map(|(name, calibrated)| {
            let device = Some(name.clone());
            (Metric::Latency { device }, calibrated)
        });
        let energies = self.energies.iter().map(|(m, c)| (m.clone(), c));
        std::iter::once((Metric::LATENCY, &self.own))
            .chain(others)
            .chain(energies)
            .map(|(metric, calibrated)| {
                let p = calibrated.predict(&features);
                let estimate = Estimate {
                    value: p.latency_ms,
                    low: p.low_ms,
                    high: p.high_ms,
                };
                (metric, estimate)
            })
            .collect()
    }

    /// Every metric of a network but its accuracy.
    pub fn estimates(&self, network: &Network) -> Vec<(Metric, Estimate)> {
        let costs = network.costs();
        let mut estimates = self.predicted(network);
        estimates.extend([
            (
                Metric::Memory,
                Estimate::exact(costs.peak_activation_bytes as f64),
            ),
            (Metric::Macs, Estimate::exact(costs.macs as f64)),
            (Metric::Params, Estimate::exact(costs.params as f64)),
        ]);
        estimates
    }
}

/// Zero-cost proxies as a search's prior, computed once for each architecture.
pub(super) struct Scores {
    pub proxies: Vec<Proxy>,
    pub dataset: Arc<Dataset>,
    pub seed: u64,
    pub device: Device,
    pub known: Mutex<HashMap<Architecture, Vec<f64>>>,
}

/// Images in a proxy's batch.
const BATCH: usize = 32;

impl Scores {
    /// One score a proxy; NaN where it is not defined for the network.
    fn of(&self, architecture: &Architecture, network: &Network) -> Vec<f64> {
        if self.proxies.is_empty() {
            return Vec::new();
        }
        let lock = || self.known.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(scores) = lock().get(architecture) {
            return scores.clone();
        }
        let batch = Source::Data(&self.dataset).batch(network, BATCH, self.seed);
        let scores: Vec<f64> = self
            .proxies
            .iter()
            .map(|proxy| match &batch {
                Ok(batch) => score(*proxy, network, batch, self.seed, &self.device),
                Err(error) => Err((*error).into()),
            })
            .map(|score| score.unwrap_or(f64::NAN))
            .collect();
        lock().insert(architecture.clone(), scores.clone());
        scores
    }
}

/// What strategies may ask.
pub(super) struct SearchKnowledge {
    pub space: Arc<Space>,
    pub calibrations: Arc<Calibrations>,
    pub scores: Scores,
}

impl Knowledge for SearchKnowledge {
    fn known(&self, architecture: &Architecture) -> Known {
        match self.space.network(architecture) {
            Ok(network) => Known {
                estimates: self.calibrations.estimates(&network),
                scores: self.scores.of(architecture, &network),
                ..Known::default()
            },
            Err(_) => Known::default(),
        }
    }
}
