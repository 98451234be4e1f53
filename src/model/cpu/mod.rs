//! The operators on the CPU, on burn tensors laid out `N x H x W x C`.
//!
//! burn's `Flex` backend computes the gradient of a depthwise filter channel by
//! channel, copies every feature map into another layout for a dense
//! convolution and passes over it some ten times for a batch normalisation. A
//! search trains networks all day, so those operators are written here as
//! kernels of their own, hooked into burn's automatic differentiation. What is
//! computed is the same; the tests hold both paths against one reference.

mod activation;
mod autodiff;
mod buffer;
#[cfg(target_arch = "x86_64")]
mod channelwise;
mod conv;
mod depthwise;
#[cfg(target_arch = "x86_64")]
mod direct;
mod gate;
mod gathered;
mod gemm;
mod norm;
#[cfg(target_arch = "x86_64")]
mod outer;
mod pool;
#[cfg(target_arch = "x86_64")]
mod reading;
#[cfg(target_arch = "x86_64")]
mod sums;
#[cfg(target_arch = "x86_64")]
mod tiled;
#[cfg(target_arch = "x86_64")]
mod vector;
#[cfg(target_arch = "x86_64")]
mod walk;
mod window;

use burn::tensor::{Tensor, TensorData};

use crate::network::{Activation, Conv, Conv1d, PoolKind};

use activation::ActivationKernel;
use autodiff::{Input, Output, Value, apply, floats};
use conv::ConvKernel;
use depthwise::DepthwiseKernel;
use gate::GateKernel;
use norm::NormKernel;
use pool::PoolKernel;
use window::Window;

/// Convolution with filters `[out, in / groups, k, k]`, bias and activation.
pub(super) fn conv(
    conv: Conv,
    x: Tensor<4>,
    filters: Tensor<4>,
    bias: Option<Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<4> {
    let window = Window::of(&conv, &x.dims());
    let sizes = [conv.out_channels, conv.groups];
    slide(window, sizes, x, filters, bias, activation)
}

/// Convolution over the positions of `N x 1 x L x C`, with filters `[out, in /
/// groups, k, 1]`, bias and activation.
pub(super) fn conv1d(
    conv: Conv1d,
    x: Tensor<4>,
    filters: Tensor<4>,
    bias: Option<Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<4> {
    let window = Window::over_positions(&conv, &x.dims());
    let sizes = [conv.out_channels, conv.groups];
    slide(window, sizes, x, filters, bias, activation)
}

/// Convolution by any window.
fn slide(
    window: Window,
    [out_channels, groups]: [usize; 2],
    x: Tensor<4>,
    filters: Tensor<4>,
    bias: Option<Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<4> {
    let channels = x.dims()[3];
    let depthwise = channels > 1 && groups == channels && out_channels == channels;
    let one_a_channel = |activation| DepthwiseKernel { window, activation };
    let across = |activation| ConvKernel {
        window,
        out_channels,
        groups,
        activation,
    };
    if x.device().is_autodiff() {
        let inputs = [Value::of(x), Value::of(filters)];
        let out: Tensor<4> = if depthwise {
            apply(one_a_channel(None), inputs)
        } else {
            apply(across(None), inputs)
        }
        .into_tensor();
        let out = match bias {
            Some(bias) => out + bias.reshape([1, 1, 1, out_channels]),
            None => out,
        };
        return match activation {
            Some(activation) => activate(activation, out),
            None => out,
        };
    }
    let (x, filters) = (Value::of(x).contiguous(), Value::of(filters).contiguous());
    let bias = bias.map(|bias| Value::of(bias).contiguous());
    let bias = bias.as_ref().map(floats);
    let input = Input {
        data: floats(&x),
        dims: x.layout().shape(),
    };
    let filters = floats(&filters);
    let out = if depthwise {
        one_a_channel(activation).run(input, filters, bias)
    } else {
        across(activation).run(input, filters, bias)
    };
    let out = Value::Plain(plain(out)).into_tensor();
    autodiff::recycle(x);
    out
}

fn plain(output: Output) -> burn::backend::flex::FlexTensor {
    burn::backend::flex::FlexTensor::from_data(TensorData::new(output.data, output.dims))
}

/// Batch normalisation with the batch's own moments, and activation. Returns
/// the output, the mean and the biased variance.
pub(super) fn norm_train(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f32,
    activation: Option<Activation>,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let device = x.device();
    let x = Value::of(x);
    let values = x.contiguous();
    let moments = norm::moments(Input {
        data: floats(&values),
        dims: values.layout().shape(),
    });
    let kernel = NormKernel {
        inverse_deviation: moments
            .variance
            .iter()
            .map(|variance| 1.0 / (variance + epsilon).sqrt())
            .collect(),
        mean: moments.mean.clone(),
        activation,
    };
    let out = apply(kernel, [x, Value::of(gamma), Value::of(beta)]).into_tensor();
    let statistic = |values: Vec<f32>| Tensor::from_floats(values.as_slice(), &device);
    (out, statistic(moments.mean), statistic(moments.variance))
}

pub(super) fn activate(activation: Activation, x: Tensor<4>) -> Tensor<4> {
    apply(ActivationKernel(activation), [Value::of(x)]).into_tensor()
}

/// Pooling; padding does not count in a mean.
pub(super) fn pool(
    kind: PoolKind,
    x: Tensor<4>,
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
) -> Tensor<4> {
    let [_, height, width, _] = x.dims();
    let window = Window::new([height, width], kernel, stride, padding, 1);
    apply(PoolKernel { kind, window }, [Value::of(x)]).into_tensor()
}

/// Pooling of the whole map to `N x 1 x 1 x C`.
pub(super) fn global_pool(kind: PoolKind, x: Tensor<4>) -> Tensor<4> {
    let [_, height, width, _] = x.dims();
    let window = Window::new([height, width], [height, width], 1, [0; 2], 1);
    apply(PoolKernel { kind, window }, [Value::of(x)]).into_tensor()
}

/// The product of a map and `N x 1 x 1 x C` factors.
pub(super) fn gate(x: Tensor<4>, factors: Tensor<4>) -> Tensor<4> {
    apply(GateKernel, [Value::of(x), Value::of(factors)]).into_tensor()
}

/// Frees the memory that this thread keeps for the next step of training.
pub(crate) fn release_buffers() {
    buffer::clear();
}

/// The sum of equally long vectors, always in the same order.
fn sum_in_order(parts: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_else(|| vec![0.0; len]);
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(sum, p)| *sum += p);
    }
    sum
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
