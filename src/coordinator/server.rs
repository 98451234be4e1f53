//! The listening side: accepts connections within limits, finds out who calls,
//! and hands each to what serves agents or clients. What they share is here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::devices::{Connection, TokenStep};
use super::events::{Events, wall_s};
use super::journal::on_disk;
use super::{Core, Home, HomeError, Journal, JournalError, Location, Record, Settings};
use super::{agents, clients};
use crate::wire::{
    Accepted, BlobStore, Channel, Digest, FileError, Greeting, MAX_FRAME, Refusal, ToAgent,
    VERSION, accept, acceptor, hex_bytes, plain,
};

/// Most connections at a time.
const MAX_CONNECTIONS: usize = 1_024;

/// Most connections that have not yet said who they are.
const MAX_STRANGERS: usize = 64;

/// How long a caller may take to greet.
const GREETING: Duration = Duration::from_secs(10);

/// The other side of a connection.
pub(super) type Peer = Channel<tokio_rustls::server::TlsStream<TcpStream>>;

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

/// The core and its memory, always changed together.
pub(super) struct State {
    pub core: Core,
    pub journal: Journal,
}

/// What all connections share.
pub(super) struct Shared {
    state: Mutex<State>,
    events: Mutex<Events>,
    /// Of connected agents, by device: how to make them look for work.
    wakes: Mutex<HashMap<String, (Connection, Arc<Notify>)>>,
    /// Counts jobs that ended, for those who wait for one.
    pub ended: watch::Sender<u64>,
    /// Whether the server is to stop, and of what.
    halt: watch::Sender<Option<Result<(), JournalError>>>,
    pub networks: BlobStore,
    /// One network is uploaded at a time.
    pub upload: tokio::sync::Mutex<()>,
    pub settings: Settings,
    pub fingerprint: Digest,
    pub advertise: String,
    admin: Digest,
    journal: PathBuf,
    connections: AtomicU64,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while holding it would have left the state whole: records are
        // applied in one step.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Makes a record part of the state and of the journal.
    pub fn commit(&self, state: &mut State, record: Record) -> Location {
        let location = state.journal.append(&record);
        state.core.apply(record, location);
        location
    }

    /// Waits until the disk has a record; ends the server if it never will.
    pub async fn on_disk(&self, location: Location) -> Result<(), JournalError> {
        let mut progress = self.lock().journal.progress();
        let done = on_disk(&mut progress, location).await;
        if let Err(error) = &done {
            let _ = self.halt.send(Some(Err(error.clone())));
        }
        done
    }

    /// Reads a record of the journal.
    pub fn read(&self, location: Location) -> Result<Record, JournalError> {
        Journal::read(&self.journal, location)
    }

    pub fn note(&self, text: String) {
        let mut events = self.events.lock().unwrap_or_else(|e| e.into_inner());
        events.note(text);
    }

    pub fn events_after(&self, number: u64) -> Vec<crate::wire::Event> {
        let events = self.events.lock().unwrap_or_else(|e| e.into_inner());
        events.after(number)
    }

    /// Jobs have ended.
    pub fn tell_ended(&self) {
        self.ended.send_modify(|count| *count += 1);
    }

    /// Makes a device's connection look at its state.
    pub fn wake(&self, device: &str) {
        let wakes = self.wakes.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((_, wake)) = wakes.get(device) {
            wake.notify_one();
        }
    }

