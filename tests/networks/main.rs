//! Networks of every space and operator where they run: burn, tract, onnxruntime.

mod common;
mod deploy;
mod onnx_runtime;
mod spaces_run;
