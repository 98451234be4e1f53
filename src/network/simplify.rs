//! Leaves out what computes nothing: zeros that are added, unary sums, nodes
//! that do not reach the output. The result computes the same function, so it
//! is what gets trained, exported, measured and hashed.

use super::{
    Activation, Builder, Fragment, Inputs, Network, NodeId, Op, Precision, Shape, ShapeError,
};

/// Builds a network without what computes nothing.
#[derive(Debug)]
pub struct Simplifier {
    network: Network,
    /// The nodes known to be zeros.
    zero: Vec<bool>,
    /// The nodes that are read by later ones; some that are may be missing.
    read: Vec<bool>,
    /// What is known of where each node comes from, if anybody asks.
    origins: Option<Origins>,
}

#[derive(Debug)]
struct Origins {
    /// By node.
    of: Vec<NodeId>,
    /// Of what is pushed next.
    next: NodeId,
}

impl Network {
    /// The equivalent network without dead nodes, zero summands and unary sums.
    pub fn simplify(&self) -> Network {
        self.simplified(Simplifier::new(self.input_shape())).0
    }

    /// The same, and which node of this network each of its nodes is.
    pub fn simplify_traced(&self) -> (Network, Vec<NodeId>) {
        let mut simple = Simplifier::new(self.input_shape());
        simple.origins = Some(Origins {
            of: vec![NodeId(0)],
            next: NodeId(0),
        });
        let (network, origins) = self.simplified(simple);
        (network, origins.map_or_else(Vec::new, |origins| origins.of))
    }

    fn simplified(&self, mut simple: Simplifier) -> (Network, Option<Origins>) {
        simple.network.nodes[0] = self.nodes[0].clone();
        // Where each node's value is found in the simple network.
        let mut found = Vec::with_capacity(self.nodes.len());
        found.push(NodeId(0));
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            if let Some(origins) = &mut simple.origins {
                origins.next = NodeId(index);
            }
            let inputs: Vec<NodeId> = node.inputs.iter().map(|i| found[i.0]).collect();
            simple.network.precision = node.precision;
            let Ok(at) = simple.push(node.op, &inputs) else {
                unreachable!("the operator fits in the network itself")
            };
            found.push(at);
        }
        let output = found[self.output.0];
        simple.finish_traced(output)
    }
}

impl Simplifier {
    pub fn new(input: Shape) -> Self {
        let mut network = Network::new(input);
        network.nodes.reserve(255);
        Simplifier {
            network,
            zero: vec![false],
            read: vec![false],
            origins: None,
        }
    }

    /// The network that ends in `output`.
    pub fn finish(self, output: NodeId) -> Network {
        self.finish_traced(output).0
    }

    fn finish_traced(mut self, output: NodeId) -> (Network, Option<Origins>) {
        self.network.output = self.settle(1, output);
        self.network.precision = Precision::FLOAT;
        (self.network, self.origins)
    }
}

impl Builder for Simplifier {
    fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, ShapeError> {
        let mut zeros = false;
        if inputs.iter().any(|i| self.zero[i.0]) {
            // An operator that keeps zeros zeros.
            zeros = match op {
                Op::Add => inputs.iter().all(|i| self.zero[i.0]),
                Op::Pool { .. } | Op::GlobalPool { .. } | Op::Flatten => true,
                Op::Activation(a) => !matches!(a, Activation::Sigmoid | Activation::HardSigmoid),
                Op::Conv(c) => !c.bias,
                Op::Conv1d(c) => !c.bias,
                _ => false,
            };
            if matches!(op, Op::Add) && !zeros {
                let kept = inputs.iter().copied().filter(|i| !self.zero[i.0]);
                return self.push(op, &kept.collect::<Inputs>());
            }
        }
        if matches!(op, Op::Add) && (zeros || inputs.len() == 1) {
            return Ok(inputs[0]);
        }
        let at = self.network.push(op, inputs)?;
        if zeros && self.shape(at) == self.shape(inputs[0]) {
            self.network.nodes.pop();
            return Ok(inputs[0]);
        }
        self.zero.push(zeros || matches!(op, Op::Zero { .. }));
        self.read.push(false);
        if let Some(origins) = &mut self.origins {
            origins.of.push(origins.next);
        }
        for input in inputs {
            self.read[input.0] = true;
        }
        Ok(at)
    }

    fn shape(&self, id: NodeId) -> Shape {
        self.network.shape(id)
    }

    fn restart(&mut self, input: Shape) {
        self.network.restart(input);
        self.zero.truncate(1);
        self.read.truncate(1);
    }

    fn set_precision(&mut self, precision: Precision) {
        self.network.set_precision(precision);
    }

    fn precision(&self) -> Precision {
        self.network.precision
    }

    fn is_zero(&self, id: NodeId) -> bool {
        self.zero[id.0]
    }

    fn size(&self) -> usize {
        self.network.nodes.len()
    }

    /// Drops the nodes that `kept` does not need.
    fn settle(&mut self, first: usize, kept: NodeId) -> NodeId {
        if kept.0 < first {
            self.network.nodes.truncate(first);
            self.zero.truncate(first);
            self.read.truncate(first);
            if let Some(origins) = &mut self.origins {
                origins.of.truncate(first);
            }
            return kept;
        }
        // Nothing to drop where each node is read by a later one, up to `kept`.
        let last = self.size() - 1;
        if kept.0 == last && self.read[first..last].iter().all(|read| *read) {
            return kept;
        }
        let nodes = &mut self.network.nodes;
        let mut needed = vec![false; nodes.len() - first];
        needed[kept.0 - first] = true;
        let mut left = 0;
        for index in (0..needed.len()).rev() {
            if needed[index] {
                left += 1;
                for input in &nodes[first + index].inputs {
                    if input.0 >= first {
                        needed[input.0 - first] = true;
                    }
                }
            }
        }
        if left == needed.len() {
            return kept;
        }
        let mut moved = vec![NodeId(usize::MAX); needed.len()];
        let mut next = first;
        for (index, _) in needed.iter().enumerate().filter(|(_, n)| **n) {
            let from = first + index;
            moved[index] = NodeId(next);
            for input in &mut nodes[from].inputs {
                if input.0 >= first {
                    *input = moved[input.0 - first];
                }
            }
            nodes.swap(next, from);
            self.zero.swap(next, from);
            if let Some(origins) = &mut self.origins {
                origins.of.swap(next, from);
            }
            next += 1;
        }
        nodes.truncate(next);
        self.zero.truncate(next);
        if let Some(origins) = &mut self.origins {
            origins.of.truncate(next);
        }
        self.read.truncate(first);
        self.read.resize(next, true);
        let kept = moved[kept.0 - first];
        self.read[kept.0] = false;
        kept
    }

    fn repeat(&mut self, fragment: &Fragment, instead: NodeId) -> NodeId {
        let end = self.network.repeat(fragment, instead);
        if !fragment.nodes.is_empty() {
            self.zero.extend_from_within(fragment.nodes.clone());
            self.read.resize(self.network.nodes.len(), true);
            self.read[instead.0] = true;
            self.read[end.0] = false;
        }
        end
    }
}
