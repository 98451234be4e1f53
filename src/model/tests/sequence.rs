//! Operators of sequences against the reference, and their gradients against
//! differences of the reference.

use super::*;
use crate::network::Attention;

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
    let weights = random_weights(&net, 4);
    let sample = random_images(&net, 1, 5);
    let device = Device::flex().autodiff();
    let model = Model::new(&net, &weights, &device).unwrap();
    let out = model.forward(batch(&net, &sample, &device));
    let count = out.dims()[1];
    let factors: Vec<f32> = (0..count)
        .map(|i| ((i * 5) % 7) as f32 / 3.0 - 1.0)
        .collect();
    let loss = |weights: &Weights| -> f64 {
        let out = reference::forward(&net, weights, &sample);
        out.iter().zip(&factors).map(|(o, f)| o * *f as f64).sum()
    };
    let data = TensorData::new(factors.clone(), [1, count]);
    let gradients = (out * Tensor::from_data(data, &device)).sum().backward();
    let gradients = model.gradients(&gradients);
    for spec in net.param_specs() {
        let name = spec.name();
        let found = &gradients.tensors[&name].data;
        // Every third weight, so that the test stays short.
        for i in (0..spec.elements()).step_by(3) {
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
