//! Who may connect: tokens, keys, revocation, and the rule that a device has
//! one connection and one lease.

use std::collections::VecDeque;
use std::time::Instant;

use super::core::Core;
use super::record::Record;
use crate::wire::{DeviceInfo, DeviceState, Digest, EnrolToken, Hello, Refusal, is_name};

/// A connection's number; never used again.
pub type Connection = u64;

/// A token that was issued.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub device: String,
    pub expires: u64,
    pub used_by: Option<Digest>,
}

/// One enrolled device.
#[derive(Debug)]
pub(super) struct Device {
    pub key: Digest,
    pub revoked: bool,
    pub hello: Hello,
    pub connection: Option<Connection>,
    /// When it was last heard of, by this process's clock.
    pub heard: Option<Instant>,
    pub queue: VecDeque<Digest>,
    pub lease: Option<Lease>,
    pub measured: usize,
    pub failed: usize,
}

/// A job in a device's hands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub job: Digest,
    /// `None` while the device is cut off; it may come back with the outcome.
    pub connection: Option<Connection>,
    /// When measuring began at the earliest, if this process saw it.
    pub since: Option<Instant>,
    pub deadline: Instant,
    /// While the device is cut off: when it counts as vanished.
    pub grace: Option<Instant>,
    pub measuring: bool,
}

impl Device {
    pub fn new(key: Digest) -> Self {
        Device {
            key,
            revoked: false,
            hello: Hello::default(),
            connection: None,
            heard: None,
            queue: VecDeque::new(),
            lease: None,
            measured: 0,
            failed: 0,
        }
    }

    fn state(&self) -> DeviceState {
        match (self.revoked, self.connection, self.lease, self.heard) {
            (true, ..) => DeviceState::Revoked,
            (_, None, _, None) => DeviceState::Unseen,
            (_, None, ..) => DeviceState::Away,
            (_, _, None, _) => DeviceState::Idle,
            (_, _, Some(lease), _) if lease.measuring => DeviceState::Measuring,
            _ => DeviceState::Fetching,
        }
    }
}

/// What a shown token leads to.
#[derive(Debug)]
pub enum TokenStep {
    /// The device is new: to be recorded.
    Enrol(Record),
    /// The same device showed the same token before, and did not hear the answer.
    Known(String),
}

/// Most tokens that can be open at a time.
const MAX_TOKENS: usize = 10_000;

impl Core {
    /// A token for a new device, to be recorded.
    ///
    /// # Errors
    /// When the name is none, or taken.
    pub fn issue(
        &self,
        device: &str,
        token: &EnrolToken,
        expires: u64,
        now: u64,
    ) -> Result<Record, Refusal> {
        let refuse = |reason: String| Err(Refusal::Request { reason });
        if !is_name(device) {
            return refuse(format!(
                "`{}` names no device: names have at most 64 letters, digits, `-`, `_` and `.`",
                crate::wire::plain(device, 80)
            ));
        }
        if ["local", "remote", "tract", "flex", "wgpu"].contains(&device) {
            return refuse(format!(
                "`{device}` has a meaning of its own; choose another name"
            ));
        }
        if self.devices.get(device).is_some_and(|d| !d.revoked) {
            return refuse(format!(
                "there is a device `{device}` already; choose another name, or revoke it first \
                 with `bespoke devices revoke {device}`"
            ));
        }
        let open = |t: &&Token| t.used_by.is_none() && t.expires > now;
        if self.tokens.values().filter(open).count() >= MAX_TOKENS {
            return refuse("too many tokens are open; let some expire".into());
        }
        Ok(Record::Token {
            token: EnrolToken::digest(&token.secret),
            device: device.into(),
            expires,
        })
    }

    /// What the holder of `key` may do who shows this token at `now` (seconds
    /// since 1970 by this machine's clock).
    ///
    /// # Errors
    /// When the token is unknown, expired or used by another key.
    pub fn show_token(&self, secret: &[u8], key: Digest, now: u64) -> Result<TokenStep, Refusal> {
        let digest = EnrolToken::digest(secret);
        let token = self.tokens.get(&digest).ok_or(Refusal::UnknownToken)?;
        if self.revoked.contains(&key) {
            return Err(Refusal::Revoked);
        }
        match token.used_by {
            Some(user) if user == key => return Ok(TokenStep::Known(token.device.clone())),
            Some(_) => return Err(Refusal::UsedToken),
            None if token.expires <= now => return Err(Refusal::ExpiredToken),
            None => {}
        }
        if self.devices.get(&token.device).is_some_and(|d| !d.revoked) {
            // A second token for a name, after the first was used.
            return Err(Refusal::UsedToken);
        }
        if self.keys.contains_key(&key) {
            return Err(Refusal::Request {
                reason: "this key belongs to a device already".into(),
            });
        }
        Ok(TokenStep::Enrol(Record::Enrolled {
            token: digest,
            device: token.device.clone(),
            key,
        }))
    }

    /// The device that has this key.
    ///
    /// # Errors
    /// When there is none, or no more.
    pub fn device_of(&self, key: Digest) -> Result<&str, Refusal> {
        match self.keys.get(&key) {
            Some(name) => Ok(name),
            None if self.revoked.contains(&key) => Err(Refusal::Revoked),
            None => Err(Refusal::UnknownKey),
        }
    }

    /// Revocation of a device, to be recorded.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn revoke(&self, device: &str) -> Result<Record, Refusal> {
        match self.devices.get(device) {
            Some(d) if !d.revoked => Ok(Record::Revoked {
                device: device.into(),
                key: d.key,
            }),
            _ => Err(self.no_device(device)),
        }
    }

    /// Why there is no such device, with those there are.
    pub(super) fn no_device(&self, device: &str) -> Refusal {
        let known: Vec<&str> = self
            .devices
            .iter()
            .filter(|(_, d)| !d.revoked)
            .map(|(name, _)| name.as_str())
            .collect();
        let device = crate::wire::plain(device, 80);
        Refusal::Request {
            reason: match known.is_empty() {
                true => format!(
                    "there is no device `{device}`, nor any other; `bespoke devices enrol NAME` \
                     makes one known"
                ),
                false => format!(
                    "there is no device `{device}`; there are: {}",
                    known.join(", ")
                ),
            },
        }
    }

    /// All devices, by name.
    pub fn list(&self, now: Instant) -> Vec<DeviceInfo> {
        let info = |(name, d): (&String, &Device)| DeviceInfo {
            name: name.clone(),
            key: d.key,
            state: d.state(),
            agent: d.hello.agent.clone(),
            engines: d.hello.engines.clone(),
            limits: d.hello.limits.clone(),
            facts: d.hello.facts.clone(),
            queued: d.queue.len(),
            measured: d.measured,
            failed: d.failed,
            silent_s: d.heard.map(|h| now.duration_since(h).as_secs_f64()),
        };
        self.devices.iter().map(info).collect()
    }
}
