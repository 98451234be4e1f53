//! Bit widths that a node carries for the engine that will run it. They count
//! towards bytes (flash and memory); burn and ONNX execute in 32-bit floats.

use serde::{Deserialize, Serialize};

/// Bit widths of a node's weights and of its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Precision {
    pub weights: u8,
    pub activations: u8,
}

impl Precision {
    /// 32-bit floats throughout.
    pub const FLOAT: Precision = Precision {
        weights: 32,
        activations: 32,
    };

    pub fn is_float(&self) -> bool {
        *self == Self::FLOAT
    }
}

impl Default for Precision {
    fn default() -> Self {
        Self::FLOAT
    }
}

/// Bytes of so many numbers of so many bits, packed.
#[inline]
pub(super) fn packed_bytes(numbers: u64, bits: u8) -> u64 {
    numbers.saturating_mul(u64::from(bits)).div_ceil(8)
}
