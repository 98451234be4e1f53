//! Once-for-all MobileNetV3 at width multiplier 1.2 (Cai et al.,
//! arXiv 1908.09791): five stages of two to four inverted residuals with
//! elastic kernel and expansion, and an elastic input resolution.

use serde::Deserialize;

use super::{ArchitectureError, classify, conv_bn};
use crate::network::{Activation, Conv, Network, NodeId, Op, PoolKind, Shape, ShapeError};

#[derive(Deserialize)]
struct Text {
    ks: Vec<usize>,
    e: Vec<usize>,
    d: Vec<usize>,
    r: usize,
}

struct Stage {
    channels: usize,
    stride: usize,
    activation: Activation,
    squeeze_excite: bool,
}

/// MobileNetV3-Large's stages (Howard et al. 2019) with widths 24, 40, 80,
/// 112, 160 times 1.2, rounded to multiples of 8.
const STAGES: [Stage; 5] = [
    stage(32, 2, Activation::Relu, false),
    stage(48, 2, Activation::Relu, true),
    stage(96, 2, Activation::HardSwish, false),
    stage(136, 1, Activation::HardSwish, true),
    stage(192, 2, Activation::HardSwish, true),
];

const fn stage(
    channels: usize,
    stride: usize,
    activation: Activation,
    squeeze_excite: bool,
) -> Stage {
    Stage {
        channels,
        stride,
        activation,
        squeeze_excite,
    }
}

/// The network of `{"ks":[20 kernels],"e":[20 expansions],"d":[5 depths],"r":resolution}`.
/// A stage of depth d uses the first d of its four kernels and expansions.
///
/// # Errors
/// When the JSON is malformed or a list has the wrong length or values.
pub fn ofa_network(text: &str) -> Result<Network, ArchitectureError> {
    let fail = |reason: String| ArchitectureError::Syntax {
        space: "OFA",
        text: text.into(),
        reason,
    };
    let a: Text = serde_json::from_str(text).map_err(|e| fail(e.to_string()))?;
    if a.ks.len() != 20 || a.e.len() != 20 || a.d.len() != 5 {
        return Err(fail(
            "it needs 20 kernels, 20 expansions and 5 depths".into(),
        ));
    }
    let odd_kernel = |k: &usize| matches!(k, 1 | 3 | 5 | 7);
    if !a.ks.iter().all(odd_kernel) || !a.d.iter().all(|d| (1..=4).contains(d)) {
        return Err(fail("kernels must be 3, 5 or 7 and depths 1 to 4".into()));
    }
    let mut net = Network::new(Shape::image(3, a.r, a.r));
    let hswish = Some(Activation::HardSwish);
    let mut x = conv_bn(&mut net, NodeId(0), Conv::same(24, 3, 2), hswish)?;
    // The first block has expansion 1 and therefore no expanding convolution.
    let relu = Some(Activation::Relu);
    let y = conv_bn(&mut net, x, Conv::same(24, 3, 1).groups(24), relu)?;
    let y = conv_bn(&mut net, y, Conv::same(24, 1, 1), None)?;
    x = net.push(Op::Add, &[y, x])?;
    for (index, stage) in STAGES.iter().enumerate() {
        for block in 0..a.d[index] {
            let at = 4 * index + block;
            x = push_block(&mut net, x, stage, block == 0, a.ks[at], a.e[at])?;
        }
    }
    x = conv_bn(&mut net, x, Conv::same(1152, 1, 1), hswish)?;
    x = net.push(
        Op::GlobalPool {
            kind: PoolKind::Avg,
        },
        &[x],
    )?;
    x = net.push(Op::Conv(Conv::same(1536, 1, 1)), &[x])?;
    x = net.push(Op::Activation(Activation::HardSwish), &[x])?;
    classify(&mut net, x, 1000)?;
    Ok(net)
}

fn push_block(
    net: &mut Network,
    input: NodeId,
    stage: &Stage,
    first: bool,
    kernel: usize,
    expansion: usize,
) -> Result<NodeId, ShapeError> {
    let in_channels = net.shape(input).channels();
    let stride = if first { stage.stride } else { 1 };
    let mid = round_to_8(in_channels * expansion);
    let act = Some(stage.activation);
    let mut x = conv_bn(net, input, Conv::same(mid, 1, 1), act)?;
    x = conv_bn(net, x, Conv::same(mid, kernel, stride).groups(mid), act)?;
    if stage.squeeze_excite {
        x = squeeze_excite(net, x)?;
    }
    x = conv_bn(net, x, Conv::same(stage.channels, 1, 1), None)?;
    if stride == 1 && in_channels == stage.channels {
        x = net.push(Op::Add, &[x, input])?;
    }
    Ok(x)
}

fn squeeze_excite(net: &mut Network, x: NodeId) -> Result<NodeId, ShapeError> {
    let channels = net.shape(x).channels();
    let mut gate = net.push(
        Op::GlobalPool {
            kind: PoolKind::Avg,
        },
        &[x],
    )?;
    let squeeze = Conv::same(round_to_8(channels / 4), 1, 1).bias(true);
    gate = net.push(Op::Conv(squeeze), &[gate])?;
    gate = net.push(Op::Activation(Activation::Relu), &[gate])?;
    gate = net.push(Op::Conv(Conv::same(channels, 1, 1).bias(true)), &[gate])?;
    gate = net.push(Op::Activation(Activation::HardSigmoid), &[gate])?;
    net.push(Op::Mul, &[x, gate])
}

/// The nearest multiple of 8 that loses at most a tenth, as MobileNets round.
fn round_to_8(channels: usize) -> usize {
    let rounded = ((channels + 4) / 8 * 8).max(8);
    if rounded * 10 < channels * 9 {
        rounded + 8
    } else {
        rounded
    }
}
