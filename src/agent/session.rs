//! The agent's side of a connection, and dialling again when it ends. What the
//! agent holds (a measurement that runs, an outcome that was not acknowledged)
//! outlives connections; what it was fetching goes on where it stopped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rand::RngExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use super::{AgentHome, Enrolment};
use crate::device::{DeviceFacts, Limits};
use crate::wire::{
    BlobStore, Channel, Digest, Failure, FileError, FromAgent, Greeting, Hello, Job, MAX_FRAME,
    Outcome, PATIENCE, Partial, Refusal, ToAgent, VERSION, WireError, connect, is_name, plain,
};

/// First and longest pause before dialling again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Facts are told anew with every so many beats.
const FACTS_EVERY: u32 = 12;

/// Why an agent ends.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("another agent uses {}; it can be the same one, still running", .0.display())]
    Locked(PathBuf),
    #[error("this agent is not enrolled; run the command that `bespoke devices enrol NAME` prints")]
    NotEnrolled,
    #[error(
        "this agent is `{device}` of the coordinator at {address} already; to enrol it anew, \
         revoke it there and remove the agent's directory"
    )]
    Enrolled { device: String, address: String },
    #[error("cannot reach the coordinator at {address}: {source}")]
    Connect {
        address: String,
        source: std::io::Error,
    },
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the coordinator refuses: {0}")]
    Refused(Refusal),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the coordinator does not keep to the protocol: {0}")]
    Confused(&'static str),
}

/// What measures; tests and load tests bring their own.
pub trait Measure: Send {
    fn engines(&self) -> Vec<String>;

    /// What networks must not exceed, by engine.
    fn limits(&self) -> BTreeMap<String, Limits> {
        BTreeMap::new()
    }

    fn facts(&self) -> DeviceFacts;

    /// Begins to measure the network in a file. Aborting the task ends the
    /// measurement at once.
    fn start(&mut self, job: &Job, file: PathBuf) -> JoinHandle<Outcome>;
}

pub(super) type Coordinator = Channel<TlsStream<TcpStream>>;

/// What the agent has in hand.
pub(super) enum Holding {
    Nothing,
    Fetching(Box<Job>, Partial),
    Measuring(Digest, JoinHandle<Outcome>),
    Finished(Digest, Outcome),
}

impl Holding {
    pub(super) fn job(&self) -> Option<Digest> {
        match self {
            Holding::Measuring(job, _) | Holding::Finished(job, _) => Some(*job),
            Holding::Nothing | Holding::Fetching(..) => None,
        }
    }
}

/// An agent.
pub struct Agent<M> {
    pub(super) enrolment: Enrolment,
    /// Where outcomes are kept until delivered; simulated agents have none.
    pub(super) home: Option<AgentHome>,
    pub(super) cache: BlobStore,
    pub(super) measure: M,
    pub(super) holding: Holding,
    /// Whether the last connection came as far as that.
    pub(super) welcomed: bool,
    pub(super) echo: bool,
}

impl<M> Drop for Agent<M> {
    fn drop(&mut self) {
        if let Holding::Measuring(_, task) = &self.holding {
            task.abort();
        }
    }
}

impl<M: Measure> Agent<M> {
    /// An agent that is enrolled. With a `home` it delivers what an earlier
    /// process measured and could not deliver.
    pub fn new(
        enrolment: Enrolment,
        home: Option<AgentHome>,
        cache: BlobStore,
        measure: M,
    ) -> Self {
        let left = home.as_ref().and_then(AgentHome::outcome);
        Agent {
            enrolment,
            home,
            cache,
            measure,
            holding: left.map_or(Holding::Nothing, |(job, o)| Holding::Finished(job, o)),
            welcomed: false,
            echo: false,
        }
    }

