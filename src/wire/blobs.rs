//! Networks on disk by the digest of their content. A file is only there under
//! its name once its content has that digest, and the names are digests alone,
//! so nobody who sends networks can choose where anything is written. The
//! directory is bounded: the files used longest ago make room.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::{Digest, FileError};

/// Why a network cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{bytes} bytes do not fit: {}", if *fixed { "the store holds less" } else { "the store is full of networks that are waited for" })]
    Full { bytes: u64, fixed: bool },
    #[error("more bytes came than the network has")]
    TooLong,
    #[error("the bytes that came are not the network that was announced")]
    WrongContent,
}

/// A directory of networks.
#[derive(Debug, Clone)]
pub struct BlobStore {
    directory: PathBuf,
    max_bytes: u64,
}

/// A network that is arriving.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    place: PathBuf,
    digest: Digest,
    bytes: u64,
    file: fs::File,
    have: u64,
}

impl BlobStore {
    /// Opens or makes the directory.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn open(directory: &Path, max_bytes: u64) -> Result<Self, FileError> {
        fs::create_dir_all(directory).map_err(|e| FileError::io("make", directory, e))?;
        Ok(BlobStore {
            directory: directory.into(),
            max_bytes,
        })
    }

    /// Where this network lies or would lie.
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}.onnx"))
    }

    /// Whether the network is here; then it counts as just used.
    pub fn has(&self, digest: Digest) -> bool {
        let file = fs::OpenOptions::new().append(true).open(self.path(digest));
        file.is_ok_and(|file| {
            let _ = file.set_modified(SystemTime::now());
            true
        })
    }

    /// At most `most` bytes of a network from `offset` on.
    ///
    /// # Errors
    /// When it is not here or cannot be read.
    pub fn read(&self, digest: Digest, offset: u64, most: usize) -> Result<Vec<u8>, FileError> {
        let path = self.path(digest);
        let read = || {
            let mut file = fs::File::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::with_capacity(most);
            file.take(most as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|e| FileError::io("read", &path, e))
    }

    /// Begins to store a network, or goes on where an earlier transfer ended.
    /// Makes room by removing others, but none of `wanted`.
    ///
    /// # Errors
    /// When there is no room or the file system refuses.
    pub fn begin(
        &self,
        digest: Digest,
        bytes: u64,
        wanted: &dyn Fn(Digest) -> bool,
    ) -> Result<Partial, BlobError> {
        if bytes > self.max_bytes {
            return Err(BlobError::Full { bytes, fixed: true });
        }
        self.make_room(digest, bytes, wanted)?;
        let path = self.directory.join(format!("{digest}.part"));
        let io = |e| FileError::io("write", &path, e);
        let mut options = fs::OpenOptions::new();
        options.read(true).append(true).create(true);
        let file = options.open(&path).map_err(io)?;
        let mut have = file.metadata().map_err(io)?.len();
        if have > bytes {
            file.set_len(0).map_err(io)?;
            have = 0;
        }
        Ok(Partial {
            place: self.path(digest),
            path,
            digest,
            bytes,
            file,
            have,
        })
    }

    /// Removes what was used longest ago until so many bytes fit.
    fn make_room(
        &self,
        coming: Digest,
        bytes: u64,
        wanted: &dyn Fn(Digest) -> bool,
    ) -> Result<(), BlobError> {
        let io = |e| FileError::io("read", &self.directory, e);
        let mut files = Vec::new();
        let mut total = bytes;
        for entry in fs::read_dir(&self.directory).map_err(io)? {
            let entry = entry.map_err(io)?;
            let path = entry.path();
            let stem = path.file_stem().and_then(|s| s.to_str());
            let Some(digest) = stem.and_then(|s| s.parse::<Digest>().ok()) else {
                continue;
            };
            if digest == coming {
                continue;
            }
            let meta = entry.metadata().map_err(io)?;
            total += meta.len();
            files.push((meta.modified().ok(), meta.len(), digest, path));
        }
        files.sort_by_key(|(used, ..)| *used);
        for (_, size, digest, path) in files {
            if total <= self.max_bytes {
                break;
            }
            if !wanted(digest) && fs::remove_file(&path).is_ok() {
                total -= size;
            }
        }
        match total <= self.max_bytes {
            true => Ok(()),
            false => Err(BlobError::Full {
                bytes,
                fixed: false,
            }),
        }
    }
}

impl Partial {
    /// Bytes that are here; the next chunk begins there.
    pub fn have(&self) -> u64 {
        self.have
    }

    /// Throws away what is here and begins anew.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn restart(&mut self) -> Result<(), BlobError> {
        let emptied = self.file.set_len(0);
        emptied.map_err(|e| FileError::io("write", &self.path, e))?;
        self.have = 0;
        Ok(())
    }

    pub fn is_complete(&self) -> bool {
        self.have == self.bytes
    }

    /// Appends the next bytes.
    ///
    /// # Errors
    /// When they are more than announced, or the disk is full.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), BlobError> {
        if self.have + chunk.len() as u64 > self.bytes {
            return Err(BlobError::TooLong);
        }
        let written = self.file.write_all(chunk);
        written.map_err(|e| FileError::io("write", &self.path, e))?;
        self.have += chunk.len() as u64;
        Ok(())
    }

    /// Checks the content and gives the file its name.
    ///
    /// # Errors
    /// When the content is another, or the file system refuses; the bytes are
    /// then thrown away.
    pub fn finish(mut self) -> Result<PathBuf, BlobError> {
        let io = |e| FileError::io("read", &self.path, e);
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut sha = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = self.file.read(&mut buffer).map_err(io)?;
            if read == 0 {
                break;
            }
            sha.update(&buffer[..read]);
        }
        if Digest(sha.finalize().into()) != self.digest || !self.is_complete() {
            let _ = fs::remove_file(&self.path);
            return Err(BlobError::WrongContent);
        }
        fs::rename(&self.path, &self.place).map_err(|e| FileError::io("write", &self.place, e))?;
        Ok(self.place)
    }
}
