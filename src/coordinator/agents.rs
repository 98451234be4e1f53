//! Serves one agent: gives it the next job of its device, the network when it
//! asks, and takes the outcome. Whatever it sends touches its own device only.

use std::sync::Arc;
use std::time::Instant;

use super::devices::Connection;
use super::door::Peer;
use super::events::wall_s;
use super::shared::Shared;
use super::{Next, Record, Step};
use crate::wire::{
    CHUNK_BYTES, Digest, FromAgent, Hello, Outcome, Refusal, ToAgent, WireError, plain,
};

/// Beats may come twice as often as asked, and a few at once.
const SPARE_BEATS: f64 = 20.0;

/// Why a session ends.
enum End {
    Wire(WireError),
    Refused(Refusal),
    Halted,
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        End::Wire(error)
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        End::Refused(refusal)
    }
}

struct Session<'a> {
    peer: Peer,
    device: &'a str,
    connection: Connection,
    shared: &'a Arc<Shared>,
    began: Instant,
    beats: f64,
}

/// Serves until the connection ends.
pub(super) async fn serve(
    peer: Peer,
    device: &str,
    connection: Connection,
    hello: Hello,
    shared: &Arc<Shared>,
) {
    let mut session = Session {
        peer,
        device,
        connection,
        shared,
        began: Instant::now(),
        beats: 0.0,
    };
    let end = session.run(hello).await;
    {
        let mut state = shared.lock();
        state.core.disconnect(device, connection, Instant::now());
    }
    shared.leave(device, connection);
    let why = match end {
        Ok(()) => return,
        Err(End::Wire(error)) => plain(&error.to_string(), 200),
        Err(End::Refused(refusal)) => {
            let why = refusal.to_string();
            let _ = session.peer.send(&ToAgent::Refused(refusal)).await;
            session.peer.close().await;
            why
        }
        Err(End::Halted) => {
            let bye = ToAgent::Refused(Refusal::Stopping);
            let _ = session.peer.send(&bye).await;
            session.peer.close().await;
            return;
        }
    };
    shared.note(format!("{device} is away: {why}"));
}

impl Session<'_> {
    async fn run(&mut self, hello: Hello) -> Result<(), End> {
        let wake = self.shared.join(self.device, self.connection);
        self.welcome(hello).await?;
        self.shared.note(format!("{} is here", self.device));
        let silence = self.shared.settings.silence;
        loop {
            self.next_job().await?;
            tokio::select! {
                message = self.peer.receive::<FromAgent>() => self.answer(message?).await?,
                () = wake.notified() => {}
                () = tokio::time::sleep(silence / 4) => {
                    let silent = self.peer.heard().elapsed();
                    if silent > silence {
                        return Err(WireError::Silent(silent.as_secs_f64()).into());
                    }
                }
                () = self.shared.halted() => return Err(End::Halted),
            }
            let state = self.shared.lock();
            state.core.check(self.device, self.connection)?;
        }
    }

    async fn welcome(&mut self, hello: Hello) -> Result<(), End> {
        let (connected, location) = {
            let mut state = self.shared.lock();
            let now = Instant::now();
            let mut connected =
                state
                    .core
                    .connect(self.device, self.connection, hello, now, wall_s())?;
            let failed = connected.failed.take();
            let location = failed.map(|record| self.shared.commit(&mut state, record));
            (connected, location)
        };
        if let Some(location) = location {
            self.ended(location).await?;
        }
        let welcome = ToAgent::Welcome {
            device: self.device.into(),
            beat_ms: self.shared.settings.beat.as_millis() as u64,
            resume: connected.resume,
        };
        self.peer.send(&welcome).await?;
        if let Some(job) = connected.forget {
            self.peer.send(&ToAgent::Drop { job }).await?;
        }
        Ok(())
    }

    /// Gives the device its next job, if it is idle and there is one.
    async fn next_job(&mut self) -> Result<(), End> {
        loop {
            let failed = {
                let mut state = self.shared.lock();
                let networks = &self.shared.networks;
                let has = |network| networks.has(network);
                let now = Instant::now();
                let next = state
                    .core
                    .next(self.device, self.connection, &has, now, wall_s());
                match next {
                    None => return Ok(()),
                    Some(Next::Failed(record)) => Err(self.shared.commit(&mut state, record)),
                    Some(Next::Job(job)) => Ok(job),
                }
            };
            match failed {
                Ok(job) => return Ok(self.peer.send(&ToAgent::Job(job)).await?),
                Err(location) => self.ended(location).await?,
            }
        }
    }

    async fn answer(&mut self, message: FromAgent) -> Result<(), End> {
        let now = Instant::now();
        let (device, connection) = (self.device, self.connection);
        self.shared.lock().core.heard(device, connection, now);
        match message {
            FromAgent::Beat { facts } => {
                self.beats += 1.0;
                let elapsed = self.began.elapsed().as_secs_f64();
                let beat = self.shared.settings.beat.as_secs_f64().max(1e-3);
                if self.beats > SPARE_BEATS + 2.0 * elapsed / beat {
                    let reason = "it beats too often".into();
                    return Err(Refusal::Misbehaved { reason }.into());
                }
                if let Some(facts) = facts {
                    self.shared.lock().core.facts(device, *facts);
                }
                Ok(self.peer.send(&ToAgent::Beat).await?)
            }
            FromAgent::Fetch { onnx, offset } => {
                let fetched = self.shared.lock().core.fetch(device, connection, onnx, now);
                fetched?;
                let chunk = self.shared.networks.read(onnx, offset, CHUNK_BYTES);
                let chunk = chunk.map_err(|e| Refusal::Request {
                    reason: e.to_string(),
                })?;
                Ok(self.peer.send_chunk(&chunk).await?)
            }
            FromAgent::Started { job } => {
                let mut state = self.shared.lock();
                Ok(state.core.started(device, connection, job, now)?)
            }
            FromAgent::Outcome { job, outcome } => self.outcome(job, outcome, now).await,
        }
    }

    async fn outcome(&mut self, job: Digest, outcome: Outcome, now: Instant) -> Result<(), End> {
        let location = {
            let mut state = self.shared.lock();
            let step =
                state
                    .core
                    .outcome(self.device, self.connection, job, outcome, now, wall_s())?;
            match step {
                Step::Known => None,
                Step::Record(record) => {
                    let said = said(self.device, &record);
                    Some((self.shared.commit(&mut state, record), said))
                }
            }
        };
        if let Some((location, said)) = location {
            self.ended(location).await?;
            self.shared.note(said);
        }
        Ok(self.peer.send(&ToAgent::Recorded { job }).await?)
    }

    /// A job has ended: once the disk has it, those who wait are told.
    async fn ended(&self, location: super::Location) -> Result<(), End> {
        let done = self.shared.on_disk(location).await;
        self.shared.tell_ended();
        done.map_err(|_| End::Halted)
    }
}

fn said(device: &str, record: &Record) -> String {
    match record {
        Record::Done { spec, report, .. } => {
            let median = crate::device::median(&report.trace.samples_ms);
            let network = plain(&spec.network, 60);
            format!(
                "{device}/{} measured {median:.3} ms: {network}",
                spec.engine
            )
        }
        Record::Failed { failure, .. } => format!("{device} failed: {failure}"),
        _ => String::new(),
    }
}
