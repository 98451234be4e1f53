//! A whole search: space, measurements, calibration, strategy, trainings and
//! the front, recorded as it happens. The rooms it joins know nothing of each
//! other; this is where they meet.

mod engines;
mod experiment;
mod run;

pub use engines::{EngineError, local_probe};
pub use experiment::{Experiment, ExperimentError};
pub use run::{Report, Search, SearchError};
