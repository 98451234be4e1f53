//! The operators of sequences, from burn's own tensor operations, on any
//! backend. They work on rows: `N x P x C` for `P` positions of `C` channels,
//! whatever the layout of the tensors around them.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::Layout;
use crate::network::{Attention, Relative, Shape, rotary_angles, sinusoids};

/// Added to the variance by normalisation over channels.
const EPSILON: f64 = 1e-5;

/// `N x P x C`, position by position.
pub(super) fn rows(x: Tensor<4>, layout: Layout) -> Tensor<3> {
    let [n, a, b, c] = x.dims();
    match layout {
        Layout::ChannelsLast => x.reshape([n, a * b, c]),
        Layout::ChannelsFirst => x.reshape([n, a, b * c]).swap_dims(1, 2),
    }
}

/// Back from rows to a map of this height and width.
pub(super) fn unrows(
    rows: Tensor<3>,
    layout: Layout,
    (height, width): (usize, usize),
) -> Tensor<4> {
    let [n, _, c] = rows.dims();
    match layout {
        Layout::ChannelsLast => rows.reshape([n, height, width, c]),
        Layout::ChannelsFirst => rows.swap_dims(1, 2).reshape([n, c, height, width]),
    }
}

/// Layer normalisation; without a shift, by the root mean square alone.
pub(super) fn norm(x: Tensor<3>, scale: Tensor<1>, shift: Option<Tensor<1>>) -> Tensor<3> {
    let centred = match shift {
        Some(_) => x.clone() - x.mean_dim(2),
        None => x,
    };
    let variance = (centred.clone() * centred.clone()).mean_dim(2);
    let normal = centred / (variance + EPSILON).sqrt();
    let scaled = normal * row(scale);
    match shift {
        Some(shift) => scaled + row(shift),
        None => scaled,
    }
}

/// Normalisation over groups of channels and all positions.
pub(super) fn group_norm(
    x: Tensor<3>,
    groups: usize,
    scale: Tensor<1>,
    shift: Tensor<1>,
) -> Tensor<3> {
    let [n, p, c] = x.dims();
    let grouped = x.swap_dims(1, 2).reshape([n, groups, c / groups * p]);
    let centred = grouped.clone() - grouped.mean_dim(2);
    let variance = (centred.clone() * centred.clone()).mean_dim(2);
    let normal = centred / (variance + EPSILON).sqrt();
    normal.reshape([n, c, p]).swap_dims(1, 2) * row(scale) + row(shift)
}

fn row(vector: Tensor<1>) -> Tensor<3> {
    let [c] = vector.dims();
    vector.reshape([1, 1, c])
}

/// `B x L x (H D)` to `B x H x L x D`.
fn heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [b, l, c] = x.dims();
    x.reshape([b, l, heads, c / heads]).swap_dims(1, 2)
}

fn unheads(x: Tensor<4>) -> Tensor<3> {
    let [b, h, l, d] = x.dims();
    x.swap_dims(1, 2).reshape([b, l, h * d])
}

/// Each head of keys or values for so many heads of queries, in turn.
fn repeated(x: Tensor<4>, times: usize) -> Tensor<4> {
    if times == 1 {
        return x;
    }
    let [b, h, l, d] = x.dims();
    x.reshape([b, h, 1, l * d])
        .repeat_dim(2, times)
        .reshape([b, h * times, l, d])
}

/// What distances between positions add to keys and to values, `[L, L, D]`: one
/// row of each table for each pair of positions.
pub(super) struct Distances {
    keys: Tensor<3>,
    values: Tensor<3>,
}

impl Distances {
    /// From tables `[axes, entries, D, 1]`.
    pub fn new(relative: Relative, shape: Shape, tables: [Tensor<4>; 2]) -> Self {
        let indices = relative.indices(shape);
        let [keys, values] = tables.map(|table| {
            let [_, entries, dim, _] = table.dims();
            let pairs = indices.iter().enumerate().map(|(axis, indices)| {
                let table = table.clone().narrow(0, axis, 1).reshape([entries, dim]);
                let indices: Vec<i64> = indices.iter().map(|i| *i as i64).collect();
                let count = indices.len();
                let device = table.device();
                let data = TensorData::new(indices, [count]);
                let places = count.isqrt();
                table
                    .select(0, Tensor::<1, Int>::from_data(data, &device))
                    .reshape([places, places, dim])
            });
            pairs.reduce(|sum, x| sum + x).expect("at least one axis")
        });
        Distances { keys, values }
    }
}

/// The product of each position's `[B H, A]` of `[B, H, L, A]` with a matrix of its
/// own, one of `[L, A, C]`, as `[B, H, L, C]`.
fn by_position(x: Tensor<4>, matrices: Tensor<3>) -> Tensor<4> {
    let [b, h, l, a] = x.dims();
    let [_, _, c] = matrices.dims();
    let rows = x.permute([2, 0, 1, 3]).reshape([l, b * h, a]);
    let rows = rows.matmul(matrices).swap_dims(0, 1);
    rows.reshape([b, h, l, c])
}

