use std::fs;
use std::path::Path;

use super::*;

/// A directory with a small IDX dataset of 4x4 images, `train` then `test` labels.
fn idx_dir(train: &[u8], test: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (prefix, labels) in [("train", train), ("t10k", test)] {
        let count = (labels.len() as u32).to_be_bytes();
        let four = 4u32.to_be_bytes();
        let mut images = [&0x803u32.to_be_bytes()[..], &count, &four, &four].concat();
        images.extend((0..labels.len() * 16).map(|i| i as u8));
        fs::write(
            dir.path().join(format!("{prefix}-images-idx3-ubyte")),
            images,
        )
        .unwrap();
        let labels = [&0x801u32.to_be_bytes()[..], &count, labels].concat();
        fs::write(
            dir.path().join(format!("{prefix}-labels-idx1-ubyte")),
            labels,
        )
        .unwrap();
    }
    dir
}

fn open(dir: &Path) -> Result<Dataset, DataError> {
    Dataset::open(dir, &OpenOptions::default())
}

/// The error's text with the temporary directory's name taken out.
fn message(dir: &tempfile::TempDir) -> String {
    let error = open(dir.path()).unwrap_err().to_string();
    error.replace(&dir.path().display().to_string(), "DIR")
}

#[test]
fn the_embedded_subset_is_balanced_and_known() {
    let data = Dataset::embedded();
    for (split, per_class) in [
        (&data.train, 1000),
        (&data.validation, 200),
        (&data.test, 200),
    ] {
        for class in 0..10u8 {
            let count = split.labels.iter().filter(|l| **l == class).count();
            assert_eq!(count, per_class, "class {class}");
        }
        assert_eq!(split.images.len(), split.len() * 784);
    }
    // The whole official training set has mean 0.2860 and deviation 0.3530.
    assert!((data.mean[0] - 0.286).abs() < 0.003, "{}", data.mean[0]);
    assert!((data.std[0] - 0.353).abs() < 0.003, "{}", data.std[0]);
    insta::assert_snapshot!(data.hash, @"cf3277869d2e35a06e629f0640607560a5aa4bcb294071c9956e065385143eae");
}

#[test]
fn training_and_validation_images_do_not_overlap() {
    let data = Dataset::embedded();
    let train: std::collections::HashSet<&[u8]> = data.train.images.chunks_exact(784).collect();
    // The official files hold a few exact duplicates; more would be a leak.
    let shared = data
        .validation
        .images
        .chunks_exact(784)
        .filter(|image| train.contains(image))
        .count();
    assert!(
        shared <= 2,
        "{shared} validation images are training images"
    );
}

#[test]
fn idx_files_open_and_hold_out_a_stratified_share() {
    let labels: Vec<u8> = (0..60).map(|i| i % 3).collect();
    let dir = idx_dir(&labels, &[0, 1, 2]);
    let data = open(dir.path()).unwrap();
    assert_eq!(data.shape, Shape::image(1, 4, 4));
    assert_eq!(data.classes, ["0", "1", "2"]);
    assert_eq!((data.train.len(), data.validation.len()), (54, 6));
    for class in 0..3u8 {
        assert_eq!(
            data.validation
                .labels
                .iter()
                .filter(|l| **l == class)
                .count(),
            2
        );
    }
    assert_eq!(data, open(dir.path()).unwrap());
}

#[test]
fn limits_keep_the_classes_balanced() {
    let mut labels = vec![0u8; 50];
    labels.extend([1; 10]);
    let dir = idx_dir(&labels, &[0, 1]);
    let options = OpenOptions {
        train_limit: Some(8),
        ..OpenOptions::default()
    };
    let data = Dataset::open(dir.path(), &options).unwrap();
    assert_eq!(data.train.labels, [0, 0, 0, 0, 1, 1, 1, 1]);
}

#[test]
fn gzipped_files_read_like_plain_ones() {
    use std::io::Write;
    let labels: Vec<u8> = (0..20).map(|i| i % 2).collect();
    let dir = idx_dir(&labels, &[0, 1]);
    let plain = open(dir.path()).unwrap();
    let path = dir.path().join("train-images-idx3-ubyte");
    let file = fs::File::create(path.with_extension("gz")).unwrap();
    let mut zip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    zip.write_all(&fs::read(&path).unwrap()).unwrap();
    zip.finish().unwrap();
    fs::rename(
        path.with_extension("gz"),
        dir.path().join("train-images-idx3-ubyte.gz"),
    )
    .unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(plain.hash, open(dir.path()).unwrap().hash);
}

