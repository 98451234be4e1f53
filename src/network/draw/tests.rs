use super::*;
use crate::network::Op;
use crate::network::{Activation, Conv, NodeId, PoolKind, Shape};

/// Two inverted residuals, the second with squeeze-excite.
fn example() -> Network {
    let mut net = Network::new(Shape::image(3, 32, 32));
    let conv = |net: &mut Network, x, conv, act: Option<Activation>| {
        let x = net.push(Op::Conv(conv), &[x]).unwrap();
        let x = net.push(Op::BatchNorm, &[x]).unwrap();
        match act {
            Some(a) => net.push(Op::Activation(a), &[x]).unwrap(),
            None => x,
        }
    };
    let relu6 = Some(Activation::Relu6);
    let kind = PoolKind::Avg;
    let stem = conv(&mut net, NodeId(0), Conv::same(16, 3, 2), relu6);
    let mut x = stem;
    for squeeze in [false, true] {
        let shortcut = x;
        x = conv(&mut net, x, Conv::same(64, 1, 1), relu6);
        x = conv(&mut net, x, Conv::same(64, 3, 1).groups(64), relu6);
        if squeeze {
            let mut gate = net.push(Op::GlobalPool { kind }, &[x]).unwrap();
            for (channels, act) in [(16, Activation::Relu), (64, Activation::HardSigmoid)] {
                let fc = Op::Conv(Conv::same(channels, 1, 1).bias(true));
                gate = net.push(fc, &[gate]).unwrap();
                gate = net.push(Op::Activation(act), &[gate]).unwrap();
            }
            x = net.push(Op::Mul, &[x, gate]).unwrap();
        }
        x = conv(&mut net, x, Conv::same(16, 1, 1), None);
        x = net.push(Op::Add, &[x, shortcut]).unwrap();
    }
    x = net.push(Op::GlobalPool { kind }, &[x]).unwrap();
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
fn fused_operators_share_a_box() {
    let net = example();
    let texts: Vec<String> = groups(&net)
        .iter()
        .map(|g| {
            let face = face(&net, g);
            [face.title, face.tail].join(" | ").trim_end().to_string()
        })
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @r"
    input |
    conv 3×3, stride 2 | bn · relu6
    conv 1×1 | bn · relu6
    depthwise 3×3 | bn · relu6
    conv 1×1 | bn
    + |
    conv 1×1 | bn · relu6
    depthwise 3×3 | bn · relu6
    global average pool |
    conv 1×1 | relu
    conv 1×1 | hsigmoid
    × |
    conv 1×1 | bn
    + |
    global average pool |
    flatten |
    linear |
    ");
}

#[test]
fn a_value_with_two_readers_ends_its_box() {
    let mut net = Network::new(Shape::image(4, 8, 8));
    let conv = net
        .push(Op::Conv(Conv::same(4, 3, 1)), &[NodeId(0)])
        .unwrap();
    let relu = net.push(Op::Activation(Activation::Relu), &[conv]).unwrap();
    net.push(Op::Add, &[relu, conv]).unwrap();
    assert_eq!(groups(&net).len(), 4);
}

#[test]
fn the_drawing_is_one_well_formed_document_with_every_box() {
    let net = example();
    let drawn = svg(&net);
    assert_eq!(drawn, svg(&net));
    let mut rectangles = 0;
    let mut open: Vec<String> = Vec::new();
    for event in svg::read(&drawn).unwrap() {
        use svg::node::element::tag::Type;
        use svg::parser::Event;
        match event {
            Event::Error(error) => panic!("{error}"),
            Event::Tag(name, Type::Start, _) => open.push(name.into()),
            Event::Tag(name, Type::End, _) => assert_eq!(open.pop().as_deref(), Some(name)),
            Event::Tag("rect", Type::Empty, _) => rectangles += 1,
            _ => {}
        }
    }
    assert!(open.is_empty());
    // The background and one for each group.
    assert_eq!(rectangles, 1 + groups(&net).len());
    assert!(drawn.contains("64x16x16"));
}

#[test]
fn counts_have_three_figures() {
    let shown = [
        0,
        999,
        1_000,
        9_994,
        9_999,
        40_551_040,
        3_504_872,
        300_000_000,
    ]
    .map(si);
    insta::assert_snapshot!(
        shown.join(", "),
        @"0, 999, 1.00 k, 9.99 k, 10.0 k, 40.6 M, 3.50 M, 300 M"
    );
}
