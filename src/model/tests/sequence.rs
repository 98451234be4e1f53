//! Operators of sequences against the reference, and their gradients against
//! differences of the reference.

use super::*;
use crate::network::{Attention, Conv1d, Relative, StateSpace};

fn attention(heads: usize, kv_heads: usize, window: usize, causal: bool) -> Op {
    Op::Attention(Attention {
        heads,
        kv_heads,
        window,
        causal,
    })
}

fn linear(out_features: usize, bias: bool) -> Op {
    Op::Linear { out_features, bias }
}

/// Queries of 12 channels, keys and values of their share, then the core.
fn attending(input: Shape, core: Op, kv_channels: usize) -> Network {
    let mut net = Network::new(input);
    let project = |out: usize| match input {
        Shape::Image { .. } => Op::Conv(Conv::same(out, 1, 1).bias(true)),
        _ => linear(out, true),
    };
    let q = push(&mut net, project(12), &[NodeId(0)]);
    let k = push(&mut net, project(kv_channels), &[NodeId(0)]);
    let v = push(&mut net, project(kv_channels), &[NodeId(0)]);
    push(&mut net, core, &[q, k, v]);
    net
}

#[test]
fn norms_of_maps_sequences_and_vectors() {
    for shape in [Shape::image(6, 4, 5), Shape::tokens(7, 6), Shape::vector(6)] {
        check(&single(shape, Op::LayerNorm));
        check(&single(shape, Op::RmsNorm));
        if shape.channels() != shape.elements() {
            check(&single(shape, Op::GroupNorm { groups: 3 }));
        }
    }
    check(&single(Shape::tokens(7, 6), Op::BatchNorm));
}

#[test]
fn attention_of_every_kind() {
    let sequence = Shape::tokens(8, 5);
    for (core, kv) in [
        (attention(3, 3, 0, false), 12),
        (attention(6, 2, 0, true), 4),
        (attention(2, 1, 4, false), 6),
        (attention(2, 2, 2, true), 12),
        (
            Op::LinearAttention {
                heads: 3,
                causal: false,
            },
            12,
        ),
        (
            Op::LinearAttention {
                heads: 2,
                causal: true,
            },
            12,
        ),
    ] {
        check(&attending(sequence, core, kv));
    }
    let map = Shape::image(5, 4, 6);
    for (core, kv) in [
        (attention(3, 3, 0, false), 12),
        (attention(4, 2, 2, false), 6),
        (
            Op::LinearAttention {
                heads: 2,
                causal: false,
            },
            12,
        ),
    ] {
        check(&attending(map, core, kv));
    }
}

#[test]
fn attention_with_relative_positions() {
    let relative = |heads: usize, kv_heads: usize, causal, distance, grid| {
        let attention = Attention {
            heads,
            kv_heads,
            window: 0,
            causal,
        };
        Op::RelativeAttention(attention, Relative { distance, grid })
    };
    for (input, core, kv) in [
        (Shape::tokens(7, 5), relative(3, 3, false, 2, false), 12),
        (Shape::tokens(6, 5), relative(4, 2, true, 9, false), 6),
        // A square image of 3x3 tokens, and one behind a class token.
        (Shape::tokens(9, 5), relative(2, 1, false, 1, true), 6),
        (Shape::tokens(10, 5), relative(2, 2, false, 2, true), 12),
        (Shape::image(5, 2, 4), relative(3, 3, false, 2, false), 12),
    ] {
        let net = attending(input, core, kv);
        check(&net);
        check_differences(&net, 2);
    }
}

#[test]
fn positions_and_tokens() {
    for op in [
        Op::Rotary { heads: 2 },
        Op::Position,
        Op::Sinusoidal,
        Op::ClassToken,
        Op::Select { index: 2 },
        Op::Flatten,
        linear(7, false),
        Op::GlobalPool {
            kind: PoolKind::Avg,
        },
        Op::GlobalPool {
            kind: PoolKind::Max,
        },
        Op::Activation(Activation::Gelu),
    ] {
        check(&single(Shape::tokens(5, 8), op));
    }
    check(&single(Shape::image(3, 4, 5), Op::ToTokens));
    check(&single(Shape::ids(6), Op::Embedding { vocab: 11, dim: 4 }));
    let mut net = Network::new(Shape::tokens(4, 3));
    let a = push(&mut net, linear(5, true), &[NodeId(0)]);
    let both = push(&mut net, Op::Concat, &[a, NodeId(0)]);
    let product = push(&mut net, Op::Mul, &[both, both]);
    let zero = push(&mut net, Op::Zero { stride: 1 }, &[both]);
    push(&mut net, Op::Add, &[product, both, zero]);
    check(&net);
}

