//! What a search knows of an architecture before it is trained: the latencies
//! that its calibrated predictors tell, and the costs that follow from the
//! network.

use std::sync::Arc;

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
}

impl Calibrations {
    /// Predicted latencies of a network, the own engine's first, in ms.
    fn latencies(&self, network: &Network) -> Vec<(Metric, Estimate)> {
        let features = Features::of(network);
        let others = self.others.iter().map(|(name, calibrated)| {
            let device = Some(name.clone());
            (Metric::Latency { device }, calibrated)
        });
        std::iter::once((Metric::LATENCY, &self.own))
            .chain(others)
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
        let mut estimates = self.latencies(network);
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

/// What strategies may ask.
pub(super) struct SearchKnowledge {
    pub space: Arc<Space>,
    pub calibrations: Arc<Calibrations>,
}

impl Knowledge for SearchKnowledge {
    fn known(&self, architecture: &Architecture) -> Known {
        match self.space.network(architecture) {
            Ok(network) => Known {
                estimates: self.calibrations.estimates(&network),
                ..Known::default()
            },
            Err(_) => Known::default(),
        }
    }
}
