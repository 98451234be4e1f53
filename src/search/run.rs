//! The search itself. Each phase first looks at what the run has recorded and
//! does only what is missing, so a resumed run is the same code as a new one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::empty::why_empty;
use super::repository::commit_of;
use super::survey::pool;
use super::{Experiment, Report, SearchError, Searcher, Setup, probe};
use crate::data::{Dataset, OpenOptions};
use crate::device::DeviceFacts;
use crate::network::Network;
use crate::predict::Predictor;
use crate::space::{Architecture, Space};
use crate::store::{Detail, Event, RunHeader, RunId, RunState, Store, StoreError};

/// Where a search begins.
pub enum Start {
    New {
        experiment: Box<Experiment>,
        /// The file it was read from.
        file: Option<PathBuf>,
    },
    /// Goes on with a recorded run, given by the first letters of its id, its
    /// name or `latest`; its experiment is the recorded one.
    Resume(String),
    /// Helps the process that searches a recorded run; see [`Search::help`].
    Join(String),
}

/// A search on its way.
pub struct Search<'a> {
    pub(super) experiment: Experiment,
    pub(super) space: Arc<Space>,
    pub(super) dataset: Arc<Dataset>,
    pub(super) predictor: Predictor,
    pub(super) store: Store,
    pub(super) run: RunId,
    pub(super) state: RunState,
    /// How long this process keeps a candidate without a sign of life.
    pub(super) lease: Duration,
    /// Whether another process asks and measures.
    pub(super) only_helps: bool,
    pub(super) stop: &'a AtomicBool,
    report: Mutex<&'a mut (dyn FnMut(Report<'_>) + Send)>,
}

