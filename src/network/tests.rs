use super::*;

fn conv_bn_relu(net: &mut Network, x: NodeId, out: usize, stride: usize) -> NodeId {
    let x = net
        .push(Op::Conv(Conv::same(out, 3, stride)), &[x])
        .unwrap();
    let x = net.push(Op::BatchNorm, &[x]).unwrap();
    net.push(Op::Activation(Activation::Relu), &[x]).unwrap()
}

/// ResNet-20 for CIFAR-10 with option-A (parameter-free) shortcuts left out
/// where the shape changes, which does not alter MACs or parameters.
fn resnet20() -> Network {
    let mut net = Network::new(Shape::image(3, 32, 32));
    let mut x = conv_bn_relu(&mut net, NodeId(0), 16, 1);
    for (stage, width) in [16, 32, 64].into_iter().enumerate() {
        for block in 0..3 {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let shortcut = x;
            x = conv_bn_relu(&mut net, x, width, stride);
            x = net.push(Op::Conv(Conv::same(width, 3, 1)), &[x]).unwrap();
            x = net.push(Op::BatchNorm, &[x]).unwrap();
            if stride == 1 {
                x = net.push(Op::Add, &[x, shortcut]).unwrap();
            }
            x = net.push(Op::Activation(Activation::Relu), &[x]).unwrap();
        }
    }
    x = net
        .push(
            Op::GlobalPool {
                kind: PoolKind::Avg,
            },
            &[x],
        )
        .unwrap();
    x = net.push(Op::Flatten, &[x]).unwrap();
    net.push(
        Op::Linear {
            out_features: 10,
            bias: true,
        },
        &[x],
    )
    .unwrap();
    net
}

#[test]
fn resnet20_has_the_published_costs() {
    // He et al. 2016: 0.27 M parameters; about 41 M multiply-accumulates.
    let costs = resnet20().costs();
    assert_eq!(costs.params, 269_722);
    assert_eq!(costs.macs, 40_551_040);
}

#[test]
fn peak_memory_of_a_chain_is_its_largest_neighbouring_pair() {
    let mut net = Network::new(Shape::image(1, 8, 8));
    let x = net
        .push(Op::Conv(Conv::same(4, 3, 1)), &[NodeId(0)])
        .unwrap();
    let x = net.push(Op::Activation(Activation::Relu), &[x]).unwrap();
    net.push(Op::Conv(Conv::same(2, 3, 2)), &[x]).unwrap();
    // Input 64 + first map 256 floats are alive together; 256 + 32 is less.
    assert_eq!(net.costs().peak_activation_bytes, 4 * (64 + 256));
}

#[test]
fn a_residual_keeps_its_shortcut_alive() {
    let mut net = Network::new(Shape::image(4, 8, 8));
    let x = net
        .push(Op::Conv(Conv::same(4, 3, 1)), &[NodeId(0)])
        .unwrap();
    let x = net.push(Op::Conv(Conv::same(4, 3, 1)), &[x]).unwrap();
    net.push(Op::Add, &[x, NodeId(0)]).unwrap();
    assert_eq!(net.costs().peak_activation_bytes, 4 * 3 * 256);
}

#[test]
fn zeros_and_dead_nodes_vanish() {
    let mut net = Network::new(Shape::image(4, 8, 8));
    let a = net
        .push(Op::Conv(Conv::same(4, 3, 1)), &[NodeId(0)])
        .unwrap();
    let z = net.push(Op::Zero { stride: 1 }, &[NodeId(0)]).unwrap();
    let zc = net.push(Op::Conv(Conv::same(4, 1, 1)), &[z]).unwrap();
    net.push(Op::Add, &[a, z, zc]).unwrap();
    let simple = net.simplify();
    assert_eq!(simple.nodes().len(), 2);
    assert_eq!(simple.nodes()[1].op, Op::Conv(Conv::same(4, 3, 1)));
    assert_eq!(simple.output_shape(), net.output_shape());
}

