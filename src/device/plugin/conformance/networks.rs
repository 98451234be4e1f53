//! The networks that plugins are tried with.

use crate::network::{Activation, Conv, Network, NodeId, Op, PoolKind, Shape};

/// One convolution of much more work than all of the reference, so that it
/// takes longer even where every operator costs a moment of its own.
pub(super) fn large_network() -> Network {
    let mut net = Network::new(Shape::image(32, 48, 48));
    let conv = Op::Conv(Conv::same(64, 3, 1));
    let x = net.push(conv, &[NodeId(0)]).expect("shapes fit");
    let pool = net
        .push(
            Op::GlobalPool {
                kind: PoolKind::Avg,
            },
            &[x],
        )
        .expect("shapes fit");
    net.push(Op::Flatten, &[pool]).expect("shapes fit");
    net
}

/// What spaces of convolutional networks are made of.
pub(super) fn operator_networks() -> Vec<(&'static str, Network)> {
    let chain = |ops: Vec<Op>| {
        let mut net = Network::new(Shape::image(8, 12, 12));
        let mut x = NodeId(0);
        for op in ops {
            x = net.push(op, &[x]).expect("shapes fit");
        }
        net
    };
    let pool = |kind| Op::Pool {
        kind,
        kernel: 3,
        stride: 2,
        padding: 1,
    };
    let linear = Op::Linear {
        out_features: 10,
        bias: true,
    };
    let mut networks = vec![
        (
            "depthwise convolution",
            chain(vec![Op::Conv(Conv::same(8, 5, 2).groups(8)), Op::BatchNorm]),
        ),
        (
            "grouped convolution",
            chain(vec![Op::Conv(Conv::same(16, 3, 1).groups(4))]),
        ),
        (
            "dilated convolution",
            chain(vec![Op::Conv(Conv::same(8, 3, 1).dilation(2))]),
        ),
        ("max pooling", chain(vec![pool(PoolKind::Max)])),
        ("average pooling", chain(vec![pool(PoolKind::Avg)])),
        (
            "global pooling and a classifier",
            chain(vec![
                Op::GlobalPool {
                    kind: PoolKind::Avg,
                },
                Op::Flatten,
                linear,
            ]),
        ),
    ];
    for (name, activation) in Activation::ALL {
        let conv = Op::Conv(Conv::same(8, 1, 1));
        networks.push((name, chain(vec![conv, Op::Activation(activation)])));
    }
    let mut branches = Network::new(Shape::image(8, 12, 12));
    let a = branches.push(Op::Conv(Conv::same(8, 3, 1)), &[NodeId(0)]);
    let a = a.expect("shapes fit");
    let sum = branches.push(Op::Add, &[a, NodeId(0)]).expect("shapes fit");
    let wide = branches.push(Op::Concat, &[a, sum]).expect("shapes fit");
    let gate = Op::GlobalPool {
        kind: PoolKind::Avg,
    };
    let gate = branches.push(gate, &[wide]).expect("shapes fit");
    branches.push(Op::Mul, &[wide, gate]).expect("shapes fit");
    networks.push(("sums, products and concatenation", branches));
    networks
}
