//! A latency table as training and evaluation need it.

use std::path::Path;

use rayon::prelude::*;

use super::TrainError;
use super::known::operator_costs;
use crate::predict::basis::Basis;
use crate::predict::features::{Features, N_COSTS};
use crate::predict::protocol::split;
use crate::predict::tables::{LatencyTable, TableSpace};

/// A table with the features of its networks.
pub struct Measured {
    pub table: LatencyTable,
    pub features: Vec<Features>,
}

impl Measured {
    /// Reads a space's table and computes its features on all cores.
    ///
    /// # Errors
    /// When the table cannot be read, lacks a device of the protocol, or holds
    /// a malformed architecture.
    pub fn read(dir: &Path, space: TableSpace) -> Result<Self, TrainError> {
        let table = LatencyTable::read(dir, space)?;
        let s = split(space);
        for device in s.train.iter().chain(s.validate).chain(s.test) {
            if table.device(device).is_none() {
                return Err(TrainError::Device {
                    space: space.name(),
                    device: device.to_string(),
                });
            }
        }
        let features = table
            .architectures
            .par_iter()
            .enumerate()
            .map(|(index, text)| {
                space
                    .network(text)
                    .map(|n| Features::of(&n))
                    .map_err(|source| TrainError::Architecture {
                        path: space.name().into(),
                        index,
                        source,
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Measured { table, features })
    }

    /// A device's latencies in milliseconds, one an architecture.
    ///
    /// # Panics
    /// When the table has no such device.
    pub fn latencies(&self, device: &str) -> &[f64] {
        let index = self.table.device(device).expect("a device of the table");
        &self.table.latency_ms[index]
    }

    /// The basis of these devices.
    pub fn basis(&self, devices: &[&str]) -> Basis {
        let weights = devices
            .par_iter()
            .map(|d| operator_costs(&self.features, self.latencies(d)))
            .collect();
        let mut low = vec![f64::INFINITY; N_COSTS];
        let mut high = vec![f64::NEG_INFINITY; N_COSTS];
        for f in &self.features {
            for (j, cost) in f.costs.iter().enumerate() {
                low[j] = low[j].min(*cost);
                high[j] = high[j].max(*cost);
            }
        }
        Basis {
            name: self.table.space.name().into(),
            devices: devices.iter().map(|d| d.to_string()).collect(),
            weights,
            range: Some((low, high)),
        }
    }
}