#[test]
fn the_hash_ignores_the_order_of_summands_and_of_nodes() {
    let build = |swap: bool| {
        let mut net = Network::new(Shape::image(4, 8, 8));
        let kernels = if swap { [5, 3] } else { [3, 5] };
        let a = net
            .push(Op::Conv(Conv::same(4, kernels[0], 1)), &[NodeId(0)])
            .unwrap();
        let b = net
            .push(Op::Conv(Conv::same(4, kernels[1], 1)), &[NodeId(0)])
            .unwrap();
        net.push(Op::Add, &[a, b]).unwrap();
        net
    };
    assert_eq!(build(false).hash(), build(true).hash());
    let mut other = build(false);
    other
        .push(Op::Activation(Activation::Relu), &[other.output()])
        .unwrap();
    assert_ne!(other.hash(), build(false).hash());
}

#[test]
fn operators_say_why_a_shape_does_not_fit() {
    let mut net = Network::new(Shape::image(6, 2, 2));
    let error = net
        .push(Op::Conv(Conv::same(8, 3, 1).groups(4)), &[NodeId(0)])
        .unwrap_err();
    insta::assert_snapshot!(error, @"conv3x3(8, groups 4) does not fit: 4 groups divide neither or not both of 6 input and 8 output channels");
    let wide = Op::Pool {
        kind: PoolKind::Max,
        kernel: 3,
        stride: 1,
        padding: 0,
    };
    let error = net.push(wide, &[NodeId(0)]).unwrap_err();
    insta::assert_snapshot!(error, @"maxpool(3, stride 1) does not fit: a window of 3 is larger than the 2x2 map");
}

#[test]
fn weights_survive_safetensors_and_refuse_other_networks() {
    let net = resnet20();
    let weights = Weights::random(&net, 7);
    let back = Weights::from_safetensors(&weights.to_safetensors().unwrap()).unwrap();
    assert_eq!(weights, back);
    back.check(&net).unwrap();
    assert_eq!(weights, Weights::random(&net, 7));
    let mut other = Network::new(Shape::image(3, 32, 32));
    other
        .push(Op::Conv(Conv::same(8, 3, 1)), &[NodeId(0)])
        .unwrap();
    assert!(back.check(&other).is_err());
}

#[test]
fn bit_widths_count_in_bytes_and_in_the_hash_only_where_set() {
    let build = |precision: Precision| {
        let mut net = Network::new(Shape::image(3, 8, 8));
        net.set_precision(precision);
        net.push(Op::Conv(Conv::same(5, 3, 1)), &[NodeId(0)])
            .unwrap();
        net
    };
    let float = build(Precision::FLOAT);
    let int4 = build(Precision {
        weights: 4,
        activations: 8,
    });
    assert_eq!(float.costs().weight_bytes, 4 * 135);
    // 135 half bytes, rounded up; feature maps of one byte a number.
    assert_eq!(int4.costs().weight_bytes, 68);
    assert_eq!(int4.costs().peak_activation_bytes, (3 + 5) * 64);
    assert_ne!(float.hash(), int4.hash());
    let json = serde_json::to_string(&float).unwrap();
    assert!(!json.contains("precision"), "{json}");
    let json = serde_json::to_string(&int4).unwrap();
    assert_eq!(
        serde_json::from_str::<Network>(&json).unwrap().costs(),
        int4.costs()
    );
}

