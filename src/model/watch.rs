//! A look at a forward pass from outside: zero-cost proxies need activations
//! that no output shows, and scale what would overflow.

use burn::tensor::Tensor;

use crate::network::NodeId;

/// Sees the values of a forward pass, and may change them. A value is `[N, ...]`,
/// in the layout of the device. Nodes whose computation an activation ends are
/// not shown: the activation's value is.
pub(crate) trait Watch {
    /// Before a node is computed, with the nodes it reads and their values.
    fn before(&mut self, _node: NodeId, _inputs: &[usize], _values: &mut [Tensor<4>]) {}

    /// The value of a node, and what is to stand in its place.
    fn after(&mut self, node: NodeId, value: Tensor<4>) -> Tensor<4>;
}

/// Looks at nothing.
pub(super) struct Unwatched;

impl Watch for Unwatched {
    fn after(&mut self, _node: NodeId, value: Tensor<4>) -> Tensor<4> {
        value
    }
}
