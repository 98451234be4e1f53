//! The agent's side of a connection, and dialling again when it ends. What the
//! agent holds (a measurement that runs, an outcome that was not acknowledged)
//! outlives connections; what it was fetching goes on where it stopped.

use std::path::PathBuf;
use std::time::Duration;

use rand::RngExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use super::{AgentHome, Enrolment};
use crate::device::DeviceFacts;
use crate::wire::{
    BlobError, BlobStore, Channel, Digest, Failure, FileError, Frame, FromAgent, Greeting, Hello,
    Job, MAX_FRAME, Outcome, PATIENCE, Partial, Refusal, ToAgent, VERSION, WireError, connect,
    is_name, plain,
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

    fn facts(&self) -> DeviceFacts;

    /// Begins to measure the network in a file. Aborting the task ends the
    /// measurement at once.
    fn start(&mut self, job: &Job, file: PathBuf) -> JoinHandle<Outcome>;
}

type Coordinator = Channel<TlsStream<TcpStream>>;

/// What the agent has in hand.
enum Holding {
    Nothing,
    Fetching(Box<Job>, Partial),
    Measuring(Digest, JoinHandle<Outcome>),
    Finished(Digest, Outcome),
}

impl Holding {
    fn job(&self) -> Option<Digest> {
        match self {
            Holding::Measuring(job, _) | Holding::Finished(job, _) => Some(*job),
            Holding::Nothing | Holding::Fetching(..) => None,
        }
    }
}

