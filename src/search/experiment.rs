//! What a search is asked to do, as a TOML file under `runs/` or flags. Every
//! field has a default, and a field that does not exist is an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Differentiable, EngineError, Searcher, engine_name};
use crate::evaluate::proxies::Proxy;
use crate::model::Backend;
use crate::strategy::{
    Constraint, Fidelities, GoalError, Goals, Kind, Metric, Side, StrategyError,
};

/// A search experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    pub name: String,
    /// The search space's file.
    pub space: PathBuf,
    /// A directory of IDX or CIFAR binary files; the embedded Fashion-MNIST
    /// where none is given.
    pub data: Option<PathBuf>,
    pub seed: u64,
    /// Trains the candidates.
    pub backend: Backend,
    /// The engine whose latency is `latency_ms`: `tract`, `flex` or `wgpu`, a
    /// device such as `onnxruntime`, or that of one elsewhere, such as
    /// `pi5/tract`.
    pub engine: String,
    /// Measured and calibrated beside it; their latencies are
    /// `latency_ms@ENGINE`, and each gets a front of its own.
    pub other_engines: Vec<String>,
    /// Files of device profiles by the profiles' names; those that `engine` and
    /// `other_engines` give as paths come here, and have their names there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<String, PathBuf>,
    /// What is optimised: accuracy upwards, everything else downwards.
    pub objectives: Vec<Metric>,
    /// Limits such as `params <= 2M`.
    pub constraints: Vec<Constraint>,
    /// The latency predictor's checkpoint; the shipped one where none is given.
    pub predictor: Option<PathBuf>,
    /// Architectures measured to calibrate the predictor.
    pub references: usize,
    /// Architectures measured to test it.
    pub heldout: usize,
    /// Which strategy asks; `bespoke search --help` lists them.
    pub strategy: Searcher,
    /// Settings of the differentiable strategies.
    pub differentiable: Differentiable,
    /// Zero-cost proxies whose scores the strategies `guided` and `bayes` take
    /// as a prior of the accuracy, such as `synflow`; each architecture that
    /// they think of is scored.
    pub proxies: Vec<String>,
    /// Trains most candidates for a share of the epochs, and the best of them
    /// again for more; all of them for all epochs where absent.
    pub fidelities: Option<Fidelities>,
    /// Accuracy evaluations (trainings), those at a lower fidelity counted by
    /// their share.
    pub evaluations: usize,
    /// Candidates in a generation, for strategies that have generations.
    pub population: usize,
    /// Candidates asked for and not answered yet, at most. Unlike `threads` it
    /// changes which candidates are asked for.
    pub window: usize,
    /// Epochs of a candidate's training.
    pub epochs: usize,
    /// Epochs of the front members' final training.
    pub final_epochs: usize,
    /// Train on at most so many images.
    pub train_images: Option<usize>,
    /// Candidates slower than this, in ms, are infeasible.
    pub max_latency_ms: Option<f64>,
    /// Candidates trained side by side.
    pub threads: usize,
}

