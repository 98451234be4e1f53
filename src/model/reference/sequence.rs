//! The operators of sequences as plainly as their definitions read. Positions
//! are pixels `(y, x)`; a sequence is one row of them.

use ndarray::{Array3, ArrayD};

use crate::network::{Attention, Conv1d, Op, Relative, Role, StateSpace};

/// One output value at channel `c` of position `(oy, ox)`.
pub(super) fn value(
    op: Op,
    inputs: &[&Array3<f64>],
    param: &dyn Fn(Role) -> Option<ArrayD<f64>>,
    [c, oy, ox]: [usize; 3],
) -> f64 {
    let x = inputs[0];
    let (channels, height, width) = x.dim();
    match op {
        Op::LayerNorm | Op::RmsNorm => {
            let column: Vec<f64> = (0..channels).map(|c| x[[c, oy, ox]]).collect();
            let centre = if op == Op::LayerNorm {
                mean(&column)
            } else {
                0.0
            };
            let normal = normal(x[[c, oy, ox]], centre, &column);
            let shift = param(Role::Bias).map_or(0.0, |b| b[[c]]);
            normal * param(Role::Weight).unwrap()[[c]] + shift
        }
        Op::GroupNorm { groups } => {
            let size = channels / groups;
            let own = c / size * size..(c / size + 1) * size;
            let mut group = Vec::new();
            for c in own {
                group.extend(x.index_axis(ndarray::Axis(0), c).iter());
            }
            let normal = normal(x[[c, oy, ox]], mean(&group), &group);
            normal * param(Role::Weight).unwrap()[[c]] + param(Role::Bias).unwrap()[[c]]
        }
        Op::Attention(a) => attend(a, inputs, &|_, _, _| (0.0, 0.0), [c, oy, ox]),
        Op::RelativeAttention(a, relative) => {
            let [keys, values] =
                [Role::RelativeKeys, Role::RelativeValues].map(|role| param(role).unwrap());
            // What the distance between two places adds to a channel of a head.
            let near = |query: (usize, usize), key: (usize, usize), i: usize| {
                let (mut k, mut v) = (0.0, 0.0);
                for (axis, entry) in distances(relative, (height, width), query, key) {
                    k += keys[[axis, entry, i]];
                    v += values[[axis, entry, i]];
                }
                (k, v)
            };
            attend(a, inputs, &near, [c, oy, ox])
        }
        Op::LinearAttention { heads, causal } => {
            let dim = channels / heads;
            let head = c / dim * dim..(c / dim + 1) * dim;
            let positive = |x: f64| if x > 0.0 { x + 1.0 } else { x.exp() };
            let (mut sum, mut norm) = (0.0, 0.0);
            for y in 0..height {
                for x in 0..width {
                    if causal && x > ox {
                        continue;
                    }
                    let likeness: f64 = head
                        .clone()
                        .map(|c| positive(inputs[0][[c, oy, ox]]) * positive(inputs[1][[c, y, x]]))
                        .sum();
                    sum += likeness * inputs[2][[c, y, x]];
                    norm += likeness;
                }
            }
            sum / norm
        }
        Op::Conv1d(conv) => {
            let bias = param(Role::Bias).map_or(0.0, |b| b[[c]]);
            bias + convolve(conv, x, &param(Role::Weight).unwrap(), c, ox)
        }
        Op::StateSpace(space) => {
            let learned = [Role::LogDecay, Role::Skip, Role::Bias].map(|r| param(r).unwrap());
            scan(space, x, inputs[1], &learned, c, ox)
        }
        Op::Rotary { heads } => {
            let half = channels / heads / 2;
            let (i, upper) = (c % (2 * half) % half, c % (2 * half) >= half);
            let angle = ox as f64 / 10_000f64.powf(i as f64 / half as f64);
            let partner = x[[if upper { c - half } else { c + half }, oy, ox]];
            let sign = if upper { 1.0 } else { -1.0 };
            x[[c, oy, ox]] * angle.cos() + sign * partner * angle.sin()
        }
        Op::Embedding { .. } => param(Role::Weight).unwrap()[[x[[0, 0, ox]] as usize, c]],
        Op::Position => x[[c, oy, ox]] + param(Role::Weight).unwrap()[[ox, c]],
        Op::Sinusoidal => {
            let exponent = (c - c % 2) as f64 / channels as f64;
            let angle = ox as f64 / 10_000f64.powf(exponent);
            x[[c, oy, ox]] + if c % 2 == 0 { angle.sin() } else { angle.cos() }
        }
        Op::ClassToken if ox == 0 => param(Role::Weight).unwrap()[[0, c]],
        Op::ClassToken => x[[c, oy, ox - 1]],
        Op::Select { index } => x[[c, 0, index]],
        Op::ToTokens => x[[c, ox / width, ox % width]],
        other => unreachable!("{other} is no operator of sequences"),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn normal(value: f64, centre: f64, among: &[f64]) -> f64 {
    let squares: Vec<f64> = among.iter().map(|x| (x - centre).powi(2)).collect();
    (value - centre) / (mean(&squares) + 1e-5).sqrt()
}

fn convolve(conv: Conv1d, x: &Array3<f64>, weight: &ArrayD<f64>, c: usize, at: usize) -> f64 {
    let (channels, _, length) = x.dim();
    let group_in = channels / conv.groups;
    let first = c / (conv.out_channels / conv.groups) * group_in;
    let mut sum = 0.0;
    for tap in 0..conv.kernel {
        let place = at * conv.stride + tap * conv.dilation;
        let place = match place.checked_sub(conv.padding()[0]) {
            Some(place) if place < length => place,
            _ => continue,
        };
        for i in 0..group_in {
            sum += weight[[c, i, tap]] * x[[first + i, 0, place]];
        }
    }
    sum
}

/// The recurrence as the paper writes it, one step after the other, for the
/// state of one channel.
fn scan(
    space: StateSpace,
    x: &Array3<f64>,
    steps: &Array3<f64>,
    [log_decay, skip, bias]: &[ArrayD<f64>; 3],
    c: usize,
    at: usize,
) -> f64 {
    let inner = x.dim().0 - 2 * space.state;
    let head = c / (inner / space.heads);
    let mut state = vec![0.0; space.state];
    let mut out = 0.0;
    for t in 0..=at {
        let step = (steps[[head, 0, t]] + bias[[head]]).exp().ln_1p();
        let decay = (-step * log_decay[[head]].exp()).exp();
        out = skip[[head]] * x[[c, 0, t]];
        for (n, h) in state.iter_mut().enumerate() {
            *h = decay * *h + step * x[[inner + n, 0, t]] * x[[c, 0, t]];
            out += x[[inner + space.state + n, 0, t]] * *h;
        }
    }
    out
}

/// The entry of each axis for a pair of places.
fn distances(
    relative: Relative,
    (height, width): (usize, usize),
    query: (usize, usize),
    key: (usize, usize),
) -> Vec<(usize, usize)> {
    let clipped = |from: usize, to: usize| {
        let reach = relative.distance as i64;
        ((to as i64 - from as i64).max(-reach).min(reach) + reach) as usize
    };
    if height > 1 {
        return vec![(0, clipped(query.0, key.0)), (1, clipped(query.1, key.1))];
    }
    if !relative.grid {
        return vec![(0, clipped(query.1, key.1))];
    }
    let side = (width as f64).sqrt() as usize;
    let class = usize::from(side * side != width);
    if class == 1 && (query.1 == 0 || key.1 == 0) {
        return vec![(0, 0), (1, 0)];
    }
    let (q, k) = (query.1 - class, key.1 - class);
    let rows = clipped(q / side, k / side) + class;
    vec![(0, rows), (1, clipped(q % side, k % side) + class)]
}

/// For two places and a channel of a head, what is added to the key and the value.
type Near<'a> = &'a dyn Fn((usize, usize), (usize, usize), usize) -> (f64, f64);

fn attend(a: Attention, inputs: &[&Array3<f64>], near: Near<'_>, [c, oy, ox]: [usize; 3]) -> f64 {
    let [queries, keys, values] = inputs else {
        unreachable!("attention has three inputs")
    };
    let (channels, height, width) = queries.dim();
    let dim = channels / a.heads;
    let head = c / dim;
    let kv_head = head / (a.heads / a.kv_heads);
    let sequence = height == 1;
    let same = |a_: usize, b: usize| a.window == 0 || a_ / a.window == b / a.window;
    let mut scores = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let seen = same(x, ox) && (sequence || same(y, oy)) && !(a.causal && x > ox);
            if seen {
                let product: f64 = (0..dim)
                    .map(|i| {
                        let key = keys[[kv_head * dim + i, y, x]];
                        queries[[head * dim + i, oy, ox]] * (key + near((oy, ox), (y, x), i).0)
                    })
                    .sum();
                let value = values[[kv_head * dim + c % dim, y, x]];
                let value = value + near((oy, ox), (y, x), c % dim).1;
                scores.push((product / (dim as f64).sqrt(), value));
            }
        }
    }
    let norm: f64 = scores.iter().map(|(s, _)| s.exp()).sum();
    scores.iter().map(|(s, v)| s.exp() * v).sum::<f64>() / norm
}