/// An agent.
pub struct Agent<M> {
    enrolment: Enrolment,
    /// Where outcomes are kept until delivered; simulated agents have none.
    home: Option<AgentHome>,
    cache: BlobStore,
    measure: M,
    holding: Holding,
    /// Whether the last connection came as far as that.
    welcomed: bool,
    echo: bool,
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
            tokio::time::sleep(wait).await;
            pause = (2 * pause).min(PAUSES.1);
        }
    }

    fn say(&self, text: &str) {
        if self.echo {
            eprintln!("{}", plain(text, 500));
        }
    }

    /// One connection, until it ends.
    async fn connection(&mut self) -> Result<std::convert::Infallible, AgentError> {
        let Enrolment {
            address,
            server,
            identity,
            ..
        } = &self.enrolment;
        let connected = connect(address, *server, identity).await;
        let mut channel = connected.map_err(|source| AgentError::Connect {
            address: address.clone(),
            source,
        })?;
        channel.raise_limit(MAX_FRAME);
        let hello = Hello {
            agent: env!("CARGO_PKG_VERSION").into(),
            engines: self.measure.engines(),
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

    async fn answer(&mut self, channel: &mut Coordinator, frame: Frame) -> Result<(), AgentError> {
        if let Frame::Chunk(chunk) = frame {
            return self.take_chunk(channel, &chunk).await;
        }
        match frame.message()? {
            ToAgent::Job(job) => self.take_job(channel, job).await,
            ToAgent::Recorded { job } | ToAgent::Drop { job } => {
                if self.holding.job() == Some(job) {
                    self.forget();
                }
                Ok(())
            }
            ToAgent::Beat => Ok(()),
            ToAgent::Refused(refusal) => Err(AgentError::Refused(refusal)),
            ToAgent::Welcome { .. } | ToAgent::Enrolled { .. } => Err(AgentError::Confused(
                "it greets in the middle of a conversation",
            )),
        }
    }

    async fn take_job(
        &mut self,
        channel: &mut Coordinator,
        job: Box<Job>,
    ) -> Result<(), AgentError> {
        if !matches!(self.holding, Holding::Nothing) {
            return Err(AgentError::Confused(
                "it sends a job while another is not done",
            ));
        }
        if let Err(error) = job.check() {
            let reason = error.to_string();
            return self
                .refuse(channel, job.id, Failure::Refused { reason })
                .await;
        }
        if self.cache.has(job.onnx) {
            return self.begin(channel, *job).await;
        }
        match self.cache.begin(job.onnx, job.bytes, &|_| false) {
            Ok(partial) => {
                let offset = partial.have();
                let complete = partial.is_complete();
                let onnx = job.onnx;
                self.holding = Holding::Fetching(job, partial);
                match complete {
                    true => self.fetched(channel).await,
                    false => Ok(channel.send(&FromAgent::Fetch { onnx, offset }).await?),
                }
            }
            Err(error) => {
                let reason = error.to_string();
                self.refuse(channel, job.id, Failure::Refused { reason })
                    .await
            }
        }
    }

    async fn take_chunk(
        &mut self,
        channel: &mut Coordinator,
        chunk: &[u8],
    ) -> Result<(), AgentError> {
        let Holding::Fetching(job, partial) = &mut self.holding else {
            return Err(AgentError::Confused("it sends bytes that nobody asked for"));
        };
        if chunk.is_empty() {
            return Err(AgentError::Confused("it sends no more bytes of a network"));
        }
        let (id, onnx) = (job.id, job.onnx);
        if let Err(error) = partial.push(chunk) {
            let reason = error.to_string();
            return self.refuse(channel, id, Failure::Refused { reason }).await;
        }
        match partial.is_complete() {
            true => self.fetched(channel).await,
            false => {
                let offset = partial.have();
                Ok(channel.send(&FromAgent::Fetch { onnx, offset }).await?)
            }
        }
    }

    /// All bytes are here; are they the network?
    async fn fetched(&mut self, channel: &mut Coordinator) -> Result<(), AgentError> {
        let Holding::Fetching(job, partial) =
            std::mem::replace(&mut self.holding, Holding::Nothing)
        else {
            return Ok(());
        };
        let checked = tokio::task::spawn_blocking(move || partial.finish()).await;
        match checked {
            Ok(Ok(_)) => self.begin(channel, *job).await,
            Ok(Err(BlobError::File(error))) => Err(error.into()),
            Ok(Err(error)) => {
                let reason = error.to_string();
                self.refuse(channel, job.id, Failure::Refused { reason })
                    .await
            }
            Err(_) => Err(AgentError::Confused("its network could not be checked")),
        }
    }

    async fn begin(&mut self, channel: &mut Coordinator, job: Job) -> Result<(), AgentError> {
        self.say(&format!(
            "measuring {} with {}",
            job.onnx.short(),
            job.engine
        ));
        channel.send(&FromAgent::Started { job: job.id }).await?;
        let task = self.measure.start(&job, self.cache.path(job.onnx));
        self.holding = Holding::Measuring(job.id, task);
        Ok(())
    }

    async fn refuse(
        &mut self,
        channel: &mut Coordinator,
        job: Digest,
        failure: Failure,
    ) -> Result<(), AgentError> {
        self.holding = Holding::Finished(job, Outcome::Failed(failure));
        self.deliver(channel).await
    }

    /// The measurement has ended: its outcome is kept until it is delivered,
    /// even if this process ends before.
    fn finish(&mut self, outcome: Outcome) -> Result<(), AgentError> {
        let Holding::Measuring(job, _) = &self.holding else {
            return Ok(());
        };
        let finished = (*job, outcome);
        if let Some(home) = &self.home {
            home.write_outcome(&finished)?;
        }
        self.holding = Holding::Finished(finished.0, finished.1);
        Ok(())
    }

    async fn deliver(&mut self, channel: &mut Coordinator) -> Result<(), AgentError> {
        if let Holding::Finished(job, outcome) = &self.holding {
            let (job, outcome) = (*job, outcome.clone());
            if let Outcome::Failed(failure) = &outcome {
                self.say(&failure.to_string());
            }
            channel.send(&FromAgent::Outcome { job, outcome }).await?;
        }
        Ok(())
    }

    /// Drops what is in hand.
    fn forget(&mut self) {
        if let Holding::Measuring(_, task) = &self.holding {
            task.abort();
        }
        if let Some(home) = &self.home {
            home.forget_outcome();
        }
        self.holding = Holding::Nothing;
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
