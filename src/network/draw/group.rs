//! What is drawn as one box: an operator with the normalisation and activation
//! that follow it, as engines fuse them and people think of them.

use crate::network::{Conv, Network, NodeId, Op, PoolKind, Shape};

/// Nodes drawn as one box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// In order; the first gives the group its title, the last its shape.
    pub nodes: Vec<NodeId>,
    /// Groups that feed the first node, in order, repeats included.
    pub inputs: Vec<usize>,
}

impl Group {
    pub fn head(&self) -> NodeId {
        self.nodes[0]
    }

    pub fn last(&self) -> NodeId {
        self.nodes[self.nodes.len() - 1]
    }
}

/// Splits a network into groups, in topological order.
pub fn groups(network: &Network) -> Vec<Group> {
    let consumers = network.consumers();
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of = Vec::with_capacity(network.nodes().len());
    for (index, node) in network.nodes().iter().enumerate() {
        let id = NodeId(index);
        let follows = matches!(
            node.op,
            Op::BatchNorm | Op::LayerNorm | Op::RmsNorm | Op::GroupNorm { .. } | Op::Activation(_)
        ) && consumers[node.inputs[0].0].len() == 1
            && node.inputs[0] != network.input()
            && node.inputs[0] != network.output();
        if follows {
            let group: usize = group_of[node.inputs[0].0];
            groups[group].nodes.push(id);
            group_of.push(group);
        } else {
            group_of.push(groups.len());
            groups.push(Group {
                nodes: vec![id],
                inputs: node.inputs.iter().map(|i| group_of[i.0]).collect(),
            });
        }
    }
    groups
}

/// A box's first line; the shape is that of the output.
pub fn title(op: &Op, shape: Shape) -> String {
    let stride = |s: usize| match s {
        1 => String::new(),
        s => format!(", stride {s}"),
    };
    match *op {
        Op::Conv(conv) => {
            let Conv {
                kernel,
                groups,
                dilation,
                ..
            } = conv;
            let kind = if groups == 1 {
                format!("conv {kernel}×{kernel}")
            } else if groups == conv.out_channels {
                format!("depthwise {kernel}×{kernel}")
            } else {
                format!("conv {kernel}×{kernel}, {groups} groups")
            };
            let dilation = match dilation {
                1 => String::new(),
                d => format!(", dilation {d}"),
            };
            format!("{kind}{}{dilation}", stride(conv.stride))
        }
        Op::Conv1d(conv) => {
            let kind = match conv.groups {
                1 => format!("conv {}", conv.kernel),
                g if g == conv.out_channels => format!("depthwise {}", conv.kernel),
                g => format!("conv {}, {g} groups", conv.kernel),
            };
            let dilation = match conv.dilation {
                1 => String::new(),
                d => format!(", dilation {d}"),
            };
            let causal = if conv.causal { ", causal" } else { "" };
            format!("{kind}{}{dilation}{causal}", stride(conv.stride))
        }
        Op::Linear { .. } => "linear".into(),
        Op::Pool {
            kind,
            kernel,
            stride: s,
            ..
        } => {
            let window = match shape {
                Shape::Tokens { .. } => kernel.to_string(),
                _ => format!("{kernel}×{kernel}"),
            };
            format!("{} pool {window}{}", pool(kind), stride(s))
        }
        Op::GlobalPool { kind } => format!("global {} pool", pool(kind)),
        Op::Add => "+".into(),
        Op::Mul => "×".into(),
        Op::Zero { stride: s } => format!("zero{}", stride(s)),
        _ => op.to_string(),
    }
}

fn pool(kind: PoolKind) -> &'static str {
    match kind {
        PoolKind::Max => "max",
        PoolKind::Avg => "average",
    }
}