    /// Registers a device's new connection and wakes the one before.
    pub fn join(&self, device: &str, connection: Connection) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let mut wakes = self.wakes.lock().unwrap_or_else(|e| e.into_inner());
        let before = wakes.insert(device.into(), (connection, wake.clone()));
        if let Some((_, before)) = before {
            before.notify_one();
        }
        wake
    }

    pub fn leave(&self, device: &str, connection: Connection) {
        let mut wakes = self.wakes.lock().unwrap_or_else(|e| e.into_inner());
        if wakes.get(device).is_some_and(|(c, _)| *c == connection) {
            wakes.remove(device);
        }
    }

    /// Resolves when the server stops.
    pub async fn halted(&self) {
        let mut halt = self.halt.subscribe();
        let _ = halt.wait_for(Option::is_some).await;
    }
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
        let shared = Arc::new(Shared {
            journal: journal.path().into(),
            state: Mutex::new(State { core, journal }),
            events: Mutex::new(Events::new(&home.log(), options.echo)),
            wakes: Mutex::new(HashMap::new()),
            ended: watch::Sender::new(0),
            halt: watch::Sender::new(None),
            networks,
            upload: tokio::sync::Mutex::new(()),
            settings: options.settings,
            fingerprint: home.identity.fingerprint(),
            advertise: options
                .advertise
                .unwrap_or_else(|| reachable(address, true)),
            admin: home.admin.fingerprint(),
            connections: AtomicU64::new(0),
        });
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
        let mut halt = self.shared.halt.subscribe();
        let outcome = match halt.wait_for(Option::is_some).await {
            Ok(halted) => halted.clone(),
            Err(_) => None,
        };
        self.end().await;
        outcome.unwrap_or(Ok(())).map_err(ServerError::Journal)
    }

    /// Stops: says so to those connected, and gives the directory back.
    pub async fn stop(self) {
        let _ = self.shared.halt.send(Some(Ok(())));
        self.end().await;
    }

    /// Stops it from elsewhere, such as a signal's handler.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || {
            let _ = shared.halt.send(Some(Ok(())));
        }
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

/// The handshake and the first message.
async fn greet(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    from: SocketAddr,
    shared: &Shared,
) -> Option<(Accepted, Greeting)> {
    let mut accepted = match accept(acceptor, stream).await {
        Ok(accepted) => accepted,
        Err(error) => {
            shared.note(format!(
                "refused {from}: no handshake: {}",
                plain(&error.to_string(), 200)
            ));
            return None;
        }
    };
    let refusal = match accepted.channel.receive_within::<Greeting>(GREETING).await {
        Ok(greeting) if greeting.version() == VERSION => return Some((accepted, greeting)),
        Ok(_) => Refusal::Version { ours: VERSION },
        Err(error) => Refusal::Misbehaved {
            reason: plain(&error.to_string(), 200),
        },
    };
    refuse(&mut accepted, refusal, from, shared).await;
    None
}

/// Says why, notes it, and closes.
async fn refuse(accepted: &mut Accepted, refusal: Refusal, from: SocketAddr, shared: &Shared) {
    shared.note(format!(
        "refused {from}, key {}: {refusal}",
        accepted.caller.short()
    ));
    let _ = accepted.channel.send(&ToAgent::Refused(refusal)).await;
    accepted.channel.close().await;
}

/// Serves a caller by what it says it is and what its key allows.
async fn serve(mut accepted: Accepted, greeting: Greeting, from: SocketAddr, shared: &Arc<Shared>) {
    let key = accepted.caller;
    let refusal = match greeting {
        Greeting::Enrol { secret, .. } => match enrol(key, &secret, from, shared).await {
            Ok(device) => {
                let _ = accepted.channel.send(&ToAgent::Enrolled { device }).await;
                accepted.channel.close().await;
                return;
            }
            Err(refusal) => refusal,
        },
        Greeting::Hello { hello, .. } => {
            let device = shared.lock().core.device_of(key).map(str::to_string);
            match device {
                Ok(device) => {
                    let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
                    accepted.channel.raise_limit(MAX_FRAME);
                    agents::serve(accepted.channel, &device, connection, *hello, shared).await;
                    return;
                }
                Err(refusal) => refusal,
            }
        }
        Greeting::Client { .. } if key == shared.admin => {
            accepted.channel.raise_limit(MAX_FRAME);
            clients::serve(accepted.channel, shared).await;
            return;
        }
        Greeting::Client { .. } => Refusal::UnknownKey,
    };
    refuse(&mut accepted, refusal, from, shared).await;
}

/// Admits a device that shows a token.
async fn enrol(
    key: Digest,
    secret: &str,
    from: SocketAddr,
    shared: &Shared,
) -> Result<String, Refusal> {
    let secret = hex_bytes(secret).ok_or(Refusal::UnknownToken)?;
    let (location, device) = {
        let mut state = shared.lock();
        match state.core.show_token(&secret, key, wall_s())? {
            TokenStep::Known(device) => return Ok(device),
            TokenStep::Enrol(record) => {
                let device = match &record {
                    Record::Enrolled { device, .. } => device.clone(),
                    _ => String::new(),
                };
                (shared.commit(&mut state, record), device)
            }
        }
    };
    shared
        .on_disk(location)
        .await
        .map_err(|_| Refusal::Stopping)?;
    shared.note(format!(
        "{device} enrolled from {from}, key {}",
        key.short()
    ));
    Ok(device)
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
