//! The IDX format of MNIST and its relatives: a big-endian header and bytes,
//! optionally gzipped. Only unsigned bytes are read, as all those datasets use.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::DataError;

/// A file of images, one channel each.
pub(super) struct IdxImages {
    pub height: usize,
    pub width: usize,
    pub pixels: Vec<u8>,
}

/// Reads `[N, H, W]` unsigned bytes. `path` only serves error messages.
pub(super) fn images(path: &Path, bytes: &[u8]) -> Result<IdxImages, DataError> {
    let (dims, pixels) = parse::<3>(path, bytes)?;
    if dims[1] == 0 || dims[2] == 0 {
        return Err(corrupt(
            path,
            format!("its images are {}x{}", dims[1], dims[2]),
        ));
    }
    Ok(IdxImages {
        height: dims[1],
        width: dims[2],
        pixels,
    })
}

/// Reads `[N]` unsigned bytes.
pub(super) fn labels(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    parse::<1>(path, bytes).map(|(_, labels)| labels)
}

fn parse<const D: usize>(path: &Path, bytes: &[u8]) -> Result<([usize; D], Vec<u8>), DataError> {
    let mut inflated = Vec::new();
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes)
            .read_to_end(&mut inflated)
            .map_err(|e| corrupt(path, format!("it does not unzip ({e})")))?;
        inflated
    } else {
        bytes.to_vec()
    };
    let word = |index: usize| -> Option<u32> {
        let at = bytes.get(4 * index..4 * index + 4)?;
        Some(u32::from_be_bytes(at.try_into().expect("four bytes")))
    };
    let header = 4 * (1 + D);
    if bytes.len() < header {
        return Err(corrupt(
            path,
            format!("it ends within its {header} header bytes"),
        ));
    }
    // 0x08 means unsigned bytes; the last byte is the number of dimensions.
    let magic = word(0).expect("the header is there");
    if magic != 0x0800 | D as u32 {
        return Err(corrupt(
            path,
            format!(
                "it starts with {magic:#010x}, not the IDX mark {:#010x}",
                0x0800 | D as u32
            ),
        ));
    }
    let dims: [usize; D] =
        std::array::from_fn(|d| word(1 + d).expect("the header is there") as usize);
    let expected = dims
        .iter()
        .try_fold(1usize, |product, dim| product.checked_mul(*dim));
    let found = bytes.len() - header;
    if expected != Some(found) {
        return Err(corrupt(
            path,
            format!("its header promises {dims:?} bytes, but {found} follow"),
        ));
    }
    Ok((dims, bytes[header..].to_vec()))
}

fn corrupt(path: &Path, reason: String) -> DataError {
    DataError::Corrupt {
        path: path.to_owned(),
        reason,
    }
}
