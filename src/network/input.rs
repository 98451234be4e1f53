//! What a network is fed, apart from the network: enough to run it where only
//! its exported form is at hand.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Shape;

/// The input of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Of one sample.
    pub shape: Shape,
    /// Token ids are below it; 1 where the input is no token ids.
    pub vocabulary: usize,
}

impl InputSpec {
    /// A batch of samples, row by row, always the same for a seed: noise like a
    /// normalised image, or valid token ids as whole numbers. Its values are
    /// ordinary: denormals are slow and zeros may be skipped.
    pub fn example(&self, batch: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let count = batch * self.shape.elements();
        match self.shape {
            Shape::Ids { .. } => {
                let ids = (0..count).map(|_| rng.random_range(0..self.vocabulary) as f32);
                ids.collect()
            }
            _ => (0..count).map(|_| rng.random_range(-1.0..1.0)).collect(),
        }
    }
}
