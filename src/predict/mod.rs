//! Latency predictors and their calibration.

pub mod features;
pub mod tables;
