//! Two operators of sequences that are more than a line: convolution over
//! positions, and the state space of Mamba-2. What they are, which inputs they
//! take, and how they are cut into pieces.

use serde::{Deserialize, Serialize};

use super::op::window_out;
use super::shape::Shape;
use super::size::wide;

/// Hyper-parameters of a convolution over the positions of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Conv1d {
    pub out_channels: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub groups: usize,
    pub bias: bool,
    /// Whether a position sees itself and earlier ones only.
    pub causal: bool,
}

impl Conv1d {
    /// A dense convolution without bias, padded so that stride 1 keeps the
    /// length.
    pub fn same(out_channels: usize, kernel: usize, stride: usize) -> Self {
        Conv1d {
            out_channels,
            kernel,
            stride,
            dilation: 1,
            groups: 1,
            bias: false,
            causal: false,
        }
    }

    pub fn groups(self, groups: usize) -> Self {
        Conv1d { groups, ..self }
    }

    pub fn bias(self, bias: bool) -> Self {
        Conv1d { bias, ..self }
    }

    pub fn dilation(self, dilation: usize) -> Self {
        Conv1d { dilation, ..self }
    }

    pub fn causal(self, causal: bool) -> Self {
        Conv1d { causal, ..self }
    }

    /// Zeros before the first position and after the last: what keeps the length
    /// at stride 1.
    pub fn padding(&self) -> [usize; 2] {
        let missing = self.reach() - 1;
        match self.causal {
            true => [missing, 0],
            false => [missing / 2, missing - missing / 2],
        }
    }

    /// Positions from the first to the last that an output sees.
    pub fn reach(&self) -> usize {
        self.dilation
            .saturating_mul(self.kernel.saturating_sub(1))
            .saturating_add(1)
    }

    /// Positions of the output; `None` where the window does not fit once.
    pub fn length(&self, length: usize) -> Option<usize> {
        window_out(length, self.reach(), self.stride, self.reach() - 1)
    }
}

/// The output of a convolution over positions.
pub(super) fn convolve(conv: Conv1d, input: Shape) -> Result<Shape, String> {
    let Shape::Tokens { length, channels } = input else {
        return Err(match input {
            Shape::Image { .. } => {
                format!(
                    "it needs a sequence, not {} (`conv` is for maps)",
                    input.kind()
                )
            }
            other => format!("it needs a sequence, not {}", other.kind()),
        });
    };
    if conv.out_channels == 0 || conv.kernel == 0 || conv.stride == 0 {
        return Err("channels, kernel and stride must be at least 1".into());
    }
    if conv.dilation == 0 || conv.groups == 0 {
        return Err("groups and dilation must be at least 1".into());
    }
    if !channels.is_multiple_of(conv.groups) || !conv.out_channels.is_multiple_of(conv.groups) {
        return Err(format!(
            "{} groups divide neither or not both of {channels} input and {} output channels",
            conv.groups, conv.out_channels
        ));
    }
    match conv.length(length) {
        Some(length) => Ok(Shape::tokens(length, conv.out_channels)),
        None => Err(format!(
            "a window of {} is larger than the {length} positions with their padding",
            conv.reach()
        )),
    }
}

/// The selective state space of Mamba-2 (Dao & Gu 2024, arXiv 2405.21060), with
/// one group of `B` and `C`. For each head, with `dt = softplus(dt + bias)` and
/// `A = -exp(log_decay)`, the state of `state x channels of the head` and the
/// output are
///
/// `h[t] = exp(dt[t] A) h[t-1] + dt[t] B[t] x[t]`, `y[t] = C[t] h[t] + D x[t]`.
///
/// Inputs: `x`, `B` and `C` side by side, as one convolution makes them, and
/// `dt`, a number a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StateSpace {
    pub heads: usize,
    /// Numbers of the state for each channel (`N` of the paper).
    pub state: usize,
}

impl StateSpace {
    /// Channels of `x` and of the output, given those of the first input.
    pub fn inner(&self, channels: usize) -> usize {
        channels - 2 * self.state
    }

    /// Numbers that a run in chunks needs beside inputs and output: what weighs
    /// positions of a chunk, and the states between chunks.
    pub(super) fn workspace(&self, input: Shape) -> f64 {
        let (length, inner) = (input.length(), self.inner(input.channels()));
        let chunk = self.chunk(length, inner / self.heads.max(1));
        let states = if chunk < length { length / chunk } else { 0 };
        let within = wide(self.heads) * wide(length) * wide(chunk);
        within + wide(states) * wide(self.state) * wide(inner)
    }

    /// Positions of a chunk of a sequence of this length and as many channels
    /// of a head. Within chunks positions are weighed against each other, as
    /// attention does; between chunks states are handed on (section 6 of the
    /// paper). Of the divisors of the length, the one that takes the fewest
    /// multiplications.
    pub fn chunk(&self, length: usize, head: usize) -> usize {
        let work = |chunk: usize| {
            let chunks = (length / chunk) as u128;
            let within = length as u128 * chunk as u128 * (head as u128 + 1);
            let between = match chunks {
                1 => 0,
                _ => (chunks * chunks + 2 * length as u128) * self.state as u128 * head as u128,
            };
            within + between
        };
        divisors(length).min_by_key(|c| work(*c)).unwrap_or(1)
    }
}

fn divisors(n: usize) -> impl Iterator<Item = usize> {
    let small = (1..=n.isqrt()).filter(move |d| n.is_multiple_of(*d));
    small.flat_map(move |d| [d, n / d])
}

/// The output of a state space over `x B C` and `dt`.
pub(super) fn scan(space: StateSpace, inputs: &[Shape]) -> Result<Shape, String> {
    let StateSpace { heads, state } = space;
    let (Shape::Tokens { length, channels }, dt) = (inputs[0], inputs[1]) else {
        return Err(format!("it needs a sequence, not {}", inputs[0].kind()));
    };
    if heads == 0 || state == 0 {
        return Err("heads and state must be at least 1".into());
    }
    if dt != Shape::tokens(length, heads) {
        return Err(format!(
            "{heads} heads on {length} tokens need a step size each, not {}",
            dt.kind()
        ));
    }
    let inner = match channels.checked_sub(2 * state) {
        Some(inner) if inner > 0 => inner,
        _ => {
            return Err(format!(
                "{channels} channels leave none beside two of state {state}"
            ));
        }
    };
    if !inner.is_multiple_of(heads) {
        return Err(format!("{heads} heads do not divide {inner} channels"));
    }
    Ok(Shape::tokens(length, inner))
}
