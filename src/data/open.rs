//! Opens a directory of image data by what lies in it: IDX files under MNIST's
//! names, or CIFAR's binary files. Where no validation files exist, validation
//! images are held out of the training data, always the same ones.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cifar::Cifar;
use super::{DataError, Dataset, Split, idx, stratify};
use crate::network::Shape;

pub(super) const IDX_FILES: &str = "train-images-idx3-ubyte, train-labels-idx1-ubyte, \
     t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (each also with .gz)";
pub(super) const CIFAR10_FILES: &str =
    "data_batch_1.bin to data_batch_5.bin and test_batch.bin (CIFAR-10, binary version)";
pub(super) const CIFAR100_FILES: &str = "train.bin and test.bin (CIFAR-100, binary version)";

/// How much of a directory's data to use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenOptions {
    /// Share of the training images to hold out, `0 < share <= 0.5`; not used
    /// where the directory has validation files of its own.
    pub validation_share: f64,
    /// At most so many training images, class-balanced.
    pub train_limit: Option<usize>,
    /// At most so many validation images, class-balanced.
    pub validation_limit: Option<usize>,
    /// At most so many test images, class-balanced.
    pub test_limit: Option<usize>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            validation_share: 0.1,
            train_limit: None,
            validation_limit: None,
            test_limit: None,
        }
    }
}

/// What one of the layouts yields before options apply.
struct Raw {
    shape: Shape,
    classes: Vec<String>,
    train: Split,
    validation: Option<Split>,
    test: Split,
}

impl Dataset {
    /// Opens a directory with IDX files (MNIST's names, gzipped or not, with
    /// optional `validation-*` files), CIFAR-10's or CIFAR-100's binary files.
    /// The dataset is named after the directory.
    ///
    /// # Errors
    /// When files are missing, damaged or hold labels out of range, or when a
    /// split would be empty.
    pub fn open(dir: &Path, options: &OpenOptions) -> Result<Dataset, DataError> {
        let share = options.validation_share;
        let unusable = |reason: String| DataError::Unusable {
            dir: dir.to_owned(),
            reason,
        };
        if !(share > 0.0 && share <= 0.5) {
            return Err(unusable(format!(
                "a validation share of {share} is not above 0 and at most 0.5"
            )));
        }
        let raw = if find(dir, "train-images-idx3-ubyte").is_some()
            || find(dir, "t10k-images-idx3-ubyte").is_some()
        {
            read_idx(dir)?
        } else if dir.join("data_batch_1.bin").exists() || dir.join("test_batch.bin").exists() {
            read_cifar10(dir)?
        } else if dir.join("train.bin").exists() || dir.join("test.bin").exists() {
            read_cifar100(dir)?
        } else {
            // An unreadable directory deserves its own message.
            fs::read_dir(dir).map_err(|source| DataError::Io {
                path: dir.to_owned(),
                source,
            })?;
            return Err(DataError::NoDataset {
                dir: dir.to_owned(),
            });
        };
        let (train, validation) = match raw.validation {
            Some(validation) => (raw.train, validation),
            None => {
                let period = (1.0 / share).round() as usize;
                let (kept, held) = stratify::hold_out(&raw.train.labels, period);
                (raw.train.select(&kept), raw.train.select(&held))
            }
        };
        let limit = |split: Split, limit: Option<usize>| match limit {
            Some(limit) if limit < split.len() => split.limit(limit),
            _ => split,
        };
        let train = limit(train, options.train_limit);
        let validation = limit(validation, options.validation_limit);
        let test = limit(raw.test, options.test_limit);
        for (name, split) in [
            ("training", &train),
            ("validation", &validation),
            ("test", &test),
        ] {
            if split.is_empty() {
                return Err(unusable(format!("no {name} images are left")));
            }
        }
        let name = dir
            .canonicalize()
            .unwrap_or_else(|_| dir.to_owned())
            .file_name()
            .map_or_else(|| "data".into(), |n| n.to_string_lossy().into_owned());
        Ok(Dataset::assemble(
            name,
            raw.shape,
            raw.classes,
            train,
            validation,
            test,
        ))
    }
}

/// `dir/name` or `dir/name.gz`, whichever exists.
fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    [dir.join(name), dir.join(format!("{name}.gz"))]
        .into_iter()
        .find(|path| path.exists())
}

fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    fs::read(path).map_err(|source| DataError::Io {
        path: path.to_owned(),
        source,
    })
}

