//! The operators once more, as plainly as their definitions read: one loop nest
//! each, in 64-bit floats. Slow, and what the tests hold the fast ones against.

mod sequence;

use ndarray::{Array3, ArrayD, IxDyn};

use super::BATCH_NORM_EPSILON;
use crate::network::{
    Activation, Conv, Network, NodeId, Op, ParamSpec, PoolKind, Role, Shape, Weights,
};

/// Inference on one sample (`C x H x W`, `F`, `L x C` or `L`), giving the
/// output's features in the same order.
pub(super) fn forward(network: &Network, weights: &Weights, image: &[f32]) -> Vec<f64> {
    let mut values: Vec<Array3<f64>> = Vec::new();
    for (index, node) in network.nodes().iter().enumerate() {
        let (height, width) = node.shape.spatial();
        let dims = (node.shape.channels(), height, width);
        if matches!(node.op, Op::Input) {
            let at = |(c, y, x): (usize, usize, usize)| match node.shape {
                Shape::Tokens { channels, .. } => image[x * channels + c] as f64,
                _ => image[(c * height + y) * width + x] as f64,
            };
            values.push(Array3::from_shape_fn(dims, at));
            continue;
        }
        let inputs: Vec<&Array3<f64>> = node.inputs.iter().map(|i| &values[i.0]).collect();
        let param = |role: Role| -> Option<ArrayD<f64>> {
            let spec = ParamSpec {
                node: NodeId(index),
                role,
                dims: vec![],
            };
            let array = weights.tensors.get(&spec.name())?;
            let data = array.data.iter().map(|x| *x as f64).collect();
            Some(ArrayD::from_shape_vec(IxDyn(&array.dims), data).unwrap())
        };
        let x = inputs[0];
        let out = Array3::from_shape_fn(dims, |(c, oy, ox)| match node.op {
            Op::Input => unreachable!("handled above"),
            Op::Conv(conv) => {
                let bias = param(Role::Bias).map_or(0.0, |bias| bias[[c]]);
                bias + convolve(&conv, x, &param(Role::Weight).unwrap(), [c, oy, ox])
            }
            Op::Linear { .. } if matches!(node.shape, Shape::Tokens { .. }) => {
                let weight = param(Role::Weight).unwrap();
                let bias = param(Role::Bias).map_or(0.0, |bias| bias[[c]]);
                let token = (0..x.dim().0).map(|i| weight[[c, i]] * x[[i, oy, ox]]);
                bias + token.sum::<f64>()
            }
            Op::Linear { .. } => {
                let weight = param(Role::Weight).unwrap();
                let bias = param(Role::Bias).map_or(0.0, |bias| bias[[c]]);
                bias + x
                    .iter()
                    .enumerate()
                    .map(|(i, x)| weight[[c, i]] * x)
                    .sum::<f64>()
            }
            Op::BatchNorm => {
                let part = |role| param(role).unwrap()[[c]];
                let deviation = (part(Role::RunningVar) + BATCH_NORM_EPSILON as f64).sqrt();
                let normal = (x[[c, oy, ox]] - part(Role::RunningMean)) / deviation;
                part(Role::Weight) * normal + part(Role::Bias)
            }
            Op::Activation(activation) => activate(activation, x[[c, oy, ox]]),
            Op::Pool {
                kind,
                kernel,
                stride,
                padding,
            } => {
                let mut seen = Vec::new();
                for (y, x_) in window(oy, ox, kernel, stride, padding, 1) {
                    if let Some(value) = at(x, c, y, x_) {
                        seen.push(value);
                    }
                }
                pool(kind, seen)
            }
            Op::GlobalPool { kind } => pool(
                kind,
                x.index_axis(ndarray::Axis(0), c).iter().copied().collect(),
            ),
            Op::Add => inputs.iter().map(|x| x[[c, oy, ox]]).sum(),
            Op::Mul => {
                let factors = inputs[1];
                let broadcast = factors.dim() != x.dim();
                let factor = if broadcast { [c, 0, 0] } else { [c, oy, ox] };
                x[[c, oy, ox]] * factors[factor]
            }
            Op::Concat => {
                let mut c = c;
                let mut source = inputs.iter();
                loop {
                    let x = source.next().expect("a channel of some input");
                    if c < x.dim().0 {
                        break x[[c, oy, ox]];
                    }
                    c -= x.dim().0;
                }
            }
            Op::Zero { .. } => 0.0,
            Op::Flatten if matches!(network.shape(node.inputs[0]), Shape::Tokens { .. }) => {
                let channels = x.dim().0;
                x[[c % channels, 0, c / channels]]
            }
            Op::Flatten => *x.iter().nth(c).unwrap(),
            op => sequence::value(op, &inputs, &param, [c, oy, ox]),
        });
        values.push(out);
    }
    let output = &values[network.output().0];
    match network.output_shape() {
        Shape::Tokens { .. } => output.t().iter().copied().collect(),
        _ => output.iter().copied().collect(),
    }
}

/// Positions a window reads, which may lie outside the map, in row-major order.
fn window(
    oy: usize,
    ox: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Vec<(isize, isize)> {
    let position =
        |out: usize, tap: usize| (out * stride + tap * dilation) as isize - padding as isize;
    (0..kernel * kernel)
        .map(|tap| (position(oy, tap / kernel), position(ox, tap % kernel)))
        .collect()
}

fn at(x: &Array3<f64>, c: usize, y: isize, x_: isize) -> Option<f64> {
    let index = [c, usize::try_from(y).ok()?, usize::try_from(x_).ok()?];
    x.get(index).copied()
}

fn convolve(conv: &Conv, x: &Array3<f64>, weight: &ArrayD<f64>, [c, oy, ox]: [usize; 3]) -> f64 {
    let group_in = x.dim().0 / conv.groups;
    let group = c / (conv.out_channels / conv.groups);
    let mut sum = 0.0;
    for i in 0..group_in {
        let taps = window(
            oy,
            ox,
            conv.kernel,
            conv.stride,
            conv.padding,
            conv.dilation,
        );
        for (tap, (y, x_)) in taps.into_iter().enumerate() {
            let w = weight[[c, i, tap / conv.kernel, tap % conv.kernel]];
            sum += w * at(x, group * group_in + i, y, x_).unwrap_or(0.0);
        }
    }
    sum
}

fn pool(kind: PoolKind, seen: Vec<f64>) -> f64 {
    match kind {
        PoolKind::Max => seen.into_iter().fold(f64::NEG_INFINITY, f64::max),
        PoolKind::Avg => seen.iter().sum::<f64>() / seen.len() as f64,
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    let hard_sigmoid = (x + 3.0).clamp(0.0, 6.0) / 6.0;
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::HardSwish => x * hard_sigmoid,
        Activation::HardSigmoid => hard_sigmoid,
        Activation::Sigmoid => sigmoid,
        Activation::Swish => x * sigmoid,
        Activation::Gelu => 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt())),
        Activation::Tanh => x.tanh(),
    }
}