#[test]
fn a_table_of_features_goes_in() {
    let mut net = Network::new(Shape::vector(6));
    let x = push(&mut net, linear(9, true), &[NodeId(0)]);
    let x = push(&mut net, Op::BatchNorm, &[x]);
    let x = push(&mut net, Op::Activation(Activation::Relu), &[x]);
    push(&mut net, linear(3, true), &[x]);
    check(&net);
}

/// A language model of two blocks: softmax and linear attention, gated MLP.
fn small_language_model() -> Network {
    let mut net = Network::new(Shape::ids(6));
    let x = push(&mut net, Op::Embedding { vocab: 13, dim: 8 }, &[NodeId(0)]);
    let mut x = push(&mut net, Op::Position, &[x]);
    for core in [
        attention(2, 1, 0, true),
        Op::LinearAttention {
            heads: 2,
            causal: true,
        },
    ] {
        let kv = if matches!(core, Op::Attention(_)) {
            4
        } else {
            8
        };
        let normal = push(&mut net, Op::RmsNorm, &[x]);
        let q = push(&mut net, linear(8, true), &[normal]);
        let k = push(&mut net, linear(kv, true), &[normal]);
        let v = push(&mut net, linear(kv, true), &[normal]);
        let q = push(&mut net, Op::Rotary { heads: 2 }, &[q]);
        let mixed = push(&mut net, core, &[q, k, v]);
        let mixed = push(&mut net, linear(8, false), &[mixed]);
        x = push(&mut net, Op::Add, &[x, mixed]);
        let normal = push(&mut net, Op::LayerNorm, &[x]);
        let gate = push(&mut net, linear(10, false), &[normal]);
        let gate = push(&mut net, Op::Activation(Activation::Swish), &[gate]);
        let up = push(&mut net, linear(10, false), &[normal]);
        let up = push(&mut net, Op::Mul, &[up, gate]);
        let down = push(&mut net, linear(8, false), &[up]);
        x = push(&mut net, Op::Add, &[x, down]);
    }
    push(&mut net, linear(13, true), &[x]);
    net
}

#[test]
fn gradients_agree_with_differences_of_the_reference() {
    let net = small_language_model();
    check(&net);
    // Every third weight, so that the test stays short.
    check_differences(&net, 3);
}

#[test]
fn gradients_of_state_spaces_and_convolutions_agree_with_differences() {
    let net = state_space_block(12, 5, StateSpace { heads: 3, state: 1 }, 2);
    assert!(StateSpace { heads: 3, state: 1 }.chunk(12, 2) < 12);
    check_differences(&net, 1);
}

/// Gradients of every `every`-th weight against differences of the reference.
#[track_caller]
fn check_differences(net: &Network, every: usize) {
    let weights = random_weights(net, 4);
    let sample = random_images(net, 1, 5);
    let device = Device::flex().autodiff();
    let model = Model::new(net, &weights, &device).unwrap();
    let out = model.forward(batch(net, &sample, &device));
    let count = out.dims()[1];
    let factors: Vec<f32> = (0..count)
        .map(|i| ((i * 5) % 7) as f32 / 3.0 - 1.0)
        .collect();
    let loss = |weights: &Weights| -> f64 {
        let out = reference::forward(net, weights, &sample);
        out.iter().zip(&factors).map(|(o, f)| o * *f as f64).sum()
    };
    let data = TensorData::new(factors.clone(), [1, count]);
    let gradients = (out * Tensor::from_data(data, &device)).sum().backward();
    let gradients = model.gradients(&gradients);
    for spec in net.param_specs() {
        let name = spec.name();
        let found = &gradients.tensors[&name].data;
        for i in (0..spec.elements()).step_by(every) {
            let moved = |by: f32| {
                let mut weights = weights.clone();
                weights.tensors.get_mut(&name).unwrap().data[i] += by;
                (loss(&weights), weights.tensors[&name].data[i])
            };
            let ((up, above), (down, below)) = (moved(2e-4), moved(-2e-4));
            let expected = ((up - down) / (above as f64 - below as f64)) as f32;
            assert!(
                (found[i] - expected).abs() <= 5e-3 * (1.0 + expected.abs()),
                "{name}[{i}]: {} is not {expected}",
                found[i]
            );
        }
    }
}

