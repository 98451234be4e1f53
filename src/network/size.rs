//! What an operator costs by counting alone, and the sizes beyond which it is
//! refused. Counting is in floats: exact for all that is not refused, and nothing
//! wraps before it is.

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

    /// Whether it learns nothing, multiplies nothing and needs nothing beside its
    /// inputs and its output: most operators of most networks.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        matches!(
            self,
            Op::Input
                | Op::Activation(_)
                | Op::Pool { .. }
                | Op::GlobalPool { .. }
                | Op::Add
                | Op::Mul
                | Op::Concat
                | Op::Zero { .. }
                | Op::Flatten
        )
    }

    /// What is too large, in a sentence.
    pub(super) fn excess(&self, inputs: &[Shape], output: Shape) -> Option<String> {
        let first = *inputs.first()?;
        // Scales and shifts are no more than twice the output.
        let norm = matches!(self, Op::BatchNorm | Op::LayerNorm | Op::RmsNorm);
        if (norm || self.is_free()) && 2.0 * wide_elements(output) <= MAX_NUMBERS as f64 {
            return None;
        }
        let too_large = |what: &str, count: f64, most: u64, unit: &str| {
            (count > most as f64).then(|| {
                let power = most.ilog2();
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

    fn wide_macs(&self, inputs: &[Shape], output: Shape) -> f64 {
        let out = || wide_elements(output);
        match *self {
            Op::Conv(c) => wide(c.kernel).powi(2) * wide(share(inputs[0].channels(), c.groups)) * out(),
            Op::Conv1d(c) => wide(c.kernel) * wide(share(inputs[0].channels(), c.groups)) * out(),
            Op::Linear { out_features, .. } => wide_elements(inputs[0]) * wide(out_features),
            // Queries with keys, then the weights with the values.
            Op::Attention(a) => 2.0 * out() * wide(a.reach(inputs[0])),
            // The same, and queries with the embeddings of each distance, weights
            // summed by distance with those of values.
            Op::RelativeAttention(a, relative) => {
                let entries = relative.axes(output) * relative.entries(output);
                2.0 * out() * (wide(a.reach(inputs[0])) + wide(entries))
            }
            // Keys with values to a state a head, then queries with the states,
            // and the normaliser.
            Op::LinearAttention { heads, .. } => {
                out() * (2.0 * wide(inputs[0].channels() / heads.max(1)) + 1.0)
            }
            // Each number of the state decays and takes in its input, then is
            // read; and the skip.
            Op::StateSpace(space) => out() * (3.0 * wide(space.state) + 1.0),
            _ => 0.0,
        }
    }

    fn wide_params(&self, inputs: &[Shape]) -> f64 {
        let channels = wide(inputs[0].channels());
        let with_bias = |weights: f64, out: usize, bias: bool| match bias {
            true => weights + wide(out),
            false => weights,
        };
        match *self {
            Op::Conv(c) => {
                let fan = wide(c.kernel).powi(2) * wide(share(inputs[0].channels(), c.groups));
                with_bias(fan * wide(c.out_channels), c.out_channels, c.bias)
            }
            Op::Conv1d(c) => {
                let fan = wide(c.kernel) * wide(share(inputs[0].channels(), c.groups));
                with_bias(fan * wide(c.out_channels), c.out_channels, c.bias)
            }
            Op::Linear { out_features, bias } => {
                let weights = wide(features(inputs[0])) * wide(out_features);
                with_bias(weights, out_features, bias)
            }
            // Of keys and of values, for each entry as wide as a head.
            Op::RelativeAttention(a, relative) => {
                let entries = relative.axes(inputs[0]) * relative.entries(inputs[0]);
                2.0 * wide(entries) * (channels / wide(a.heads.max(1)))
            }
            // Decay, skip and the bias of the step size.
            Op::StateSpace(space) => 3.0 * wide(space.heads),
            Op::BatchNorm | Op::LayerNorm | Op::GroupNorm { .. } => 2.0 * channels,
            Op::RmsNorm | Op::ClassToken => channels,
            Op::Embedding { vocab, dim } => wide(vocab) * wide(dim),
            Op::Position => wide_elements(inputs[0]),
            _ => 0.0,
        }
    }

    fn wide_workspace(&self, input: Shape) -> f64 {
        match *self {
            Op::Attention(a) => {
                let (height, width) = input.spatial();
                wide(a.heads) * wide(height) * wide(width) * wide(a.reach(input))
            }
            Op::RelativeAttention(a, _) => {
                let pairs = wide(a.reach(input)).powi(2);
                // And the embeddings of all pairs, of keys and of values.
                let head = wide(input.channels() / a.heads.max(1));
                pairs * (wide(a.heads) + 2.0 * head)
            }
            Op::LinearAttention { heads, causal } => {
                let channels = wide(input.channels());
                let states = (channels * channels / wide(heads.max(1))).floor();
                // A state a position where later ones must not be seen.
                states * if causal { wide(input.length()) } else { 1.0 }
            }
            Op::StateSpace(space) => space.workspace(input),
            _ => 0.0,
        }
    }
}

/// Channels that each group sees; division is slow, and mostly there is one
/// group, or one for each channel.
#[inline]
fn share(channels: usize, groups: usize) -> usize {
    match groups {
        1 => channels,
        _ if groups == channels => 1,
        _ => channels / groups,
    }
}

/// Numbers of one sample of this shape.
#[inline]
fn wide_elements(shape: Shape) -> f64 {
    let (height, width) = shape.spatial();
    wide(shape.channels()) * wide(height) * wide(width)
}

#[inline]
pub(super) fn wide(size: usize) -> f64 {
    size as f64
}

fn narrow(count: f64) -> u64 {
    // Saturates.
    count as u64
}
