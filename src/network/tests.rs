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
