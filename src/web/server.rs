//! Listening and answering, until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use miette::Diagnostic;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::data::Data;
use super::devices::DeviceSource;
use super::guard::{Names, Token};
use super::routes;
use crate::store::Store;

/// How to serve.
#[derive(Clone)]
pub struct Options {
    /// `ADDRESS:PORT`; port 0 takes a free one.
    pub bind: String,
    /// Who shows it may write; nobody may where there is none.
    pub token: Option<Token>,
    /// Names of this machine, beside `localhost` and addresses.
    pub hosts: Vec<String>,
    /// Who knows the devices elsewhere.
    pub devices: Option<DeviceSource>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bind: super::DEFAULT_BIND.into(),
            token: None,
            hosts: Vec::new(),
            devices: None,
        }
    }
}

/// Why the page cannot be served.
#[derive(Debug, Error, Diagnostic)]
pub enum WebError {
    #[error("cannot listen at {bind}: {cause}")]
    #[diagnostic(
        code(bespoke::web::listen),
        help("choose another address or port with --bind, such as --bind 127.0.0.1:0")
    )]
    Listen { bind: String, cause: std::io::Error },
    #[error("serving ended: {0}")]
    #[diagnostic(code(bespoke::web::serve))]
    Serve(std::io::Error),
}

/// Followers at a time: each asks the database twice a second.
const MOST_FOLLOWERS: usize = 64;

/// What the handlers share.
pub(super) struct Shared {
    pub data: Data,
    pub token: Option<Token>,
    pub devices: Option<DeviceSource>,
    pub followers: Arc<Semaphore>,
}

/// A server that listens, and answers once it runs.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: axum::Router,
}

impl Server {
    /// Listens. Where a token is set, the store must be open for writing.
    ///
    /// # Errors
    /// When the address is none or taken.
    pub async fn start(store: Store, options: Options) -> Result<Self, WebError> {
        // First of all, as it knows how to close the store from here.
        let data = Data::new(store);
        let cannot = |cause| WebError::Listen {
            bind: options.bind.clone(),
            cause,
        };
        let listener = TcpListener::bind(&options.bind).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let names = Arc::new(Names {
            others: options.hosts,
        });
        let shared = Arc::new(Shared {
            data,
            token: options.token,
            devices: options.devices,
            followers: Arc::new(Semaphore::new(MOST_FOLLOWERS)),
        });
        Ok(Server {
            listener,
            address,
            router: routes::router(shared, names),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` resolves. Followers are cut off then, as they would
    /// never end by themselves.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), WebError> {
        tokio::select! {
            served = axum::serve(self.listener, self.router).into_future() => served.map_err(WebError::Serve),
            () = stop => Ok(()),
        }
    }
}
