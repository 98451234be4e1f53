//! What a network costs by counting alone: multiply-accumulates, parameters
//! and the peak of the activations that must be alive together.

use serde::{Deserialize, Serialize};

use super::precision::packed_bytes;
use super::{Network, Node, Op, Precision, Tally};

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

/// A node's output while the network runs.
#[derive(Clone, Copy)]
struct Buffer {
    bytes: u64,
    /// What the node needs beside it, while it runs.
    workspace: u64,
    /// The last node that reads it; itself where none does.
    last_reader: usize,
}

impl Network {
    /// Counts of one node for one sample.
    #[inline]
    pub fn tally(&self, node: &Node) -> Tally {
        match node.inputs.first() {
            Some(first) => node.op.tally(self.shape(*first), node.shape),
            None => Tally::default(),
        }
    }

    pub fn costs(&self) -> Costs {
        self.costs_within(Precision::FLOAT.weights)
    }

    /// As [`costs`](Self::costs), on a device that stores no number in more than
    /// so many bits: what a node carries in more is narrowed to them.
    pub fn costs_within(&self, bits: u8) -> Costs {
        let (mut macs, mut params, mut weight_bytes) = (0, 0, 0);
        let mut buffers: Vec<Buffer> = Vec::with_capacity(self.nodes().len());
        for (index, node) in self.nodes().iter().enumerate() {
            let tally = self.tally(node);
            // One operator's counts are bounded, those of very many are not.
            macs = tally.macs.saturating_add(macs);
            params += tally.params;
            weight_bytes += packed_bytes(tally.params, node.precision.weights.min(bits));
            for input in node.inputs.as_slice() {
                buffers[input.0].last_reader = index;
            }
            let bits = node.precision.activations.min(bits);
            buffers.push(Buffer {
                bytes: packed_bytes(node.shape.elements() as u64, bits),
                workspace: packed_bytes(tally.workspace, bits),
                last_reader: index,
            });
        }
        buffers[self.output().0].last_reader = usize::MAX;
        Costs {
            macs,
            params,
            weight_bytes,
            peak_activation_bytes: self.peak_activation_bytes(&buffers),
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

    fn peak_activation_bytes(&self, buffers: &[Buffer]) -> u64 {
        let mut live = 0u64;
        let mut peak = 0u64;
        for (index, node) in self.nodes().iter().enumerate() {
            let inputs = node.inputs.as_slice();
            if runs_in_place(&node.op) && buffers[inputs[0].0].last_reader == index {
                // The output takes over the input's buffer: same bytes stay live.
                peak = peak.max(live);
                continue;
            }
            live += buffers[index].bytes;
            peak = peak.max(live.saturating_add(buffers[index].workspace));
            for (place, input) in inputs.iter().enumerate() {
                let buffer = buffers[input.0];
                // Read twice, it is freed once.
                if buffer.last_reader == index && !inputs[..place].contains(input) {
                    live -= buffer.bytes;
                }
            }
            if buffers[index].last_reader == index {
                live -= buffers[index].bytes;
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
