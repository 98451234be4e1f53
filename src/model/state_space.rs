//! The state space of Mamba-2 (Dao & Gu 2024, arXiv 2405.21060) from burn's own
//! tensor operations, on any backend: in chunks, as products of matrices, so
//! that neither pass loops over positions. A chunk's positions are weighed
//! against each other; the states at the ends of chunks are handed on to later
//! chunks.

use burn::tensor::{Device, Tensor};

use super::sequence::constant;
use crate::network::{StateSpace, causal_mask};

/// What a state space learns, a number a head.
pub(super) struct Learned {
    pub log_decay: Tensor<1>,
    pub skip: Tensor<1>,
    /// Of the step size.
    pub bias: Tensor<1>,
}

/// Outputs `[N, L, inner]` of `x B C` side by side and of step sizes
/// `[N, L, H]`.
pub(super) fn scan(
    space: StateSpace,
    xbc: Tensor<3>,
    steps: Tensor<3>,
    learned: Learned,
) -> Tensor<3> {
    let [samples, length, channels] = xbc.dims();
    let (heads, state) = (space.heads, space.state);
    let inner = space.inner(channels);
    let head = inner / heads;
    let chunk = space.chunk(length, head);
    let chunks = length / chunk;
    let pieces = samples * chunks;
    let device = xbc.device();

    let x = xbc.clone().narrow(2, 0, inner);
    let b = xbc.clone().narrow(2, inner, state);
    let c = xbc.narrow(2, inner + state, state);
    let x = x.reshape([pieces, chunk, heads, head]);
    let b = b.reshape([pieces, chunk, state]).swap_dims(1, 2);
    let c = c.reshape([pieces, chunk, state]);
    let steps = softplus(steps + learned.bias.reshape([1, 1, heads]));
    let rates = -learned.log_decay.exp().reshape([1, 1, heads]);
    // Logarithms of the decay since the chunk's beginning, [pieces, H, Q].
    let decay = (steps.clone() * rates)
        .reshape([pieces, chunk, heads])
        .swap_dims(1, 2)
        .cumsum(2);
    let taken = x.clone() * steps.reshape([pieces, chunk, heads, 1]);
    let taken = taken.swap_dims(1, 2);

    let kept = kept(decay.clone(), decay.clone(), false, &device);
    let alike = c.clone().matmul(b.clone());
    let weights = kept * alike.reshape([pieces, 1, chunk, chunk]);
    let mut y = weights.matmul(taken.clone()).swap_dims(1, 2);
    if chunks > 1 {
        let last = decay.clone().narrow(2, chunk - 1, 1);
        let left = (last.clone() - decay.clone()).exp();
        let given = taken * left.reshape([pieces, heads, chunk, 1]);
        let given = given.swap_dims(1, 2).reshape([pieces, chunk, inner]);
        // The state that each chunk leaves, [samples, H, chunks, N P].
        let states = b
            .matmul(given)
            .reshape([samples, chunks, state, heads, head])
            .permute([0, 3, 1, 2, 4])
            .reshape([samples, heads, chunks, state * head]);
        let total = last.reshape([samples, chunks, heads]).swap_dims(1, 2);
        let past = total.clone().cumsum(2);
        let handed = self::kept(past.clone() - total, past, true, &device);
        let entering = handed
            .matmul(states)
            .reshape([samples, heads, chunks, state, head])
            .permute([0, 2, 3, 1, 4])
            .reshape([pieces, state, inner]);
        let across = c.matmul(entering).reshape([pieces, chunk, heads, head]);
        let since = decay.exp().swap_dims(1, 2);
        y = y + across * since.reshape([pieces, chunk, heads, 1]);
    }
    let y = y + x * learned.skip.reshape([1, 1, heads, 1]);
    y.reshape([samples, length, inner])
}

/// The share of each earlier place (columns) that is left at each later one
/// (rows), from logarithms `[B, H, L]` of the decay up to them.
fn kept(later: Tensor<3>, earlier: Tensor<3>, strictly: bool, device: &Device) -> Tensor<4> {
    let [b, h, l] = later.dims();
    let mask = constant(causal_mask(l, strictly), [1, 1, l, l], device);
    let log = later.reshape([b, h, l, 1]) - earlier.reshape([b, h, 1, l]);
    (log + mask).exp()
}

/// `ln(1 + exp(x))`, without an overflow of large `x`.
fn softplus(x: Tensor<3>) -> Tensor<3> {
    x.clone().clamp_min(0.0) + (-x.abs()).exp().log1p()
}
