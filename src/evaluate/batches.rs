//! Turns bytes into normalised batches at the network's resolution: shuffling
//! from a seed, and the light augmentation of small-image training (He et al.
//! 2016: shift and mirror).

use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::resize::Resize;
use crate::data::{Dataset, Split};
use crate::network::Shape;

/// Maps pixels to floats of zero mean and unit variance by channel, at the
/// resolution a network takes.
pub(crate) struct Normaliser {
    /// One value for each byte, by channel.
    tables: Vec<[f32; 256]>,
    /// Of the data.
    shape: Shape,
    /// Height and width of the batches.
    size: (usize, usize),
    /// Where the two differ.
    resize: Option<Resize>,
}

impl Normaliser {
    /// `input` is the network's: an image of the data's channels.
    pub fn new(dataset: &Dataset, input: Shape) -> Self {
        let tables = dataset
            .mean
            .iter()
            .zip(&dataset.std)
            .map(|(mean, std)| std::array::from_fn(|pixel| (pixel as f32 / 255.0 - mean) / std))
            .collect();
        let (from, size) = (dataset.shape.spatial(), input.spatial());
        Normaliser {
            tables,
            shape: dataset.shape,
            size,
            resize: (from != size).then(|| Resize::new(from, size)),
        }
    }

    /// The images at `indices` as `[N, C, H, W]`. With an `augmentation` each
    /// is shifted and mirrored as it says, before it is resized.
    pub fn batch(
        &self,
        split: &Split,
        indices: &[usize],
        augmentation: Option<&mut ChaCha8Rng>,
        device: &Device,
    ) -> Tensor<4> {
        let (rows, columns) = self.size;
        let dims = [indices.len(), self.tables.len(), rows, columns];
        let data = self.floats(split, indices, augmentation);
        Tensor::from_data(TensorData::new(data, dims), device)
    }

    /// The same as plain data.
    pub fn floats(
        &self,
        split: &Split,
        indices: &[usize],
        mut augmentation: Option<&mut ChaCha8Rng>,
    ) -> Vec<f32> {
        let (height, width) = self.shape.spatial();
        let pixels = self.shape.elements();
        let (rows, columns) = self.size;
        let mut data = Vec::with_capacity(indices.len() * self.tables.len() * rows * columns);
        let mut small = Vec::with_capacity(height * width);
        for &index in indices {
            let image = &split.images[index * pixels..(index + 1) * pixels];
            let change = match &mut augmentation {
                Some(rng) => Change::random(height, rng),
                None => Change::default(),
            };
            for (plane, table) in image.chunks_exact(height * width).zip(&self.tables) {
                let Some(resize) = &self.resize else {
                    change.apply(plane, width, table, &mut data);
                    continue;
                };
                small.clear();
                change.apply(plane, width, table, &mut small);
                resize.plane(&small, &mut data);
            }
        }
        data
    }
}

/// A shift with black borders, and a mirroring.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    down: isize,
    right: isize,
    mirror: bool,
}

impl Change {
    /// Shifts of up to an eighth of the height, as four pixels are of CIFAR's.
    fn random(height: usize, rng: &mut ChaCha8Rng) -> Self {
        let reach = (height / 8) as i32;
        Change {
            down: rng.random_range(-reach..=reach) as isize,
            right: rng.random_range(-reach..=reach) as isize,
            mirror: rng.random(),
        }
    }

    fn apply(&self, plane: &[u8], width: usize, table: &[f32; 256], out: &mut Vec<f32>) {
        if self.down == 0 && self.right == 0 && !self.mirror {
            out.extend(plane.iter().map(|pixel| table[*pixel as usize]));
            return;
        }
        let height = plane.len() / width;
        for y in 0..height {
            let from_y = y.checked_add_signed(-self.down).filter(|y| *y < height);
            for x in 0..width {
                let x = if self.mirror { width - 1 - x } else { x };
                let from_x = x.checked_add_signed(-self.right).filter(|x| *x < width);
                let pixel = match (from_y, from_x) {
                    (Some(y), Some(x)) => plane[y * width + x],
                    _ => 0,
                };
                out.push(table[pixel as usize]);
            }
        }
    }
}

/// A random generator for one epoch of one run.
pub(crate) fn epoch_rng(seed: u64, epoch: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    rng
}

/// All indices below `count`, shuffled.
pub(crate) fn shuffled(count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(rng);
    order
}
