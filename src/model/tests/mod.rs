use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::network::{Conv, NodeId, PoolKind, Role};

fn push(net: &mut Network, op: Op, inputs: &[NodeId]) -> NodeId {
    net.push(op, inputs).unwrap()
}

/// Weights in which nothing is at its neutral start: biases, scales and
/// statistics are random, too.
fn random_weights(net: &Network, seed: u64) -> Weights {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = Weights::random(net, seed);
    for spec in net.param_specs() {
        let low = if spec.role == Role::RunningVar {
            0.5
        } else {
            -1.0
        };
        let table = matches!(spec.role, Role::RelativeKeys | Role::RelativeValues);
        if spec.dims.len() == 1 || table {
            let array = weights.tensors.get_mut(&spec.name()).unwrap();
            array
                .data
                .iter_mut()
                .for_each(|x| *x = rng.random_range(low..1.5));
        }
    }
    weights
}

fn random_images(net: &Network, count: usize, seed: u64) -> Vec<f32> {
    if let Shape::Ids { .. } = net.input_shape() {
        return net.example(count, seed);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count * net.input_shape().elements())
        .map(|_| rng.random_range(-2.0..2.0))
        .collect()
}

fn batch(net: &Network, images: &[f32], device: &Device) -> Tensor<4> {
    let count = images.len() / net.input_shape().elements();
    let dims = Model::input_dims(net.input_shape(), count);
    let data = TensorData::new(images.to_vec(), dims);
    Tensor::from_data(data, device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let scale = 1.0 + b.abs();
        assert!(
            (a - b).abs() <= tolerance * scale,
            "{what}[{i}]: {a} is not {b}"
        );
    }
}

/// Both layouts on the CPU, before and after folding, against the reference.
#[track_caller]
fn check_inference(net: &Network, seed: u64) {
    let weights = random_weights(net, seed);
    let images = random_images(net, 3, seed + 1);
    let expected: Vec<f32> = images
        .chunks_exact(net.input_shape().elements())
        .flat_map(|image| reference::forward(net, &weights, image))
        .map(|x| x as f32)
        .collect();
    let device = Device::flex();
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let model = Model::with_layout(net, &weights, &device, layout).unwrap();
        let found = values(model.forward(batch(net, &images, &device)));
        assert_close(&found, &expected, 1e-4, &format!("{layout:?}"));
        let (folded, weights) = fold_batch_norm(net, &weights).unwrap();
        let model = Model::with_layout(&folded, &weights, &device, layout).unwrap();
        let found = values(model.forward(batch(net, &images, &device)));
        assert_close(&found, &expected, 1e-4, &format!("{layout:?}, folded"));
    }
}

/// Training passes of both layouts against each other: outputs, gradients and
/// running statistics. The channels-first one is burn's own.
#[track_caller]
fn check_training(net: &Network, seed: u64) {
    let weights = random_weights(net, seed);
    let images = random_images(net, 5, seed + 1);
    let device = Device::flex().autodiff();
    let mut results = [Layout::ChannelsFirst, Layout::ChannelsLast].map(|layout| {
        let model = Model::with_layout(net, &weights, &device, layout).unwrap();
        let images = batch(net, &images, &device).require_grad();
        let out = model.forward(images.clone());
        // A loss in which every output matters differently.
        let dims = out.dims();
        let count = dims[0] * dims[1];
        let factors: Vec<f32> = (0..count)
            .map(|i| ((i * 7) % 11) as f32 / 5.0 - 1.0)
            .collect();
        let factors = Tensor::from_data(TensorData::new(factors, dims), &device);
        let gradients = (out.clone() * factors).sum().backward();
        // There is no gradient of token ids.
        let input = match net.input_shape() {
            Shape::Ids { .. } => Vec::new(),
            _ => values(images.grad(&gradients).unwrap()),
        };
        (
            values(out),
            input,
            model.gradients(&gradients),
            model.to_weights(),
        )
    });
    let [(out, input, gradients, after), mine] = &mut results;
    assert_close(&mine.0, out, 1e-3, "output");
    assert_close(&mine.1, input, 2e-3, "gradient of the input");
    assert_eq!(gradients.tensors.len(), mine.2.tensors.len());
    for (name, expected) in &gradients.tensors {
        assert_close(&mine.2.tensors[name].data, &expected.data, 2e-3, name);
    }
    for (name, expected) in &after.tensors {
        assert_close(&mine.3.tensors[name].data, &expected.data, 1e-4, name);
    }
}

