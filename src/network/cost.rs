//! What a network costs by counting alone: multiply-accumulates, parameters
//! and the peak of the activations that must be alive together.

use serde::{Deserialize, Serialize};

use super::Network;
use super::precision::packed_bytes;

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
            if node.inputs.is_empty() {
                continue;
            }
            let inputs = self.input_shapes(node);
            // One operator's counts are bounded, those of very many are not.
            macs = node.op.macs(&inputs, node.shape).saturating_add(macs);
            let own = node.op.params(&inputs);
            params += own;
            weight_bytes += packed_bytes(own, node.precision.weights);
        }
        Costs {
            macs,
            params,
            weight_bytes,
            peak_activation_bytes: self.peak_activation_bytes(),
        }
    }

    /// Bytes to make the network with its weights and to run it on so many samples
    /// in 32-bit floats: the weights as data and in the engine, and activations
    /// at their peak.
    pub fn bytes_to_run(&self, samples: u64) -> u64 {
        let costs = self.costs();
        let weights = costs.params.saturating_mul(2 * 4);
        // At full width, whatever widths the nodes carry.
        let activations = costs
            .peak_activation_bytes
            .saturating_mul(32 / self.narrowest());
        weights.saturating_add(activations.saturating_mul(samples))
    }

    /// Bytes to train it with batches of so many samples: the weights as data and
    /// on the device, their gradients and momentum, and every operator's output.
    pub fn bytes_to_train(&self, samples: u64) -> u64 {
        let weights = self.costs().params.saturating_mul(4 * 4);
        let outputs = self.nodes().iter().map(|n| n.shape.elements() as u64);
        let outputs = outputs.fold(0u64, u64::saturating_add).saturating_mul(4);
        weights.saturating_add(outputs.saturating_mul(samples))
    }

    fn narrowest(&self) -> u64 {
        let widths = self.nodes().iter().map(|n| n.precision.activations);
        u64::from(widths.min().unwrap_or(32).max(1))
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
        let bytes = |i: usize| {
            let node = &self.nodes()[i];
            packed_bytes(node.shape.elements() as u64, node.precision.activations)
        };
        let mut live = 0u64;
        let mut peak = 0u64;
        for (index, node) in self.nodes().iter().enumerate() {
            let in_place = matches!(
                node.op,
                Op::BatchNorm
                    | Op::Activation(_)
                    | Op::Flatten
                    | Op::LayerNorm
                    | Op::RmsNorm
                    | Op::GroupNorm { .. }
                    | Op::Rotary { .. }
                    | Op::Position
                    | Op::Sinusoidal
            ) && last_reader[node.inputs[0].0] == index;
            if in_place {
                // The output takes over the input's buffer: same bytes stay live.
                peak = peak.max(live);
                continue;
            }
            live += bytes(index);
            let first = node.inputs.first();
            let workspace = first.map_or(0, |i| node.op.workspace(self.shape(*i)));
            peak = peak.max(live + packed_bytes(workspace, node.precision.activations));
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
