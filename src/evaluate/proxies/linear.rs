//! The linear surrogate of a network that synflow scores: normalisations are
//! left out, and activations are what they are for large positive inputs, which
//! are all that positive weights and a positive input make.
//!
//! ReLU, h-swish, swish and GELU are then the identity, exactly or in the limit.
//! ReLU6 is taken without its bound. Sigmoid, h-sigmoid and tanh are one, so that
//! a product with such a gate (squeeze-excite) is its other factor. What has no
//! such limit is refused.

use super::ProxyError;
use crate::network::{Activation, Network, Node, NodeId, Op, Shape};

/// A node of the surrogate, or the constant one.
#[derive(Clone, Copy)]
enum Value {
    Node(NodeId),
    One,
}

/// The surrogate, a network of linear operators, pools and products.
pub(super) fn linear(network: &Network) -> Result<Network, ProxyError> {
    if let Shape::Ids { .. } = network.input_shape() {
        return Err(unsupported("token ids as its input"));
    }
    let mut surrogate = Network::new(network.input_shape());
    let mut values = vec![Value::Node(surrogate.input())];
    for node in &network.nodes()[1..] {
        let value = push(&mut surrogate, node, &values)?;
        values.push(value);
    }
    match values[network.output().0] {
        Value::Node(output) => surrogate.set_output(output),
        Value::One => return Err(unsupported("a bounded activation as its output")),
    }
    Ok(surrogate)
}

fn unsupported(what: &str) -> ProxyError {
    ProxyError::Unsupported(format!("it has {what}, of which there is no linear limit"))
}

fn push(surrogate: &mut Network, node: &Node, values: &[Value]) -> Result<Value, ProxyError> {
    let inputs: Vec<Value> = node.inputs.iter().map(|i| values[i.0]).collect();
    let nodes: Vec<NodeId> = inputs
        .iter()
        .filter_map(|value| match value {
            Value::Node(id) => Some(*id),
            Value::One => None,
        })
        .collect();
    match node.op {
        Op::Mul if nodes.len() == 1 => return Ok(Value::Node(nodes[0])),
        _ if nodes.len() < inputs.len() => {
            return Err(unsupported("a bounded activation that is no gate"));
        }
        Op::Activation(Activation::Sigmoid | Activation::HardSigmoid | Activation::Tanh) => {
            return Ok(Value::One);
        }
        Op::BatchNorm | Op::LayerNorm | Op::RmsNorm | Op::GroupNorm { .. } | Op::Activation(_) => {
            return Ok(inputs[0]);
        }
        Op::Conv(_)
        | Op::Conv1d(_)
        | Op::Linear { .. }
        | Op::Pool { .. }
        | Op::GlobalPool { .. }
        | Op::Add
        | Op::Mul
        | Op::Concat
        | Op::Zero { .. }
        | Op::Flatten
        | Op::Select { .. }
        | Op::ToTokens => {}
        op => return Err(unsupported(&format!("`{op}`"))),
    }
    let id = surrogate
        .push(node.op, &nodes)
        .expect("the operator fits the same shapes in the network itself");
    Ok(Value::Node(id))
}
