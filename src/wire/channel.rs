//! Messages over one connection. Receiving may be given up at any point and
//! taken up again; sending gives up on a peer that takes nothing any more.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::bytes::BytesMut;

use super::{Decoder, Frame, MAX_GREETING, WireError};

/// How long a peer may take none of what is sent to it, or say nothing in a
/// greeting.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A stream of messages and chunks.
#[derive(Debug)]
pub struct Channel<S> {
    stream: S,
    frames: Decoder,
    inbox: BytesMut,
    heard: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    /// A channel for a greeting; see [`raise_limit`](Self::raise_limit).
    pub fn new(stream: S) -> Self {
        Channel {
            stream,
            frames: Decoder::new(MAX_GREETING),
            inbox: BytesMut::new(),
            heard: Instant::now(),
        }
    }

    /// The stream under the messages; what was received and not read is lost.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Allows longer frames, once it is known who the peer is.
    pub fn raise_limit(&mut self, limit: usize) {
        self.frames.set_limit(limit);
    }

    /// When the last bytes came, be they only part of a message.
    pub fn heard(&self) -> Instant {
        self.heard
    }

    /// The next frame. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the connection ends or the peer does not keep to the protocol.
    pub async fn frame(&mut self) -> Result<Frame, WireError> {
        loop {
            if let Some(frame) = self.frames.next(&mut self.inbox)? {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(match self.inbox.is_empty() {
                    true => WireError::Closed,
                    false => WireError::Truncated,
                });
            }
            self.heard = Instant::now();
        }
    }

    /// The next message.
    ///
    /// # Errors
    /// As [`frame`](Self::frame), and when something else than such a message comes.
    pub async fn receive<M: DeserializeOwned>(&mut self) -> Result<M, WireError> {
        self.frame().await?.message()
    }

    /// The next message, which must come within this time.
    ///
    /// # Errors
    /// As [`receive`](Self::receive), or when the time is up.
    pub async fn receive_within<M: DeserializeOwned>(
        &mut self,
        time: Duration,
    ) -> Result<M, WireError> {
        match tokio::time::timeout(time, self.receive()).await {
            Ok(message) => message,
            Err(_) => Err(WireError::Silent(time.as_secs_f64())),
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection fails or the peer takes nothing for [`PATIENCE`].
    pub async fn send<M: Serialize>(&mut self, message: &M) -> Result<(), WireError> {
        let mut out = BytesMut::new();
        self.frames.put_message(message, &mut out)?;
        self.write(out).await
    }

    /// Sends a chunk of a network.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_chunk(&mut self, chunk: &[u8]) -> Result<(), WireError> {
        let mut out = BytesMut::new();
        self.frames.put_chunk(chunk, &mut out)?;
        self.write(out).await
    }

    /// Closes the connection in order; the peer has a moment to take it.
    pub async fn close(&mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }

    async fn write(&mut self, mut out: BytesMut) -> Result<(), WireError> {
        while !out.is_empty() {
            let written = tokio::time::timeout(PATIENCE, self.stream.write_buf(&mut out)).await;
            match written {
                Err(_) => return Err(WireError::Silent(PATIENCE.as_secs_f64())),
                Ok(written) => {
                    if written? == 0 {
                        return Err(WireError::Closed);
                    }
                }
            }
        }
        match tokio::time::timeout(PATIENCE, self.stream.flush()).await {
            Err(_) => Err(WireError::Silent(PATIENCE.as_secs_f64())),
            Ok(flushed) => Ok(flushed?),
        }
    }
}