#[test]
fn convolutions_over_positions_have_their_lengths_and_costs() {
    let sequence = Shape::tokens(49, 40);
    let shape = |op: Op| op.infer(&[sequence]);
    for kernel in 1..8 {
        for conv in [
            Conv1d::same(8, kernel, 1),
            Conv1d::same(8, kernel, 1).dilation(3),
            Conv1d::same(8, kernel, 1).dilation(2).causal(true),
        ] {
            assert_eq!(
                shape(Op::Conv1d(conv)),
                Ok(Shape::tokens(49, 8)),
                "{conv:?}"
            );
        }
        let strided = Op::Conv1d(Conv1d::same(8, kernel, 2));
        assert_eq!(shape(strided), Ok(Shape::tokens(25, 8)));
    }
    let mut net = Network::new(sequence);
    let conv = Conv1d::same(12, 5, 2).groups(4).bias(true);
    let x = net.push(Op::Conv1d(conv), &[NodeId(0)]).unwrap();
    let pool = Op::Pool {
        kind: PoolKind::Max,
        kernel: 3,
        stride: 2,
        padding: 1,
    };
    net.push(pool, &[x]).unwrap();
    assert_eq!(net.output_shape(), Shape::tokens(13, 12));
    let costs = net.costs();
    assert_eq!(costs.params, 12 * (40 / 4) * 5 + 12);
    assert_eq!(costs.macs, 25 * 12 * (40 / 4) * 5);
    let specs = net.param_specs();
    assert_eq!(specs[0].dims, [12, 10, 5]);
    let error = |shape: Shape, op: Op| op.infer(&[shape]).unwrap_err().to_string();
    insta::assert_snapshot!(
        error(Shape::image(3, 8, 8), Op::Conv1d(conv)),
        @"conv1d(5, 12, stride 2, groups 4) does not fit: it needs a sequence, not a 3x8x8 map (`conv` is for maps)"
    );
    insta::assert_snapshot!(
        error(sequence, Op::Conv(Conv::same(4, 3, 1))),
        @"conv3x3(4) does not fit: it needs a feature map, not 49 tokens of 40 (`conv1d` is for sequences)"
    );
}

#[test]
fn a_state_space_says_what_does_not_fit_and_costs_what_it_does() {
    let space = StateSpace {
        heads: 4,
        state: 16,
    };
    let infer = |x: Shape, dt: Shape| Op::StateSpace(space).infer(&[x, dt]);
    let (x, dt) = (Shape::tokens(10, 64 + 32), Shape::tokens(10, 4));
    let out = infer(x, dt).unwrap();
    assert_eq!(out, Shape::tokens(10, 64));
    // Decay, input and output of 16 numbers a channel, and the skip.
    assert_eq!(
        Op::StateSpace(space).tally(x, out).macs,
        10 * 64 * (3 * 16 + 1)
    );
    assert_eq!(Op::StateSpace(space).tally(x, out).params, 12);
    let error = |x, dt| infer(x, dt).unwrap_err().reason;
    insta::assert_snapshot!(
        error(x, Shape::tokens(10, 5)),
        @"4 heads on 10 tokens need a step size each, not 10 tokens of 5"
    );
    insta::assert_snapshot!(
        error(Shape::tokens(10, 32), dt),
        @"32 channels leave none beside two of state 16"
    );
    insta::assert_snapshot!(
        error(Shape::tokens(10, 35), dt),
        @"4 heads do not divide 3 channels"
    );
    insta::assert_snapshot!(
        error(Shape::image(96, 5, 2), dt),
        @"it needs a sequence, not a 96x5x2 map"
    );
}

#[test]
fn chunks_divide_the_length_and_are_short_on_long_sequences() {
    let space = StateSpace {
        heads: 8,
        state: 64,
    };
    for length in [1, 7, 64, 128, 509, 1000, 4096] {
        let chunk = space.chunk(length, 64);
        assert!(length.is_multiple_of(chunk), "{length}: {chunk}");
    }
    assert_eq!(space.chunk(64, 64), 64);
    assert!((64..=256).contains(&space.chunk(4096, 64)));
}

#[test]
fn state_spaces_start_with_the_steps_of_mamba() {
    let mut net = Network::new(Shape::tokens(4, 24));
    let step = Op::Linear {
        out_features: 8,
        bias: false,
    };
    let step = net.push(step, &[NodeId(0)]).unwrap();
    let space = StateSpace { heads: 8, state: 4 };
    net.push(Op::StateSpace(space), &[NodeId(0), step]).unwrap();
    let weights = Weights::random(&net, 3);
    let data = |name: &str| weights.tensors[name].data.clone();
    for x in data("n2.bias") {
        let step = x.exp().ln_1p();
        assert!((0.000_99..0.101).contains(&step), "{step}");
    }
    for x in data("n2.log_decay") {
        assert!((1.0..16.0).contains(&x.exp()), "{x}");
    }
    assert_eq!(data("n2.skip"), [1.0; 8]);
}