#[test]
fn bad_directories_are_named_with_the_remedy() {
    let empty = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(message(&empty), @"DIR holds no dataset bespoke knows; put there either train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (each also with .gz) or data_batch_1.bin to data_batch_5.bin and test_batch.bin (CIFAR-10, binary version) or train.bin and test.bin (CIFAR-100, binary version)");

    let dir = idx_dir(&[0, 1], &[0, 1]);
    fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte")).unwrap();
    insta::assert_snapshot!(message(&dir), @"DIR lacks `t10k-labels-idx1-ubyte`; an MNIST-like dataset needs train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (each also with .gz)");

    let dir = idx_dir(&[0, 1], &[0, 1]);
    let path = dir.path().join("train-images-idx3-ubyte");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    insta::assert_snapshot!(message(&dir), @"DIR/train-images-idx3-ubyte is damaged: its header promises [2, 4, 4] bytes, but 27 follow; fetch it again");
    fs::write(&path, [0x1f, 0x8b, 8, 0, 0]).unwrap();
    insta::assert_snapshot!(message(&dir), @"DIR/train-images-idx3-ubyte is damaged: it does not unzip (unexpected end of file); fetch it again");
    fs::write(&path, b"<!DOCTYPE html> not found").unwrap();
    insta::assert_snapshot!(message(&dir), @"DIR/train-images-idx3-ubyte is damaged: it starts with 0x3c21444f, not the IDX mark 0x00000803; fetch it again");

    let dir = idx_dir(&[0, 1], &[0, 7]);
    insta::assert_snapshot!(message(&dir), @"DIR/t10k-labels-idx1-ubyte: image 1 has label 7, but there are only 2 classes (0..=1)");

    let dir = idx_dir(&[0, 1], &[0, 1]);
    insta::assert_snapshot!(message(&dir), @"DIR: no validation images are left");

    let missing = Path::new("no/such/directory");
    assert!(matches!(open(missing), Err(DataError::Io { .. })));
}

#[test]
fn cifar_files_open_and_say_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let record = |label: u8| [&[label][..], &[label; 3072]].concat();
    let batch: Vec<u8> = (0..10u8).flat_map(record).collect();
    for i in 1..=5 {
        fs::write(dir.path().join(format!("data_batch_{i}.bin")), &batch).unwrap();
    }
    insta::assert_snapshot!(message(&dir), @"DIR lacks `test_batch.bin`; CIFAR-10 needs data_batch_1.bin to data_batch_5.bin and test_batch.bin (CIFAR-10, binary version)");
    fs::write(dir.path().join("test_batch.bin"), &batch).unwrap();
    let options = OpenOptions {
        validation_share: 0.2,
        ..OpenOptions::default()
    };
    let data = Dataset::open(dir.path(), &options).unwrap();
    assert_eq!(data.shape, Shape::image(3, 32, 32));
    assert_eq!(
        (data.train.len(), data.validation.len(), data.test.len()),
        (40, 10, 10)
    );
    assert_eq!(data.classes[9], "truck");

    fs::write(dir.path().join("test_batch.bin"), record(10)).unwrap();
    insta::assert_snapshot!(message(&dir), @"DIR/test_batch.bin: image 0 has label 10, but there are only 10 classes (0..=9)");
    fs::write(dir.path().join("data_batch_3.bin"), &batch[..100]).unwrap();
    insta::assert_snapshot!(message(&dir), @"DIR/data_batch_3.bin is damaged: its 100 bytes are not a whole number of 3073-byte records; fetch it again");
}

#[test]
fn cifar100_uses_the_fine_label() {
    let dir = tempfile::tempdir().unwrap();
    let record = |fine: u8| [&[19, fine][..], &[fine; 3072]].concat();
    let all: Vec<u8> = (0..200).flat_map(|i| record(i % 100)).collect();
    fs::write(dir.path().join("train.bin"), &all).unwrap();
    fs::write(dir.path().join("test.bin"), record(99)).unwrap();
    let options = OpenOptions {
        validation_share: 0.5,
        ..OpenOptions::default()
    };
    let data = Dataset::open(dir.path(), &options).unwrap();
    assert_eq!(data.test.labels, [99]);
    assert_eq!((data.train.len(), data.validation.len()), (100, 100));
}
