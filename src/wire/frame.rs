//! Frames: a length of four bytes (big-endian), then either a JSON object or,
//! after a zero byte, a chunk of a network. The length is checked before a byte
//! of the frame is kept, so a peer cannot make the other side hold more than
//! the limit.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder as _, Encoder as _, LengthDelimitedCodec};

/// Most bytes of a frame. A report of the most samples has less.
pub const MAX_FRAME: usize = 1 << 20;

/// Most bytes of the first frame of a connection, when nobody is known yet.
pub const MAX_GREETING: usize = 8 << 10;

/// Most bytes of a network sent at a time: little enough for a slow link to
/// carry between two heartbeats.
pub const CHUNK_BYTES: usize = 32 << 10;

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the connection was closed")]
    Closed,
    #[error("the connection was cut within a message")]
    Truncated,
    #[error("a message is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("a message cannot be understood: {0}")]
    Malformed(String),
    #[error("nothing was heard for {0:.0} s")]
    Silent(f64),
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
}

/// What one frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A JSON object, unread as yet.
    Message(BytesMut),
    /// Consecutive bytes of a network.
    Chunk(BytesMut),
}

impl Frame {
    /// Reads the message in it.
    ///
    /// # Errors
    /// When it is a chunk, or no such message.
    pub fn message<M: DeserializeOwned>(&self) -> Result<M, WireError> {
        match self {
            Frame::Message(bytes) => {
                serde_json::from_slice(bytes).map_err(|e| WireError::Malformed(e.to_string()))
            }
            Frame::Chunk(_) => Err(WireError::Malformed(
                "bytes of a network came where a message was expected".into(),
            )),
        }
    }

    /// The chunk in it.
    ///
    /// # Errors
    /// When it is a message.
    pub fn chunk(self) -> Result<BytesMut, WireError> {
        match self {
            Frame::Chunk(bytes) => Ok(bytes),
            Frame::Message(_) => Err(WireError::Malformed(
                "a message came where bytes of a network were expected".into(),
            )),
        }
    }
}

/// Cuts a stream of bytes into frames, and makes frames of what is sent.
#[derive(Debug)]
pub struct Decoder {
    codec: LengthDelimitedCodec,
}

impl Decoder {
    /// Refuses frames longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Decoder {
            codec: LengthDelimitedCodec::builder()
                .max_frame_length(limit)
                .new_codec(),
        }
    }

    /// Changes the limit from the next frame on.
    pub fn set_limit(&mut self, limit: usize) {
        self.codec.set_max_frame_length(limit);
    }

    /// The next whole frame, if it has arrived; it is taken from `bytes`.
    ///
    /// # Errors
    /// When the frame is too long or neither a message nor a chunk.
    pub fn next(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        let limit = self.codec.max_frame_length();
        // The codec's only error is of the length.
        let frame = self.codec.decode(bytes);
        let Some(mut frame) = frame.map_err(|_| WireError::TooLong { limit })? else {
            return Ok(None);
        };
        match frame.first() {
            Some(b'{') | Some(b'"') => Ok(Some(Frame::Message(frame))),
            Some(0) => Ok(Some(Frame::Chunk(frame.split_off(1)))),
            _ => Err(WireError::Malformed(
                "a frame is neither a JSON message nor bytes of a network".into(),
            )),
        }
    }

    /// Appends the frame of a message to `out`.
    ///
    /// # Errors
    /// When it is longer than the limit.
    pub fn put_message<M: Serialize>(
        &mut self,
        message: &M,
        out: &mut BytesMut,
    ) -> Result<(), WireError> {
        let json = serde_json::to_vec(message).map_err(|e| WireError::Malformed(e.to_string()))?;
        self.put(json, out)
    }

    /// Appends the frame of a chunk to `out`.
    ///
    /// # Errors
    /// When it is longer than the limit.
    pub fn put_chunk(&mut self, chunk: &[u8], out: &mut BytesMut) -> Result<(), WireError> {
        let mut bytes = Vec::with_capacity(chunk.len() + 1);
        bytes.push(0);
        bytes.extend_from_slice(chunk);
        self.put(bytes, out)
    }

    fn put(&mut self, bytes: Vec<u8>, out: &mut BytesMut) -> Result<(), WireError> {
        let limit = self.codec.max_frame_length();
        self.codec
            .encode(Bytes::from(bytes), out)
            .map_err(|_| WireError::TooLong { limit })
    }
}
