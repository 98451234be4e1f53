//! The listening side: accepts connections within limits, and ends leases whose
//! time is over.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::door::{greet, serve};
use super::events::{Events, wall_s};
use super::shared::Shared;
use super::{Core, Home, HomeError, Journal, JournalError, Record, Settings};
use crate::wire::{BlobStore, Digest, FileError, acceptor};

/// Most connections at a time.
const MAX_CONNECTIONS: usize = 1_024;

/// Most connections that have not yet said who they are.
const MAX_STRANGERS: usize = 64;

/// How a coordinator runs.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// `ADDRESS:PORT`; port 0 takes any that is free.
    pub listen: String,
    /// Its directory.
    pub state: PathBuf,
    /// `HOST:PORT` by which devices reach it; guessed where none is given.
    pub advertise: Option<String>,
    pub settings: Settings,
    /// Most bytes of networks kept on disk.
    pub network_bytes: u64,
    /// Say on standard error what happens.
    pub echo: bool,
}

impl ServerOptions {
    pub fn new(listen: &str, state: PathBuf) -> Self {
        ServerOptions {
            listen: listen.into(),
            state,
            advertise: None,
            settings: Settings::default(),
            network_bytes: 4 << 30,
            echo: false,
        }
    }
}

/// Why a coordinator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(
        "cannot listen on {address}: {source}; choose another address with --listen ADDRESS:PORT"
    )]
    Listen {
        address: String,
        source: std::io::Error,
    },
}

/// A running coordinator.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Opens the directory, replays the journal and listens.
    ///
    /// # Errors
    /// When the directory or the address cannot be used.
    pub async fn start(options: ServerOptions) -> Result<Self, ServerError> {
        let home = Home::open(&options.state)?;
        let mut core = Core::new(options.settings);
        let journal = Journal::open(&home.journal(), &mut |record, location| {
            core.apply(record, location);
        })?;
        let networks = BlobStore::open(&home.networks(), options.network_bytes)?;
        let listen = |source| ServerError::Listen {
            address: options.listen.clone(),
            source,
        };
        let listener = TcpListener::bind(&options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        home.write_admin(reachable(address, false))?;
        let acceptor = acceptor(&home.identity);
        let open = core.open_jobs();
        let shared = Arc::new(Shared::new(
            (core, journal),
            Events::new(&home.log(), options.echo),
            networks,
            (home.identity.fingerprint(), home.admin.fingerprint()),
            options
                .advertise
                .unwrap_or_else(|| reachable(address, true)),
        ));
        shared.note(format!("listening on {address}; {open} jobs are waiting"));
        let listening = tokio::spawn(listen_on(listener, acceptor, shared.clone(), home));
        let expiring = tokio::spawn(expire(shared.clone()));
        Ok(Server {
            shared,
            address,
            tasks: vec![listening, expiring],
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where devices reach it.
    pub fn advertised(&self) -> &str {
        &self.shared.advertise
    }

    /// The digest of its certificate.
    pub fn fingerprint(&self) -> Digest {
        self.shared.fingerprint
    }

    /// Runs until it is stopped or its journal cannot be written.
    ///
    /// # Errors
    /// The latter.
    pub async fn run(self) -> Result<(), ServerError> {
        let outcome = self.shared.ending().await;
        self.end().await;
        outcome.map_err(ServerError::Journal)
    }

    /// Stops: says so to those connected, and gives the directory back.
    pub async fn stop(self) {
        self.shared.end(Ok(()));
        self.end().await;
    }

    /// Stops it from elsewhere, such as a signal's handler.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || shared.end(Ok(()))
    }

    async fn end(self) {
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// An address that clients of this machine, or devices of others, can use.
fn reachable(address: SocketAddr, from_elsewhere: bool) -> String {
    if !address.ip().is_unspecified() {
        return address.to_string();
    }
    let local = || -> Option<std::net::IpAddr> {
        // No packet is sent: the system only looks up which way it would go.
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let host = match from_elsewhere {
        true => local().unwrap_or(std::net::Ipv4Addr::LOCALHOST.into()),
        false => std::net::Ipv4Addr::LOCALHOST.into(),
    };
    SocketAddr::new(host, address.port()).to_string()
}

/// Accepts connections until the server stops. Holds the directory's lock.
async fn listen_on(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>, _home: Home) {
    let all = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
    let mut serving = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Keeps the set from growing with connections that ended.
            Some(_) = serving.join_next() => continue,
            () = shared.halted() => break,
        };
        let Ok((stream, from)) = accepted else {
            // Out of file descriptors, most likely: others will end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (Ok(place), Ok(stranger)) = (
            all.clone().try_acquire_owned(),
            strangers.clone().try_acquire_owned(),
        ) else {
            shared.note(format!("refused {from}: too many connections"));
            continue;
        };
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        serving.spawn(async move {
            let greeted = greet(&acceptor, stream, from, &shared).await;
            drop(stranger);
            if let Some((accepted, greeting)) = greeted {
                serve(accepted, greeting, from, &shared).await;
            }
            drop(place);
        });
    }
    // Connections end by themselves when the server stops.
    let ended = async { while serving.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(3), ended).await;
}

/// Ends leases whose time is over.
async fn expire(shared: Arc<Shared>) {
    let pause =
        (shared.settings.silence / 8).clamp(Duration::from_millis(20), Duration::from_secs(1));
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.halted() => return,
        }
        let (locations, notes, closed) = {
            let mut state = shared.lock();
            let (records, closed) = state.core.expire(Instant::now(), wall_s());
            let mut notes = Vec::new();
            let mut locations = Vec::new();
            for record in records {
                if let Record::Failed {
                    device, failure, ..
                } = &record
                {
                    notes.push(format!("{device}: {failure}"));
                }
                locations.push(shared.commit(&mut state, record));
            }
            (locations, notes, closed)
        };
        for device in closed {
            shared.note(format!("{device}: its job's time is over"));
            shared.wake(&device);
        }
        for note in notes {
            shared.note(note);
        }
        for location in locations {
            let _ = shared.on_disk(location).await;
            shared.tell_ended();
        }
    }
}
