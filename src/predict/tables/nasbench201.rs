//! NAS-Bench-201 (Dong and Yang, arXiv 2001.00326): three stages of five equal
//! cells with 16, 32 and 64 channels on 32x32 images, joined by residual
//! blocks of stride 2. `none` becomes a zero operator, `skip_connect` nothing.

use super::{ArchitectureError, classify};
use crate::network::{Conv, Network, NodeId, Op, PoolKind, Shape, ShapeError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    None,
    Skip,
    Conv(usize),
    AvgPool,
}

/// The network of an official cell string such as
/// `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|..~0|..~1|..~2|`.
///
/// # Errors
/// When the string is malformed.
pub fn nasbench201_network(text: &str, classes: usize) -> Result<Network, ArchitectureError> {
    let cell = parse(text).map_err(|reason| ArchitectureError::Syntax {
        space: "NAS-Bench-201",
        text: text.into(),
        reason,
    })?;
    let mut net = Network::new(Shape::image(3, 32, 32));
    let mut x = net.push(Op::Conv(Conv::same(16, 3, 1)), &[NodeId(0)])?;
    x = net.push(Op::BatchNorm, &[x])?;
    for (stage, channels) in [16, 32, 64].into_iter().enumerate() {
        if stage > 0 {
            x = reduction(&mut net, x, channels)?;
        }
        for _ in 0..5 {
            x = push_cell(&mut net, x, &cell, channels)?;
        }
    }
    x = net.push(Op::BatchNorm, &[x])?;
    x = net.push(Op::Activation(crate::network::Activation::Relu), &[x])?;
    let x = net.push(
        Op::GlobalPool {
            kind: PoolKind::Avg,
        },
        &[x],
    )?;
    classify(&mut net, x, classes)?;
    Ok(net)
}

/// Operators of the edges 0→1, 0→2, 1→2, 0→3, 1→3, 2→3.
fn parse(text: &str) -> Result<[Edge; 6], String> {
    let mut edges = Vec::with_capacity(6);
    let nodes: Vec<&str> = text.trim().split('+').collect();
    if nodes.len() != 3 {
        return Err(format!("it has {} nodes where 3 are needed", nodes.len()));
    }
    for (node, part) in nodes.iter().enumerate() {
        let inner = part
            .strip_prefix('|')
            .and_then(|p| p.strip_suffix('|'))
            .ok_or_else(|| format!("`{part}` does not stand between bars"))?;
        let before = edges.len();
        for (from, edge) in inner.split('|').enumerate() {
            let (op, source) = edge
                .split_once('~')
                .ok_or_else(|| format!("edge `{edge}` lacks `~` and its source"))?;
            if source != from.to_string() {
                return Err(format!("edge `{edge}` should come from node {from}"));
            }
            edges.push(match op {
                "none" => Edge::None,
                "skip_connect" => Edge::Skip,
                "nor_conv_1x1" => Edge::Conv(1),
                "nor_conv_3x3" => Edge::Conv(3),
                "avg_pool_3x3" => Edge::AvgPool,
                _ => return Err(format!("`{op}` is not one of the five operators")),
            });
        }
        if edges.len() - before != node + 1 {
            return Err(format!("node {} needs {} edges", node + 1, node + 1));
        }
    }
    edges
        .try_into()
        .map_err(|_| "it needs six edges".to_string())
}

fn relu_conv_bn(
    net: &mut Network,
    x: NodeId,
    channels: usize,
    kernel: usize,
    stride: usize,
) -> Result<NodeId, ShapeError> {
    let x = net.push(Op::Activation(crate::network::Activation::Relu), &[x])?;
    let x = net.push(Op::Conv(Conv::same(channels, kernel, stride)), &[x])?;
    net.push(Op::BatchNorm, &[x])
}

fn push_cell(
    net: &mut Network,
    input: NodeId,
    cell: &[Edge; 6],
    channels: usize,
) -> Result<NodeId, ShapeError> {
    let mut nodes = vec![input];
    let mut edges = cell.iter();
    for node in 1..4 {
        let mut summands = Vec::with_capacity(node);
        for &source in &nodes {
            let edge = edges.next().expect("six edges for three nodes");
            summands.push(match *edge {
                Edge::None => net.push(Op::Zero { stride: 1 }, &[source])?,
                Edge::Skip => source,
                Edge::Conv(kernel) => relu_conv_bn(net, source, channels, kernel, 1)?,
                Edge::AvgPool => net.push(
                    Op::Pool {
                        kind: PoolKind::Avg,
                        kernel: 3,
                        stride: 1,
                        padding: 1,
                    },
                    &[source],
                )?,
            });
        }
        nodes.push(if summands.len() == 1 {
            summands[0]
        } else {
            net.push(Op::Add, &summands)?
        });
    }
    Ok(nodes[3])
}

/// The basic residual block of stride 2 between stages.
fn reduction(net: &mut Network, input: NodeId, channels: usize) -> Result<NodeId, ShapeError> {
    let x = relu_conv_bn(net, input, channels, 3, 2)?;
    let x = relu_conv_bn(net, x, channels, 3, 1)?;
    let shortcut = net.push(
        Op::Pool {
            kind: PoolKind::Avg,
            kernel: 2,
            stride: 2,
            padding: 0,
        },
        &[input],
    )?;
    let shortcut = net.push(Op::Conv(Conv::same(channels, 1, 1)), &[shortcut])?;
    net.push(Op::Add, &[shortcut, x])
}
