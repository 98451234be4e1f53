//! tract (Sonos) as an engine: a pure-Rust ONNX runtime, which therefore runs
//! wherever this crate does. It sees the exported file, as a deployed
//! application would, and optimises it for the given batch.

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use super::{Deployable, Engine, ProbeError, RunOptions, Session};
use crate::network::{Array, InputSpec, Shape};

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
        self.load_onnx(model.onnx()?, &model.network().input_spec(), options)
    }

    fn load_onnx(
        &self,
        onnx: &[u8],
        input: &InputSpec,
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
        dims.extend(input.shape.dims());
        let state = prepare(onnx, &dims)
            .and_then(|plan| plan.spawn())
            .map_err(load_error)?;
        let data = input.example(options.batch, 0);
        let ids = matches!(input.shape, Shape::Ids { .. });
        let input = tensor(&dims, &data, ids)
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

/// Runs an ONNX model once on `input` (batch first; token ids as whole numbers)
/// and returns its output, to
/// check an exported file against the network it came from.
///
/// # Errors
/// When the bytes are no model that tract accepts, or the input does not fit.
pub fn infer(onnx: &[u8], input: &Array) -> Result<Array, ProbeError> {
    let plan = prepare(onnx, &input.dims).map_err(load_error)?;
    let kind = plan.model().input_fact(0).map_err(load_error)?.datum_type;
    let input = tensor(&input.dims, &input.data, kind == i64::datum_type());
    let input = input.map_err(run_error)?.into_tvalue();
    let outputs = plan.run(tvec!(input)).map_err(run_error)?;
    let view = outputs[0].to_plain_array_view::<f32>().map_err(run_error)?;
    Ok(Array {
        dims: view.shape().to_vec(),
        data: view.iter().copied().collect(),
    })
}

fn prepare(mut onnx: &[u8], dims: &[usize]) -> TractResult<Arc<TypedSimplePlan>> {
    let model = tract_onnx::onnx().model_for_read(&mut onnx)?;
    // Images are floats, token ids whole numbers: as the model declares.
    let kind = model.input_fact(0)?.datum_type.concretize();
    let fact = kind.unwrap_or(f32::datum_type()).fact(dims);
    model
        .with_input_fact(0, fact.into())?
        .into_optimized()?
        .into_runnable()
}

/// Numbers as the tensor the model declares: floats, or whole numbers.
fn tensor(dims: &[usize], data: &[f32], whole: bool) -> TractResult<Tensor> {
    match whole {
        true => {
            let ids: Vec<i64> = data.iter().map(|v| *v as i64).collect();
            Tensor::from_shape(dims, &ids)
        }
        false => Tensor::from_shape(dims, data),
    }
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
