//! CIFAR-10 and CIFAR-100 in their binary layout (Krizhevsky 2009): records of
//! one or two label bytes and 3x32x32 planar pixels.

use std::path::Path;

use super::{DataError, Split};

const PIXELS: usize = 3 * 32 * 32;

/// Which of the two layouts a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cifar {
    Ten,
    /// A record starts with the coarse label, which is not used, then the fine.
    Hundred,
}

impl Cifar {
    pub fn classes(self) -> usize {
        match self {
            Cifar::Ten => 10,
            Cifar::Hundred => 100,
        }
    }

    fn label_bytes(self) -> usize {
        match self {
            Cifar::Ten => 1,
            Cifar::Hundred => 2,
        }
    }

    /// Reads the records of one file. `path` only serves error messages.
    pub fn parse(self, path: &Path, bytes: &[u8]) -> Result<Split, DataError> {
        let record = self.label_bytes() + PIXELS;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            return Err(DataError::Corrupt {
                path: path.to_owned(),
                reason: format!(
                    "its {} bytes are not a whole number of {record}-byte records",
                    bytes.len()
                ),
            });
        }
        let mut split = Split::default();
        for (index, record) in bytes.chunks_exact(record).enumerate() {
            let (labels, pixels) = record.split_at(self.label_bytes());
            let label = labels[labels.len() - 1];
            if label as usize >= self.classes() {
                return Err(DataError::Label {
                    path: path.to_owned(),
                    index,
                    label,
                    classes: self.classes(),
                });
            }
            split.labels.push(label);
            split.images.extend_from_slice(pixels);
        }
        Ok(split)
    }
}
