//! What the coordinator must not forget: one record for each thing that
//! happened. The state after a restart is their replay.

use serde::{Deserialize, Serialize};

use crate::wire::{Digest, Failure, JobSpec, Report};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A token was issued; `token` is the digest of its secret.
    Token {
        token: Digest,
        device: String,
        /// Seconds since 1970 by this machine's clock.
        expires: u64,
    },
    /// A device used its token and is known by its key from now on.
    Enrolled {
        token: Digest,
        device: String,
        key: Digest,
    },
    Revoked {
        device: String,
        key: Digest,
    },
    Submitted {
        job: Digest,
        spec: Box<JobSpec>,
    },
    /// A job was measured. The specification makes the record complete without
    /// the others.
    Done {
        job: Digest,
        spec: Box<JobSpec>,
        report: Box<Report>,
        at: u64,
    },
    Failed {
        job: Digest,
        device: String,
        failure: Failure,
        at: u64,
    },
}
