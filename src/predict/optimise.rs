//! What a graph optimiser leaves of a network that holds products with zero
//! (the zero operator): which kernels are executed still. Seen on TensorFlow
//! Lite in the latencies of NAS-Bench-201 on pixel3, a training device:
//!
//! - a product with zero is zero, and so is a sum of zeros; what is read only
//!   to become zero is not executed;
//! - kernels are not folded: a convolution of zeros is executed (unless the
//!   whole network is constant, which is then not run at all);
//! - where the last such product of a sum is of a convolution, and no other is of
//!   a convolution that this one does not need anyway, the zero goes into the
//!   convolution's weights, and it is executed.

use crate::network::{Activation, Network, Node, NodeId, Op};

/// Nodes of a network under a graph optimiser.
pub(super) struct Executed {
    /// Whether the node is computed when the network runs.
    pub run: Vec<bool>,
    /// Whether its value is zero, whatever the input.
    pub zero: Vec<bool>,
}

impl Executed {
    pub fn of(network: &Network) -> Executed {
        let nodes = network.nodes();
        let zero = zeros(nodes);
        let convolved = ends_in_convolution(nodes, &zero);
        let reached = reach(network, &zero, |_| None);
        // The zero product that is folded into a convolution: the last in a sum of
        // those that nothing else needs.
        let folded = |sum: &Node| {
            let products: Vec<NodeId> = sum
                .inputs
                .iter()
                .filter_map(|i| {
                    let product = &nodes[i.0];
                    let source = *product.inputs.first()?;
                    let is_product = matches!(product.op, Op::Zero { stride: 1 });
                    (is_product && !zero[source.0] && !reached[source.0]).then_some(source)
                })
                .collect();
            let (last, others) = products.split_last()?;
            let needed = needed_by(nodes, *last);
            let alone = others.iter().all(|o| !convolved[o.0] || needed[o.0]);
            (alone && convolved[last.0]).then_some(*last)
        };
        let run = reach(network, &zero, folded);
        Executed { run, zero }
    }

    /// How many terms of a sum are computed.
    pub fn terms<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = NodeId> + 'a {
        node.inputs.iter().copied().filter(|i| !self.zero[i.0])
    }
}

fn zeros(nodes: &[Node]) -> Vec<bool> {
    let mut zero: Vec<bool> = Vec::with_capacity(nodes.len());
    for node in nodes {
        zero.push(match node.op {
            Op::Zero { .. } => true,
            Op::Add | Op::Activation(Activation::Relu | Activation::Relu6) => {
                !node.inputs.is_empty() && node.inputs.iter().all(|i| zero[i.0])
            }
            _ => false,
        });
    }
    zero
}

/// Whether a node's value is that of a convolution, normalised perhaps.
fn ends_in_convolution(nodes: &[Node], zero: &[bool]) -> Vec<bool> {
    let mut convolved: Vec<bool> = Vec::with_capacity(nodes.len());
    for node in nodes {
        convolved.push(match node.op {
            Op::Conv(_) | Op::Conv1d(_) => true,
            Op::BatchNorm => convolved[node.inputs[0].0],
            // A sum of one term is that term.
            Op::Add => {
                let mut terms = node.inputs.iter().filter(|i| !zero[i.0]);
                let first = terms.next();
                terms.next().is_none() && first.is_some_and(|i| convolved[i.0])
            }
            _ => false,
        });
    }
    convolved
}

/// What a node is computed from, itself included.
fn needed_by(nodes: &[Node], node: NodeId) -> Vec<bool> {
    let mut needed = vec![false; nodes.len()];
    needed[node.0] = true;
    for index in (0..=node.0)
        .rev()
        .filter(|i| !matches!(nodes[*i].op, Op::Zero { .. }))
    {
        if needed[index] {
            nodes[index].inputs.iter().for_each(|i| needed[i.0] = true);
        }
    }
    needed
}

/// What is computed for the output; `folded` names a further input of a sum.
fn reach(network: &Network, zero: &[bool], folded: impl Fn(&Node) -> Option<NodeId>) -> Vec<bool> {
    let nodes = network.nodes();
    let mut reached = vec![false; nodes.len()];
    reached[network.output().0] = true;
    for (index, node) in nodes.iter().enumerate().rev() {
        if !reached[index] || zero[index] {
            reached[index] = false;
            continue;
        }
        for input in &node.inputs {
            reached[input.0] |= !zero[input.0];
        }
        if let (Op::Add, Some(source)) = (node.op, folded(node)) {
            reached[source.0] = true;
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use crate::predict::features::{Execution, Features, cost_names};
    use crate::predict::tables::TableSpace;

    fn features(cell: &str) -> Features {
        Features::of(&TableSpace::NasBench201.network(cell).unwrap())
    }

    /// 3x3 convolutions that a cell's network has as written and as executed.
    fn dense(cell: &str) -> [f64; 2] {
        let index = cost_names().iter().position(|n| n == "dense.count");
        let features = features(cell);
        [Execution::Written, Execution::Optimised].map(|e| features.on(e)[index.unwrap()])
    }

    #[test]
    fn a_convolution_of_zeros_is_executed() {
        let [written, executed] =
            dense("|none~0|+|none~0|none~1|+|skip_connect~0|nor_conv_3x3~1|none~2|");
        assert_eq!(written, executed);
    }

    #[test]
    fn what_is_only_read_to_become_zero_is_not_executed() {
        // Two convolutions in each of fifteen cells, one sum of two products.
        let [written, executed] =
            dense("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|none~2|");
        assert_eq!(written - executed, 30.0);
        // The first convolution is needed by the second, which is added.
        let [written, executed] = dense(
            "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
        );
        assert_eq!(written, executed);
    }

    #[test]
    fn the_last_product_with_zero_is_folded_where_it_is_a_convolution() {
        let all = |cell: &str| {
            let [written, executed] = dense(cell);
            written == executed
        };
        // One convolution of the other; a pool beside it; a pool of it.
        assert!(all(
            "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
        ));
        assert!(all(
            "|avg_pool_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|none~2|"
        ));
        assert!(!all(
            "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|none~2|"
        ));
        assert!(!all(
            "|nor_conv_3x3~0|+|avg_pool_3x3~0|none~1|+|skip_connect~0|none~1|none~2|"
        ));
    }

    #[test]
    fn a_constant_network_is_not_run() {
        let features = features("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|");
        let costs = features.on(Execution::Optimised);
        let left: Vec<String> = cost_names()
            .into_iter()
            .zip(costs)
            .filter(|(_, cost)| **cost > 0.0)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(left, ["input.bytes", "network"]);
    }
}
