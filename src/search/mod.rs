//! A whole search: space, measurements, calibration, strategy, trainings and
//! the front, recorded as it happens. The rooms it joins know nothing of each
//! other; this is where they meet.

mod calibrate;
mod engines;
mod error;
mod experiment;
mod explore;
mod finalise;
mod knowledge;
mod measure;
mod run;
mod survey;

pub use engines::{ENGINES, EngineError, Setup, anew, probe};
pub use error::SearchError;
pub use experiment::{Experiment, ExperimentError};
pub use run::{Search, Start};
pub use survey::{Report, choose, held_out, pool, survey, survey_on};
