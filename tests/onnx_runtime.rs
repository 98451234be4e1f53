//! Exported models under onnxruntime: every operator in every operator set must
//! give what tract computes from the same file. Needs Python with onnxruntime
//! (`scripts/python-env.sh`); without it the test says so and passes, unless
//! `BESPOKE_REQUIRE_PYTHON` is set.

mod common;

use bespoke::device::infer;
use bespoke::network::onnx::{Batch, OPSETS, OnnxOptions, export};
use bespoke::network::{Activation, Array, Conv, Network, NodeId, Op, PoolKind, Shape, Weights};
use common::{check_cases, python, skip, write_case};
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

fn image(dims: Vec<usize>, seed: u64) -> Array {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let data = (0..dims.iter().product::<usize>())
        .map(|_| rng.random_range(-2.0..2.0))
        .collect();
    Array { dims, data }
}

#[test]
fn onnxruntime_and_tract_agree_on_every_operator_and_set() {
    let Some(python) = python() else {
        return skip("no Python with onnxruntime, so exported models were not compared with it");
    };
    let network = every_operator();
    let weights = trained_looking(&network, 3);
    let dir = tempfile::tempdir().unwrap();
    let mut cases = 0;
    for opset in OPSETS {
        for (batch, samples) in [
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
            let onnx = export(&network, &weights, &options).unwrap();
            let input = image(vec![samples, 3, 13, 13], samples as u64);
            let output = infer(&onnx, &input).unwrap();
            assert_eq!(output.dims, [samples, 10]);
            write_case(
                dir.path(),
                &format!("opset{opset}-{samples}"),
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
