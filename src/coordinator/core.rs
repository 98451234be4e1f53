//! What the coordinator decides, apart from sockets, files and the time of day:
//! which job a device gets, whose outcome counts, and what happens when a
//! device vanishes. Time is passed in and never goes back; nothing here depends
//! on a clock that people set.
//!
//! A method that changes what must be remembered returns a [`Record`]; the
//! change happens in [`Core::apply`], live and at replay alike. Leases are not
//! recorded: after a restart devices say themselves what they hold.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::devices::{Device, Token};
use super::journal::Location;
use super::record::Record;
use crate::wire::{Digest, Failure, JobSpec, Refusal, Submitted, Waiting};

/// How patient the coordinator is.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Time between two beats of a device.
    pub beat: Duration,
    /// A device that said nothing for so long has vanished.
    pub silence: Duration,
    /// Most time between two requests for parts of a network.
    pub transfer: Duration,
    /// How often a job is handed out before it counts as failed.
    pub attempts: u32,
    /// Most jobs that can wait at a time.
    pub open_jobs: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            beat: Duration::from_secs(5),
            silence: Duration::from_secs(30),
            transfer: Duration::from_secs(120),
            attempts: 3,
            open_jobs: 50_000,
        }
    }
}

#[derive(Debug)]
pub(super) enum State {
    /// Waiting, or in its device's hands.
    Open {
        spec: Box<JobSpec>,
        attempts: u32,
    },
    Done(Location),
    Failed(Failure),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub device: String,
    pub state: State,
}

/// The whole state.
#[derive(Debug)]
pub struct Core {
    pub(super) settings: Settings,
    pub(super) devices: BTreeMap<String, Device>,
    /// Devices by key, without the revoked.
    pub(super) keys: HashMap<Digest, String>,
    pub(super) revoked: HashSet<Digest>,
    pub(super) tokens: HashMap<Digest, Token>,
    pub(super) jobs: HashMap<Digest, Entry>,
    open: usize,
    born: Instant,
}

/// Where a job stands.
#[derive(Debug, PartialEq)]
pub enum Standing {
    Waiting(Waiting),
    Done(Location),
    Failed(Failure),
}

impl Core {
    pub fn new(settings: Settings) -> Self {
        Core {
            settings,
            devices: BTreeMap::new(),
            keys: HashMap::new(),
            revoked: HashSet::new(),
            tokens: HashMap::new(),
            jobs: HashMap::new(),
            open: 0,
            born: Instant::now(),
        }
    }

    /// Makes a record part of the state.
    pub fn apply(&mut self, record: Record, location: Location) {
        match record {
            Record::Token {
                token,
                device,
                expires,
            } => {
                let used_by = None;
                self.tokens.insert(
                    token,
                    Token {
                        device,
                        expires,
                        used_by,
                    },
                );
            }
            Record::Enrolled { token, device, key } => {
                if let Some(token) = self.tokens.get_mut(&token) {
                    token.used_by = Some(key);
                }
                self.keys.insert(key, device.clone());
                self.devices.insert(device, Device::new(key));
            }
            Record::Revoked { device, key } => self.apply_revoked(&device, key),
            Record::Submitted { job, spec } => {
                let Some(device) = self.devices.get_mut(&spec.device) else {
                    return;
                };
                device.queue.push_back(job);
                self.open += 1;
                let entry = Entry {
                    device: spec.device.clone(),
                    state: State::Open { spec, attempts: 0 },
                };
                self.jobs.insert(job, entry);
            }
            Record::Done { job, .. } => {
                if let Some(device) = self.close(job, State::Done(location)) {
                    device.measured += 1;
                }
            }
            Record::Failed { job, failure, .. } => {
                if let Some(device) = self.close(job, State::Failed(failure)) {
                    device.failed += 1;
                }
            }
        }
    }

    fn apply_revoked(&mut self, name: &str, key: Digest) {
        self.keys.remove(&key);
        self.revoked.insert(key);
        let Some(device) = self.devices.get_mut(name) else {
            return;
        };
        device.revoked = true;
        device.connection = None;
        let lost: Vec<Digest> = device
            .queue
            .drain(..)
            .chain(device.lease.take().map(|l| l.job))
            .collect();
        for job in lost {
            self.close(job, State::Failed(Failure::Revoked));
        }
    }