#[track_caller]
fn check(net: &Network) {
    check_inference(net, 1);
    check_training(net, 2);
}

fn single(input: Shape, op: Op) -> Network {
    let mut net = Network::new(input);
    push(&mut net, op, &[NodeId(0)]);
    net
}

#[test]
fn convolutions_of_every_kind() {
    let dense = Conv::same(24, 3, 1);
    for conv in [
        dense,
        dense.bias(true),
        Conv::same(5, 1, 1),
        Conv::same(8, 1, 2),
        Conv::same(7, 5, 2),
        Conv::same(6, 7, 1).bias(true),
        Conv {
            padding: 0,
            ..dense
        },
        Conv {
            padding: 3,
            ..dense
        },
        dense.dilation(2),
        Conv::same(9, 2, 2),
        dense.groups(3),
        Conv::same(6, 1, 1).groups(2).bias(true),
        Conv::same(12, 3, 2).groups(6),
    ] {
        check(&single(Shape::image(6, 9, 7), Op::Conv(conv)));
    }
    check(&single(Shape::image(1, 9, 7), Op::Conv(dense)));
}

#[test]
fn depthwise_convolutions() {
    for channels in [2, 8, 43] {
        for conv in [
            Conv::same(channels, 3, 1),
            Conv::same(channels, 5, 2).bias(true),
            Conv::same(channels, 7, 1),
            Conv::same(channels, 3, 1).dilation(2),
            Conv {
                padding: 0,
                ..Conv::same(channels, 3, 2)
            },
        ] {
            check(&single(
                Shape::image(channels, 8, 9),
                Op::Conv(conv.groups(channels)),
            ));
        }
    }
}

#[test]
fn pools() {
    for kind in [PoolKind::Avg, PoolKind::Max] {
        for (kernel, stride, padding) in [(2, 2, 0), (3, 1, 1), (3, 2, 1), (3, 3, 0), (4, 2, 1)] {
            let pool = Op::Pool {
                kind,
                kernel,
                stride,
                padding,
            };
            check(&single(Shape::image(5, 9, 8), pool));
        }
        check(&single(Shape::image(5, 9, 8), Op::GlobalPool { kind }));
    }
}

#[test]
fn activations_alone_and_behind_other_operators() {
    for (_, activation) in Activation::ALL {
        check(&single(Shape::image(3, 5, 5), Op::Activation(activation)));
        for op in [Op::BatchNorm, Op::Conv(Conv::same(4, 3, 1).bias(true))] {
            let mut net = Network::new(Shape::image(3, 5, 5));
            let x = push(&mut net, op, &[NodeId(0)]);
            push(&mut net, Op::Activation(activation), &[x]);
            check(&net);
        }
    }
}

#[test]
fn batch_norm_on_maps_and_vectors() {
    check(&single(Shape::image(19, 6, 5), Op::BatchNorm));
    let mut net = Network::new(Shape::image(3, 4, 2));
    let x = push(&mut net, Op::Flatten, &[NodeId(0)]);
    let x = push(
        &mut net,
        Op::Linear {
            out_features: 9,
            bias: true,
        },
        &[x],
    );
    let x = push(&mut net, Op::BatchNorm, &[x]);
    let x = push(&mut net, Op::Activation(Activation::Relu), &[x]);
    push(
        &mut net,
        Op::Linear {
            out_features: 4,
            bias: false,
        },
        &[x],
    );
    check(&net);
}