/// Softmax attention on a map of this height and width (a sequence is one row).
pub(super) fn attention(
    attention: Attention,
    distances: Option<Distances>,
    [queries, keys, values]: [Tensor<3>; 3],
    (height, width): (usize, usize),
    window: (usize, usize),
) -> Tensor<3> {
    let split = |x: Tensor<3>| into_windows(x, (height, width), window);
    let group = attention.heads / attention.kv_heads;
    let queries = heads(split(queries), attention.heads);
    let keys = repeated(heads(split(keys), attention.kv_heads), group);
    let values = repeated(heads(split(values), attention.kv_heads), group);
    let [_, _, length, dim] = queries.dims();
    let scale = 1.0 / (dim as f64).sqrt();
    let mut scores = queries.clone().matmul(keys.swap_dims(2, 3));
    if let Some(distances) = &distances {
        scores = scores + by_position(queries, distances.keys.clone().swap_dims(1, 2));
    }
    scores = scores * scale;
    if attention.causal {
        let hidden = Tensor::<2, Bool>::tril_mask([length, length], 0, &scores.device());
        let [b, h, _, _] = scores.dims();
        let hidden = hidden
            .reshape([1, 1, length, length])
            .expand([b, h, length, length]);
        scores = scores.mask_fill(hidden, f32::NEG_INFINITY);
    }
    let weights = softmax(scores, 3);
    let mut mixed = weights.clone().matmul(values);
    if let Some(distances) = distances {
        mixed = mixed + by_position(weights, distances.values);
    }
    let out = unheads(mixed);
    from_windows(out, (height, width), window)
}

/// Cuts a map into windows, each a batch entry of its own.
fn into_windows(
    x: Tensor<3>,
    (height, width): (usize, usize),
    (rows, columns): (usize, usize),
) -> Tensor<3> {
    if (rows, columns) == (height, width) {
        return x;
    }
    let [n, _, c] = x.dims();
    let (down, across) = (height / rows, width / columns);
    let area = [n * down * across, rows * columns, c];
    regrouped(x, [n, down, rows, across, columns, c], area)
}

fn from_windows(
    x: Tensor<3>,
    (height, width): (usize, usize),
    (rows, columns): (usize, usize),
) -> Tensor<3> {
    if (rows, columns) == (height, width) {
        return x;
    }
    let [b, _, c] = x.dims();
    let (down, across) = (height / rows, width / columns);
    let n = b / (down * across);
    let area = [n, height * width, c];
    regrouped(x, [n, down, across, rows, columns, c], area)
}

/// Positions in another order: the third and fourth of six dimensions change
/// places.
fn regrouped(x: Tensor<3>, dims: [usize; 6], area: [usize; 3]) -> Tensor<3> {
    x.reshape(dims).swap_dims(2, 3).reshape(area)
}

/// Attention by the feature map `elu(x) + 1`, linear in the length.
pub(super) fn linear_attention(
    count: usize,
    causal: bool,
    [queries, keys, values]: [Tensor<3>; 3],
) -> Tensor<3> {
    let positive = |x: Tensor<4>| x.clone().clamp_min(0.0) + x.clamp_max(0.0).exp();
    let queries = positive(heads(queries, count));
    let keys = positive(heads(keys, count));
    let values = heads(values, count);
    let [b, h, l, d] = queries.dims();
    if !causal {
        let total = keys.clone().sum_dim(2).swap_dims(2, 3);
        let state = keys.swap_dims(2, 3).matmul(values);
        let norm = queries.clone().matmul(total);
        return unheads(queries.matmul(state) / norm);
    }
    // States after each position: running sums of keys times values.
    let products = keys.clone().reshape([b, h, l, d, 1]) * values.reshape([b, h, l, 1, d]);
    let states = products.cumsum(2);
    let seen = keys.cumsum(2);
    let norm = (queries.clone() * seen).sum_dim(3);
    let out = queries.reshape([b, h, l, 1, d]).matmul(states);
    unheads(out.reshape([b, h, l, d]) / norm)
}

/// Rotary position embedding of each head's two halves.
pub(super) fn rotary(x: Tensor<3>, count: usize) -> Tensor<3> {
    let [b, l, c] = x.dims();
    let half = c / count / 2;
    let (cos, sin) = rotary_angles(l, half);
    let device = x.device();
    let table = |data: Vec<f32>| constant(data, [1, l, 1, half], &device);
    let (cos, sin) = (table(cos), table(sin));
    let x = x.reshape([b, l, count, 2 * half]);
    let (first, second) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let turned = [
        first.clone() * cos.clone() - second.clone() * sin.clone(),
        second * cos + first * sin,
    ];
    Tensor::cat(turned.to_vec(), 3).reshape([b, l, c])
}

/// Vectors of token ids, which come as whole numbers in floats.
pub(super) fn embed(ids: Tensor<4>, table: Tensor<4>) -> Tensor<3> {
    let [n, a, b, c] = ids.dims();
    let [vocab, dim, _, _] = table.dims();
    let ids: Tensor<1, Int> = ids.reshape([n * a * b * c]).int();
    table
        .reshape([vocab, dim])
        .select(0, ids)
        .reshape([n, a * b * c, dim])
}

/// Adds a learned table `[L, C]`.
pub(super) fn position(x: Tensor<3>, table: Tensor<4>) -> Tensor<3> {
    let [l, c, _, _] = table.dims();
    x + table.reshape([1, l, c])
}

pub(super) fn sinusoidal(x: Tensor<3>) -> Tensor<3> {
    let [_, l, c] = x.dims();
    let device = x.device();
    x + constant(sinusoids(l, c), [1, l, c], &device)
}

/// Prepends a learned token `[1, C]`.
pub(super) fn class_token(x: Tensor<3>, token: Tensor<4>) -> Tensor<3> {
    let [n, _, c] = x.dims();
    let token = token.reshape([1, 1, c]).repeat_dim(0, n);
    Tensor::cat(vec![token, x], 1)
}

pub(super) fn constant<const D: usize>(
    data: Vec<f32>,
    dims: [usize; D],
    device: &Device,
) -> Tensor<D> {
    let device = device.clone().without_autodiff();
    Tensor::from_data(TensorData::new(data, dims), &device)
}