/// The block of Mamba-2 over sequences of `length` steps of `width` features,
/// with `head` channels a head.
fn state_space_block(length: usize, width: usize, space: StateSpace, head: usize) -> Network {
    let mut net = Network::new(Shape::tokens(length, width));
    let inner = space.heads * head;
    let wide = inner + 2 * space.state;
    let x = push(&mut net, linear(wide, false), &[NodeId(0)]);
    let conv = Conv1d::same(wide, 3, 1)
        .groups(wide)
        .bias(true)
        .causal(true);
    let x = push(&mut net, Op::Conv1d(conv), &[x]);
    let x = push(&mut net, Op::Activation(Activation::Swish), &[x]);
    let step = push(&mut net, linear(space.heads, false), &[NodeId(0)]);
    let x = push(&mut net, Op::StateSpace(space), &[x, step]);
    let gate = push(&mut net, linear(inner, false), &[NodeId(0)]);
    let gate = push(&mut net, Op::Activation(Activation::Swish), &[gate]);
    let x = push(&mut net, Op::Mul, &[x, gate]);
    let x = push(&mut net, Op::RmsNorm, &[x]);
    push(&mut net, linear(width, false), &[x]);
    net
}

#[test]
fn state_spaces_in_one_chunk_and_in_several() {
    for (length, heads, state, head, chunk) in [
        (12, 3, 1, 2, 3),
        (16, 2, 4, 3, 4),
        (7, 2, 3, 4, 7),
        (1, 1, 2, 5, 1),
        (6, 4, 8, 1, 6),
    ] {
        let space = StateSpace { heads, state };
        // What is tested depends on how the length is cut.
        assert_eq!(space.chunk(length, head), chunk, "{length} {space:?}");
        check(&state_space_block(length, 5, space, head));
    }
}

#[test]
fn a_long_decay_neither_overflows_nor_vanishes() {
    // Steps and rates at the ends of their range, on a long sequence.
    let space = StateSpace { heads: 2, state: 4 };
    let net = state_space_block(200, 3, space, 2);
    let mut weights = random_weights(&net, 1);
    let mut set = |name: &str, values: [f32; 2]| {
        weights.tensors.get_mut(name).unwrap().data = values.to_vec();
    };
    set("n5.log_decay", [16f32.ln(), -9.0]);
    set("n5.bias", [90.0, -7.0]);
    let sample = random_images(&net, 1, 3);
    let expected: Vec<f32> = reference::forward(&net, &weights, &sample)
        .into_iter()
        .map(|x| x as f32)
        .collect();
    let device = Device::flex().autodiff();
    let model = Model::new(&net, &weights, &device).unwrap();
    let out = model.forward(batch(&net, &sample, &device));
    assert_close(&values(out.clone()), &expected, 1e-3, "output");
    let gradients = model.gradients(&out.powi_scalar(2).sum().backward());
    for (name, gradient) in &gradients.tensors {
        assert!(gradient.data.iter().all(|g| g.is_finite()), "{name}");
    }
}

#[test]
fn convolutions_over_positions_of_every_kind() {
    let dense = Conv1d::same(8, 3, 1);
    let one_each = |kernel, stride| Conv1d::same(6, kernel, stride).groups(6);
    for conv in [
        dense,
        dense.bias(true),
        dense.causal(true),
        dense.dilation(2),
        dense.dilation(3).causal(true).bias(true),
        dense.groups(2),
        Conv1d::same(5, 1, 1),
        Conv1d::same(5, 1, 2).bias(true),
        Conv1d::same(4, 4, 1),
        Conv1d::same(4, 9, 2),
        one_each(3, 1),
        one_each(4, 1).causal(true).bias(true),
        one_each(5, 2),
        one_each(3, 1).dilation(4),
    ] {
        check(&single(Shape::tokens(11, 6), Op::Conv1d(conv)));
        let mut net = Network::new(Shape::tokens(11, 6));
        let x = push(&mut net, Op::Conv1d(conv), &[NodeId(0)]);
        let x = push(&mut net, Op::BatchNorm, &[x]);
        push(&mut net, Op::Activation(Activation::Relu), &[x]);
        check(&net);
    }
    check(&single(Shape::tokens(9, 1), Op::Conv1d(dense)));
}

#[test]
fn pools_over_positions() {
    for kind in [PoolKind::Avg, PoolKind::Max] {
        for (kernel, stride, padding) in [(2, 2, 0), (3, 1, 1), (3, 2, 1), (4, 3, 1)] {
            let pool = Op::Pool {
                kind,
                kernel,
                stride,
                padding,
            };
            check(&single(Shape::tokens(10, 5), pool));
        }
    }
    let mut net = Network::new(Shape::tokens(9, 4));
    let zero = push(&mut net, Op::Zero { stride: 2 }, &[NodeId(0)]);
    let x = push(&mut net, Op::Conv1d(Conv1d::same(4, 3, 2)), &[NodeId(0)]);
    push(&mut net, Op::Add, &[x, zero]);
    check(&net);
}
