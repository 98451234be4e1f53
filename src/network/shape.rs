//! The shape of one sample as it flows through a network, without the batch
//! dimension. Shapes are small, copyable and hashable because the search-space
//! checker keeps sets of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The shape of one sample, batch excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A feature map, laid out channels first (`CxHxW`).
    Image {
        channels: usize,
        height: usize,
        width: usize,
    },
    /// A flat feature vector.
    Vector { features: usize },
    /// A sequence of feature vectors, position by position (`L x C`).
    Tokens { length: usize, channels: usize },
    /// A sequence of token ids, whole numbers below a vocabulary's size.
    Ids { length: usize },
}

impl Shape {
    pub const fn image(channels: usize, height: usize, width: usize) -> Self {
        Shape::Image {
            channels,
            height,
            width,
        }
    }

    pub const fn vector(features: usize) -> Self {
        Shape::Vector { features }
    }

    pub const fn tokens(length: usize, channels: usize) -> Self {
        Shape::Tokens { length, channels }
    }

    pub const fn ids(length: usize) -> Self {
        Shape::Ids { length }
    }

    /// Number of channels, or of features for a flat vector; 1 for ids.
    #[inline]
    pub fn channels(&self) -> usize {
        match *self {
            Shape::Image { channels, .. } => channels,
            Shape::Tokens { channels, .. } => channels,
            Shape::Vector { features } => features,
            Shape::Ids { .. } => 1,
        }
    }

    /// Number of positions of a sequence; 1 for anything else.
    #[inline]
    pub fn length(&self) -> usize {
        match *self {
            Shape::Tokens { length, .. } | Shape::Ids { length } => length,
            _ => 1,
        }
    }

    /// Height and width; `(1, 1)` for a flat vector, one row for a sequence.
    #[inline]
    pub fn spatial(&self) -> (usize, usize) {
        match *self {
            Shape::Image { height, width, .. } => (height, width),
            Shape::Vector { .. } => (1, 1),
            Shape::Tokens { length, .. } | Shape::Ids { length } => (1, length),
        }
    }

    /// What it is in words: `a vector of 10`, `a 3x8x8 map`.
    pub fn kind(&self) -> String {
        match self {
            Shape::Image { .. } => format!("a {self} map"),
            Shape::Vector { .. } => format!("a vector of {self}"),
            Shape::Tokens { .. } | Shape::Ids { .. } => self.to_string(),
        }
    }

    /// Number of scalars in one sample; where it has no place in a `usize`, the
    /// largest that has.
    #[inline]
    pub fn elements(&self) -> usize {
        let (h, w) = self.spatial();
        self.channels().saturating_mul(h).saturating_mul(w)
    }

    /// Bytes one sample takes in 32-bit floats.
    pub fn bytes_f32(&self) -> usize {
        self.elements().saturating_mul(4)
    }

    /// The dimensions without the batch: `[C, H, W]`, `[F]`, `[L, C]` or `[L]`.
    pub fn dims(&self) -> Vec<usize> {
        match *self {
            Shape::Image {
                channels,
                height,
                width,
            } => vec![channels, height, width],
            Shape::Vector { features } => vec![features],
            Shape::Tokens { length, channels } => vec![length, channels],
            Shape::Ids { length } => vec![length],
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Image {
                channels,
                height,
                width,
            } => write!(f, "{channels}x{height}x{width}"),
            Shape::Vector { features } => write!(f, "{features}"),
            Shape::Tokens { length, channels } => write!(f, "{length} tokens of {channels}"),
            Shape::Ids { length } => write!(f, "{length} token ids"),
        }
    }
}
