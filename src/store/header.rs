//! What a run is before anything has happened in it: the facts needed to
//! repeat it, and the short id by which people name it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Everything needed to start the same run again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    pub name: String,
    /// The experiment file with its overrides, as JSON.
    pub experiment: Value,
    pub space_text: String,
    pub space_hash: String,
    pub seed: u64,
    pub bespoke_version: String,
    /// Commit of the user's repository, where the run started in one.
    pub git_commit: Option<String>,
    pub dataset_name: String,
    pub dataset_hash: String,
    pub device: String,
    /// The engine whose latency the search minimises.
    pub engine: String,
}

/// Names a run: eight characters of Crockford's base 32, which has no letters
/// that look like digits. Where one is asked for, a prefix will do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub(super) String);

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ID_LENGTH: usize = 8;

/// Distinguishes runs that one process creates in the same clock tick.
static CREATED: AtomicU64 = AtomicU64::new(0);

impl RunId {
    /// A new id. An id names a run and decides nothing in it, so it may come
    /// from the clock and the process instead of the run's seed.
    pub(super) fn fresh(now_ns: u128) -> Self {
        let count = CREATED.fetch_add(1, Ordering::Relaxed);
        let mut sha = Sha256::new();
        sha.update(now_ns.to_le_bytes());
        sha.update(std::process::id().to_le_bytes());
        sha.update(count.to_le_bytes());
        let id = sha
            .finalize()
            .iter()
            .take(ID_LENGTH)
            .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
            .collect();
        RunId(id)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a person typed, as it would be written in an id: lower case, with
/// Crockford's readings of the letters that look like digits.
pub(super) fn normalise(typed: &str) -> String {
    typed
        .trim()
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ids_are_distinct_and_survive_sloppy_typing() {
        let ids: std::collections::BTreeSet<RunId> = (0..1000).map(|_| RunId::fresh(7)).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert_eq!(id.as_str().len(), 8);
            let typed = id
                .as_str()
                .to_uppercase()
                .replace('0', "O")
                .replace('1', "I");
            assert_eq!(normalise(&typed), id.as_str());
        }
    }
}
