//! Jobs in the hands of devices: a device has one connection and one lease. A
//! lease outlives a connection that is cut, until its deadline; a device that
//! comes back says what it holds and goes on with it, or gets it again.

use std::time::{Duration, Instant};

use super::core::{Core, Entry, State};
use super::devices::{Connection, Device, Lease};
use super::record::Record;
use crate::wire::{Digest, Failure, Hello, Job, Refusal};

/// The time an agent has beyond a job's limit to say that it is over.
pub(super) const SLACK: Duration = Duration::from_secs(15);

/// What a connection finds.
#[derive(Debug, PartialEq)]
pub struct Connected {
    /// The device goes on with what it holds.
    pub resume: bool,
    /// It should forget what it holds.
    pub forget: Option<Digest>,
    /// The job that it was given and does not know of any more, given up for
    /// good: to be recorded.
    pub failed: Option<Record>,
}

/// What a device does next.
#[derive(Debug, PartialEq)]
pub enum Next {
    Job(Box<Job>),
    /// The device cannot do the first job: to be recorded, and asked again.
    Failed(Record),
}

impl Core {
    /// A device connects; an older connection of its ends.
    ///
    /// # Errors
    /// When it was revoked meanwhile.
    pub fn connect(
        &mut self,
        name: &str,
        connection: Connection,
        hello: Hello,
        now: Instant,
        at: u64,
    ) -> Result<Connected, Refusal> {
        let device = self.devices.get_mut(name).filter(|d| !d.revoked);
        let device = device.ok_or(Refusal::UnknownKey)?;
        let holding = hello.holding;
        device.connection = Some(connection);
        device.heard = Some(now);
        device.hello = hello.cleaned();
        let mut connected = Connected {
            resume: false,
            forget: None,
            failed: None,
        };
        match (holding, &mut device.lease) {
            (Some(job), Some(lease)) if lease.job == job => {
                lease.connection = Some(connection);
                lease.grace = None;
                connected.resume = true;
                return Ok(connected);
            }
            _ => {}
        }
        connected.failed = self.release(name, at);
        if let Some(job) = holding {
            // Work of before a restart of this program, or a job that was put
            // back when the device had vanished: it counts.
            connected.resume = self.lease(name, connection, job, now);
            connected.forget = (!connected.resume).then_some(job);
        }
        Ok(connected)
    }

    /// Takes a waiting job out of a device's queue and into its hands.
    fn lease(&mut self, name: &str, connection: Connection, job: Digest, now: Instant) -> bool {
        let Some(Entry {
            device: owner,
            state: State::Open { spec, .. },
        }) = self.jobs.get(&job)
        else {
            return false;
        };
        let limit = spec.limit();
        let Some(device) = self.devices.get_mut(name).filter(|_| owner == name) else {
            return false;
        };
        let Some(place) = device.queue.iter().position(|j| *j == job) else {
            return false;
        };
        device.queue.remove(place);
        device.lease = Some(Lease {
            job,
            connection: Some(connection),
            since: None,
            deadline: now + limit + SLACK,
            grace: None,
            measuring: true,
        });
        true
    }

    /// Puts a device's job back to the head of its queue, or gives it up.
    fn release(&mut self, name: &str, at: u64) -> Option<Record> {
        let device = self.devices.get_mut(name)?;
        let lease = device.lease.take()?;
        device.queue.push_front(lease.job);
        let most = self.settings.attempts;
        match &mut self.jobs.get_mut(&lease.job)?.state {
            State::Open { attempts, .. } if *attempts >= most => Some(Record::Failed {
                job: lease.job,
                device: name.into(),
                failure: Failure::Vanished {
                    attempts: *attempts,
                },
                at,
            }),
            _ => None,
        }
    }

    /// A connection ended. Its device may come back and go on.
    pub fn disconnect(&mut self, name: &str, connection: Connection, now: Instant) {
        let silence = self.settings.silence;
        let Some(device) = self.devices.get_mut(name) else {
            return;
        };
        if device.connection == Some(connection) {
            device.connection = None;
            device.heard = Some(now);
        }
        if let Some(lease) = &mut device.lease
            && lease.connection == Some(connection)
        {
            lease.connection = None;
            lease.grace = Some(now + silence);
        }
    }

    /// The next job of an idle device. `has` tells which networks are here.
    pub fn next(
        &mut self,
        name: &str,
        connection: Connection,
        has: &dyn Fn(Digest) -> bool,
        now: Instant,
        at: u64,
    ) -> Option<Next> {
        self.check(name, connection).ok()?;
        let device = self.devices.get_mut(name)?;
        if device.lease.is_some() {
            return None;
        }
        let id = *device.queue.front()?;
        let State::Open { spec, attempts } = &mut self.jobs.get_mut(&id)?.state else {
            return None;
        };
        let failure = if !device.hello.engines.contains(&spec.engine) {
            Failure::Unsupported {
                engine: spec.engine.clone(),
                what: "this device".into(),
                remedy: format!(
                    "choose one that it has: {}",
                    device.hello.engines.join(", ")
                ),
            }
        } else if !has(spec.onnx) {
            Failure::Other {
                reason: "the coordinator has lost the network; submit it again".into(),
            }
        } else {
            *attempts += 1;
            let job = Box::new(spec.job(id));
            device.queue.pop_front();
            device.lease = Some(Lease {
                job: id,
                connection: Some(connection),
                since: Some(now),
                deadline: now + self.settings.transfer,
                grace: None,
                measuring: false,
            });
            return Some(Next::Job(job));
        };
        Some(Next::Failed(Record::Failed {
            job: id,
            device: name.into(),
            failure,
            at,
        }))
    }

    /// Ends the leases whose time is over: the jobs are put back, or given up
    /// for good (records). Connections that still held one are to be closed
    /// (devices' names).
    pub fn expire(&mut self, now: Instant, at: u64) -> (Vec<Record>, Vec<String>) {
        let ends = |l: Lease| l.grace.map_or(l.deadline, |g| g.min(l.deadline));
        let late = |d: &Device| d.lease.is_some_and(|l| ends(l) <= now);
        let names: Vec<String> = self
            .devices
            .iter()
            .filter(|(_, d)| late(d))
            .map(|(name, _)| name.clone())
            .collect();
        let mut records = Vec::new();
        let mut closed = Vec::new();
        for name in names {
            records.extend(self.release(&name, at));
            let device = self.devices.get_mut(&name);
            if device.is_some_and(|d| d.connection.take().is_some()) {
                closed.push(name);
            }
        }
        (records, closed)
    }
}