/// One pair of IDX files, with height and width.
fn read_idx_split(dir: &Path, prefix: &str) -> Result<(Split, usize, usize), DataError> {
    let locate = |suffix: &str| {
        let file = format!("{prefix}-{suffix}");
        find(dir, &file).ok_or(DataError::MissingFile {
            dir: dir.to_owned(),
            file,
            layout: "an MNIST-like dataset",
            expected: IDX_FILES,
        })
    };
    let image_path = locate("images-idx3-ubyte")?;
    let label_path = locate("labels-idx1-ubyte")?;
    let images = idx::images(&image_path, &read(&image_path)?)?;
    let labels = idx::labels(&label_path, &read(&label_path)?)?;
    let count = images.pixels.len() / (images.height * images.width);
    if labels.len() != count {
        return Err(DataError::Corrupt {
            path: label_path,
            reason: format!("it has {} labels for {count} images", labels.len()),
        });
    }
    let split = Split {
        images: images.pixels,
        labels,
    };
    Ok((split, images.height, images.width))
}

fn read_idx(dir: &Path) -> Result<Raw, DataError> {
    let (train, height, width) = read_idx_split(dir, "train")?;
    let classes = train.labels.iter().max().map_or(0, |l| *l as usize + 1);
    let same_kind = |prefix: &str| {
        let (split, h, w) = read_idx_split(dir, prefix)?;
        if (h, w) != (height, width) {
            return Err(DataError::Unusable {
                dir: dir.to_owned(),
                reason: format!(
                    "the {prefix} images are {h}x{w}, the training images {height}x{width}"
                ),
            });
        }
        // The classes are those seen in training.
        let outside = split.labels.iter().position(|l| *l as usize >= classes);
        match outside {
            Some(index) if classes > 0 => Err(DataError::Label {
                path: dir.join(format!("{prefix}-labels-idx1-ubyte")),
                index,
                label: split.labels[index],
                classes,
            }),
            _ => Ok(split),
        }
    };
    let test = same_kind("t10k")?;
    let validation = find(dir, "validation-images-idx3-ubyte")
        .map(|_| same_kind("validation"))
        .transpose()?;
    Ok(Raw {
        shape: Shape::image(1, height, width),
        classes: (0..classes).map(|c| c.to_string()).collect(),
        train,
        validation,
        test,
    })
}

fn read_cifar_files(
    dir: &Path,
    files: &[String],
    kind: Cifar,
    expected: &'static str,
) -> Result<Split, DataError> {
    let mut all = Split::default();
    for file in files {
        let path = dir.join(file);
        if !path.exists() {
            return Err(DataError::MissingFile {
                dir: dir.to_owned(),
                file: file.clone(),
                layout: match kind {
                    Cifar::Ten => "CIFAR-10",
                    Cifar::Hundred => "CIFAR-100",
                },
                expected,
            });
        }
        let part = kind.parse(&path, &read(&path)?)?;
        all.images.extend_from_slice(&part.images);
        all.labels.extend_from_slice(&part.labels);
    }
    Ok(all)
}

fn read_cifar10(dir: &Path) -> Result<Raw, DataError> {
    let batches: Vec<String> = (1..=5).map(|i| format!("data_batch_{i}.bin")).collect();
    let classes = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ];
    Ok(Raw {
        shape: Shape::image(3, 32, 32),
        classes: classes.map(String::from).to_vec(),
        train: read_cifar_files(dir, &batches, Cifar::Ten, CIFAR10_FILES)?,
        validation: None,
        test: read_cifar_files(dir, &["test_batch.bin".into()], Cifar::Ten, CIFAR10_FILES)?,
    })
}

fn read_cifar100(dir: &Path) -> Result<Raw, DataError> {
    let part = |file: &str| read_cifar_files(dir, &[file.into()], Cifar::Hundred, CIFAR100_FILES);
    // The official archive carries the names; the numbers do without it.
    let names: Vec<String> = fs::read_to_string(dir.join("fine_label_names.txt"))
        .map(|text| text.split_whitespace().map(String::from).collect())
        .unwrap_or_default();
    let classes = if names.len() == Cifar::Hundred.classes() {
        names
    } else {
        (0..Cifar::Hundred.classes())
            .map(|c| c.to_string())
            .collect()
    };
    Ok(Raw {
        shape: Shape::image(3, 32, 32),
        classes,
        train: part("train.bin")?,
        validation: None,
        test: part("test.bin")?,
    })
}
