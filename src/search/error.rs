//! Why a search ends without a front, each with what to do about it.

use super::{EngineError, ExperimentError};
use crate::data::DataError;
use crate::device::ProbeError;
use crate::model::BackendError;
use crate::space::LoadError;
use crate::store::{RunId, StoreError};
use crate::strategy::StrategyError;

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
    #[diagnostic(help("strategies and their settings are described in docs/strategies.md"))]
    Strategy(#[from] StrategyError),
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
    #[error("energy is wanted, but `{engine}` measures none")]
    #[diagnostic(help(
        "energy needs a system that exposes it or a plugin with a meter, docs/measuring.md"
    ))]
    NoEnergy { engine: String },
    #[error(transparent)]
    #[diagnostic(help("docs/supernet.md describes differentiable search"))]
    Gradient(crate::differentiable::GradientError),
    /// What of the space a differentiable strategy cannot relax.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Relaxation(Box<crate::space::SpaceError>),
    #[error("the space takes {space} inputs, but the images are {data}")]
    #[diagnostic(help("write the space's `input image` line for the data set"))]
    Input { space: String, data: String },
    #[error("the space has {space} outputs, but the data set has {data} classes")]
    #[diagnostic(help("write the space's `classes` line for the data set"))]
    Classes { space: usize, data: usize },
    #[error("run {run} was recorded with another version of the space {name}")]
    #[diagnostic(help("restore the space's file, or start a new run"))]
    SpaceChanged { run: RunId, name: String },
    #[error("run {run} was recorded with other images than {name} holds now")]
    #[diagnostic(help("restore the data set's files, or start a new run"))]
    DataChanged { run: RunId, name: String },
    #[error("run {run} holds an experiment this version cannot read: {message}")]
    #[diagnostic(help("resume it with the version that started it"))]
    Header { run: RunId, message: String },
    #[error("stopped; nothing recorded is lost. Go on with: bespoke search --resume {run}")]
    Interrupted { run: RunId },
}

impl From<crate::differentiable::GradientError> for SearchError {
    fn from(error: crate::differentiable::GradientError) -> Self {
        match error {
            crate::differentiable::GradientError::Space(error) => SearchError::Relaxation(error),
            other => SearchError::Gradient(other),
        }
    }
}
