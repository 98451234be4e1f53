//! Removes what computes nothing: zeros that are added, unary sums, nodes that
//! do not reach the output. The result computes the same function, so it is
//! what gets trained, exported, measured and hashed.

use super::{Network, Node, NodeId, Op};

impl Network {
    /// The equivalent network without dead nodes, zero summands and unary sums.
    pub fn simplify(&self) -> Network {
        // Where each old node's value is found: an old node id after collapsing.
        let mut alias: Vec<NodeId> = Vec::with_capacity(self.nodes().len());
        let mut zero = vec![false; self.nodes().len()];
        let mut rewritten: Vec<Node> = Vec::with_capacity(self.nodes().len());
        for (index, node) in self.nodes().iter().enumerate() {
            let mut inputs: Vec<NodeId> = node.inputs.iter().map(|i| alias[i.0]).collect();
            let op = node.op;
            if matches!(op, Op::Add) {
                let kept: Vec<NodeId> = inputs.iter().copied().filter(|i| !zero[i.0]).collect();
                if kept.is_empty() {
                    // All summands vanish: keep one zero of the right shape.
                    inputs.truncate(1);
                } else {
                    inputs = kept;
                }
            }
            zero[index] = match op {
                Op::Zero { .. } => true,
                // A value-preserving or zero-preserving operator of zeros is zeros.
                Op::Add | Op::Pool { .. } | Op::GlobalPool { .. } | Op::Flatten => {
                    inputs.iter().all(|i| zero[i.0])
                }
                Op::Activation(a) => {
                    use super::Activation::*;
                    zero[inputs[0].0] && matches!(a, Relu | Relu6 | HardSwish | Swish | Gelu | Tanh)
                }
                Op::Conv(c) => zero[inputs[0].0] && !c.bias,
                Op::Conv1d(c) => zero[inputs[0].0] && !c.bias,
                _ => false,
            };
            if zero[index] && !matches!(op, Op::Zero { .. }) && node.shape == self.shape(inputs[0])
            {
                alias.push(inputs[0]);
                rewritten.push(node.clone());
                continue;
            }
            if matches!(op, Op::Add) && inputs.len() == 1 {
                alias.push(inputs[0]);
                rewritten.push(node.clone());
                continue;
            }
            alias.push(NodeId(index));
            rewritten.push(Node {
                op,
                inputs,
                shape: node.shape,
                precision: node.precision,
            });
        }
        prune(&rewritten, alias[self.output().0])
    }
}

/// Keeps the nodes that reach `output` (and the input), in order.
fn prune(nodes: &[Node], output: NodeId) -> Network {
    let mut needed = vec![false; nodes.len()];
    needed[0] = true;
    needed[output.0] = true;
    for index in (0..nodes.len()).rev() {
        if needed[index] {
            for input in &nodes[index].inputs {
                needed[input.0] = true;
            }
        }
    }
    let mut new_id = vec![NodeId(usize::MAX); nodes.len()];
    let mut kept = Vec::new();
    for (index, node) in nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        new_id[index] = NodeId(kept.len());
        kept.push(Node {
            op: node.op,
            inputs: node.inputs.iter().map(|i| new_id[i.0]).collect(),
            shape: node.shape,
            precision: node.precision,
        });
    }
    Network {
        nodes: kept,
        output: new_id[output.0],
        precision: Default::default(),
    }
}
