//! Files that a run makes (ONNX models, weights, plots) lie beside the
//! database under the hash of their content: equal files are kept once, and a
//! changed one is noticed. On a server they are rows of a table instead.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::{Artefact, Event, RunId, Store, StoreError};

pub(super) const DIRECTORY: &str = "artefacts";

/// Tells apart the unfinished files of one process's threads.
static WRITES: AtomicU64 = AtomicU64::new(0);

impl Store {
    /// Keeps a file and records it in the run. The file is complete on disk
    /// before the event is recorded.
    pub fn put_artefact(
        &self,
        run: &RunId,
        name: &str,
        kind: &str,
        bytes: &[u8],
    ) -> Result<Artefact, StoreError> {
        let sha256 = sha256_hex(bytes);
        let artefact = Artefact {
            name: name.to_owned(),
            kind: kind.to_owned(),
            path: format!("{DIRECTORY}/{sha256}"),
            sha256,
            bytes: bytes.len() as u64,
        };
        if !self.location.is_file() {
            self.write(async |connection| {
                sqlx::query(
                    "INSERT INTO artefacts (sha256, content) VALUES ($1, $2)
                     ON CONFLICT (sha256) DO NOTHING",
                )
                .bind(&artefact.sha256)
                .bind(bytes.to_vec())
                .execute(connection)
                .await
            })?;
        } else if self.read_artefact(&artefact).is_err() {
            let directory = self.directory().join(DIRECTORY);
            std::fs::create_dir_all(&directory)
                .map_err(|e| StoreError::from_io("create", &directory, e))?;
            write_whole(&directory, &self.artefact_path(&artefact), bytes)?;
        }
        self.append(run, &Event::Artefact(artefact.clone()))?;
        Ok(artefact)
    }

    /// Where an artefact's file lies, unless it is on a server. Only its hash counts, so that a record
    /// cannot point outside the artefacts' directory.
    pub fn artefact_path(&self, artefact: &Artefact) -> PathBuf {
        let file: String = artefact
            .sha256
            .chars()
            .filter(char::is_ascii_hexdigit)
            .collect();
        self.directory().join(DIRECTORY).join(file)
    }

    /// Reads an artefact and checks that it is what was recorded.
    pub fn read_artefact(&self, artefact: &Artefact) -> Result<Vec<u8>, StoreError> {
        let path = self.artefact_path(artefact);
        let wrong = |detail: String| StoreError::Artefact {
            name: artefact.name.clone(),
            detail,
        };
        let bytes = match self.location.is_file() {
            true => std::fs::read(&path).map_err(|e| wrong(format!("{}: {e}", path.display())))?,
            false => {
                let content: Option<Vec<u8>> = self.read(async |connection| {
                    sqlx::query_scalar("SELECT content FROM artefacts WHERE sha256 = $1")
                        .bind(&artefact.sha256)
                        .fetch_optional(connection)
                        .await
                })?;
                content.ok_or_else(|| wrong("the server does not have it".into()))?
            }
        };
        match sha256_hex(&bytes) == artefact.sha256 {
            true => Ok(bytes),
            false => Err(wrong(format!(
                "the content of {} has another hash",
                path.display()
            ))),
        }
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes under another name first: a file under its hash is always whole.
fn write_whole(directory: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let count = WRITES.fetch_add(1, Ordering::Relaxed);
    let unfinished = path.with_extension(format!("{}-{count}.part", std::process::id()));
    let write = || {
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        // The new name itself must outlive a power cut.
        std::fs::File::open(directory)?.sync_all()
    };
    write().map_err(|e| StoreError::from_io("write", path, e))
}
