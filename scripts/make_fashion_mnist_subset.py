#!/usr/bin/env python3
"""Rebuilds the Fashion-MNIST subset that is embedded in bespoke.

Reads the four official files (Debian package `dataset-fashion-mnist`, or a
download from https://github.com/zalandoresearch/fashion-mnist) and writes six
gzipped IDX files: of every class the first 1,000 training images, the next 200
as validation images, and the first 200 test images, each in the official order.

    python3 scripts/make_fashion_mnist_subset.py [SOURCE_DIR [OUTPUT_DIR]]
"""

import gzip
import pathlib
import struct
import sys

TRAIN_PER_CLASS = 1000
VALIDATION_PER_CLASS = 200
TEST_PER_CLASS = 200
CLASSES = 10
PIXELS = 28 * 28


def read(source, prefix):
    """The images (as one bytes object) and labels of one official split."""
    with gzip.open(source / f"{prefix}-images-idx3-ubyte.gz") as file:
        images = file.read()[16:]
    with gzip.open(source / f"{prefix}-labels-idx1-ubyte.gz") as file:
        labels = file.read()[8:]
    return images, labels


def choose(labels, skip, count):
    """Indices of `count` images of each class after the first `skip`."""
    seen = [0] * CLASSES
    chosen = []
    for index, label in enumerate(labels):
        if skip <= seen[label] < skip + count:
            chosen.append(index)
        seen[label] += 1
    assert len(chosen) == count * CLASSES
    return chosen


def write(path, header, payload):
    # Without a time stamp or a name in the header equal data give equal files.
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(header + payload)


def write_split(output, prefix, images, labels, chosen):
    pixels = b"".join(images[i * PIXELS : (i + 1) * PIXELS] for i in chosen)
    write(
        output / f"{prefix}-images-idx3-ubyte.gz",
        struct.pack(">IIII", 0x803, len(chosen), 28, 28),
        pixels,
    )
    write(
        output / f"{prefix}-labels-idx1-ubyte.gz",
        struct.pack(">II", 0x801, len(chosen)),
        bytes(labels[i] for i in chosen),
    )


def main():
    here = pathlib.Path(__file__).resolve().parent
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist")
    output = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else here.parent / "src/data/assets/fashion-mnist"
    output.mkdir(parents=True, exist_ok=True)
    images, labels = read(source, "train")
    write_split(output, "train", images, labels, choose(labels, 0, TRAIN_PER_CLASS))
    write_split(output, "validation", images, labels, choose(labels, TRAIN_PER_CLASS, VALIDATION_PER_CLASS))
    images, labels = read(source, "t10k")
    write_split(output, "t10k", images, labels, choose(labels, 0, TEST_PER_CLASS))


if __name__ == "__main__":
    main()