#[test]
fn sums_products_and_concatenations() {
    let mut net = Network::new(Shape::image(4, 6, 6));
    let a = push(&mut net, Op::Conv(Conv::same(4, 3, 1)), &[NodeId(0)]);
    let b = push(&mut net, Op::Conv(Conv::same(3, 1, 1)), &[NodeId(0)]);
    let zero = push(&mut net, Op::Zero { stride: 1 }, &[b]);
    let sum = push(&mut net, Op::Add, &[a, NodeId(0), a]);
    let whole = push(&mut net, Op::Mul, &[sum, a]);
    let gate = push(
        &mut net,
        Op::GlobalPool {
            kind: PoolKind::Avg,
        },
        &[sum],
    );
    let gate = push(&mut net, Op::Activation(Activation::Sigmoid), &[gate]);
    let gated = push(&mut net, Op::Mul, &[sum, gate]);
    let all = push(&mut net, Op::Concat, &[gated, b, zero, whole]);
    check(&net);
    let reduced = push(&mut net, Op::Zero { stride: 4 }, &[all]);
    let pooled = push(
        &mut net,
        Op::Pool {
            kind: PoolKind::Max,
            kernel: 3,
            stride: 4,
            padding: 1,
        },
        &[all],
    );
    assert_eq!(net.shape(reduced), net.shape(pooled));
    push(&mut net, Op::Add, &[reduced, pooled]);
    check(&net);
}

/// An inverted residual with squeeze-and-excitation, pooled and classified.
fn small_mobile_net(channels: usize) -> Network {
    let mut net = Network::new(Shape::image(channels, 12, 12));
    let act = |a| Op::Activation(a);
    let mut x = push(&mut net, Op::Conv(Conv::same(8, 3, 2)), &[NodeId(0)]);
    x = push(&mut net, Op::BatchNorm, &[x]);
    let stem = push(&mut net, act(Activation::Relu6), &[x]);
    x = push(&mut net, Op::Conv(Conv::same(16, 1, 1)), &[stem]);
    x = push(&mut net, Op::BatchNorm, &[x]);
    x = push(&mut net, act(Activation::HardSwish), &[x]);
    x = push(&mut net, Op::Conv(Conv::same(16, 3, 1).groups(16)), &[x]);
    x = push(&mut net, Op::BatchNorm, &[x]);
    let wide = push(&mut net, act(Activation::HardSwish), &[x]);
    let mut gate = push(
        &mut net,
        Op::GlobalPool {
            kind: PoolKind::Avg,
        },
        &[wide],
    );
    gate = push(&mut net, Op::Conv(Conv::same(4, 1, 1).bias(true)), &[gate]);
    gate = push(&mut net, act(Activation::Relu), &[gate]);
    gate = push(&mut net, Op::Conv(Conv::same(16, 1, 1).bias(true)), &[gate]);
    gate = push(&mut net, act(Activation::HardSigmoid), &[gate]);
    x = push(&mut net, Op::Mul, &[wide, gate]);
    x = push(&mut net, Op::Conv(Conv::same(8, 1, 1)), &[x]);
    x = push(&mut net, Op::BatchNorm, &[x]);
    x = push(&mut net, Op::Add, &[x, stem]);
    x = push(
        &mut net,
        Op::GlobalPool {
            kind: PoolKind::Avg,
        },
        &[x],
    );
    x = push(&mut net, Op::Flatten, &[x]);
    push(
        &mut net,
        Op::Linear {
            out_features: 10,
            bias: true,
        },
        &[x],
    );
    net
}

