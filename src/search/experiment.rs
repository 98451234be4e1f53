//! What a search is asked to do, as a TOML file under `runs/` or flags. Every
//! field has a default, and a field that does not exist is an error.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::Backend;

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
    /// The engine whose latency is minimised: `tract`, `flex`, `wgpu`, or a
    /// device such as `onnxruntime`.
    pub engine: String,
    /// Measured beside it, for comparison.
    pub other_engines: Vec<String>,
    /// The latency predictor's checkpoint; the shipped one where none is given.
    pub predictor: Option<PathBuf>,
    /// Architectures measured to calibrate the predictor.
    pub references: usize,
    /// Architectures measured to test it.
    pub heldout: usize,
    /// Accuracy evaluations (trainings).
    pub evaluations: usize,
    /// Candidates in a generation of NSGA-II.
    pub population: usize,
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
            predictor: None,
            references: 10,
            heldout: 5,
            evaluations: 48,
            population: 12,
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
        least("threads", self.threads, 1, "something must run")?;
        if let Some(limit) = self.max_latency_ms
            && !(limit > 0.0 && limit.is_finite())
        {
            return Err(ExperimentError::Field {
                field: "max_latency_ms",
                value: limit.to_string(),
                reason: "a latency limit is a positive number of milliseconds",
            });
        }
        Ok(())
    }
}
