//! One job from the coordinator's word to its receipt: the network is fetched
//! and checked, measured, and the outcome delivered until it is acknowledged.

use super::session::{Agent, AgentError, Coordinator, Holding, Measure};
use crate::wire::{BlobError, Digest, Failure, Frame, FromAgent, Job, Outcome, ToAgent};

impl<M: Measure> Agent<M> {
    /// What to do about what the coordinator sent.
    pub(super) async fn answer(
        &mut self,
        channel: &mut Coordinator,
        frame: Frame,
    ) -> Result<(), AgentError> {
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
    pub(super) fn finish(&mut self, outcome: Outcome) -> Result<(), AgentError> {
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

    pub(super) async fn deliver(&mut self, channel: &mut Coordinator) -> Result<(), AgentError> {
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
    pub(super) fn forget(&mut self) {
        if let Holding::Measuring(_, task) = &self.holding {
            task.abort();
        }
        if let Some(home) = &self.home {
            home.forget_outcome();
        }
        self.holding = Holding::Nothing;
    }
}