    /// Say on standard error what happens.
    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Serves the coordinator, dialling again whenever the connection ends.
    /// Returns when it refuses for good.
    ///
    /// # Errors
    /// Always; why it ended.
    pub async fn run(&mut self) -> Result<std::convert::Infallible, AgentError> {
        let mut pause = PAUSES.0;
        loop {
            self.welcomed = false;
            let error = match self.connection().await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            match &error {
                AgentError::Refused(refusal) if refusal.is_final() => return Err(error),
                AgentError::File(_) => return Err(error),
                _ => {}
            }
            if self.welcomed {
                pause = PAUSES.0;
            }
            // Many agents that lost one coordinator do not come back at once.
            let wait = pause.mul_f64(rand::rng().random_range(0.5..1.5));
            self.say(&format!(
                "{error}; dialling again in {:.1} s",
                wait.as_secs_f64()
            ));
            self.meanwhile(tokio::time::sleep(wait)).await?;
            pause = (2 * pause).min(PAUSES.1);
        }
    }

    pub(super) fn say(&self, text: &str) {
        if self.echo {
            eprintln!("{}", plain(text, 500));
        }
    }

    /// Does something that takes time, and looks after a measurement that ends
    /// meanwhile.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, AgentError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                outcome = finished(&mut self.holding) => self.finish(outcome)?,
            }
        }
    }

    /// One connection, until it ends.
    async fn connection(&mut self) -> Result<std::convert::Infallible, AgentError> {
        let Enrolment {
            address,
            server,
            identity,
            ..
        } = self.enrolment.clone();
        let connected = self.meanwhile(connect(&address, server, &identity)).await?;
        let mut channel = connected.map_err(|source| AgentError::Connect { address, source })?;
        channel.raise_limit(MAX_FRAME);
        let hello = Hello {
            agent: env!("CARGO_PKG_VERSION").into(),
            engines: self.measure.engines(),
            limits: self.measure.limits(),
            facts: self.measure.facts(),
            holding: self.holding.job(),
        };
        let hello = Box::new(hello);
        let version = VERSION;
        channel.send(&Greeting::Hello { version, hello }).await?;
        let (beat, resume) = match channel.receive_within(PATIENCE).await? {
            ToAgent::Welcome {
                device,
                beat_ms,
                resume,
            } if is_name(&device) => {
                self.welcomed = true;
                self.say(&format!("connected as {device}"));
                (beat_ms.clamp(10, 60_000), resume)
            }
            ToAgent::Refused(refusal) => return Err(AgentError::Refused(refusal)),
            _ => return Err(AgentError::Confused("it did not welcome the agent")),
        };
        if !resume {
            self.forget();
        }
        self.serve(&mut channel, Duration::from_millis(beat)).await
    }

    async fn serve(
        &mut self,
        channel: &mut Coordinator,
        beat: Duration,
    ) -> Result<std::convert::Infallible, AgentError> {
        if matches!(self.holding, Holding::Finished(..)) {
            self.deliver(channel).await?;
        }
        let silence = (6 * beat).max(Duration::from_secs(1));
        let mut beats = tokio::time::interval(beat);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count = 0u32;
        loop {
            tokio::select! {
                frame = channel.frame() => self.answer(channel, frame?).await?,
                outcome = finished(&mut self.holding) => {
                    self.finish(outcome)?;
                    self.deliver(channel).await?;
                }
                _ = beats.tick() => {
                    if channel.heard().elapsed() > silence {
                        return Err(WireError::Silent(silence.as_secs_f64()).into());
                    }
                    count += 1;
                    // Looking around takes time that a measurement would miss.
                    let idle = matches!(self.holding, Holding::Nothing);
                    let facts = (idle && count.is_multiple_of(FACTS_EVERY))
                        .then(|| Box::new(self.measure.facts()));
                    channel.send(&FromAgent::Beat { facts }).await?;
                }
            }
        }
    }
}

/// Resolves when a measurement that runs has ended; never where none runs.
async fn finished(holding: &mut Holding) -> Outcome {
    match holding {
        Holding::Measuring(_, task) => match task.await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(Failure::Crashed {
                reason: error.to_string(),
            }),
        },
        _ => std::future::pending().await,
    }
}
