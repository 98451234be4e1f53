//! What a device can hold, and how long a network may take there. Every engine
//! is held to them alike, before a network is loaded where counting tells, and
//! by the measured latency otherwise.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ProbeError;
use crate::network::Network;

/// What a network must not exceed on the device. Absent limits do not limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Of one inference of the batch.
    pub latency_ms: Option<f64>,
    /// For activations.
    pub sram_bytes: Option<u64>,
    /// For weights.
    pub flash_bytes: Option<u64>,
    /// Most bits in which the device stores a number; 32 where absent. A network
    /// that carries narrower numbers is counted by its own.
    pub bits: Option<u8>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        let Limits {
            latency_ms,
            sram_bytes,
            flash_bytes,
            bits: _,
        } = self;
        latency_ms.is_none() && sram_bytes.is_none() && flash_bytes.is_none()
    }

    /// Whether the network fits, with so many samples at a time.
    ///
    /// # Errors
    /// Names the limit and what the network needs.
    pub fn check_size(
        &self,
        engine: &str,
        network: &Network,
        batch: usize,
    ) -> Result<(), ProbeError> {
        if self.sram_bytes.is_none() && self.flash_bytes.is_none() {
            return Ok(());
        }
        let costs = network.costs_within(self.bits.unwrap_or(32));
        let activations = costs.peak_activation_bytes.saturating_mul(batch as u64);
        for (field, what, needed, limit) in [
            ("sram_bytes", "activations", activations, self.sram_bytes),
            (
                "flash_bytes",
                "weights",
                costs.weight_bytes,
                self.flash_bytes,
            ),
        ] {
            if let Some(limit) = limit.filter(|limit| needed > *limit) {
                return Err(ProbeError::Limit {
                    engine: engine.into(),
                    reason: format!(
                        "its {what} take {} ({needed} bytes), and `limits.{field}` is {} ({limit})",
                        kib(needed),
                        kib(limit)
                    ),
                });
            }
        }
        Ok(())
    }

    /// Whether a measured latency is allowed.
    ///
    /// # Errors
    /// Names the limit and the latency.
    pub fn check_latency(&self, engine: &str, measured_ms: f64) -> Result<(), ProbeError> {
        match self.latency_ms.filter(|limit| measured_ms > *limit) {
            None => Ok(()),
            Some(limit) => Err(ProbeError::Limit {
                engine: engine.into(),
                reason: format!("it takes {measured_ms:.4} ms, and `limits.latency_ms` is {limit}"),
            }),
        }
    }

    /// The first field that makes no sense, and what it must be.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let positive = |ms: f64| ms.is_finite() && ms > 0.0;
        if self.latency_ms.is_some_and(|ms| !positive(ms)) {
            return Some(("limits.latency_ms", "must be a positive number"));
        }
        if self.sram_bytes == Some(0) {
            return Some(("limits.sram_bytes", "must be at least 1"));
        }
        if self.flash_bytes == Some(0) {
            return Some(("limits.flash_bytes", "must be at least 1"));
        }
        if self.bits.is_some_and(|bits| !(1..=32).contains(&bits)) {
            return Some(("limits.bits", "must be between 1 and 32"));
        }
        None
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |b: Option<u64>| b.map_or_else(|| "none".to_string(), kib);
        let latency = self.latency_ms.map(|ms| format!("{ms} ms"));
        write!(
            f,
            "latency {}, SRAM {}, flash {}",
            latency.unwrap_or_else(|| "none".into()),
            bytes(self.sram_bytes),
            bytes(self.flash_bytes)
        )?;
        match self.bits {
            Some(bits) => write!(f, ", numbers of at most {bits} bits"),
            None => Ok(()),
        }
    }
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Conv, NodeId, Op, Shape};

    /// Makes 16 maps of 8 x 8 from 4: 1024 + 256 numbers, 576 weights.
    fn network() -> Network {
        let mut net = Network::new(Shape::image(4, 8, 8));
        net.push(Op::Conv(Conv::same(16, 3, 1)), &[NodeId(0)])
            .unwrap();
        net
    }

    #[test]
    fn a_limit_that_is_exceeded_is_named_with_the_figure() {
        let refused = |limits: Limits, batch| {
            let error = limits.check_size("tract", &network(), batch).unwrap_err();
            assert!(matches!(error, ProbeError::Limit { .. }));
            error.to_string()
        };
        let sram = |bytes| Limits {
            sram_bytes: Some(bytes),
            ..Limits::default()
        };
        let flash = |bytes| Limits {
            flash_bytes: Some(bytes),
            ..Limits::default()
        };
        insta::assert_snapshot!(refused(sram(5119), 1), @"engine `tract`: the network exceeds the device's limits: its activations take 5.0 KiB (5120 bytes), and `limits.sram_bytes` is 5.0 KiB (5119)");
        insta::assert_snapshot!(refused(flash(2000), 1), @"engine `tract`: the network exceeds the device's limits: its weights take 2.2 KiB (2304 bytes), and `limits.flash_bytes` is 2.0 KiB (2000)");
        // What fits exactly is not above the limit; two samples take twice.
        sram(5120).check_size("tract", &network(), 1).unwrap();
        flash(2304).check_size("tract", &network(), 9).unwrap();
        assert!(refused(sram(5120), 2).contains("10240 bytes"));
        // In 8 bits it takes a quarter.
        let narrow = Limits {
            bits: Some(8),
            ..sram(1280)
        };
        narrow.check_size("tract", &network(), 1).unwrap();
        // A network's own widths count where they are narrower still.
        let mut narrower = Network::new(Shape::image(4, 8, 8));
        narrower.set_precision(crate::network::Precision {
            weights: 4,
            activations: 32,
        });
        let conv = Op::Conv(Conv::same(16, 3, 1));
        narrower.push(conv, &[NodeId(0)]).unwrap();
        flash(288).check_size("tract", &narrower, 1).unwrap();
    }

    #[test]
    fn a_latency_above_the_limit_is_refused() {
        let limits = Limits {
            latency_ms: Some(2.5),
            ..Limits::default()
        };
        limits.check_latency("ncnn", 2.5).unwrap();
        insta::assert_snapshot!(limits.check_latency("ncnn", 2.51234).unwrap_err(), @"engine `ncnn`: the network exceeds the device's limits: it takes 2.5123 ms, and `limits.latency_ms` is 2.5");
        assert!(Limits::default().is_none() && !limits.is_none());
        let board = Limits {
            sram_bytes: Some(98_304),
            bits: Some(8),
            ..limits
        };
        insta::assert_snapshot!(board, @"latency 2.5 ms, SRAM 96.0 KiB, flash none, numbers of at most 8 bits");
    }
}
