//! What a device says while it has a connection: that it is there, which part of
//! its network it wants, that it has begun, and what came of it. It is believed
//! about the job that it was given and no other.

use std::time::Instant;

use super::core::{Core, State};
use super::devices::{Connection, Lease};
use super::leases::SLACK;
use super::record::Record;
use crate::wire::{Digest, JobSpec, Outcome, Refusal};

/// What an outcome leads to.
#[derive(Debug, PartialEq)]
pub enum Step {
    Record(Record),
    /// It was recorded before, or nobody waits for it any more.
    Known,
}

impl Core {
    /// Whether this is still the device's connection.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, name: &str, connection: Connection) -> Result<(), Refusal> {
        match self.devices.get(name) {
            Some(d) if d.revoked => Err(Refusal::Revoked),
            Some(d) if d.connection == Some(connection) => Ok(()),
            Some(d) if d.connection.is_none() => Err(misbehaved(
                "its job's time was over, or it was silent for too long",
            )),
            _ => Err(Refusal::Replaced),
        }
    }

    /// Something was heard of a device, with new facts perhaps.
    pub fn heard(&mut self, name: &str, connection: Connection, now: Instant) {
        if let Some(device) = self.devices.get_mut(name)
            && device.connection == Some(connection)
        {
            device.heard = Some(now);
        }
    }

    /// A device reports its state anew.
    pub fn facts(&mut self, name: &str, facts: crate::device::DeviceFacts) {
        if let Some(device) = self.devices.get_mut(name) {
            device.hello.facts = facts;
            crate::wire::clean(&mut device.hello.facts);
        }
    }

    /// A device asks for part of a network: only of its job's.
    ///
    /// # Errors
    /// When it is not the network of its job.
    pub fn fetch(
        &mut self,
        name: &str,
        connection: Connection,
        network: Digest,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.check(name, connection)?;
        let deadline = now + self.settings.transfer;
        let spec = self.leased(name).map(|(_, spec)| spec.onnx);
        if spec != Some(network) {
            return Err(misbehaved("it asked for a network that is not its job's"));
        }
        if let Some(lease) = self.lease_of(name).filter(|l| !l.measuring) {
            lease.deadline = deadline;
        }
        Ok(())
    }

    /// A device begins to measure.
    ///
    /// # Errors
    /// When it does not hold the job.
    pub fn started(
        &mut self,
        name: &str,
        connection: Connection,
        job: Digest,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.check(name, connection)?;
        let limit = match self.leased(name) {
            Some((held, spec)) if held == job => spec.limit(),
            _ => return Err(misbehaved("it began a job that it was not given")),
        };
        if let Some(lease) = self.lease_of(name).filter(|l| !l.measuring) {
            lease.measuring = true;
            lease.deadline = now + limit + SLACK;
        }
        Ok(())
    }

    /// A device has an outcome.
    ///
    /// # Errors
    /// When the job was never this device's.
    pub fn outcome(
        &mut self,
        name: &str,
        connection: Connection,
        job: Digest,
        outcome: Outcome,
        now: Instant,
        at: u64,
    ) -> Result<Step, Refusal> {
        self.check(name, connection)?;
        let entry = self.jobs.get(&job).filter(|e| e.device == name);
        let entry = entry.ok_or_else(|| misbehaved("it sent the outcome of another's job"))?;
        let State::Open { spec, .. } = &entry.state else {
            return Ok(Step::Known);
        };
        let lease = self.devices.get(name).and_then(|d| d.lease);
        let Some(lease) = lease.filter(|l| l.job == job) else {
            return Err(misbehaved(
                "it sent the outcome of a job that it does not hold",
            ));
        };
        let limit = spec.limit() + self.settings.transfer;
        let elapsed = lease.since.map_or(limit, |s| now.duration_since(s));
        Ok(Step::Record(match outcome.checked(spec, elapsed) {
            Outcome::Measured(report) => Record::Done {
                job,
                spec: spec.clone(),
                report,
                at,
            },
            Outcome::Failed(failure) => Record::Failed {
                job,
                device: name.into(),
                failure,
                at,
            },
        }))
    }

    fn lease_of(&mut self, name: &str) -> Option<&mut Lease> {
        self.devices.get_mut(name)?.lease.as_mut()
    }

    fn leased(&self, name: &str) -> Option<(Digest, &JobSpec)> {
        let job = self.devices.get(name)?.lease?.job;
        match &self.jobs.get(&job)?.state {
            State::Open { spec, .. } => Some((job, spec)),
            _ => None,
        }
    }
}

fn misbehaved(reason: &str) -> Refusal {
    Refusal::Misbehaved {
        reason: reason.into(),
    }
}
