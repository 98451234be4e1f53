//! What an operator costs by counting alone, and the sizes beyond which it is
//! refused. Counting is in 128 bits, so that no size wraps before it is refused.

use super::Op;
use super::op::features;
use super::shape::Shape;

/// Numbers in one tensor: an output for one sample, an operator's weights, what
/// it needs beside them. 2^36 numbers are 256 GiB of 32-bit floats.
pub const MAX_NUMBERS: u64 = 1 << 36;
/// Multiply-accumulates of one operator for one sample.
pub const MAX_MACS: u64 = 1 << 52;

impl Op {
    /// Multiply-accumulates for one sample. Convolutions, linear layers and the
    /// products of attention and of state spaces count; normalisation,
    /// activations, pooling and sums do not, as in the papers whose figures we
    /// compare with.
    pub fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
        narrow(self.wide_macs(inputs, output))
    }

    /// Learned parameters (batch norm counts its scale and shift, not its
    /// running statistics).
    pub fn params(&self, inputs: &[Shape]) -> u64 {
        narrow(self.wide_params(inputs))
    }

    /// Numbers of one sample that the operator needs beside its inputs (the
    /// first of which is given) and its output: the attention weights, the
    /// states of a recurrence.
    pub fn workspace(&self, input: Shape) -> u64 {
        narrow(self.wide_workspace(input))
    }

    /// What is too large, in a sentence.
    pub(super) fn excess(&self, inputs: &[Shape], output: Shape) -> Option<String> {
        let first = *inputs.first()?;
        let too_large = |what: &str, count: u128, most: u64, unit: &str| {
            (count > u128::from(most)).then(|| {
                let (count, power) = (count as f64, most.ilog2());
                format!("{what} {count:.2e} {unit}; at most 2^{power} are possible")
            })
        };
        let tensor = |what, count| too_large(what, count, MAX_NUMBERS, "numbers");
        tensor("its output has", wide_elements(output))
            .or_else(|| tensor("its weights are", self.wide_params(inputs)))
            .or_else(|| tensor("its intermediate values are", self.wide_workspace(first)))
            .or_else(|| {
                let macs = self.wide_macs(inputs, output);
                too_large("it takes", macs, MAX_MACS, "multiply-accumulates")
            })
    }

    fn wide_macs(&self, inputs: &[Shape], output: Shape) -> u128 {
        let out = wide_elements(output);
        match *self {
            Op::Conv(c) => wide(c.kernel).pow(2) * wide(inputs[0].channels() / c.groups) * out,
            Op::Conv1d(c) => wide(c.kernel) * wide(inputs[0].channels() / c.groups) * out,
            Op::Linear { out_features, .. } => wide_elements(inputs[0]) * wide(out_features),
            // Queries with keys, then the weights with the values.
            Op::Attention(a) => 2 * out * wide(a.reach(inputs[0])),
            // The same, and queries with the embeddings of each distance, weights
            // summed by distance with those of values.
            Op::RelativeAttention(a, relative) => {
                let entries = relative.axes(output) * relative.entries(output);
                2 * out * (wide(a.reach(inputs[0])) + wide(entries))
            }
            // Keys with values to a state a head, then queries with the states,
            // and the normaliser.
            Op::LinearAttention { heads, .. } => {
                out * (2 * wide(inputs[0].channels() / heads.max(1)) + 1)
            }
            // Each number of the state decays and takes in its input, then is
            // read; and the skip.
            Op::StateSpace(space) => out * (3 * wide(space.state) + 1),
            _ => 0,
        }
    }

    fn wide_params(&self, inputs: &[Shape]) -> u128 {
        let channels = wide(inputs[0].channels());
        let with_bias = |weights: u128, out: usize, bias: bool| match bias {
            true => weights + wide(out),
            false => weights,
        };
        match *self {
            Op::Conv(c) => {
                let fan = wide(c.kernel).pow(2) * wide(inputs[0].channels() / c.groups);
                with_bias(fan * wide(c.out_channels), c.out_channels, c.bias)
            }
            Op::Conv1d(c) => {
                let fan = wide(c.kernel) * wide(inputs[0].channels() / c.groups);
                with_bias(fan * wide(c.out_channels), c.out_channels, c.bias)
            }
            Op::Linear { out_features, bias } => {
                let weights = wide(features(inputs[0])) * wide(out_features);
                with_bias(weights, out_features, bias)
            }
            // Of keys and of values, for each entry as wide as a head.
            Op::RelativeAttention(a, relative) => {
                let entries = relative.axes(inputs[0]) * relative.entries(inputs[0]);
                2 * wide(entries) * (channels / wide(a.heads.max(1)))
            }
            // Decay, skip and the bias of the step size.
            Op::StateSpace(space) => 3 * wide(space.heads),
            Op::BatchNorm | Op::LayerNorm | Op::GroupNorm { .. } => 2 * channels,
            Op::RmsNorm | Op::ClassToken => channels,
            Op::Embedding { vocab, dim } => wide(vocab) * wide(dim),
            Op::Position => wide_elements(inputs[0]),
            _ => 0,
        }
    }

    fn wide_workspace(&self, input: Shape) -> u128 {
        match *self {
            Op::Attention(a) => {
                let (height, width) = input.spatial();
                wide(a.heads) * wide(height) * wide(width) * wide(a.reach(input))
            }
            Op::RelativeAttention(a, _) => {
                let pairs = wide(a.reach(input)).pow(2);
                // And the embeddings of all pairs, of keys and of values.
                let head = wide(input.channels() / a.heads.max(1));
                pairs.saturating_mul(wide(a.heads) + 2 * head)
            }
            Op::LinearAttention { heads, causal } => {
                let channels = wide(input.channels());
                let states = channels * channels / wide(heads.max(1));
                // A state a position where later ones must not be seen.
                states * if causal { wide(input.length()) } else { 1 }
            }
            Op::StateSpace(space) => space.workspace(input),
            _ => 0,
        }
    }
}

/// Numbers of one sample of this shape.
fn wide_elements(shape: Shape) -> u128 {
    let (height, width) = shape.spatial();
    // Sizes of refused shapes must not wrap either.
    wide(shape.channels()).saturating_mul(wide(height) * wide(width))
}

pub(super) fn wide(size: usize) -> u128 {
    size as u128
}

fn narrow(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
