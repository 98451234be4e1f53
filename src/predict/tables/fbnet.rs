//! FBNet's layer-wise space (Wu et al., arXiv 1812.03443, Tables 1 and 2):
//! 22 layers, each one of nine blocks, on 224x224 images. A skip where the
//! shape changes is a strided 1x1 convolution, as in the authors' code.

use super::{ArchitectureError, classify, conv_bn};
use crate::network::{Activation, Conv, Network, NodeId, Op, PoolKind, Shape, ShapeError};

const RELU: Option<Activation> = Some(Activation::Relu);

/// Channels, number of layers and stride of the first, from Table 1.
const STAGES: [(usize, usize, usize); 7] = [
    (16, 1, 1),
    (24, 4, 2),
    (32, 4, 2),
    (64, 4, 2),
    (112, 4, 1),
    (184, 4, 2),
    (352, 1, 1),
];

/// Kernel, expansion and groups of the blocks 0 to 7; 8 is the skip.
const BLOCKS: [(usize, usize, usize); 8] = [
    (3, 1, 1),
    (3, 1, 2),
    (3, 3, 1),
    (3, 6, 1),
    (5, 1, 1),
    (5, 1, 2),
    (5, 3, 1),
    (5, 6, 1),
];

/// The network of 22 numbers from 0 to 8, separated by spaces.
///
/// # Errors
/// When the text does not hold 22 such numbers.
pub fn fbnet_network(text: &str) -> Result<Network, ArchitectureError> {
    let fail = |reason: String| ArchitectureError::Syntax {
        space: "FBNet",
        text: text.into(),
        reason,
    };
    let choices = text
        .split_whitespace()
        .map(|t| match t.parse::<usize>() {
            Ok(n) if n <= BLOCKS.len() => Ok(n),
            _ => Err(fail(format!("`{t}` is not a number from 0 to 8"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if choices.len() != 22 {
        return Err(fail(format!(
            "it has {} numbers where 22 are needed",
            choices.len()
        )));
    }
    let mut net = Network::new(Shape::image(3, 224, 224));
    let mut x = conv_bn(&mut net, NodeId(0), Conv::same(16, 3, 2), RELU)?;
    let mut layer = choices.into_iter();
    for (channels, layers, first_stride) in STAGES {
        for index in 0..layers {
            let stride = if index == 0 { first_stride } else { 1 };
            let choice = layer.next().expect("22 layers in the stages");
            x = push_layer(&mut net, x, choice, channels, stride)?;
        }
    }
    x = conv_bn(&mut net, x, Conv::same(1504, 1, 1), RELU)?;
    let x = net.push(
        Op::GlobalPool {
            kind: PoolKind::Avg,
        },
        &[x],
    )?;
    classify(&mut net, x, 1000)?;
    Ok(net)
}

fn push_layer(
    net: &mut Network,
    input: NodeId,
    choice: usize,
    channels: usize,
    stride: usize,
) -> Result<NodeId, ShapeError> {
    let in_channels = net.shape(input).channels();
    let same_shape = stride == 1 && in_channels == channels;
    let Some(&(kernel, expansion, groups)) = BLOCKS.get(choice) else {
        if same_shape {
            return Ok(input);
        }
        let conv = Conv::same(channels, 1, stride);
        return conv_bn(net, input, conv, RELU);
    };
    let mid = in_channels * expansion;
    let x = conv_bn(net, input, Conv::same(mid, 1, 1).groups(groups), RELU)?;
    let x = conv_bn(net, x, Conv::same(mid, kernel, stride).groups(mid), RELU)?;
    let x = conv_bn(net, x, Conv::same(channels, 1, 1).groups(groups), None)?;
    if same_shape {
        net.push(Op::Add, &[x, input])
    } else {
        Ok(x)
    }
}
