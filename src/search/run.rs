//! The search itself. Each phase first looks at what the run has recorded and
//! does only what is missing, so a resumed run is the same code as a new one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{EngineError, Experiment, ExperimentError, local_probe};
use crate::data::{DataError, Dataset, OpenOptions};
use crate::device::{Deployable, DeviceFacts, Measurement, ProbeError, Protocol, measure_many};
use crate::evaluate::{Outcome, TrainConfig, TrainError, accuracy, in_parallel, train};
use crate::model::BackendError;
use crate::network::onnx::{OnnxOptions, export};
use crate::network::{Network, Weights};
use crate::predict::{Agreement, Calibrated, Options, Predictor, agreement};
use crate::space::{Architecture, LoadError, Space};
use crate::store::{
    Asked, Evaluated, Event, Measured, Purpose, RunHeader, RunId, RunState, Store, StoreError,
    Trained,
};
use crate::strategy::{Candidate, Nsga2, Nsga2Config, Strategy, Worth};

/// Architectures from which references and the first generation are chosen.
const POOL: usize = 300;
/// Front members that are re-measured and trained at the end.
const FINALISTS: usize = 8;

/// Why a search ended without a front.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SearchError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Experiment(#[from] ExperimentError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Space(#[from] LoadError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Predictor(#[from] crate::predict::OpenError),
    #[error(transparent)]
    #[diagnostic(help("`--data DIR` takes a directory of IDX or CIFAR binary files"))]
    Data(#[from] DataError),
    #[error(transparent)]
    #[diagnostic(help("use `--backend flex`, which runs on any machine"))]
    Backend(#[from] BackendError),
    #[error("measuring failed: {0}")]
    #[diagnostic(help("the run keeps what it has; `bespoke search --resume` tries again"))]
    Probe(ProbeError),
    #[error("the predictor cannot be calibrated: {0}")]
    #[diagnostic(help("measure on a quieter machine, or more architectures (--references)"))]
    Calibration(#[from] crate::predict::CalibrationError),
    #[error("the space takes {space} inputs, but the images are {data}")]
    #[diagnostic(help("write the space's `input image` line for the data set"))]
    Input { space: String, data: String },
    #[error("the space has {space} outputs, but the data set has {data} classes")]
    #[diagnostic(help("write the space's `classes` line for the data set"))]
    Classes { space: usize, data: usize },
    #[error("run {run} was recorded with another version of the space {name}")]
    #[diagnostic(help("restore the space's file, or start a new run"))]
    SpaceChanged { run: RunId, name: String },
    #[error("run {run} holds an experiment this version cannot read: {message}")]
    #[diagnostic(help("resume it with the version that started it"))]
    Header { run: RunId, message: String },
    #[error("stopped; nothing recorded is lost. Go on with: bespoke search --resume {run}")]
    Interrupted { run: RunId },
}

/// What a search says while it works; the caller shows it.
pub enum Report<'a> {
    /// A sentence for the user.
    Say(String),
    /// A phase begins, of so many steps.
    Phase {
        name: &'a str,
        steps: usize,
    },
    /// One step of the phase is done; what came of it.
    Step(String),
    PhaseDone,
}

/// A search on its way.
pub struct Search<'a> {
    experiment: Experiment,
    space: Arc<Space>,
    dataset: Dataset,
    predictor: Predictor,
    store: Store,
    run: RunId,
    state: RunState,
    stop: &'a AtomicBool,
    report: Mutex<&'a mut (dyn FnMut(Report<'_>) + Send)>,
}

