//! The bridge between plain kernels on slices and burn's automatic
//! differentiation on the `Flex` backend. A [`Kernel`] says how to compute
//! forward and backward; [`apply`] records it in burn's graph where gradients
//! are wanted and just runs it where they are not.

use std::fmt::Debug;

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};

/// An operator of `N` inputs and one output on contiguous 32-bit floats.
pub(super) trait Kernel<const N: usize>: Clone + Debug + Send + 'static {
    fn forward(&self, inputs: [Input<'_>; N]) -> Output;

    /// Gradients of the inputs that are `wanted`, each of its input's length,
    /// given the gradient of the output.
    fn backward(
        &self,
        inputs: [Input<'_>; N],
        output_gradient: &[f32],
        wanted: [bool; N],
    ) -> [Option<Vec<f32>>; N];
}

/// A contiguous tensor seen by a kernel.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub data: &'a [f32],
    pub dims: &'a [usize],
}

/// What a kernel produces.
pub(super) struct Output {
    pub data: Vec<f32>,
    pub dims: Vec<usize>,
}

type Tracked = FloatTensor<Autodiff<Flex, NoCheckpointing>>;

/// A burn tensor taken down to what the backend holds.
pub(super) enum Value {
    Plain(FlexTensor),
    Tracked(Tracked),
}

impl Value {
    /// # Panics
    /// When the tensor is not on a `Flex` device; the model only sends such
    /// tensors here.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let on_flex = "channels-last kernels run on the flex backend";
        if tensor.device().is_autodiff() {
            Value::Tracked(
                tensor
                    .try_into_primitive::<Autodiff<Flex, NoCheckpointing>>()
                    .expect(on_flex),
            )
        } else {
            Value::Plain(tensor.try_into_primitive::<Flex>().expect(on_flex))
        }
    }

    pub fn into_tensor<const D: usize>(self) -> Tensor<D> {
        match self {
            Value::Plain(t) => Tensor::from_primitive::<Flex>(t),
            Value::Tracked(t) => Tensor::from_primitive::<Autodiff<Flex, NoCheckpointing>>(t),
        }
    }

    /// The values, without any gradient history.
    pub fn contiguous(&self) -> FlexTensor {
        match self {
            Value::Plain(t) => t.to_contiguous(),
            Value::Tracked(t) => t.primitive().to_contiguous(),
        }
    }

    fn is_tracked(&self) -> bool {
        matches!(self, Value::Tracked(_))
    }
}

/// The floats of a contiguous tensor.
pub(super) fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor
        .as_slice()
        .expect("a contiguous tensor of 32-bit floats")
}

fn view(tensor: &FlexTensor) -> Input<'_> {
    Input {
        data: floats(tensor),
        dims: tensor.layout().shape(),
    }
}

fn tensor(data: Vec<f32>, dims: impl Into<burn::tensor::Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(data, dims))
}

/// Keeps a tensor's memory for the next one, if nobody else has it.
pub(super) fn recycle(tensor: FlexTensor) {
    // Where there are several owners, or another layout, this would be a copy.
    if tensor.is_unique() && tensor.is_contiguous() {
        let whole = tensor.layout().num_elements() * size_of::<f32>() == tensor.bytes().len();
        if let (true, Ok(floats)) = (whole, tensor.into_data().try_into_vec()) {
            super::buffer::give(floats);
        }
    }
}

/// Runs a kernel, recording it for the backward pass if any input is tracked.
pub(super) fn apply<K: Kernel<N>, const N: usize>(kernel: K, inputs: [Value; N]) -> Value {
    let saved: [FlexTensor; N] = inputs.each_ref().map(Value::contiguous);
    let output = kernel.forward(saved.each_ref().map(view));
    let output = tensor(output.data, output.dims);
    if !inputs.iter().any(Value::is_tracked) {
        drop(inputs);
        saved.into_iter().for_each(recycle);
        return Value::Plain(output);
    }
    let guards = inputs.map(|input| match input {
        Value::Tracked(t) => t.node(),
        Value::Plain(_) => unreachable!("a model's tensors share one device"),
    });
    let preparation = KernelBackward::<K, N>(std::marker::PhantomData)
        .prepare::<NoCheckpointing>(guards)
        .compute_bound()
        .stateful();
    Value::Tracked(match preparation {
        OpsKind::Tracked(preparation) => preparation.finish((kernel, saved), output),
        OpsKind::UnTracked(preparation) => preparation.finish(output),
    })
}

#[derive(Debug)]
struct KernelBackward<K, const N: usize>(std::marker::PhantomData<K>);

impl<K: Kernel<N>, const N: usize> Backward<Flex, N> for KernelBackward<K, N> {
    type State = (K, [FlexTensor; N]);

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (kernel, saved) = ops.state;
        let output_gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = kernel.backward(saved.each_ref().map(view), floats(&output_gradient), wanted);
        for ((parent, gradient), input) in ops.parents.iter().zip(found).zip(&saved) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                let gradient = tensor(gradient, input.layout().shape().clone());
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
        recycle(output_gradient);
        saved.into_iter().for_each(recycle);
    }
}
