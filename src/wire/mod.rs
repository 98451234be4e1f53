//! What the coordinator, the agents and the command line say to each other:
//! frames, messages, identities and TLS. Nothing here decides anything; it is
//! read and written by both sides, so that they cannot disagree.
//!
//! One TLS 1.3 port serves agents and clients alike. A connection begins with
//! one message of the caller, which names the protocol's version, and goes on in
//! JSON messages of limited length; networks travel as chunks of bytes. Either
//! side proves who it is by the key of its certificate, in the handshake, so
//! nothing that was heard once can be said again. `docs/agents.md` has the
//! messages one by one.

mod blobs;
mod channel;
mod digest;
mod files;
mod frame;
mod identity;
mod job;
mod message;
mod outcome;
mod tls;
mod token;

pub use blobs::{BlobError, BlobStore, Partial};
pub use channel::{Channel, PATIENCE};
pub use digest::{Digest, hex_bytes, hex_text};
pub use files::{FileError, read_private, write_private};
pub use frame::{CHUNK_BYTES, Decoder, Frame, MAX_FRAME, MAX_GREETING, WireError};
pub use identity::Identity;
pub use job::{Job, JobSpec, MAX_NETWORK_BYTES, MAX_SAMPLES, SpecError, is_name};
pub(crate) use message::clean;
pub use message::{
    DeviceInfo, DeviceState, Event, FromAgent, FromClient, Greeting, Hello, Refusal, Submitted,
    ToAgent, ToClient, Waiting, plain,
};
pub use outcome::{Failure, Outcome, Report};
pub use tls::{Accepted, accept, acceptor, connect};
pub use token::EnrolToken;

/// Version of the protocol; both sides must have the same.
pub const VERSION: u32 = 1;

/// Where the coordinator listens if nothing else is said.
pub const DEFAULT_PORT: u16 = 7311;

#[cfg(test)]
mod tests;
