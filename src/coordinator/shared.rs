//! What all connections share: the state with its journal, who is connected,
//! and how they wake one another.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, watch};

use super::devices::Connection;
use super::events::Events;
use super::journal::on_disk;
use super::{Core, Journal, JournalError, Location, Record, Settings};
use crate::wire::{BlobStore, Digest};

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
    /// `admin` is the key that may ask for anything.
    pub fn new(
        (core, journal): (Core, Journal),
        events: Events,
        networks: BlobStore,
        (fingerprint, admin): (Digest, Digest),
        advertise: String,
    ) -> Self {
        Shared {
            journal: journal.path().into(),
            settings: core.settings,
            state: Mutex::new(State { core, journal }),
            events: Mutex::new(events),
            wakes: Mutex::new(HashMap::new()),
            ended: watch::Sender::new(0),
            halt: watch::Sender::new(None),
            networks,
            upload: tokio::sync::Mutex::new(()),
            fingerprint,
            advertise,
            admin,
            connections: AtomicU64::new(0),
        }
    }

    pub fn is_admin(&self, key: Digest) -> bool {
        key == self.admin
    }

    /// A number for a new connection.
    pub fn number(&self) -> Connection {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends the server.
    pub fn end(&self, why: Result<(), JournalError>) {
        self.halt.send_replace(Some(why));
    }

    /// Why the server ended, once it has.
    pub async fn ending(&self) -> Result<(), JournalError> {
        let mut halt = self.halt.subscribe();
        match halt.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or(Ok(())),
            Err(_) => Ok(()),
        }
    }

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
            self.end(Err(error.clone()));
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
