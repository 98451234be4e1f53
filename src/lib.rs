//! bespoke: hardware-aware neural architecture search.
//!
//! The way of the data:
//! `.space file → Space → Architecture (a genotype) → Network → {burn model |
//! ONNX | cost features} → {accuracy, latency, memory} → Strategy (ask/tell) →
//! Run (SQLite) → front, table, plot`.

pub mod cli;
pub mod data;
pub mod device;
pub mod evaluate;
pub mod model;
pub mod network;
pub mod predict;
pub mod report;
pub mod search;
pub mod space;
pub mod store;
pub mod strategy;
