//! The one batch that proxies look at.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::Dataset;
use crate::evaluate::batches::{Normaliser, shuffled};
use crate::network::{Network, Shape};

/// Samples with their classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Shape of one sample.
    pub shape: Shape,
    /// Row by row, each sample laid out as in ONNX; images are normalised by
    /// channel, token ids whole numbers.
    pub samples: Vec<f32>,
    /// One class index a sample.
    pub labels: Vec<u8>,
}

/// Samples that a network does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network takes {network}, but the samples are {data}")]
pub struct Mismatch {
    pub network: Shape,
    pub data: Shape,
}

/// Where batches come from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Training images, resized to the network's resolution.
    Data(&'a Dataset),
    /// Noise and classes drawn at random, for any network.
    Noise,
}

impl Source<'_> {
    /// A batch of at most `size` samples for a network: training images drawn
    /// without replacement, or noise. Equal seeds give equal batches.
    ///
    /// # Errors
    /// When the network cannot be given the images.
    pub fn batch(self, network: &Network, size: usize, seed: u64) -> Result<Batch, Mismatch> {
        match self {
            Source::Data(dataset) => Batch::drawn(dataset, network, size, seed),
            Source::Noise => Ok(Batch::noise(network, size, seed)),
        }
    }
}

impl Batch {
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    fn noise(network: &Network, size: usize, seed: u64) -> Batch {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Classes have a stream of their own: samples do not depend on them.
        rng.set_stream(1);
        let classes = network.output_shape().elements().clamp(1, 256) as u16;
        Batch {
            shape: network.input_shape(),
            samples: network.example(size, seed),
            labels: (0..size)
                .map(|_| rng.random_range(0..classes) as u8)
                .collect(),
        }
    }

    fn drawn(
        dataset: &Dataset,
        network: &Network,
        size: usize,
        seed: u64,
    ) -> Result<Batch, Mismatch> {
        let input = network.input_shape();
        if !dataset.feeds(input) {
            return Err(Mismatch {
                network: input,
                data: dataset.shape,
            });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order = shuffled(dataset.train.len(), &mut rng);
        order.truncate(size);
        let normaliser = Normaliser::new(dataset, input);
        Ok(Batch {
            shape: input,
            samples: normaliser.floats(&dataset.train, &order, None),
            labels: order.iter().map(|i| dataset.train.labels[*i]).collect(),
        })
    }
}
