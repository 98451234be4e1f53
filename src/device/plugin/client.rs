//! Asking a plugin: requests with answers, what its complaints mean here, and
//! its life. After a failure the process is gone; [`Plugin::revive`] starts
//! another.

use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::message::{Answer, Complaint, ComplaintKind, Envelope, Hello, Request};
use super::process::Process;
use super::scratch::Scratch;
use super::{CommandLine, PROTOCOL_VERSION, PluginFailure};
use crate::device::{DeviceFacts, Limits, ProbeError};

/// Longest part of a line that an error quotes, in characters.
const QUOTED: usize = 120;

/// A plugin, running or not.
#[derive(Debug)]
pub struct Plugin {
    line: CommandLine,
    limits: Limits,
    process: Option<Process>,
    hello: Hello,
    facts: DeviceFacts,
    scratch: Scratch,
    next_id: u64,
    next_session: u64,
    /// How often it was started: sessions die with their process.
    starts: u64,
}

impl Plugin {
    /// Starts a plugin and greets it. `limits` are the device's, for a plugin
    /// that checks them.
    ///
    /// # Errors
    /// When it does not start or speaks another version.
    pub fn start(line: CommandLine, limits: Limits) -> Result<Self, ProbeError> {
        let program = line.argv.last().cloned().unwrap_or_default();
        let scratch = Scratch::new().map_err(|e| failed(&program, "before it was started", e))?;
        let mut plugin = Plugin {
            line,
            limits,
            process: None,
            hello: Hello {
                protocol: PROTOCOL_VERSION,
                // Until it has told its own.
                name: program,
                version: String::new(),
                offers: Vec::new(),
                simulated: false,
            },
            facts: DeviceFacts::default(),
            scratch,
            next_id: 0,
            next_session: 0,
            starts: 0,
        };
        plugin.revive()?;
        Ok(plugin)
    }

    /// How it introduced itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// What it says of its device, with what is known of this machine where its
    /// process runs here and says nothing.
    pub fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    pub fn timeout(&self) -> Duration {
        self.line.timeout
    }

    #[cfg(test)]
    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.line.timeout = timeout;
    }

    /// Process number while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    pub(super) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    pub(super) fn starts(&self) -> u64 {
        self.starts
    }

    pub(super) fn new_session(&mut self) -> u64 {
        self.next_session += 1;
        self.next_session
    }

    /// Starts the process again where it has failed.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn revive(&mut self) -> Result<(), ProbeError> {
        if self.process.is_some() {
            return Ok(());
        }
        let started = Process::spawn(&self.line);
        self.process = Some(started.map_err(|f| self.failure("before it was greeted", f))?);
        self.starts += 1;
        let limits = self.limits;
        let hello: Hello = self.ask(&Request::Hello {
            protocol: PROTOCOL_VERSION,
            limits: &limits,
        })?;
        let theirs = hello.protocol;
        if hello.name.trim().is_empty() {
            return Err(self.answer_failure("while it was greeted", "`name` is empty"));
        }
        self.hello = hello;
        if theirs != PROTOCOL_VERSION {
            let ours = PROTOCOL_VERSION;
            let failure = PluginFailure::Version { ours, theirs };
            return Err(self.failure("while it was greeted", failure));
        }
        let here = DeviceFacts::of_process(self.process_id());
        self.facts = match self.hello.offers("facts") {
            true => self.ask::<DeviceFacts>(&Request::Facts)?,
            false => here,
        };
        Ok(())
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// What the plugin complains of, or how it failed; after a failure it no
    /// longer runs.
    pub(super) fn ask<T: DeserializeOwned>(
        &mut self,
        request: &Request<'_>,
    ) -> Result<T, ProbeError> {
        let answer = match self.exchange(request) {
            Ok(answer) => answer,
            Err(failure) => return Err(self.failure(request.doing(), failure)),
        };
        match (answer.ok, answer.error) {
            (Some(value), None) => serde_json::from_value(value)
                .map_err(|e| self.answer_failure(request.doing(), &format!("`ok`: {e}"))),
            (None, Some(complaint)) => Err(self.complaint(complaint)),
            _ => Err(self.answer_failure(request.doing(), "it must have one of `ok` and `error`")),
        }
    }

    fn exchange(&mut self, request: &Request<'_>) -> Result<Answer, PluginFailure> {
        let Some(process) = &mut self.process else {
            return Err(PluginFailure::Exited {
                status: "it had been ended".into(),
                stderr: String::new(),
            });
        };
        let id = self.next_id;
        self.next_id += 1;
        let line = serde_json::to_string(&Envelope { id, request }).expect("plain data");
        process.send(&line)?;
        let line = process.receive(self.line.timeout)?;
        let answer: Answer = serde_json::from_str(&line).map_err(|e| {
            let mut quoted: String = line.chars().take(QUOTED).collect();
            if quoted.len() < line.len() {
                quoted += "...";
            }
            let not_json = ["NaN", "Infinity"].into_iter().find(|w| line.contains(w));
            PluginFailure::NotJson {
                line: quoted,
                reason: match not_json {
                    Some(word) => format!("JSON has no {word}"),
                    None => e.to_string(),
                },
            }
        })?;
        match answer.id == id {
            true => Ok(answer),
            false => Err(PluginFailure::OutOfStep {
                ours: id,
                theirs: answer.id,
            }),
        }
    }

    /// Ends the process by closing its standard input; whether it ended by itself.
    pub(super) fn finish(&mut self) -> bool {
        self.process.take().is_none_or(|mut p| p.finish())
    }

    /// Ends the process and says what it failed at.
    pub(super) fn failure(&mut self, doing: &'static str, failure: PluginFailure) -> ProbeError {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        failed(&self.hello.name, doing, failure)
    }

    pub(super) fn answer_failure(&mut self, doing: &'static str, problem: &str) -> ProbeError {
        let problem = problem.into();
        self.failure(doing, PluginFailure::Answer { problem })
    }

    fn complaint(&self, complaint: Complaint) -> ProbeError {
        let engine = self.hello.name.clone();
        let reason = complaint.message;
        match complaint.kind {
            ComplaintKind::Unsupported => ProbeError::Unsupported {
                engine,
                what: reason,
                remedy: complaint.remedy.unwrap_or_else(|| {
                    "measure with another engine, or leave it out of the space".into()
                }),
            },
            ComplaintKind::Limit => ProbeError::Limit { engine, reason },
            ComplaintKind::Load => ProbeError::Load { engine, reason },
            ComplaintKind::Run => ProbeError::Run { engine, reason },
        }
    }
}

fn failed(plugin: &str, doing: &'static str, failure: impl Into<PluginFailure>) -> ProbeError {
    ProbeError::Plugin {
        plugin: plugin.into(),
        doing,
        failure: failure.into(),
    }
}
