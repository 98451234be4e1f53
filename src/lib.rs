//! bespoke: hardware-aware neural architecture search.
//!
//! The way of the data:
//! `.space file → Space → Architecture (a genotype) → Network → {burn model |
//! ONNX | cost features} → {accuracy, latency, memory} → Strategy (ask/tell) →
//! Run (SQLite) → front, table, plot`.

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "full")]
pub mod cli;
#[cfg(feature = "agent")]
pub mod coordinator;
pub mod correlation;
#[cfg(feature = "full")]
pub mod data;
#[cfg(feature = "device")]
pub mod device;
#[cfg(feature = "full")]
pub mod differentiable;
#[cfg(feature = "full")]
pub mod evaluate;
#[cfg(feature = "full")]
pub mod model;
pub mod network;
pub mod pareto;
#[cfg(feature = "predict")]
pub mod predict;
#[cfg(feature = "runs")]
pub mod report;
#[cfg(feature = "full")]
pub mod search;
pub mod space;
#[cfg(feature = "runs")]
pub mod store;
pub mod strategy;
#[cfg(feature = "full")]
pub mod supernet;
#[cfg(feature = "predict")]
pub mod tabular;
#[cfg(feature = "runs")]
pub mod top;
#[cfg(feature = "runs")]
pub mod web;
#[cfg(feature = "agent")]
pub mod wire;
#[cfg(feature = "predict")]
pub mod workers;