impl<'a> Search<'a> {
    /// Starts a run, or goes on with a recorded one.
    ///
    /// # Errors
    /// When anything it needs is missing or does not fit together.
    pub fn open(
        start: Start,
        db: PathBuf,
        stop: &'a AtomicBool,
        report: &'a mut (dyn FnMut(Report<'_>) + Send),
    ) -> Result<Self, SearchError> {
        let only_helps = matches!(start, Start::Join(_));
        let mut origin = None;
        let (mut experiment, resumed) = match start {
            Start::New { experiment, file } => {
                origin = file;
                (*experiment, None)
            }
            Start::Resume(run) | Start::Join(run) => {
                let store = Store::open(&db)?;
                let run = store.find_run(&run)?;
                let (header, _) = store.header(&run)?;
                let experiment =
                    serde_json::from_value(header.experiment).map_err(|e| SearchError::Header {
                        run: run.clone(),
                        message: e.to_string(),
                    })?;
                (
                    experiment,
                    Some((store, run, header.space_hash, header.dataset_hash)),
                )
            }
        };
        experiment.check()?;
        experiment.name_profiles()?;
        experiment.normalise()?;
        let space = Arc::new(Space::load(&experiment.space)?);
        if let Some((_, run, space_hash, _)) = &resumed
            && space_hash != space.hash()
        {
            return Err(SearchError::SpaceChanged {
                run: run.clone(),
                name: space.name().to_string(),
            });
        }
        let dataset = match &experiment.data {
            Some(dir) => Dataset::open(dir, &OpenOptions::default())?,
            None => Dataset::embedded(),
        };
        if let Some((_, run, _, dataset_hash)) = &resumed
            && *dataset_hash != dataset.hash
        {
            return Err(SearchError::DataChanged {
                run: run.clone(),
                name: dataset.name.clone(),
            });
        }
        check_fit(&space, &dataset)?;
        let predictor = Predictor::open(experiment.predictor.as_deref())?;
        crate::model::backend::device(experiment.backend)?;
        // Fail before anything is recorded where an engine is missing.
        for engine in experiment.engines().filter(|_| !only_helps) {
            probe(experiment.reach(engine), &Setup::default())?;
        }
        let (store, run) = match resumed {
            Some((store, run, ..)) => {
                if !only_helps {
                    store.resume_run(&run)?;
                }
                (store, run)
            }
            None => {
                let store = Store::open(&db)?;
                let mut header = header(&experiment, &space, &dataset);
                header.git_commit = commit_of(origin.as_deref().unwrap_or(&experiment.space));
                let run = store.create_run(&header)?;
                let architectures = space.count().to_string();
                store.append(&run, &Event::SpaceCounted { architectures })?;
                (store, run)
            }
        };
        let state = store.state_in(&run, Detail::Figures)?;
        if let Some((backup, version)) = store.backup() {
            report(Report::Say(format!(
                "the database was of version {version}; a copy of it as it was is {}",
                backup.display()
            )));
        }
        Ok(Search {
            experiment,
            space,
            dataset: Arc::new(dataset),
            predictor,
            store,
            run,
            state,
            lease: super::LEASE,
            only_helps,
            stop,
            report: Mutex::new(report),
        })
    }

    pub fn run_id(&self) -> &RunId {
        &self.run
    }

    /// Sets how long this process keeps a candidate without a sign of life.
    pub fn set_lease(&mut self, lease: Duration) {
        self.lease = lease;
    }

    /// Trains so many candidates side by side, which changes nothing but the
    /// time.
    pub fn set_threads(&mut self, threads: usize) {
        self.experiment.threads = threads.max(1);
    }

    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// Runs to the end and returns the final state.
    ///
    /// # Errors
    /// When a phase fails for good; what is recorded stays, and the run can be
    /// resumed.
    pub fn finish(mut self) -> Result<(RunState, Store), SearchError> {
        let outcome = self.phases();
        match &outcome {
            Ok(()) => {
                let reason = "the budget of evaluations is spent".to_string();
                self.store.append(&self.run, &Event::Finished { reason })?;
            }
            Err(SearchError::Interrupted { .. }) => {
                let cause = "stopped by the user".to_string();
                self.store
                    .append(&self.run, &Event::Interrupted { cause })?;
            }
            Err(error) => {
                let cause = error.to_string();
                // The cause of the failure matters more than a failure to note it.
                let _ = self.store.append(&self.run, &Event::Aborted { cause });
            }
        }
        outcome?;
        Ok((self.store.state(&self.run)?, self.store))
    }

    fn phases(&mut self) -> Result<(), SearchError> {
        self.say(format!(
            "run {}: space {} holds {} architectures",
            self.run,
            self.space.name(),
            self.space.count()
        ));
        if let Searcher::Gradient(method) = self.experiment.strategy {
            self.check_relaxed(method)?;
        }
        let pool = pool(&self.space, self.experiment.seed);
        let calibrations = self.calibrate(&pool)?;
        self.explore(pool, calibrations)?;
        self.state = self.store.state_in(&self.run, Detail::Figures)?;
        let finalists = self.finalists();
        if finalists.is_empty() {
            let limits = self.experiment.goals()?;
            self.say(why_empty(&self.state, limits.constraints()));
            return Ok(());
        }
        self.remeasure(&finalists)?;
        self.train_finalists(&finalists)
    }

    pub(super) fn send(&self, report: Report<'_>) {
        let mut sink = self.report.lock().unwrap_or_else(|e| e.into_inner());
        (**sink)(report);
    }

    pub(super) fn say(&self, text: String) {
        self.send(Report::Say(text));
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn interrupted(&self) -> SearchError {
        SearchError::Interrupted {
            run: self.run.clone(),
        }
    }

    /// Records an outcome; false where another worker's was recorded first.
    pub(super) fn answer(&self, event: &Event) -> Result<bool, SearchError> {
        match self.store.answer(&self.run, event) {
            Ok(_) => Ok(true),
            Err(StoreError::Answered { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn network(&self, architecture: &Architecture) -> Network {
        self.space
            .network(architecture)
            .expect("an architecture of this space")
    }
}

fn check_fit(space: &Space, dataset: &Dataset) -> Result<(), SearchError> {
    if let Some(input) = space.inputs().iter().find(|input| !dataset.feeds(**input)) {
        return Err(SearchError::Input {
            space: input.to_string(),
            data: dataset.shape.to_string(),
        });
    }
    let first = space.unrank(&num_bigint::BigUint::default());
    let outputs = space
        .network(&first)
        .map_or(0, |n| n.output_shape().elements());
    if outputs != dataset.classes.len() {
        return Err(SearchError::Classes {
            space: outputs,
            data: dataset.classes.len(),
        });
    }
    Ok(())
}

fn header(experiment: &Experiment, space: &Space, dataset: &Dataset) -> RunHeader {
    // Of the device that is searched for, which may be elsewhere.
    let reach = experiment.reach(&experiment.engine);
    let facts =
        probe(reach, &Setup::default()).map_or_else(|_| DeviceFacts::collect(), |p| p.facts());
    RunHeader {
        name: experiment.name.clone(),
        experiment: serde_json::to_value(experiment).expect("plain data"),
        space_text: space.text().to_string(),
        space_hash: space.hash().to_string(),
        seed: experiment.seed,
        bespoke_version: env!("CARGO_PKG_VERSION").into(),
        git_commit: None,
        dataset_name: dataset.name.clone(),
        dataset_hash: dataset.hash.clone(),
        device: facts.cpu_model.unwrap_or(facts.architecture),
        engine: experiment.engine.clone(),
    }
}