impl<'a> Search<'a> {
    /// Starts a run, or goes on with a recorded one. The experiment of a
    /// resumed run is the recorded one.
    ///
    /// # Errors
    /// When anything it needs is missing or does not fit together.
    pub fn open(
        experiment: Option<Experiment>,
        db: PathBuf,
        resume: Option<&str>,
        stop: &'a AtomicBool,
        report: &'a mut (dyn FnMut(Report<'_>) + Send),
    ) -> Result<Self, SearchError> {
        let mut experiment = experiment.unwrap_or_default();
        let mut resumed = None;
        let mut store = None;
        if let Some(text) = resume {
            let opened = Store::open(&db)?;
            let run = opened.find_run(text)?;
            let (header, _) = opened.header(&run)?;
            experiment = serde_json::from_value(header.experiment.clone()).map_err(|e| {
                SearchError::Header {
                    run: run.clone(),
                    message: e.to_string(),
                }
            })?;
            resumed = Some((run, header));
            store = Some(opened);
        }
        experiment.check()?;
        let space = Arc::new(Space::load(&experiment.space)?);
        if let Some((run, header)) = &resumed
            && header.space_hash != space.hash()
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
        check_fit(&space, &dataset)?;
        let predictor = Predictor::open(experiment.predictor.as_deref())?;
        crate::model::backend::device(experiment.backend)?;
        // Fail before anything is recorded where an engine is missing.
        for engine in std::iter::once(&experiment.engine).chain(&experiment.other_engines) {
            local_probe(engine)?;
        }
        let store = match store {
            Some(store) => store,
            None => Store::open(&db)?,
        };
        let run = match resumed {
            Some((run, _)) => {
                store.resume_run(&run)?;
                run
            }
            None => {
                let run = store.create_run(&header(&experiment, &space, &dataset))?;
                let architectures = space.count().to_string();
                store.append(&run, &Event::SpaceCounted { architectures })?;
                run
            }
        };
        let state = store.state(&run)?;
        Ok(Search {
            experiment,
            space,
            dataset,
            predictor,
            store,
            run,
            state,
            stop,
            report: Mutex::new(report),
        })
    }

    pub fn run_id(&self) -> &RunId {
        &self.run
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
        let calibrated = self.calibrate()?;
        self.search(&calibrated)?;
        self.state = self.store.state(&self.run)?;
        let finalists = self.finalists();
        if finalists.is_empty() {
            self.say("no candidate could be evaluated within the limit: the front is empty".into());
            return Ok(());
        }
        self.remeasure(&finalists)?;
        self.train_finalists(&finalists)
    }

    fn send(&self, report: Report<'_>) {
        let mut sink = self.report.lock().unwrap_or_else(|e| e.into_inner());
        (**sink)(report);
    }

    fn say(&self, text: String) {
        self.send(Report::Say(text));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn interrupted(&self) -> SearchError {
        SearchError::Interrupted {
            run: self.run.clone(),
        }
    }

    fn network(&self, architecture: &Architecture) -> Network {
        self.space
            .network(architecture)
            .expect("an architecture of this space")
    }

    /// Architectures drawn for choosing from; the same for the same seed.
    fn pool(&self) -> Vec<Architecture> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.experiment.seed ^ 0x706f_6f6c);
        let mut pool = Vec::with_capacity(POOL);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..POOL {
            let architecture = self.space.sample(&mut rng);
            if seen.insert(architecture.clone()) {
                pool.push(architecture);
            }
        }
        pool
    }

    fn calibrate(&mut self) -> Result<Calibrated, SearchError> {
        let pool = self.pool();
        let networks: Vec<Network> = pool.iter().map(|a| self.network(a)).collect();
        let wanted = self.experiment.references + self.experiment.heldout;
        let references = self.predictor.choose_references(
            &networks,
            self.experiment.references,
            self.experiment.seed,
        );
        let heldout: Vec<usize> = (0..pool.len())
            .filter(|i| !references.contains(i))
            .take(wanted - references.len().min(wanted))
            .collect();
        let chosen: Vec<(usize, Purpose)> = references
            .iter()
            .map(|i| (*i, Purpose::Reference))
            .chain(heldout.iter().map(|i| (*i, Purpose::Heldout)))
            .collect();
        let mut target = None;
        let engines: Vec<String> = std::iter::once(self.experiment.engine.clone())
            .chain(self.experiment.other_engines.clone())
            .collect();
        for engine in engines {
            let list: Vec<(&Architecture, &Network, Purpose)> = chosen
                .iter()
                .map(|(i, purpose)| (&pool[*i], &networks[*i], *purpose))
                .collect();
            let medians = self.measure(&engine, &list)?;
            let measured = |purpose: Purpose| -> Vec<(&Network, f64)> {
                list.iter()
                    .filter(|(_, _, p)| *p == purpose)
                    .filter_map(|(a, n, _)| Some((*n, *medians.get(&self.space.genotype(a))?)))
                    .collect()
            };
            let calibrated = self
                .predictor
                .calibrate(&measured(Purpose::Reference), &Options::default())?;
            let unseen = measured(Purpose::Heldout);
            let agreement = held_out(&calibrated, &unseen);
            self.say(format!(
                "{engine}: calibrated by {} measurements; on {} unseen architectures Spearman {:.3}, \
                 mean absolute error {:.1} %, {:.0} % within ±10 %",
                self.experiment.references,
                unseen.len(),
                agreement.spearman,
                100.0 * agreement.mape,
                100.0 * agreement.within_10_percent,
            ));
            for warning in calibrated.warnings() {
                let text = format!("{engine}: {warning}");
                self.say(format!("warning: {text}"));
                self.store.append(&self.run, &Event::Warning { text })?;
            }
            let payload = serde_json::json!({
                "engine": engine,
                "heldout": agreement,
                "leave_one_out": calibrated.leave_one_out_agreement(),
                "calibration": calibrated,
            });
            if target.is_none() {
                self.store
                    .append(&self.run, &Event::Calibrated { payload })?;
                target = Some(calibrated);
            }
        }
        Ok(target.expect("there is always a target engine"))
    }

    /// Medians by genotype, measuring only what the run has not recorded.
    fn measure(
        &self,
        engine: &str,
        list: &[(&Architecture, &Network, Purpose)],
    ) -> Result<BTreeMap<String, f64>, SearchError> {
        let mut medians = BTreeMap::new();
        let mut missing = Vec::new();
        for (architecture, network, purpose) in list {
            let genotype = self.space.genotype(architecture);
            let known =
                self.state.measurements.iter().find(|m| {
                    m.genotype == genotype && m.engine == engine && m.purpose == *purpose
                });
            match known {
                Some(m) => {
                    medians.insert(genotype, m.median_ms);
                }
                None => missing.push((genotype, *network, *purpose)),
            }
        }
        if missing.is_empty() {
            return Ok(medians);
        }
        let mut probe = local_probe(engine)?;
        let models: Vec<Deployable> = missing
            .iter()
            .map(|(genotype, network, _)| {
                Deployable::untrained(genotype.clone(), (*network).clone(), 0)
            })
            .collect();
        let protocol = Protocol::quick();
        self.send(Report::Phase {
            name: &format!("measuring on {engine}"),
            steps: models.len() * protocol.passes,
        });
        let survey = measure_many(
            &mut probe,
            &models,
            &protocol,
            self.experiment.seed,
            &mut |step| {
                self.send(Report::Step(match step.result {
                    Ok(m) => format!("{:.3} ms", m.median_ms()),
                    Err(error) => error.to_string(),
                }));
                match self.stopped() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            },
        );
        self.send(Report::PhaseDone);
        let survey = match survey {
            Err(ProbeError::Stopped) => return Err(self.interrupted()),
            other => other.map_err(SearchError::Probe)?,
        };
        if let Some(r) = &survey.repeatability
            && let Some(spearman) = r.spearman
        {
            self.say(format!(
                "{engine}: two passes over {} networks agree with Spearman {spearman:.3}, median gap {:.1} %",
                models.len(),
                100.0 * r.median_gap
            ));
        }
        for ((genotype, network, purpose), result) in missing.into_iter().zip(survey.results) {
            match result {
                Ok(measurement) => {
                    let event = measured_event(&genotype, network, purpose, engine, &measurement);
                    medians.insert(genotype, event.median_ms);
                    self.store.append(&self.run, &Event::Measured(event))?;
                }
                Err(error) => {
                    let text = format!("{genotype}: {error}");
                    self.store.append(&self.run, &Event::Warning { text })?;
                }
            }
        }
        Ok(medians)
    }

    fn search(&mut self, calibrated: &Calibrated) -> Result<(), SearchError> {
        let experiment = self.experiment.clone();
        let mut strategy = Nsga2::new(
            self.space.clone(),
            Nsga2Config {
                population: experiment.population.min(experiment.evaluations.max(2)),
                seed: experiment.seed,
                initial: self.first_generation(calibrated),
                ..Nsga2Config::default()
            },
        );
        let device = crate::model::backend::device(experiment.backend)?.autodiff();
        self.send(Report::Phase {
            name: "training candidates",
            steps: experiment.evaluations,
        });
        let mut asked = 0;
        while asked < experiment.evaluations {
            let batch = strategy.ask(experiment.evaluations - asked);
            if batch.is_empty() {
                break;
            }
            asked += batch.len();
            let answers = in_parallel(batch.len(), experiment.threads, |index| {
                self.evaluate(&batch[index], calibrated, &device)
            });
            for (candidate, answer) in batch.iter().zip(answers) {
                strategy.tell(candidate.id, answer?);
            }
        }
        self.send(Report::PhaseDone);
        if strategy.is_exhausted() {
            self.say("every architecture the strategy could find has been evaluated".into());
        }
        Ok(())
    }

    /// Spread evenly over the predicted latencies within the limit, so that the
    /// first generation already spans the front.
    fn first_generation(&self, calibrated: &Calibrated) -> Vec<Architecture> {
        let mut pool: Vec<(f64, Architecture)> = self
            .pool()
            .into_iter()
            .map(|a| (calibrated.predict(&self.network(&a)).latency_ms, a))
            .filter(|(ms, _)| {
                self.experiment
                    .max_latency_ms
                    .is_none_or(|limit| *ms <= limit)
            })
            .collect();
        pool.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = self.experiment.population;
        if pool.len() <= n {
            return pool.into_iter().map(|p| p.1).collect();
        }
        (0..n)
            .map(|i| pool[i * (pool.len() - 1) / (n - 1).max(1)].1.clone())
            .collect()
    }

    /// Evaluates one candidate, or recalls what was recorded of it.
    fn evaluate(
        &self,
        candidate: &Candidate,
        calibrated: &Calibrated,
        device: &burn::tensor::Device,
    ) -> Result<Option<Worth>, SearchError> {
        let genotype = self.space.genotype(&candidate.architecture);
        if let Some(known) = self.state.candidate_of(&genotype) {
            if let Some(e) = known.evaluated() {
                self.send(Report::Step("recalled".into()));
                return Ok(Some(self.worth(e.accuracy, e.latency_ms)));
            }
            if self.state.failures().any(|(c, _)| c.id == known.id) {
                return Ok(None);
            }
        }
        if self.stopped() {
            return Err(self.interrupted());
        }
        let started = std::time::Instant::now();
        let network = self.network(&candidate.architecture);
        let network_hash = network.hash().to_string();
        let prediction = calibrated.predict(&network);
        self.store.append(
            &self.run,
            &Event::Asked(Asked {
                candidate: candidate.id,
                generation: candidate.generation as u64,
                genotype: genotype.clone(),
                network_hash: network_hash.clone(),
            }),
        )?;
        let outcome = self.train(&network, self.experiment.epochs, device);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(TrainError::Cancelled) => return Err(self.interrupted()),
            Err(error) => {
                let cause = error.to_string();
                self.send(Report::Step(format!("failed: {cause}")));
                let event = Event::Failed {
                    candidate: candidate.id,
                    genotype,
                    cause,
                };
                self.store.append(&self.run, &event)?;
                return Ok(None);
            }
        };
        let costs = network.costs();
        self.store.append(
            &self.run,
            &Event::Evaluated(Evaluated {
                candidate: candidate.id,
                generation: candidate.generation as u64,
                genotype,
                network_hash,
                accuracy: outcome.validation_accuracy,
                curve: serde_json::to_value(&outcome.curve).expect("plain data"),
                latency_ms: prediction.latency_ms,
                latency_low_ms: prediction.low_ms,
                latency_high_ms: prediction.high_ms,
                macs: costs.macs,
                params: costs.params,
                peak_activation_bytes: costs.peak_activation_bytes,
                seconds: started.elapsed().as_secs_f64(),
            }),
        )?;
        self.send(Report::Step(format!(
            "{:.1} % at {:.3} ms",
            100.0 * outcome.validation_accuracy,
            prediction.latency_ms
        )));
        Ok(Some(
            self.worth(outcome.validation_accuracy, prediction.latency_ms),
        ))
    }

    /// Trains from the run's initial weights, until done or stopped.
    fn train(
        &self,
        network: &Network,
        epochs: usize,
        device: &burn::tensor::Device,
    ) -> Result<Outcome, TrainError> {
        let config = TrainConfig {
            epochs,
            train_images: self.experiment.train_images,
            seed: self.experiment.seed,
            validate_each_epoch: false,
            ..TrainConfig::default()
        };
        let init = Weights::random(network, self.experiment.seed);
        train(
            network,
            &init,
            &self.dataset,
            &config,
            device,
            &mut |_| match self.stopped() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            },
        )
    }

    fn worth(&self, accuracy: f64, latency_ms: f64) -> Worth {
        let excess = self
            .experiment
            .max_latency_ms
            .map_or(0.0, |limit| (latency_ms / limit - 1.0).max(0.0));
        Worth {
            objectives: vec![1.0 - accuracy, latency_ms],
            violation: excess,
        }
    }

    /// Front members within the limit, thinned to [`FINALISTS`] along the
    /// front with both ends kept.
    fn finalists(&self) -> Vec<Architecture> {
        let mut front: Vec<(f64, String)> = self
            .state
            .front()
            .iter()
            .map(|m| (m.evaluated.latency_ms, m.evaluated.genotype.clone()))
            .filter(|(ms, _)| {
                self.experiment
                    .max_latency_ms
                    .is_none_or(|limit| *ms <= limit)
            })
            .collect();
        front.sort_by(|a, b| a.0.total_cmp(&b.0));
        let keep: Vec<String> = match front.len() <= FINALISTS {
            true => front.into_iter().map(|f| f.1).collect(),
            false => (0..FINALISTS)
                .map(|i| front[i * (front.len() - 1) / (FINALISTS - 1)].1.clone())
                .collect(),
        };
        keep.iter()
            .filter_map(|genotype| self.space.parse_genotype(genotype).ok())
            .collect()
    }

    fn remeasure(&mut self, finalists: &[Architecture]) -> Result<(), SearchError> {
        let networks: Vec<Network> = finalists.iter().map(|a| self.network(a)).collect();
        let list: Vec<(&Architecture, &Network, Purpose)> = finalists
            .iter()
            .zip(&networks)
            .map(|(a, n)| (a, n, Purpose::Front))
            .collect();
        let engine = self.experiment.engine.clone();
        self.measure(&engine, &list)?;
        Ok(())
    }

    /// Trains the finalists longer, tests them and keeps their files.
    fn train_finalists(&mut self, finalists: &[Architecture]) -> Result<(), SearchError> {
        let device = crate::model::backend::device(self.experiment.backend)?.autodiff();
        self.send(Report::Phase {
            name: "training the front",
            steps: finalists.len(),
        });
        let results = in_parallel(finalists.len(), self.experiment.threads, |index| {
            self.train_finalist(&finalists[index], index, &device)
        });
        self.send(Report::PhaseDone);
        results.into_iter().collect()
    }

    fn train_finalist(
        &self,
        architecture: &Architecture,
        index: usize,
        device: &burn::tensor::Device,
    ) -> Result<(), SearchError> {
        let genotype = self.space.genotype(architecture);
        if self.state.trained.contains_key(&genotype) {
            return Ok(());
        }
        if self.stopped() {
            return Err(self.interrupted());
        }
        let network = self.network(architecture);
        let outcome = self.train(&network, self.experiment.final_epochs, device);
        let failed = |error: TrainError| match error {
            TrainError::Cancelled => Err(self.interrupted()),
            error => {
                let text = format!("final training of {genotype}: {error}");
                self.store.append(&self.run, &Event::Warning { text })?;
                Ok(())
            }
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return failed(error),
        };
        let test = match accuracy(
            &network,
            &outcome.weights,
            &self.dataset,
            &self.dataset.test,
            device,
        ) {
            Ok(test) => test,
            Err(error) => return failed(error),
        };
        let options = OnnxOptions {
            name: format!("{}-{index}", self.space.name()),
            metadata: vec![("genotype".into(), genotype.clone())],
            ..OnnxOptions::default()
        };
        let onnx = export(&network, &outcome.weights, &options)
            .map_err(|e| SearchError::Probe(ProbeError::Export(e)))?;
        let safetensors = outcome
            .weights
            .to_safetensors()
            .expect("tensors of a network have their shapes");
        let stem = format!("front-{index}");
        self.store
            .put_artefact(&self.run, &format!("{stem}.onnx"), "onnx", &onnx)?;
        self.store.put_artefact(
            &self.run,
            &format!("{stem}.safetensors"),
            "safetensors",
            &safetensors,
        )?;
        // Last, so that a trained member always has its files.
        self.store.append(
            &self.run,
            &Event::Trained(Trained {
                genotype,
                network_hash: network.hash().to_string(),
                validation_accuracy: outcome.validation_accuracy,
                test_accuracy: test,
                curve: serde_json::to_value(&outcome.curve).expect("plain data"),
            }),
        )?;
        self.send(Report::Step(format!("test {:.1} %", 100.0 * test)));
        Ok(())
    }
}

fn check_fit(space: &Space, dataset: &Dataset) -> Result<(), SearchError> {
    if space.input() != dataset.shape {
        return Err(SearchError::Input {
            space: space.input().to_string(),
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
    let facts = DeviceFacts::collect();
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

fn held_out(calibrated: &Calibrated, unseen: &[(&Network, f64)]) -> Agreement {
    let predicted: Vec<f64> = unseen
        .iter()
        .map(|(n, _)| calibrated.predict(*n).latency_ms)
        .collect();
    let measured: Vec<f64> = unseen.iter().map(|(_, ms)| *ms).collect();
    agreement(&predicted, &measured)
}

fn measured_event(
    genotype: &str,
    network: &Network,
    purpose: Purpose,
    engine: &str,
    measurement: &Measurement,
) -> Measured {
    let (low, high) = measurement.summary.ci95_ms;
    Measured {
        genotype: genotype.to_string(),
        network_hash: network.hash().to_string(),
        purpose,
        engine: engine.to_string(),
        median_ms: measurement.median_ms(),
        ci95_ms: [low, high],
        measurement: serde_json::to_value(measurement).expect("plain data"),
    }
}
