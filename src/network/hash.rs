//! A hash of what a network computes, not of how it was written: equal for
//! isomorphic graphs whatever the order of nodes and of commutative inputs.
//! Works like a Merkle tree: a node's hash is made of its operator and its
//! inputs' hashes, sorted where the operator commutes. Two structurally equal
//! branches hash alike, as they compute alike functions of distinct weights.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Network, Op};

/// 128 bits of SHA-256 over the canonical structure; stable across versions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct NetworkHash(pub [u8; 16]);

impl Network {
    /// Isomorphism-invariant hash of the part that reaches the output.
    pub fn hash(&self) -> NetworkHash {
        let mut hashes: Vec<[u8; 32]> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let mut inputs: Vec<[u8; 32]> = node.inputs.iter().map(|i| hashes[i.0]).collect();
            if matches!(node.op, Op::Add) {
                inputs.sort_unstable();
            }
            let mut sha = Sha256::new();
            sha.update(serde_json::to_vec(&(&node.op, &node.shape)).expect("plain data"));
            if !node.precision.is_float() {
                sha.update([b'q', node.precision.weights, node.precision.activations]);
            }
            sha.update((inputs.len() as u64).to_le_bytes());
            for input in &inputs {
                sha.update(input);
            }
            hashes.push(sha.finalize().into());
        }
        let whole = hashes[self.output().0];
        NetworkHash(whole[..16].try_into().expect("32 bytes have 16"))
    }
}

impl fmt::Display for NetworkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for NetworkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkHash({self})")
    }
}

impl From<NetworkHash> for String {
    fn from(hash: NetworkHash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for NetworkHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes: Option<Vec<u8>> = (0..text.len())
            .step_by(2)
            .map(|i| {
                text.get(i..i + 2)
                    .and_then(|b| u8::from_str_radix(b, 16).ok())
            })
            .collect();
        bytes
            .and_then(|b| b.try_into().ok())
            .map(NetworkHash)
            .ok_or_else(|| format!("`{text}` is not a network hash (32 hexadecimal digits)"))
    }
}
