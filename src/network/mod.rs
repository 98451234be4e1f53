//! The network: a typed graph of primitive operators with every shape known.
//! This is the one form between the search space and everything that consumes
//! an architecture (burn, ONNX, cost features, drawings). It knows nothing of
//! choices: those are resolved before a `Network` exists.

mod attention;
mod build;
mod cost;
pub mod draw;
mod hash;
mod input;
#[cfg(feature = "device")]
pub mod onnx;
mod op;
mod precision;
mod sequence;
mod shape;
mod simplify;
mod size;
mod tables;
mod topology;
mod weights;

pub use attention::{Attention, Relative};
pub use build::{Builder, Fragment};
pub use cost::Costs;
pub use hash::NetworkHash;
pub use input::InputSpec;
pub use op::{Activation, Conv, Op, PoolKind, ShapeError};
pub use precision::Precision;
pub use sequence::{Conv1d, StateSpace};
pub use shape::Shape;
pub use simplify::Simplifier;
pub use size::{MAX_MACS, MAX_NUMBERS, Tally};
pub use tables::{causal_mask, rotary_angles, sinusoids};
pub use topology::Topologies;
pub use weights::{Array, ParamSpec, Role, Weights, WeightsError};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Index of a node in [`Network::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub usize);

/// The nodes an operator reads: few, so that they need no memory of their own.
pub type Inputs = SmallVec<[NodeId; 3]>;

/// The ids one by one; where they are few, without a loop or a call, as this is
/// done for every node of every candidate.
#[inline]
fn inputs(ids: &[NodeId], map: impl Fn(NodeId) -> NodeId) -> Inputs {
    match *ids {
        [a] => Inputs::from_buf_and_len([map(a), a, a], 1),
        [a, b] => Inputs::from_buf_and_len([map(a), map(b), b], 2),
        _ => ids.iter().map(|id| map(*id)).collect(),
    }
}

/// An operator, where its inputs come from and what it produces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub op: Op,
    pub inputs: Inputs,
    /// Output shape of one sample.
    pub shape: Shape,
    #[serde(default, skip_serializing_if = "Precision::is_float")]
    pub precision: Precision,
}

/// A network with one input (node 0) and one output. Nodes stand in
/// topological order: a node's inputs always have smaller indices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    nodes: Vec<Node>,
    output: NodeId,
    /// What nodes pushed from here on carry.
    #[serde(skip)]
    precision: Precision,
}

impl Network {
    /// A network that is its input; grow it with [`push`](Self::push).
    pub fn new(input: Shape) -> Self {
        Network {
            nodes: vec![Node {
                op: Op::Input,
                inputs: Inputs::new(),
                shape: input,
                precision: Precision::FLOAT,
            }],
            output: NodeId(0),
            precision: Precision::FLOAT,
        }
    }

    /// The input's node.
    pub fn input(&self) -> NodeId {
        NodeId(0)
    }

    pub fn output(&self) -> NodeId {
        self.output
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    #[inline]
    pub fn shape(&self, id: NodeId) -> Shape {
        self.nodes[id.0].shape
    }

    pub fn input_shape(&self) -> Shape {
        self.nodes[0].shape
    }

    pub fn output_shape(&self) -> Shape {
        self.shape(self.output)
    }

    /// Appends an operator and makes it the output.
    ///
    /// # Errors
    /// When the operator does not accept the inputs' shapes.
    #[inline]
    pub fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, ShapeError> {
        let shape = match inputs {
            [one] => op.infer(&[self.shape(*one)])?,
            _ => {
                let shapes = inputs.iter().map(|i| self.shape(*i));
                op.infer(&shapes.collect::<SmallVec<[Shape; 4]>>())?
            }
        };
        self.nodes.push(Node {
            op,
            inputs: self::inputs(inputs, |id| id),
            shape,
            precision: self.precision,
        });
        self.output = NodeId(self.nodes.len() - 1);
        Ok(self.output)
    }

    /// Appends an operator whose output has a shape that its inputs do not tell.
    pub(crate) fn push_shaped(&mut self, op: Op, inputs: Inputs, shape: Shape) -> NodeId {
        self.nodes.push(Node {
            op,
            inputs,
            shape,
            precision: self.precision,
        });
        self.output = NodeId(self.nodes.len() - 1);
        self.output
    }

    /// The nodes that `output` needs, in their order, and which node each was.
    pub(crate) fn reaching(self, output: NodeId) -> (Network, Vec<NodeId>) {
        let mut needed = vec![false; self.nodes.len()];
        needed[0] = true;
        needed[output.0] = true;
        for index in (0..self.nodes.len()).rev() {
            if needed[index] {
                self.nodes[index]
                    .inputs
                    .iter()
                    .for_each(|i| needed[i.0] = true);
            }
        }
        let mut moved = vec![NodeId(0); self.nodes.len()];
        let (mut nodes, mut origins) = (Vec::new(), Vec::new());
        for (index, mut node) in self.nodes.into_iter().enumerate() {
            if needed[index] {
                moved[index] = NodeId(nodes.len());
                node.inputs.iter_mut().for_each(|i| *i = moved[i.0]);
                nodes.push(node);
                origins.push(NodeId(index));
            }
        }
        let network = Network {
            nodes,
            output: moved[output.0],
            precision: Precision::FLOAT,
        };
        (network, origins)
    }

    /// The bit widths that nodes pushed from here on carry.
    pub fn set_precision(&mut self, precision: Precision) {
        // The input has the bit widths of what reads it first.
        if self.nodes.len() == 1 {
            self.nodes[0].precision.activations = precision.activations;
        }
        self.precision = precision;
    }

    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Makes an existing node the output (for builders that end elsewhere than
    /// at the last push).
    pub fn set_output(&mut self, id: NodeId) {
        assert!(id.0 < self.nodes.len(), "no node {}", id.0);
        self.output = id;
    }

    /// The size of the vocabulary that token ids come from: all ids below it are
    /// valid. 1 where nothing embeds the input.
    pub fn vocabulary(&self) -> usize {
        let sizes = self.nodes.iter().filter_map(|node| match node.op {
            Op::Embedding { vocab, .. } => Some(vocab),
            _ => None,
        });
        sizes.min().unwrap_or(1)
    }

    /// What the network is fed.
    pub fn input_spec(&self) -> InputSpec {
        InputSpec {
            shape: self.input_shape(),
            vocabulary: self.vocabulary(),
        }
    }

    /// As [`InputSpec::example`].
    pub fn example(&self, batch: usize, seed: u64) -> Vec<f32> {
        self.input_spec().example(batch, seed)
    }

    /// For every node, the nodes that read it.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                consumers[input.0].push(NodeId(index));
            }
        }
        consumers
    }
}

#[cfg(test)]
mod tests;