#[test]
fn a_whole_network_in_both_modes() {
    check(&small_mobile_net(1));
    check(&small_mobile_net(3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_convolution_that_fits_is_right(
        (in_group, out_group, groups) in (1usize..5, 1usize..5, 1usize..4),
        (kernel, stride, padding, dilation) in (1usize..5, 1usize..4, 0usize..4, 1usize..3),
        (height, width) in (1usize..9, 1usize..9),
        bias: bool,
    ) {
        let conv = Conv { out_channels: out_group * groups, kernel, stride, padding, dilation, groups, bias };
        let mut net = Network::new(Shape::image(in_group * groups, height, width));
        prop_assume!(net.push(Op::Conv(conv), &[NodeId(0)]).is_ok());
        check(&net);
    }
}

#[test]
fn weights_come_back_unchanged() {
    let net = small_mobile_net(3);
    let weights = random_weights(&net, 3);
    for device in [Device::flex(), Device::flex().autodiff()] {
        let model = Model::new(&net, &weights, &device).unwrap();
        assert_eq!(model.to_weights(), weights);
    }
}

#[test]
fn inference_keeps_the_running_statistics() {
    let net = small_mobile_net(1);
    let weights = random_weights(&net, 3);
    let device = Device::flex().autodiff();
    let model = Model::new(&net, &weights, &device).unwrap();
    let images = batch(&net, &random_images(&net, 4, 1), &Device::flex());
    model.valid().forward(images);
    assert_eq!(model.to_weights(), weights);
}

#[test]
fn folding_leaves_no_norm_behind_a_convolution() {
    let net = small_mobile_net(1);
    let (folded, _) = fold_batch_norm(&net, &Weights::random(&net, 0)).unwrap();
    assert!(folded.nodes().iter().all(|node| node.op != Op::BatchNorm));
    assert_eq!(folded.costs().macs, net.costs().macs);
    // A convolution that someone else reads, too, must stay as it is.
    let mut net = Network::new(Shape::image(2, 4, 4));
    let conv = push(&mut net, Op::Conv(Conv::same(2, 3, 1)), &[NodeId(0)]);
    let norm = push(&mut net, Op::BatchNorm, &[conv]);
    push(&mut net, Op::Add, &[conv, norm]);
    let (folded, _) = fold_batch_norm(&net, &Weights::random(&net, 0)).unwrap();
    assert_eq!(folded, net);
    check(&net);
}

#[test]
fn a_session_runs_what_the_model_computes() {
    let net = small_mobile_net(3);
    let weights = random_weights(&net, 5);
    let mut session = InferenceSession::new(&net, &weights, &Device::flex(), 2).unwrap();
    session.run().unwrap();
    let first = session.logits();
    assert_eq!(first.len(), 20);
    assert_eq!(first, session.logits());
}

#[test]
fn misfits_are_errors() {
    let net = small_mobile_net(1);
    let mut weights = Weights::random(&net, 0);
    weights.tensors.remove("n1.weight");
    let error = Model::new(&net, &weights, &Device::flex()).unwrap_err();
    insta::assert_snapshot!(error, @"the weights lack tensor `n1.weight`");
    insta::assert_snapshot!("cuda".parse::<Backend>().unwrap_err(), @"`cuda` is not a backend; choose `flex` (CPU) or `wgpu` (GPU)");
    assert_eq!(Backend::Wgpu.to_string().parse(), Ok(Backend::Wgpu));
}

#[test]
fn a_gpu_agrees_with_the_cpu_where_there_is_one() {
    let device = match backend::device(Backend::Wgpu) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("SKIPPED: the wgpu backend was not tested: {error}");
            return;
        }
    };
    let net = small_mobile_net(3);
    let weights = random_weights(&net, 7);
    let images = random_images(&net, 4, 8);
    let on = |device: &Device| {
        let model = Model::new(&net, &weights, device).unwrap();
        values(model.forward(batch(&net, &images, device)))
    };
    assert_close(&on(&device), &on(&Device::flex()), 1e-3, "inference");
    let train = |device: Device| {
        let device = device.autodiff();
        let model = Model::new(&net, &weights, &device).unwrap();
        let loss = model
            .forward(batch(&net, &images, &device))
            .powi_scalar(2)
            .mean();
        model.gradients(&loss.backward())
    };
    let (gpu, cpu) = (train(device), train(Device::flex()));
    for (name, expected) in &cpu.tensors {
        assert_close(&gpu.tensors[name].data, &expected.data, 1e-2, name);
    }
}

#[test]
fn large_batches_are_cut_into_pieces_without_a_trace() {
    // More rows than one piece of work holds, in every kernel that sums.
    let net = small_mobile_net(3);
    let weights = random_weights(&net, 1);
    let device = Device::flex().autodiff();
    let images = Tensor::<4>::random([130, 3, 12, 12], Distribution::Default, &device);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let model = Model::new(&net, &weights, &device).unwrap();
            let loss = model.forward(images.clone()).powi_scalar(2).mean();
            model.gradients(&loss.backward())
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
    let first = Model::with_layout(&net, &weights, &device, Layout::ChannelsFirst).unwrap();
    let loss = first.forward(images.clone()).powi_scalar(2).mean();
    for (name, expected) in &first.gradients(&loss.backward()).tensors {
        assert_close(&one.tensors[name].data, &expected.data, 2e-3, name);
    }
}

mod sequence;
