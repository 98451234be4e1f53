//! What is predicted: a latency, an energy or a memory, with its unit, and a
//! typed refusal of values that cannot be one.

use serde::{Deserialize, Serialize};

/// A cost of running a network on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Of one inference, in milliseconds.
    #[default]
    Latency,
    /// Of one inference, in millijoules.
    Energy,
    /// Largest resident memory, in bytes.
    Memory,
}

/// A measurement no calibration can use.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "{name} is {value} {unit}: expected a number from {low:e} to {high:e}; measure it again, leave it out or check the unit",
    name = .quantity.name(), unit = .quantity.unit(), low = .quantity.range().0, high = .quantity.range().1
)]
pub struct BadValue {
    pub quantity: Quantity,
    pub value: f64,
}

impl Quantity {
    pub const ALL: [Quantity; 3] = [Quantity::Latency, Quantity::Energy, Quantity::Memory];

    pub fn name(self) -> &'static str {
        match self {
            Quantity::Latency => "latency",
            Quantity::Energy => "energy",
            Quantity::Memory => "memory",
        }
    }

    pub fn by_name(name: &str) -> Option<Quantity> {
        Self::ALL.into_iter().find(|q| q.name() == name)
    }

    /// The unit of every value.
    pub fn unit(self) -> &'static str {
        match self {
            Quantity::Latency => "ms",
            Quantity::Energy => "mJ",
            Quantity::Memory => "bytes",
        }
    }

    /// Column names a file of measurements may use, each with what its values
    /// are multiplied by to be in [`unit`](Self::unit). The first is preferred.
    pub fn columns(self) -> &'static [(&'static str, f64)] {
        match self {
            Quantity::Latency => &[
                ("latency_ms", 1.0),
                ("latency_us", 1e-3),
                ("latency_s", 1e3),
            ],
            Quantity::Energy => &[("energy_mj", 1.0), ("energy_uj", 1e-3), ("energy_j", 1e3)],
            Quantity::Memory => &[
                ("memory_bytes", 1.0),
                ("memory_kib", 1024.0),
                ("memory_mib", 1048576.0),
            ],
        }
    }

    /// Smallest and largest accepted value.
    pub fn range(self) -> (f64, f64) {
        match self {
            Quantity::Latency | Quantity::Energy => (
                *super::checks::PLAUSIBLE.start(),
                *super::checks::PLAUSIBLE.end(),
            ),
            Quantity::Memory => (1.0, 1e15),
        }
    }

    /// The value, where it can be one.
    ///
    /// # Errors
    /// When it is no number, not positive or out of all proportion.
    pub fn check(self, value: f64) -> Result<f64, BadValue> {
        let (low, high) = self.range();
        match (low..=high).contains(&value) {
            true => Ok(value),
            false => Err(BadValue {
                quantity: self,
                value,
            }),
        }
    }
}
