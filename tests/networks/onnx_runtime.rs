//! Exported models under onnxruntime: every operator in every operator set must
//! give what tract computes from the same file. Needs Python with onnxruntime
//! (`scripts/python-env.sh`); without it the test says so and passes, unless
//! `BESPOKE_REQUIRE_PYTHON` is set.

use crate::common::{check_cases, python, skip, write_case};
use bespoke::device::infer;
use bespoke::network::onnx::{Batch, OPSETS, OnnxOptions, export};
use bespoke::network::{
    Activation, Array, Attention, Conv, Conv1d, Network, NodeId, Op, PoolKind, Relative, Shape,
    StateSpace, Weights,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A network in which every operator and every activation does something.
fn every_operator() -> Network {
    let mut net = Network::new(Shape::image(3, 13, 13));
    let mut push = |op, inputs: &[NodeId]| net.push(op, inputs).unwrap();
    let max = PoolKind::Max;
    let avg = PoolKind::Avg;
    let pool = |kind, kernel, stride, padding| Op::Pool {
        kind,
        kernel,
        stride,
        padding,
    };
    let stem = push(Op::Conv(Conv::same(8, 3, 1).bias(true)), &[NodeId(0)]);
    let stem = push(Op::BatchNorm, &[stem]);
    let branches: Vec<NodeId> = Activation::ALL
        .iter()
        .map(|(_, activation)| {
            let x = push(Op::Conv(Conv::same(4, 1, 1)), &[stem]);
            push(Op::Activation(*activation), &[x])
        })
        .collect();
    let wide = push(Op::Concat, &branches);
    let dilated = push(
        Op::Conv(Conv::same(32, 3, 2).dilation(2).groups(4)),
        &[wide],
    );
    let depthwise = push(Op::Conv(Conv::same(32, 5, 2).groups(32)), &[wide]);
    let strided_max = push(pool(max, 3, 2, 1), &[wide]);
    let strided_avg = push(pool(avg, 3, 2, 1), &[wide]);
    let zero = push(Op::Zero { stride: 2 }, &[wide]);
    let sum = push(
        Op::Add,
        &[dilated, depthwise, strided_max, strided_avg, zero],
    );
    let sum = push(Op::Add, &[sum]);
    // Squeeze and excite, then a product of equal shapes.
    let gate = push(Op::GlobalPool { kind: avg }, &[sum]);
    let gate = push(Op::Conv(Conv::same(32, 1, 1).bias(true)), &[gate]);
    let gate = push(Op::Activation(Activation::HardSigmoid), &[gate]);
    let scaled = push(Op::Mul, &[sum, gate]);
    let bounded = push(Op::Activation(Activation::Tanh), &[sum]);
    let product = push(Op::Mul, &[scaled, bounded]);
    let still = push(Op::Zero { stride: 1 }, &[product]);
    let product = push(Op::Add, &[product, still]);
    // Floor division of the size, with and without padding.
    let small = push(pool(avg, 2, 2, 0), &[product]);
    let small = push(pool(max, 2, 1, 1), &[small]);
    let flat = push(Op::Flatten, &[small]);
    let peak = push(Op::GlobalPool { kind: max }, &[product]);
    let peak = push(Op::Flatten, &[peak]);
    let features = push(Op::Concat, &[flat, peak]);
    let linear = |out_features, bias| Op::Linear { out_features, bias };
    let hidden = push(linear(24, false), &[features]);
    let hidden = push(Op::BatchNorm, &[hidden]);
    let hidden = push(Op::Activation(Activation::Gelu), &[hidden]);
    push(linear(10, true), &[hidden]);
    net
}

fn attention(heads: usize, kv_heads: usize, window: usize, causal: bool) -> Op {
    Op::Attention(Attention {
        heads,
        kv_heads,
        window,
        causal,
    })
}

/// Every operator of maps and sequences that transformers add.
fn every_vision_transformer_operator() -> Network {
    let mut net = Network::new(Shape::image(6, 8, 8));
    let mut push = |op, inputs: &[NodeId]| net.push(op, inputs).unwrap();
    let x = push(Op::LayerNorm, &[NodeId(0)]);
    let y = push(Op::GroupNorm { groups: 3 }, &[x]);
    let z = push(Op::RmsNorm, &[y]);
    let windowed = push(attention(3, 3, 4, false), &[x, y, z]);
    let keys = push(Op::Conv(Conv::same(2, 1, 1)), &[x]);
    let whole = push(attention(3, 1, 0, false), &[x, keys, keys]);
    let whole_heads = Attention {
        heads: 3,
        kv_heads: 3,
        window: 0,
        causal: false,
    };
    let relative = |distance, grid| Op::RelativeAttention(whole_heads, Relative { distance, grid });
    let near = push(relative(3, false), &[x, y, z]);
    let linear_map = Op::LinearAttention {
        heads: 2,
        causal: false,
    };
    let mixed = push(linear_map, &[x, y, z]);
    let sum = push(Op::Add, &[windowed, whole, near, mixed]);
    let tokens = push(Op::ToTokens, &[sum]);
    let tokens = push(Op::ClassToken, &[tokens]);
    let tokens = push(Op::Position, &[tokens]);
    let near = push(relative(5, true), &[tokens, tokens, tokens]);
    let row = push(relative(9, false), &[tokens, tokens, tokens]);
    let tokens = push(Op::Add, &[tokens, near, row]);
    let tokens = push(Op::BatchNorm, &[tokens]);
    let grouped = push(Op::GroupNorm { groups: 2 }, &[tokens]);
    let wide = push(Op::Concat, &[tokens, grouped]);
    let linear = |out_features, bias| Op::Linear { out_features, bias };
    let hidden = push(linear(8, true), &[wide]);
    let still = push(Op::Zero { stride: 1 }, &[hidden]);
    let hidden = push(Op::Add, &[hidden, still]);
    let class = push(Op::Select { index: 0 }, &[hidden]);
    let mean = push(
        Op::GlobalPool {
            kind: PoolKind::Avg,
        },
        &[hidden],
    );
    let most = push(
        Op::GlobalPool {
            kind: PoolKind::Max,
        },
        &[hidden],
    );
    let flat = push(Op::Flatten, &[hidden]);
    let features = push(Op::Concat, &[class, mean, most, flat]);
    let features = push(Op::LayerNorm, &[features]);
    push(linear(10, true), &[features]);
    net
}

/// Every operator of language models; the output is one vector a token.
fn every_language_operator() -> Network {
    let mut net = Network::new(Shape::ids(12));
    let mut push = |op, inputs: &[NodeId]| net.push(op, inputs).unwrap();
    let x = push(Op::Embedding { vocab: 50, dim: 16 }, &[NodeId(0)]);
    let x = push(Op::Sinusoidal, &[x]);
    let linear = |out_features, bias| Op::Linear { out_features, bias };
    let normal = push(Op::RmsNorm, &[x]);
    let q = push(linear(16, true), &[normal]);
    let k = push(linear(8, false), &[normal]);
    let v = push(linear(8, false), &[normal]);
    let q = push(Op::Rotary { heads: 4 }, &[q]);
    let k = push(Op::Rotary { heads: 2 }, &[k]);
    let grouped = push(attention(4, 2, 0, true), &[q, k, v]);
    let blocks = push(attention(4, 2, 4, true), &[q, k, v]);
    let causal = |causal| Op::LinearAttention { heads: 4, causal };
    let past = push(causal(true), &[q, normal, x]);
    let all = push(causal(false), &[q, normal, x]);
    let sum = push(Op::Add, &[grouped, blocks, past, all]);
    let gate = push(linear(24, false), &[sum]);
    let gate = push(Op::Activation(Activation::Swish), &[gate]);
    let up = push(linear(24, false), &[sum]);
    let up = push(Op::Mul, &[up, gate]);
    push(linear(50, false), &[up]);
    net
}

/// Every operator over the positions of a sequence: convolutions, pools, and
/// state spaces in one chunk and in several.
fn every_recurrent_operator() -> Network {
    let mut net = Network::new(Shape::tokens(48, 10));
    let mut push = |op, inputs: &[NodeId]| net.push(op, inputs).unwrap();
    let linear = |out_features, bias| Op::Linear { out_features, bias };
    let convolved = |conv: Conv1d| Op::Conv1d(conv);
    let x = push(convolved(Conv1d::same(24, 5, 1).bias(true)), &[NodeId(0)]);
    let x = push(Op::BatchNorm, &[x]);
    let x = push(Op::Activation(Activation::Relu), &[x]);
    let causal = Conv1d::same(24, 4, 1).dilation(3).groups(24).causal(true);
    let grouped = Conv1d::same(24, 3, 1).groups(4);
    let a = push(convolved(causal), &[x]);
    let b = push(convolved(grouped), &[x]);
    let x = push(Op::Add, &[a, b]);
    let mut sums = Vec::new();
    for (heads, state, chunk) in [(4, 2, 6), (2, 40, 48)] {
        let space = StateSpace { heads, state };
        assert_eq!(space.chunk(48, 12 / heads), chunk);
        let xbc = push(linear(12 + 2 * state, false), &[x]);
        let xbc = push(Op::Activation(Activation::Swish), &[xbc]);
        let step = push(linear(heads, false), &[x]);
        sums.push(push(Op::StateSpace(space), &[xbc, step]));
    }
    let x = push(Op::Add, &sums);
    let x = push(Op::RmsNorm, &[x]);
    let strided = push(convolved(Conv1d::same(12, 3, 2)), &[x]);
    let zero = push(Op::Zero { stride: 2 }, &[x]);
    let pools = [PoolKind::Max, PoolKind::Avg].map(|kind| {
        let pool = Op::Pool {
            kind,
            kernel: 3,
            stride: 2,
            padding: 1,
        };
        push(pool, &[x])
    });
    push(Op::Add, &[strided, zero, pools[0], pools[1]]);
    net
}

/// Random weights whose biases and statistics are not the trivial ones.
fn trained_looking(network: &Network, seed: u64) -> Weights {
    let mut weights = Weights::random(network, seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed + 1);
    for (name, array) in &mut weights.tensors {
        let range = if name.ends_with("running_var") {
            0.5..1.5
        } else if array.dims.len() == 1 {
            -0.5..0.5
        } else {
            continue;
        };
        array.data.fill_with(|| rng.random_range(range.clone()));
    }
    weights
}

/// A batch of what the network takes: noise, or token ids.
fn samples(network: &Network, count: usize) -> Array {
    let mut dims = vec![count];
    dims.extend(network.input_shape().dims());
    let data = network.example(count, count as u64);
    Array { dims, data }
}

#[test]
fn onnxruntime_and_tract_agree_on_every_operator_and_set() {
    let Some(python) = python() else {
        return skip("no Python with onnxruntime, so exported models were not compared with it");
    };
    let dir = tempfile::tempdir().unwrap();
    let mut cases = 0;
    let networks = [
        ("maps", every_operator()),
        ("vision", every_vision_transformer_operator()),
        ("language", every_language_operator()),
        ("recurrent", every_recurrent_operator()),
    ];
    for (name, network, opset) in networks
        .iter()
        .flat_map(|(name, network)| OPSETS.map(move |opset| (name, network, opset)))
    {
        let weights = trained_looking(network, 3);
        for (batch, count) in [
            (Batch::Dynamic, 1),
            (Batch::Dynamic, 3),
            (Batch::Fixed(2), 2),
        ] {
            let options = OnnxOptions {
                opset,
                batch,
                metadata: vec![("architecture".into(), "every operator".into())],
                ..OnnxOptions::default()
            };
            let onnx = export(network, &weights, &options).unwrap();
            let input = samples(network, count);
            let output = infer(&onnx, &input).unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut dims = vec![count];
            dims.extend(network.output_shape().dims());
            assert_eq!(output.dims, dims);
            write_case(
                dir.path(),
                &format!("{name}-opset{opset}-{count}"),
                &onnx,
                &input,
                &output,
            );
            cases += 1;
        }
    }
    let (checked, worst) = check_cases(python, dir.path());
    assert_eq!(checked, cases);
    println!("greatest difference over {cases} cases: {worst:e}");
}
