//! tract (Sonos) as an engine: a pure-Rust ONNX runtime, which therefore runs
//! wherever this crate does. It sees the exported file, as a deployed
//! application would, and optimises it for the given batch.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::prelude::*;

use super::{Deployable, Engine, ProbeError, RunOptions, Session};
use crate::network::Array;

const NAME: &str = "tract";

/// tract on the CPU, one thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct TractEngine;

impl Engine for TractEngine {
    fn name(&self) -> String {
        NAME.into()
    }

    fn load(
        &self,
        model: &Deployable,
        options: &RunOptions,
    ) -> Result<Box<dyn Session>, ProbeError> {
        if options.threads != 1 {
            return Err(ProbeError::Unsupported {
                engine: NAME.into(),
                what: format!("{} threads", options.threads),
                remedy: "it is built to run on exactly one: set threads to 1".into(),
            });
        }
        if options.batch == 0 {
            return Err(ProbeError::Unsupported {
                engine: NAME.into(),
                what: "an empty batch".into(),
                remedy: "set batch to 1 or more".into(),
            });
        }
        let mut dims = vec![options.batch];
        dims.extend(model.network().input_shape().dims());
        let state = prepare(model.onnx()?, &dims)
            .and_then(|plan| plan.spawn())
            .map_err(load_error)?;
        let input = Tensor::from_shape(&dims, &noise(dims.iter().product()))
            .map_err(load_error)?
            .into_arc_tensor();
        Ok(Box::new(TractSession { state, input }))
    }
}

struct TractSession {
    state: TypedSimpleState,
    input: Arc<Tensor>,
}

impl Session for TractSession {
    fn run(&mut self) -> Result<(), ProbeError> {
        let input = self.input.clone().into_tvalue();
        let outputs = self.state.run(tvec!(input)).map_err(run_error)?;
        // Keeps the optimiser from proving that nobody reads the result.
        std::hint::black_box(&outputs);
        Ok(())
    }
}

/// Runs an ONNX model once on `input` (batch first) and returns its output, to
/// check an exported file against the network it came from.
///
/// # Errors
/// When the bytes are no model that tract accepts, or the input does not fit.
pub fn infer(onnx: &[u8], input: &Array) -> Result<Array, ProbeError> {
    let plan = prepare(onnx, &input.dims).map_err(load_error)?;
    let tensor = Tensor::from_shape(&input.dims, &input.data).map_err(run_error)?;
    let outputs = plan.run(tvec!(tensor.into_tvalue())).map_err(run_error)?;
    let view = outputs[0].to_plain_array_view::<f32>().map_err(run_error)?;
    Ok(Array {
        dims: view.shape().to_vec(),
        data: view.iter().copied().collect(),
    })
}

fn prepare(mut onnx: &[u8], dims: &[usize]) -> TractResult<Arc<TypedSimplePlan>> {
    tract_onnx::onnx()
        .model_for_read(&mut onnx)?
        .with_input_fact(0, f32::fact(dims).into())?
        .into_optimized()?
        .into_runnable()
}

/// An input like a normalised image. Its values must be ordinary: denormals
/// are slow and zeros may be skipped.
fn noise(elements: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    (0..elements).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn load_error(error: TractError) -> ProbeError {
    ProbeError::Load {
        engine: NAME.into(),
        reason: format!("{error:#}"),
    }
}

fn run_error(error: TractError) -> ProbeError {
    ProbeError::Run {
        engine: NAME.into(),
        reason: format!("{error:#}"),
    }
}
