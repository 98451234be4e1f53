//! Latency predictors and their calibration.
