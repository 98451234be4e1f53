//! A whole search: space, measurements, calibration, strategy, trainings and
//! the front, recorded as it happens. The rooms it joins know nothing of each
//! other; this is where they meet.

mod calibrate;
mod descend;
mod empty;
mod engines;
mod error;
mod experiment;
mod explore;
mod finalise;
mod join;
mod knowledge;
mod measure;
mod repository;
mod run;
mod searcher;
mod share;
mod survey;

pub use descend::Differentiable;
pub use engines::{ENGINES, EngineError, Setup, anew, engine_name, probe};
pub use error::SearchError;
pub use experiment::{Experiment, ExperimentError};
pub use run::{Search, Start};
pub use searcher::Searcher;
pub use share::LEASE;
pub use survey::{Report, choose, held_out, pool, survey_on};
