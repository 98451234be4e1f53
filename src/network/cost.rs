//! What a network costs by counting alone: multiply-accumulates, parameters
//! and the peak of the activations that must be alive together.

use serde::{Deserialize, Serialize};

use super::Network;

/// Costs for one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    /// Multiply-accumulates of convolutions and linear layers.
    pub macs: u64,
    /// Learned parameters.
    pub params: u64,
    /// Largest sum of live activations in bytes, 32-bit floats, executing the
    /// nodes in order and freeing each tensor after its last reader.
    /// Activations and normalisation work in place where their input has no
    /// other reader, as inference engines do.
    pub peak_activation_bytes: u64,
}

impl Network {
    pub fn costs(&self) -> Costs {
        let mut macs = 0;
        let mut params = 0;
        for node in self.nodes() {
            if node.inputs.is_empty() {
                continue;
            }
            let inputs = self.input_shapes(node);
            macs += node.op.macs(&inputs, node.shape);
            params += node.op.params(&inputs);
        }
        Costs {
            macs,
            params,
            peak_activation_bytes: self.peak_activation_bytes(),
        }
    }

    fn peak_activation_bytes(&self) -> u64 {
        use super::Op;
        let last_reader: Vec<usize> = {
            let mut last = (0..self.nodes().len()).collect::<Vec<_>>();
            for (index, node) in self.nodes().iter().enumerate() {
                for input in &node.inputs {
                    last[input.0] = index;
                }
            }
            last[self.output().0] = usize::MAX;
            last
        };
        let bytes = |i: usize| self.nodes()[i].shape.bytes_f32() as u64;
        let mut live = 0u64;
        let mut peak = 0u64;
        for (index, node) in self.nodes().iter().enumerate() {
            let in_place = matches!(node.op, Op::BatchNorm | Op::Activation(_) | Op::Flatten)
                && last_reader[node.inputs[0].0] == index;
            if in_place {
                // The output takes over the input's buffer: same bytes stay live.
                peak = peak.max(live);
                continue;
            }
            live += bytes(index);
            peak = peak.max(live);
            let mut freed: Vec<usize> = node.inputs.iter().map(|i| i.0).collect();
            freed.sort_unstable();
            freed.dedup();
            for input in freed {
                if last_reader[input] == index {
                    live -= bytes(input);
                }
            }
            if last_reader[index] == index {
                live -= bytes(index);
            }
        }
        peak
    }
}
