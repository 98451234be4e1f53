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

    /// Number of channels, or of features for a flat vector.
    pub fn channels(&self) -> usize {
        match *self {
            Shape::Image { channels, .. } => channels,
            Shape::Vector { features } => features,
        }
    }

    /// Height and width; `(1, 1)` for a flat vector.
    pub fn spatial(&self) -> (usize, usize) {
        match *self {
            Shape::Image { height, width, .. } => (height, width),
            Shape::Vector { .. } => (1, 1),
        }
    }

    /// Number of scalars in one sample.
    pub fn elements(&self) -> usize {
        let (h, w) = self.spatial();
        self.channels() * h * w
    }

    /// Bytes one sample takes in 32-bit floats.
    pub fn bytes_f32(&self) -> usize {
        4 * self.elements()
    }

    /// The dimensions without the batch: `[C, H, W]` or `[F]`.
    pub fn dims(&self) -> Vec<usize> {
        match *self {
            Shape::Image {
                channels,
                height,
                width,
            } => vec![channels, height, width],
            Shape::Vector { features } => vec![features],
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
        }
    }
}
