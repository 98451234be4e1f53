//! The operators on any burn backend, from burn's own tensor operations, on
//! tensors laid out `N x C x H x W`.

use burn::tensor::Tensor;
use burn::tensor::activation as burn_activation;
use burn::tensor::module;
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};

use crate::network::{Activation, Conv, Conv1d, PoolKind};

/// Convolution with filters `[out, in / groups, k, k]` and bias.
pub(super) fn conv(
    conv: Conv,
    x: Tensor<4>,
    filters: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<4> {
    let options = ConvOptions::new(
        [conv.stride; 2],
        [conv.padding; 2],
        [conv.dilation; 2],
        conv.groups,
    );
    module::conv2d(x, filters, bias, options)
}

/// Convolution over the positions of `N x C x 1 x L`, with filters `[out, in /
/// groups, k, 1]` and bias.
pub(super) fn conv1d(
    conv: Conv1d,
    x: Tensor<4>,
    filters: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<4> {
    let [n, c, _, _] = x.dims();
    let [before, after] = conv.padding();
    // As many zeros as both sides have are the operator's own, the rest is put on.
    let padding = before.min(after);
    let device = x.device();
    let zeros = |count| Tensor::zeros([n, c, 1, count], &device);
    let x = match (before - padding, after - padding) {
        (0, 0) => x,
        (more, 0) => Tensor::cat(vec![zeros(more), x], 3),
        (_, more) => Tensor::cat(vec![x, zeros(more)], 3),
    };
    let options = ConvOptions::new(
        [1, conv.stride],
        [0, padding],
        [1, conv.dilation],
        conv.groups,
    );
    module::conv2d(x, filters.swap_dims(2, 3), bias, options)
}

/// Batch normalisation with the batch's own moments. Returns the output, the
/// mean and the biased variance.
pub(super) fn norm_train(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f32,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let result = module::batch_norm_train(x, gamma, beta, epsilon as f64);
    (result.output, result.mean, result.variance)
}

pub(super) fn activate(activation: Activation, x: Tensor<4>) -> Tensor<4> {
    let gate = |x: Tensor<4>| (x + 3.0).clamp(0.0, 6.0) / 6.0;
    match activation {
        Activation::Relu => burn_activation::relu(x),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::HardSwish => x.clone() * gate(x),
        Activation::HardSigmoid => gate(x),
        Activation::Sigmoid => burn_activation::sigmoid(x),
        Activation::Swish => burn_activation::silu(x),
        Activation::Gelu => burn_activation::gelu(x),
        Activation::Tanh => x.tanh(),
    }
}

/// Pooling; padding does not count in a mean.
pub(super) fn pool(
    kind: PoolKind,
    x: Tensor<4>,
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
) -> Tensor<4> {
    let around = padding.map(|zeros| (zeros, zeros));
    match kind {
        PoolKind::Max => module::max_pool2d(
            x,
            MaxPoolOptions {
                kernel_size: kernel,
                stride: [stride; 2],
                padding: around,
                dilation: [1; 2],
                ceil_mode: false,
            },
        ),
        PoolKind::Avg => module::avg_pool2d(
            x,
            AvgPoolOptions {
                kernel_size: kernel,
                stride: [stride; 2],
                padding: around,
                count_include_pad: false,
                ceil_mode: false,
            },
        ),
    }
}

/// Pooling of the whole map to `N x C x 1 x 1`.
pub(super) fn global_pool(kind: PoolKind, x: Tensor<4>) -> Tensor<4> {
    match kind {
        PoolKind::Avg => x.mean_dim(2).mean_dim(3),
        PoolKind::Max => x.max_dim(2).max_dim(3),
    }
}