impl Default for Experiment {
    fn default() -> Self {
        Experiment {
            name: "quickstart".into(),
            space: "search-spaces/quickstart.space".into(),
            data: None,
            seed: 0,
            backend: Backend::Flex,
            engine: "tract".into(),
            other_engines: vec!["flex".into()],
            profiles: BTreeMap::new(),
            objectives: vec![Metric::Accuracy, Metric::LATENCY],
            constraints: Vec::new(),
            strategy: Kind::Guided.into(),
            differentiable: Differentiable::default(),
            proxies: Vec::new(),
            fidelities: None,
            predictor: None,
            references: 10,
            heldout: 5,
            evaluations: 48,
            population: 12,
            window: 8,
            epochs: 2,
            final_epochs: 4,
            train_images: None,
            max_latency_ms: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Why an experiment cannot run as described.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ExperimentError {
    #[error("cannot read the experiment {}: {source}", .path.display())]
    #[diagnostic(help("examples are in runs/"))]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is not an experiment: {message}", .path.display())]
    #[diagnostic(help("the fields are listed in runs/quickstart.toml"))]
    Parse { path: PathBuf, message: String },
    #[error(transparent)]
    #[diagnostic(help("objectives and constraints are described in docs/strategies.md"))]
    Goals(#[from] GoalError),
    #[error(transparent)]
    #[diagnostic(help("`fidelities` takes a rule, a reduction and the least fidelity"))]
    Fidelities(#[from] StrategyError),
    #[error("{0}")]
    #[diagnostic(help("docs/proxies.md describes them"))]
    Proxy(String),
    #[error("`{metric}` is of the device `{device}`, which the search does not measure")]
    #[diagnostic(help("name it as the engine or among other_engines: {known}"))]
    Device {
        metric: String,
        device: String,
        known: String,
    },
    #[error("`{field}` is {value}: {reason}")]
    #[diagnostic(help("change it in the experiment file or by its flag"))]
    Field {
        field: &'static str,
        value: String,
        reason: &'static str,
    },
}

impl Experiment {
    /// Reads an experiment file.
    ///
    /// # Errors
    /// When the file cannot be read or has a wrong field.
    pub fn read(path: &Path) -> Result<Self, ExperimentError> {
        let text = std::fs::read_to_string(path).map_err(|source| ExperimentError::Read {
            path: path.into(),
            source,
        })?;
        toml::from_str(&text).map_err(|e| ExperimentError::Parse {
            path: path.into(),
            message: e.to_string(),
        })
    }

    /// The engines to measure on, the one whose latency is minimised first.
    pub fn engines(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.engine)
            .chain(&self.other_engines)
            .map(String::as_str)
    }

    /// By what name or path an engine is reached.
    pub fn reach<'a>(&'a self, engine: &'a str) -> &'a str {
        let file = self.profiles.get(engine).and_then(|path| path.to_str());
        file.unwrap_or(engine)
    }

    /// Calls devices that are given as their profiles' files by the profiles'
    /// names, under which everything is recorded.
    ///
    /// # Errors
    /// When a file is no profile, or two engines have one name.
    pub fn name_profiles(&mut self) -> Result<(), EngineError> {
        let metrics = self.constraints.iter_mut().map(|c| &mut c.metric);
        let mut named: Vec<&mut String> = self
            .objectives
            .iter_mut()
            .chain(metrics)
            .filter_map(|metric| match metric {
                Metric::Latency { device } | Metric::Energy { device } => device.as_mut(),
                _ => None,
            })
            .collect();
        let engines = std::iter::once(&mut self.engine).chain(&mut self.other_engines);
        let mut seen = Vec::new();
        for engine in engines {
            let path = engine.clone();
            *engine = engine_name(&path)?;
            if seen.contains(engine) {
                return Err(EngineError::Twice(engine.clone()));
            }
            seen.push(engine.clone());
            if *engine == path {
                continue;
            }
            for name in named.iter_mut().filter(|name| ***name == path) {
                (**name).clone_from(engine);
            }
            self.profiles.insert(engine.clone(), path.into());
        }
        Ok(())
    }

    /// A metric with the main engine's name left out, as it is recorded.
    fn normal(&self, metric: &Metric) -> Result<Metric, ExperimentError> {
        let (Metric::Latency { device: Some(name) } | Metric::Energy { device: Some(name) }) =
            metric
        else {
            return Ok(metric.clone());
        };
        if *name != self.engine && !self.other_engines.contains(name) {
            return Err(ExperimentError::Device {
                metric: metric.to_string(),
                device: name.clone(),
                known: self.engines().collect::<Vec<_>>().join(", "),
            });
        }
        let device = (*name != self.engine).then(|| name.clone());
        Ok(match metric {
            Metric::Energy { .. } => Metric::Energy { device },
            _ => Metric::Latency { device },
        })
    }

    /// Writes the main engine's metrics without its name.
    ///
    /// # Errors
    /// When a metric is of a device that the search does not measure.
    pub fn normalise(&mut self) -> Result<(), ExperimentError> {
        let objectives = self.objectives.iter().map(|m| self.normal(m));
        let objectives = objectives.collect::<Result<_, _>>()?;
        let constraints = self.constraints.iter().map(|c| {
            Ok(Constraint {
                metric: self.normal(&c.metric)?,
                ..c.clone()
            })
        });
        let constraints = constraints.collect::<Result<_, ExperimentError>>()?;
        self.objectives = objectives;
        self.constraints = constraints;
        Ok(())
    }

    /// Objectives and limits, `max_latency_ms` among them.
    ///
    /// # Errors
    /// When they make no sense, or need what the search does not measure.
    pub fn goals(&self) -> Result<Goals, ExperimentError> {
        let mut normal = self.clone();
        normal.normalise()?;
        let limit = self.max_latency_ms.map(|bound| Constraint {
            metric: Metric::LATENCY,
            side: Side::AtMost,
            bound,
        });
        normal.constraints.extend(limit);
        Ok(Goals::new(normal.objectives, normal.constraints)?)
    }

    /// The proxies by name.
    ///
    /// # Errors
    /// When there is no proxy of a name, or the strategy takes none.
    pub fn proxies(&self) -> Result<Vec<Proxy>, ExperimentError> {
        let models = [Kind::Guided, Kind::Bayes].map(Searcher::from);
        let models = models.contains(&self.strategy);
        if !self.proxies.is_empty() && !models {
            return Err(ExperimentError::Field {
                field: "proxies",
                value: self.proxies.join(", "),
                reason: "only the strategies `guided` and `bayes` take proxies",
            });
        }
        let named = self.proxies.iter().map(|name| Proxy::by_name(name));
        named
            .collect::<Result<_, _>>()
            .map_err(|e| ExperimentError::Proxy(e.to_string()))
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first field out of its range.
    pub fn check(&self) -> Result<(), ExperimentError> {
        let least = |field, value: usize, least: usize, reason| match value < least {
            true => Err(ExperimentError::Field {
                field,
                value: value.to_string(),
                reason,
            }),
            false => Ok(()),
        };
        least(
            "references",
            self.references,
            3,
            "calibration needs at least 3",
        )?;
        least(
            "population",
            self.population,
            2,
            "a generation has at least 2",
        )?;
        least("epochs", self.epochs, 1, "training takes at least 1")?;
        least(
            "final_epochs",
            self.final_epochs,
            1,
            "training takes at least 1",
        )?;
        let images = self.train_images.unwrap_or(1);
        least("train_images", images, 1, "training takes images")?;
        least("threads", self.threads, 1, "something must run")?;
        least("window", self.window, 1, "something must be asked for")?;
        let gradient = &self.differentiable;
        least("trials", gradient.trials, 1, "something must be searched")?;
        least(
            "candidates",
            gradient.candidates,
            1,
            "a search must end in something",
        )?;
        let positive = |field, value: f64, reason| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(ExperimentError::Field {
                field,
                value: value.to_string(),
                reason,
            }),
        };
        if let Some(target) = gradient.target_latency_ms {
            positive(
                "target_latency_ms",
                target,
                "a target latency is a positive number of milliseconds",
            )?;
            if !matches!(self.strategy, Searcher::Gradient(_)) {
                return Err(ExperimentError::Field {
                    field: "target_latency_ms",
                    value: target.to_string(),
                    reason: "only differentiable strategies (darts, gdas, fbnet, proxyless) aim \
                             at a latency; others take a limit, `--max-latency-ms`",
                });
            }
        }
        if gradient.latency_weight != 0.0 {
            positive(
                "latency_weight",
                gradient.latency_weight,
                "a price is at least 0",
            )?;
        }
        if let Some(limit) = self.max_latency_ms
            && !(limit > 0.0 && limit.is_finite())
        {
            return Err(ExperimentError::Field {
                field: "max_latency_ms",
                value: limit.to_string(),
                reason: "a latency limit is a positive number of milliseconds",
            });
        }
        self.goals()?;
        self.proxies()?;
        if let Some(fidelities) = &self.fidelities {
            fidelities.rungs()?;
        }
        Ok(())
    }
}
