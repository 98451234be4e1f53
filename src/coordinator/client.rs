//! The asking side: one request at a time over one connection.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Admin, HomeError};
use crate::wire::{
    CHUNK_BYTES, Channel, DeviceInfo, Digest, Event, FromClient, Greeting, JobSpec, MAX_FRAME,
    Outcome, PATIENCE, Refusal, Submitted, ToClient, VERSION, Waiting, WireError, connect,
};

/// Why the coordinator did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("cannot reach the coordinator at {address}: {source}; start it with `bespoke serve`")]
    Connect {
        address: String,
        source: std::io::Error,
    },
    #[error("the connection to the coordinator failed: {0}")]
    Wire(#[from] WireError),
    #[error("{0}")]
    Refused(Refusal),
    #[error("the coordinator answered something else than was asked")]
    Confused,
}

impl ClientError {
    /// Whether asking again over a new connection may help.
    pub fn is_passing(&self) -> bool {
        match self {
            ClientError::Connect { .. } | ClientError::Wire(_) => true,
            ClientError::Refused(refusal) => !refusal.is_final(),
            ClientError::Home(_) | ClientError::Confused => false,
        }
    }
}

/// A connection to the coordinator.
pub struct Client {
    channel: Channel<TlsStream<TcpStream>>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When the coordinator is not there or another one.
    pub async fn connect(admin: &Admin) -> Result<Self, ClientError> {
        let connected = connect(&admin.address, admin.server, &admin.identity).await;
        let mut channel = connected.map_err(|source| ClientError::Connect {
            address: admin.address.clone(),
            source,
        })?;
        channel.raise_limit(MAX_FRAME);
        channel.send(&Greeting::Client { version: VERSION }).await?;
        let mut client = Client { channel };
        match client.receive(PATIENCE).await? {
            ToClient::Welcome { .. } => Ok(client),
            _ => Err(ClientError::Confused),
        }
    }

    async fn receive(&mut self, patience: Duration) -> Result<ToClient, ClientError> {
        match self.channel.receive_within(patience).await? {
            ToClient::Refused(refusal) => Err(ClientError::Refused(refusal)),
            answer => Ok(answer),
        }
    }

    async fn ask(&mut self, request: &FromClient) -> Result<ToClient, ClientError> {
        self.channel.send(request).await?;
        self.receive(2 * PATIENCE).await
    }

    /// Asks for a job; uploads its network where the coordinator has not got it.
    ///
    /// # Errors
    /// When nobody can do the job.
    pub async fn submit(&mut self, spec: &JobSpec, onnx: &[u8]) -> Result<Digest, ClientError> {
        // A second time after uploading.
        for _ in 0..2 {
            let request = FromClient::Submit(Box::new(spec.clone()));
            match self.ask(&request).await? {
                ToClient::Submitted {
                    state: Submitted::NeedsNetwork,
                    ..
                } => self.upload(spec.onnx, onnx).await?,
                ToClient::Submitted { job, .. } => return Ok(job),
                _ => return Err(ClientError::Confused),
            }
        }
        Err(ClientError::Confused)
    }

    async fn upload(&mut self, digest: Digest, onnx: &[u8]) -> Result<(), ClientError> {
        let request = FromClient::Upload {
            onnx: digest,
            bytes: onnx.len() as u64,
        };
        match self.ask(&request).await? {
            ToClient::Ready => {}
            _ => return Err(ClientError::Confused),
        }
        for chunk in onnx.chunks(CHUNK_BYTES) {
            self.channel.send_chunk(chunk).await?;
        }
        match self.receive(2 * PATIENCE).await? {
            ToClient::Uploaded => Ok(()),
            _ => Err(ClientError::Confused),
        }
    }

    /// What came of a job, or where it stands when the patience is over.
    ///
    /// # Errors
    /// When it was never submitted, or the connection fails.
    pub async fn wait(
        &mut self,
        job: Digest,
        patience: Duration,
    ) -> Result<Result<Outcome, Waiting>, ClientError> {
        let request = FromClient::Wait {
            job,
            patience_ms: patience.as_millis() as u64,
        };
        match self.ask(&request).await? {
            ToClient::Outcome(outcome) => Ok(Ok(*outcome)),
            ToClient::Waiting(waiting) => Ok(Err(waiting)),
            _ => Err(ClientError::Confused),
        }
    }

    /// All devices, by name.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn devices(&mut self) -> Result<Vec<DeviceInfo>, ClientError> {
        match self.ask(&FromClient::Devices).await? {
            ToClient::Devices(devices) => Ok(devices),
            _ => Err(ClientError::Confused),
        }
    }

    /// A token for a new device, and where the device reaches the coordinator.
    ///
    /// # Errors
    /// When the name is none or taken.
    pub async fn enrol(
        &mut self,
        device: &str,
        valid: Duration,
    ) -> Result<(String, String), ClientError> {
        let request = FromClient::Enrol {
            device: device.into(),
            valid_s: valid.as_secs(),
        };
        match self.ask(&request).await? {
            ToClient::Token { token, address } => Ok((token, address)),
            _ => Err(ClientError::Confused),
        }
    }

    /// Locks a device out; its waiting jobs fail.
    ///
    /// # Errors
    /// When there is no such device.
    pub async fn revoke(&mut self, device: &str) -> Result<(), ClientError> {
        let device = device.into();
        match self.ask(&FromClient::Revoke { device }).await? {
            ToClient::Revoked => Ok(()),
            _ => Err(ClientError::Confused),
        }
    }

    /// What happened after the event of this number.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn events(&mut self, after: u64) -> Result<Vec<Event>, ClientError> {
        match self.ask(&FromClient::Events { after }).await? {
            ToClient::Events(events) => Ok(events),
            _ => Err(ClientError::Confused),
        }
    }
}
