//! A process that helps another with its search: it trains what that one has
//! asked for, until the run ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::share::{LOOK, Worker};
use super::survey::pool;
use super::{Report, Search, SearchError};
use crate::store::{Detail, Leased, Status};
use crate::workers::in_parallel;

impl Search<'_> {
    /// Takes candidates of a run that another process searches, trains and
    /// records them. Returns how many were recorded once the run has ended or
    /// this was stopped.
    ///
    /// # Errors
    /// When the database fails or the run cannot be evaluated here.
    pub fn help(mut self) -> Result<u64, SearchError> {
        let worker = Worker::new(self.lease);
        self.say(format!(
            "run {}: helping as process {}",
            self.run,
            std::process::id()
        ));
        let Some(first) = self.next_lease(&worker)? else {
            return Ok(0);
        };
        // Whoever asks has measured everything before.
        self.state = self.store.state_in(&self.run, Detail::Figures)?;
        let this = &self;
        let recorded = AtomicU64::new(0);
        let outcome = worker.keeping(&this.store, &this.run, || {
            let calibrations = Arc::new(this.calibrate(&pool(&this.space, this.experiment.seed))?);
            let device = crate::model::backend::device(this.experiment.backend)?.autodiff();
            this.send(Report::Phase {
                name: "training candidates",
                steps: 0,
            });
            let first = std::sync::Mutex::new(Some(first));
            let helper = || -> Result<(), SearchError> {
                let mut next = first.lock().unwrap_or_else(|e| e.into_inner()).take();
                loop {
                    let leased = match next.take() {
                        Some(leased) => leased,
                        None => match this.next_lease(&worker)? {
                            Some(leased) => leased,
                            None => return Ok(()),
                        },
                    };
                    let asked = leased.asked;
                    let architecture = this.space.parse_genotype(&asked.genotype);
                    let architecture = architecture.map_err(|_| SearchError::SpaceChanged {
                        run: this.run.clone(),
                        name: this.space.name().to_string(),
                    })?;
                    let network = this.network(&architecture);
                    let event = this.trained(&asked, &network, &calibrations, &device)?;
                    if this.answer(&event)? {
                        recorded.fetch_add(1, Ordering::Relaxed);
                    }
                }
            };
            let threads = this.experiment.threads.max(1);
            let results = in_parallel(threads, threads, |_| helper());
            this.send(Report::PhaseDone);
            results.into_iter().collect::<Result<(), SearchError>>()
        });
        match outcome {
            Ok(()) | Err(SearchError::Interrupted { .. }) => Ok(recorded.into_inner()),
            Err(error) => Err(error),
        }
    }

    /// Waits for a candidate that nobody has; none when the run has ended or
    /// this process was stopped.
    fn next_lease(&self, worker: &Worker) -> Result<Option<Leased>, SearchError> {
        loop {
            if self.stopped() {
                return Ok(None);
            }
            let leased = self
                .store
                .lease_next(&self.run, &worker.name, worker.lease)?;
            if let Some(leased) = leased {
                if leased.was_abandoned {
                    self.say(format!(
                        "candidate {} was left by a worker that is gone; taken over",
                        leased.asked.candidate
                    ));
                }
                return Ok(Some(leased));
            }
            if self.store.summary(&self.run)?.status != Status::Running {
                return Ok(None);
            }
            self.store.end_leases_of_the_gone(&self.run)?;
            std::thread::sleep(LOOK);
        }
    }
}