#[test]
fn sizes_beyond_counting_are_refused_and_never_wrap() {
    let map = Shape::image(1 << 16, 1 << 9, 1 << 9);
    let most = 1 << 20;
    let conv = Op::Conv(Conv::same(most, most + 1, 1).dilation(most));
    let reason = |op: Op, inputs: &[Shape]| op.infer(inputs).unwrap_err().reason;
    insta::assert_snapshot!(
        reason(conv, &[map]),
        @"its output has 2.75e11 numbers; at most 2^36 are possible"
    );
    let small = Shape::image(1 << 20, 1, 1);
    insta::assert_snapshot!(
        reason(conv, &[small]),
        @"its weights are 1.21e24 numbers; at most 2^36 are possible"
    );
    let long = Shape::tokens(1 << 20, 1 << 10);
    let attention = Attention {
        heads: 1 << 10,
        kv_heads: 1 << 10,
        window: 0,
        causal: true,
    };
    insta::assert_snapshot!(
        reason(Op::Attention(attention), &[long; 3]),
        @"its intermediate values are 1.13e15 numbers; at most 2^36 are possible"
    );
    let linear = Op::Linear {
        out_features: 1 << 26,
        bias: true,
    };
    insta::assert_snapshot!(
        reason(linear, &[Shape::tokens(1 << 10, 1 << 10)]),
        @"its weights are 6.88e10 numbers; at most 2^36 are possible"
    );
    let kernel = Op::Conv(Conv::same(1 << 4, 255, 1));
    insta::assert_snapshot!(
        reason(kernel, &[Shape::image(1 << 4, 1 << 15, 1 << 15)]),
        @"it takes 1.79e16 multiply-accumulates; at most 2^52 are possible"
    );
    let huge = Shape::image(usize::MAX, usize::MAX, 2);
    assert_eq!(huge.elements(), usize::MAX);
    assert!(Op::Flatten.infer(&[huge]).is_err());
    assert!(Op::Activation(Activation::Relu).infer(&[huge]).is_err());
    assert!(
        Op::ClassToken
            .infer(&[Shape::tokens(usize::MAX - 1, 1)])
            .is_err()
    );
    let far = Conv {
        padding: usize::MAX / 4,
        ..Conv::same(1, usize::MAX / 8, 1)
    };
    assert!(Op::Conv(far).infer(&[Shape::image(1, 1, 1)]).is_err());
}

#[test]
fn relative_positions_have_the_tables_of_autoformer() {
    let attention = Attention {
        heads: 3,
        kv_heads: 3,
        window: 0,
        causal: false,
    };
    let op = |distance, grid| Op::RelativeAttention(attention, Relative { distance, grid });
    // 14 x 14 patches behind a class token: 30 embeddings of 64 channels, of two
    // axes, of keys and of values (Chen et al. 2021 and their code).
    let tokens = Shape::tokens(197, 192);
    assert_eq!(op(14, true).infer(&[tokens; 3]), Ok(tokens));
    assert_eq!(op(14, true).tally(tokens, tokens).params, 2 * 2 * 30 * 64);
    assert_eq!(op(14, false).tally(tokens, tokens).params, 2 * 29 * 64);
    let plain = Op::Attention(attention).tally(tokens, tokens).macs;
    let more = op(14, true).tally(tokens, tokens).macs - plain;
    assert_eq!(more, 2 * 197 * 192 * 60);
    let indices = Relative {
        distance: 1,
        grid: true,
    }
    .indices(Shape::tokens(5, 3));
    // Class token, then 2 x 2 pixels.
    assert_eq!(indices[0][..5], [0; 5]);
    assert_eq!(indices[0][5..10], [0, 2, 2, 3, 3]);
    assert_eq!(indices[1][5..10], [0, 2, 3, 2, 3]);
    let error = |op: Op, shape: Shape| op.infer(&[shape; 3]).unwrap_err().to_string();
    insta::assert_snapshot!(
        error(op(14, true), Shape::tokens(12, 192)),
        @"attention(3 heads, relative 14) does not fit: 12 tokens are no square image, with or without a class token"
    );
    let windowed = Op::RelativeAttention(
        Attention {
            window: 4,
            ..attention
        },
        Relative {
            distance: 4,
            grid: false,
        },
    );
    insta::assert_snapshot!(
        error(windowed, Shape::tokens(12, 192)),
        @"attention(3 heads, window 4, relative 4) does not fit: relative positions go with attention to the whole, not with windows"
    );
}
