//! What a network costs by counting alone: multiply-accumulates, parameters
//! and the peak of the activations that must be alive together.

use serde::{Deserialize, Serialize};

use super::precision::packed_bytes;
use super::{Network, Op, Shape};

/// Costs for one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    /// Multiply-accumulates of convolutions and linear layers.
    pub macs: u64,
    /// Learned parameters.
    pub params: u64,
    /// The learned parameters in bytes, packed node by node at the bit widths
    /// the nodes carry.
    #[serde(default)]
    pub weight_bytes: u64,
    /// Largest sum of live activations in bytes, at the bit widths the nodes
    /// carry, executing the nodes in order and freeing each tensor after its
    /// last reader. Activations and normalisation work in place where their input has no
    /// other reader, as inference engines do.
    pub peak_activation_bytes: u64,
}

impl Network {
    pub fn costs(&self) -> Costs {
        let mut macs = 0;
        let mut params = 0;
        let mut weight_bytes = 0;
        for node in self.nodes() {
            let mut count = |inputs: &[Shape]| {
                macs += node.op.macs(inputs, node.shape);
                let own = node.op.params(inputs);
                params += own;
                weight_bytes += packed_bytes(own, node.precision.weights);
            };
            match node.inputs.as_slice() {
                [] => {}
                [one] => count(&[self.shape(*one)]),
                _ => count(&self.input_shapes(node)),
            }
        }
        Costs {
            macs,
            params,
            weight_bytes,
            peak_activation_bytes: self.peak_activation_bytes(),
        }
    }

    fn peak_activation_bytes(&self) -> u64 {
        let mut last_reader: Vec<usize> = (0..self.nodes().len()).collect();
        for (index, node) in self.nodes().iter().enumerate() {
            for input in &node.inputs {
                last_reader[input.0] = index;
            }
        }
        last_reader[self.output().0] = usize::MAX;
        let bytes = |i: usize| {
            let node = &self.nodes()[i];
            packed_bytes(node.shape.elements() as u64, node.precision.activations)
        };
        let mut live = 0u64;
        let mut peak = 0u64;
        for (index, node) in self.nodes().iter().enumerate() {
            if runs_in_place(&node.op) && last_reader[node.inputs[0].0] == index {
                // The output takes over the input's buffer: same bytes stay live.
                peak = peak.max(live);
                continue;
            }
            live += bytes(index);
            let first = node.inputs.first();
            let workspace = first.map_or(0, |i| node.op.workspace(self.shape(*i)));
            peak = peak.max(live + packed_bytes(workspace, node.precision.activations));
            for (place, input) in node.inputs.iter().enumerate() {
                // Read twice, it is freed once.
                if last_reader[input.0] == index && !node.inputs[..place].contains(input) {
                    live -= bytes(input.0);
                }
            }
            if last_reader[index] == index {
                live -= bytes(index);
            }
        }
        peak
    }
}

/// Whether engines write the output over the input.
fn runs_in_place(op: &Op) -> bool {
    matches!(
        op,
        Op::BatchNorm
            | Op::Activation(_)
            | Op::Flatten
            | Op::LayerNorm
            | Op::RmsNorm
            | Op::GroupNorm { .. }
            | Op::Rotary { .. }
            | Op::Position
            | Op::Sinusoidal
    )
}