    /// Ends a job; its device, if the job was open.
    fn close(&mut self, job: Digest, state: State) -> Option<&mut Device> {
        let entry = self.jobs.get_mut(&job)?;
        if !matches!(entry.state, State::Open { .. }) {
            return None;
        }
        entry.state = state;
        self.open -= 1;
        let device = self.devices.get_mut(&entry.device)?;
        match device.queue.front() == Some(&job) {
            true => drop(device.queue.pop_front()),
            false => device.queue.retain(|j| *j != job),
        }
        if device.lease.is_some_and(|l| l.job == job) {
            device.lease = None;
        }
        Some(device)
    }

    /// A client asks for a job. `has_network` tells whether its network is here.
    /// What was measured is not measured again; what failed is tried again.
    ///
    /// # Errors
    /// When nobody can do the job.
    pub fn submit(
        &self,
        spec: Box<JobSpec>,
        has_network: bool,
    ) -> Result<(Digest, Submitted, Option<Record>), Refusal> {
        let refuse = |reason: String| Refusal::Request { reason };
        spec.check().map_err(|e| refuse(e.to_string()))?;
        let device = self.devices.get(&spec.device).filter(|d| !d.revoked);
        let device = device.ok_or_else(|| self.no_device(&spec.device))?;
        let known = &device.hello.engines;
        if device.heard.is_some() && !known.contains(&spec.engine) {
            return Err(refuse(format!(
                "device `{}` has no engine `{}`; it has: {}",
                spec.device,
                spec.engine,
                known.join(", ")
            )));
        }
        let id = spec.id(device.key);
        match self.jobs.get(&id).map(|e| &e.state) {
            Some(State::Done(_)) => return Ok((id, Submitted::Done, None)),
            Some(State::Open { .. }) => return Ok((id, Submitted::Queued, None)),
            Some(State::Failed(_)) | None => {}
        }
        if !has_network {
            return Ok((id, Submitted::NeedsNetwork, None));
        }
        if self.open >= self.settings.open_jobs {
            return Err(refuse("too many jobs are waiting; try again later".into()));
        }
        let record = Record::Submitted { job: id, spec };
        Ok((id, Submitted::Queued, Some(record)))
    }

    /// Where a job stands; `None` if it was never submitted.
    pub fn standing(&self, job: Digest, now: Instant) -> Option<Standing> {
        let entry = self.jobs.get(&job)?;
        Some(match &entry.state {
            State::Done(location) => Standing::Done(*location),
            State::Failed(failure) => Standing::Failed(failure.clone()),
            State::Open { .. } => {
                let device = self.devices.get(&entry.device)?;
                let queued = device.queue.iter().position(|j| *j == job);
                let leased = usize::from(device.lease.is_some());
                let away = device.connection.is_none();
                Standing::Waiting(Waiting {
                    ahead: queued.map_or(0, |place| place + leased),
                    away_s: away.then(|| {
                        let since = device.heard.unwrap_or(self.born);
                        now.saturating_duration_since(since).as_secs_f64()
                    }),
                })
            }
        })
    }

    /// Whether an open job needs this network.
    pub fn wants(&self, network: Digest) -> bool {
        self.jobs.values().any(|entry| match &entry.state {
            State::Open { spec, .. } => spec.onnx == network,
            _ => false,
        })
    }

    /// Jobs not done yet.
    pub fn open_jobs(&self) -> usize {
        self.open
    }

    /// Checks what must hold whatever devices and clients do.
    ///
    /// # Errors
    /// Names what does not hold.
    pub fn consistent(&self) -> Result<(), String> {
        let mut open = 0;
        let mut seen = HashSet::new();
        for (name, device) in &self.devices {
            let held = device.lease.iter().map(|l| &l.job);
            for job in device.queue.iter().chain(held) {
                let entry = self.jobs.get(job).ok_or("a job without an entry")?;
                let right = matches!(entry.state, State::Open { .. }) && entry.device == *name;
                if !right || !seen.insert(*job) {
                    return Err(format!("job {} is in two places, or done", job.short()));
                }
                open += 1;
            }
        }
        match open == self.open
            && self
                .jobs
                .values()
                .filter(|e| matches!(e.state, State::Open { .. }))
                .count()
                == open
        {
            true => Ok(()),
            false => Err(format!("{open} jobs in queues, {} counted", self.open)),
        }
    }
}
