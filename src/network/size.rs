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

/// Counts of one operator for one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Multiply-accumulates. Convolutions, linear layers and the products of
    /// attention and of state spaces count; normalisation, activations, pooling
    /// and sums do not, as in the papers whose figures we compare with.
    pub macs: u64,
    /// Learned parameters (batch norm counts its scale and shift, not its
    /// running statistics).
    pub params: u64,
    /// Numbers needed beside inputs and output: the attention weights, the
    /// states of a recurrence.
    pub workspace: u64,
}

/// The same before it is known to be accepted.
#[derive(Default)]
struct Wide {
    macs: f64,
    params: f64,
    workspace: f64,
}

impl Op {
    /// Counts, given the shapes of the first input and of the output.
    #[inline]
    pub fn tally(&self, input: Shape, output: Shape) -> Tally {
        if self.is_free() {
            return Tally::default();
        }
        let wide = self.wide(input, output);
        // What is too large for a number becomes the largest.
        Tally {
            macs: wide.macs as u64,
            params: wide.params as u64,
            workspace: wide.workspace as u64,
        }
    }

    /// Whether it learns nothing, multiplies nothing and needs nothing beside its
    /// inputs and its output: most operators of most networks.
    #[inline]
    fn is_free(&self) -> bool {
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
        let numbers = wide_elements(output);
        // Scales and shifts are no more than twice the output.
        let norm = matches!(self, Op::BatchNorm | Op::LayerNorm | Op::RmsNorm);
        if (norm || self.is_free()) && 2.0 * numbers <= MAX_NUMBERS as f64 {
            return None;
        }
        let wide = self.wide(*inputs.first()?, output);
        let tensor = (MAX_NUMBERS, "numbers");
        let limits = [
            ("its output has", numbers, tensor),
            ("its weights are", wide.params, tensor),
            ("its intermediate values are", wide.workspace, tensor),
            ("it takes", wide.macs, (MAX_MACS, "multiply-accumulates")),
        ];
        let (what, count, (most, unit)) = limits
            .into_iter()
            .find(|(_, count, (most, _))| *count > *most as f64)?;
        let power = most.ilog2();
        Some(format!(
            "{what} {count:.2e} {unit}; at most 2^{power} are possible"
        ))
    }

    fn wide(&self, input: Shape, output: Shape) -> Wide {
        let channels = wide(input.channels());
        let out = || wide_elements(output);
        let learned = |params: f64| Wide {
            params,
            ..Wide::default()
        };
        // Weights of which each is used at so many positions, and a bias.
        let weighted = |weights: f64, positions: f64, bias: usize| Wide {
            macs: weights * positions,
            params: weights + wide(bias),
            workspace: 0.0,
        };
        match *self {
            Op::Conv(c) => {
                let fan = wide(c.kernel).powi(2) * wide(share(input.channels(), c.groups));
                let (height, width) = output.spatial();
                let bias = if c.bias { c.out_channels } else { 0 };
                weighted(fan * wide(c.out_channels), wide(height) * wide(width), bias)
            }
            Op::Conv1d(c) => {
                let fan = wide(c.kernel) * wide(share(input.channels(), c.groups));
                let bias = if c.bias { c.out_channels } else { 0 };
                weighted(fan * wide(c.out_channels), wide(output.length()), bias)
            }
            Op::Linear { out_features, bias } => {
                let features = features(input);
                let positions = wide_elements(input) / wide(features.max(1));
                let bias = if bias { out_features } else { 0 };
                weighted(wide(features) * wide(out_features), positions, bias)
            }
            // Queries with keys, then the weights with the values.
            Op::Attention(a) => {
                let (height, width) = input.spatial();
                let reach = wide(a.reach(input));
                Wide {
                    macs: 2.0 * out() * reach,
                    params: 0.0,
                    workspace: wide(a.heads) * wide(height) * wide(width) * reach,
                }
            }
            // The same, and queries with the embeddings of each distance, weights
            // summed by distance with those of values. The embeddings are as wide
            // as a head, of keys and of values.
            Op::RelativeAttention(a, relative) => {
                let entries = wide(relative.axes(input) * relative.entries(input));
                let reach = wide(a.reach(input));
                let head = (channels / wide(a.heads.max(1))).floor();
                Wide {
                    macs: 2.0 * out() * (reach + entries),
                    params: 2.0 * entries * head,
                    // And the embeddings of all pairs.
                    workspace: reach.powi(2) * (wide(a.heads) + 2.0 * head),
                }
            }
            // Keys with values to a state a head, then queries with the states,
            // and the normaliser.
            Op::LinearAttention { heads, causal } => {
                let heads = wide(heads.max(1));
                let states = (channels * channels / heads).floor();
                Wide {
                    macs: out() * (2.0 * (channels / heads).floor() + 1.0),
                    params: 0.0,
                    // A state a position where later ones must not be seen.
                    workspace: states * if causal { wide(input.length()) } else { 1.0 },
                }
            }
            // Each number of the state decays and takes in its input, then is
            // read; and the skip. Learned: decay, skip and the bias of the step.
            Op::StateSpace(space) => Wide {
                macs: out() * (3.0 * wide(space.state) + 1.0),
                params: 3.0 * wide(space.heads),
                workspace: space.workspace(input),
            },
            Op::BatchNorm | Op::LayerNorm | Op::GroupNorm { .. } => learned(2.0 * channels),
            Op::RmsNorm | Op::ClassToken => learned(channels),
            Op::Embedding { vocab, dim } => learned(wide(vocab) * wide(dim)),
            Op::Position => learned(wide_elements(input)),
            _ => Wide::default(),
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
