//! How networks grow: operator by operator, as written or simplified at once
//! ([`Simplifier`](super::Simplifier)).

use std::ops::Range;

use super::{Network, Node, NodeId, Op, Precision, Shape, ShapeError, inputs};

/// Nodes that read each other and `entry` alone, and of which `end` alone is read
/// by others; `end` is `entry` where there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    pub nodes: Range<usize>,
    pub entry: NodeId,
    pub end: NodeId,
}

/// What operators are appended to.
pub trait Builder {
    /// Appends an operator.
    ///
    /// # Errors
    /// When the operator does not accept the inputs' shapes.
    fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, ShapeError>;

    /// Output shape of a node.
    fn shape(&self, id: NodeId) -> Shape;

    /// Begins anew with another input.
    fn restart(&mut self, input: Shape);

    /// The bit widths that nodes pushed from here on carry.
    fn set_precision(&mut self, precision: Precision);

    fn precision(&self) -> Precision;

    /// Whether a node is known to be zeros, and so treated otherwise than others.
    fn is_zero(&self, id: NodeId) -> bool;

    /// How many nodes there are so far, the input included.
    fn size(&self) -> usize;

    /// Told that of the nodes from `first` on, nothing but `kept` will be read
    /// any more. Returns where `kept` is found from now on.
    fn settle(&mut self, first: usize, kept: NodeId) -> NodeId;

    /// Appends a copy of a fragment that reads `instead` in place of its entry.
    /// Returns the copy's end.
    fn repeat(&mut self, fragment: &Fragment, instead: NodeId) -> NodeId;
}

impl Builder for Network {
    fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, ShapeError> {
        Network::push(self, op, inputs)
    }

    fn shape(&self, id: NodeId) -> Shape {
        Network::shape(self, id)
    }

    fn restart(&mut self, input: Shape) {
        self.nodes.truncate(1);
        self.nodes[0].shape = input;
        self.output = NodeId(0);
    }

    fn set_precision(&mut self, precision: Precision) {
        Network::set_precision(self, precision);
    }

    fn precision(&self) -> Precision {
        Network::precision(self)
    }

    fn is_zero(&self, _: NodeId) -> bool {
        false
    }

    fn size(&self) -> usize {
        self.nodes.len()
    }

    fn settle(&mut self, _: usize, kept: NodeId) -> NodeId {
        kept
    }

    fn repeat(&mut self, fragment: &Fragment, instead: NodeId) -> NodeId {
        let shift = self.nodes.len() - fragment.nodes.start;
        let copied = |id: NodeId| match id == fragment.entry {
            true => instead,
            false => NodeId(id.0 + shift),
        };
        self.nodes.reserve(fragment.nodes.len());
        for index in fragment.nodes.clone() {
            let node = &self.nodes[index];
            let inputs = inputs(&node.inputs, copied);
            self.nodes.push(Node { inputs, ..*node });
        }
        self.output = copied(fragment.end);
        self.output
    }
}
