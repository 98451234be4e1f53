//! Image classification data as plain bytes: what a network is trained and
//! judged on. A dataset is either the Fashion-MNIST subset that ships inside
//! the binary or a directory with the usual IDX or CIFAR files. Nothing here
//! knows of tensors; normalising and batching happen where training happens.

mod cifar;
mod idx;
mod open;
mod stratify;

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::network::Shape;

pub use open::OpenOptions;

/// Images with their labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// `N x C x H x W` bytes, planar.
    pub images: Vec<u8>,
    /// One class index for each image.
    pub labels: Vec<u8>,
}

impl Split {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image; 0 for an empty split.
    pub fn image_len(&self) -> usize {
        self.images.len().checked_div(self.len()).unwrap_or(0)
    }

    /// The images at `indices`, in that order.
    fn select(&self, indices: &[usize]) -> Split {
        let pixels = self.image_len();
        let mut images = Vec::with_capacity(indices.len() * pixels);
        let mut labels = Vec::with_capacity(indices.len());
        for &index in indices {
            images.extend_from_slice(&self.images[index * pixels..(index + 1) * pixels]);
            labels.push(self.labels[index]);
        }
        Split { images, labels }
    }

    /// A class-balanced choice of at most `limit` images, in their order.
    pub fn limit(&self, limit: usize) -> Split {
        self.select(&stratify::balanced(&self.labels, limit))
    }
}

/// A classification dataset with its three splits.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    pub name: String,
    /// Shape of one image.
    pub shape: Shape,
    /// Class names, by label.
    pub classes: Vec<String>,
    pub train: Split,
    /// Held out of the training data; what searches compare architectures by.
    pub validation: Split,
    /// Never seen by a search; for the final figure.
    pub test: Split,
    /// Mean of the training images by channel, with pixels scaled to `0..=1`.
    pub mean: Vec<f32>,
    /// Standard deviation of the training images by channel, same scale.
    pub std: Vec<f32>,
    /// SHA-256 over shape, classes, images and labels, in hexadecimal.
    pub hash: String,
}

/// Why data could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("cannot read {path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{dir} holds no dataset bespoke knows; put there either {} or {} or {}",
        open::IDX_FILES,
        open::CIFAR10_FILES,
        open::CIFAR100_FILES
    )]
    NoDataset { dir: PathBuf },
    #[error("{dir} lacks `{file}`; {layout} needs {expected}")]
    MissingFile {
        dir: PathBuf,
        file: String,
        layout: &'static str,
        expected: &'static str,
    },
    #[error("{path} is damaged: {reason}; fetch it again")]
    Corrupt { path: PathBuf, reason: String },
    #[error("{path}: image {index} has label {label}, but there are only {classes} classes (0..={last})", last = classes - 1)]
    Label {
        path: PathBuf,
        index: usize,
        label: u8,
        classes: usize,
    },
    #[error("{dir}: {reason}")]
    Unusable { dir: PathBuf, reason: String },
}

macro_rules! asset {
    ($file:literal) => {
        (
            concat!("fashion-mnist/", $file),
            include_bytes!(concat!("assets/fashion-mnist/", $file)).as_slice(),
        )
    };
}

impl Dataset {
    /// Whether a network of this input can be given the images: it takes images
    /// of as many channels. Their resolution is that of the network, to which
    /// batches are resized.
    pub fn feeds(&self, input: Shape) -> bool {
        matches!(input, Shape::Image { .. }) && input.channels() == self.shape.channels()
    }

    /// The Fashion-MNIST subset inside the binary: 28x28 grey images of ten
    /// classes; 10,000 to train, 2,000 to validate, 2,000 to test, balanced.
    /// Xiao et al. 2017, arXiv 1708.07747; MIT licence, Zalando SE.
    pub fn embedded() -> Dataset {
        let split = |images: (&str, &[u8]), labels: (&str, &[u8])| {
            let damaged = "the embedded files are part of the program and tested";
            let images = idx::images(images.0.as_ref(), images.1).expect(damaged);
            let labels = idx::labels(labels.0.as_ref(), labels.1).expect(damaged);
            Split {
                images: images.pixels,
                labels,
            }
        };
        let classes = [
            "t-shirt",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ];
        Dataset::assemble(
            "fashion-mnist-subset".into(),
            Shape::image(1, 28, 28),
            classes.map(String::from).to_vec(),
            split(
                asset!("train-images-idx3-ubyte.gz"),
                asset!("train-labels-idx1-ubyte.gz"),
            ),
            split(
                asset!("validation-images-idx3-ubyte.gz"),
                asset!("validation-labels-idx1-ubyte.gz"),
            ),
            split(
                asset!("t10k-images-idx3-ubyte.gz"),
                asset!("t10k-labels-idx1-ubyte.gz"),
            ),
        )
    }

    /// Adds the statistics and the hash to checked splits.
    fn assemble(
        name: String,
        shape: Shape,
        classes: Vec<String>,
        train: Split,
        validation: Split,
        test: Split,
    ) -> Dataset {
        let (mean, std) = channel_statistics(&train.images, shape);
        let hash = content_hash(shape, &classes, [&train, &validation, &test]);
        Dataset {
            name,
            shape,
            classes,
            train,
            validation,
            test,
            mean,
            std,
            hash,
        }
    }
}

/// Mean and standard deviation of each channel with pixels scaled to `0..=1`.
fn channel_statistics(images: &[u8], shape: Shape) -> (Vec<f32>, Vec<f32>) {
    let (height, width) = shape.spatial();
    let plane = height * width;
    (0..shape.channels())
        .map(|channel| {
            let mut histogram = [0u64; 256];
            for image in images.chunks_exact(shape.elements()) {
                for &pixel in &image[channel * plane..(channel + 1) * plane] {
                    histogram[pixel as usize] += 1;
                }
            }
            let count = histogram.iter().sum::<u64>().max(1) as f64;
            let moment = |power: i32| {
                (0..256)
                    .map(|v| histogram[v] as f64 * (v as f64 / 255.0).powi(power))
                    .sum::<f64>()
                    / count
            };
            let mean = moment(1);
            // A constant channel gets a deviation of 1 so that it normalises to 0.
            let deviation = (moment(2) - mean * mean).max(0.0).sqrt();
            let deviation = if deviation < 1e-6 { 1.0 } else { deviation };
            (mean as f32, deviation as f32)
        })
        .unzip()
}

fn content_hash(shape: Shape, classes: &[String], splits: [&Split; 3]) -> String {
    let mut sha = Sha256::new();
    sha.update(serde_json::to_vec(&(shape, classes)).expect("plain data"));
    for split in splits {
        sha.update((split.len() as u64).to_le_bytes());
        sha.update(&split.images);
        sha.update(&split.labels);
    }
    sha.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
