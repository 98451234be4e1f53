use prost::Message;
use tract_onnx::prelude::*;

use super::*;
use crate::network::{Activation, Conv, Op, PoolKind, Shape};

fn small() -> Network {
    let mut net = Network::new(Shape::image(3, 8, 8));
    let x = net
        .push(Op::Conv(Conv::same(4, 3, 2)), &[NodeId(0)])
        .unwrap();
    let x = net.push(Op::BatchNorm, &[x]).unwrap();
    let x = net
        .push(Op::Activation(Activation::HardSwish), &[x])
        .unwrap();
    let kind = PoolKind::Avg;
    let x = net.push(Op::GlobalPool { kind }, &[x]).unwrap();
    let x = net.push(Op::Flatten, &[x]).unwrap();
    let linear = Op::Linear {
        out_features: 5,
        bias: true,
    };
    net.push(linear, &[x]).unwrap();
    net
}

fn model(network: &Network, options: &OnnxOptions) -> ModelProto {
    let bytes = export(network, &Weights::random(network, 0), options).unwrap();
    ModelProto::decode(bytes.as_slice()).unwrap()
}

fn listing(model: &ModelProto) -> String {
    let graph = model.graph.as_ref().unwrap();
    graph
        .node
        .iter()
        .map(|n| {
            format!(
                "{}: {} ({}) -> {}",
                n.name,
                n.op_type,
                n.input.join(", "),
                n.output[0]
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn nodes_are_named_after_their_place_and_operator() {
    let model = model(&small(), &OnnxOptions::default());
    insta::assert_snapshot!(listing(&model), @r"
    n1_conv3x3: Conv (input, n1.weight) -> n1_conv3x3
    n2_bn: BatchNormalization (n1_conv3x3, n2.weight, n2.bias, n2.running_mean, n2.running_var) -> n2_bn
    n3_hswish: HardSwish (n2_bn) -> n3_hswish
    n4_global_avgpool: GlobalAveragePool (n3_hswish) -> n4_global_avgpool
    n5_flatten: Flatten (n4_global_avgpool) -> n5_flatten
    n6_linear: Gemm (n5_flatten, n6.weight, n6.bias) -> output
    ");
}

#[test]
fn operators_absent_from_old_sets_are_spelled_out() {
    let options = OnnxOptions {
        opset: 13,
        ..OnnxOptions::default()
    };
    let model = model(&small(), &options);
    assert_eq!((model.ir_version, model.opset_import[0].version), (7, 13));
    let nodes = &model.graph.as_ref().unwrap().node;
    let types: Vec<&str> = nodes.iter().map(|n| n.op_type.as_str()).collect();
    assert_eq!(&types[2..4], ["HardSigmoid", "Mul"]);
}

#[test]
fn a_sum_is_a_chain_and_only_what_reaches_the_output_is_written() {
    let mut net = Network::new(Shape::image(2, 4, 4));
    let conv = |net: &mut Network| {
        net.push(Op::Conv(Conv::same(2, 1, 1)), &[NodeId(0)])
            .unwrap()
    };
    let (a, b, _dead) = (conv(&mut net), conv(&mut net), conv(&mut net));
    net.push(Op::Add, &[a, NodeId(0), b]).unwrap();
    let model = model(&net, &OnnxOptions::default());
    insta::assert_snapshot!(listing(&model), @r"
    n1_conv1x1: Conv (input, n1.weight) -> n1_conv1x1
    n2_conv1x1: Conv (input, n2.weight) -> n2_conv1x1
    n4_add.part1: Add (n1_conv1x1, input) -> n4_add.part1
    n4_add: Add (n4_add.part1, n2_conv1x1) -> output
    ");
    assert_eq!(model.graph.unwrap().initializer.len(), 2);
}

#[test]
fn equal_arguments_give_equal_bytes_and_options_are_kept() {
    let options = OnnxOptions {
        name: "tiny".into(),
        batch: Batch::Fixed(4),
        input_name: "image".into(),
        output_name: "logits".into(),
        producer_version: "1.2.3".into(),
        metadata: vec![("seed".into(), "7".into()), ("top1".into(), "0.9".into())],
        ..OnnxOptions::default()
    };
    let net = small();
    let weights = Weights::random(&net, 1);
    let bytes = export(&net, &weights, &options).unwrap();
    assert_eq!(bytes, export(&net, &weights, &options).unwrap());
    let model = ModelProto::decode(bytes.as_slice()).unwrap();
    assert_eq!(model.producer_version, "1.2.3");
    assert_eq!(model.metadata_props[1].key, "top1");
    let graph = model.graph.unwrap();
    assert_eq!(
        graph.input[0],
        proto::value_info("image", options.batch, net.input_shape())
    );
    assert_eq!(graph.output[0].name, "logits");
    // Row-major little-endian floats, as in the weights.
    let stored = &graph.initializer[0];
    let expected = &weights.tensors[&stored.name];
    let raw: Vec<u8> = expected.data.iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(stored.raw_data, raw);
}

#[test]
fn tract_infers_the_shapes_the_network_has() {
    let net = small();
    let bytes = export(&net, &Weights::random(&net, 2), &OnnxOptions::default()).unwrap();
    for batch in [1, 3] {
        let model = tract_onnx::onnx()
            .model_for_read(&mut bytes.as_slice())
            .unwrap()
            .with_input_fact(0, f32::fact([batch, 3, 8, 8]).into())
            .unwrap()
            .into_optimized()
            .unwrap();
        let shape = model
            .output_fact(0)
            .unwrap()
            .shape
            .as_concrete()
            .unwrap()
            .to_vec();
        assert_eq!(shape[0], batch);
        assert_eq!(shape[1..], net.output_shape().dims());
    }
}

#[test]
fn a_network_that_is_its_input_is_still_a_model() {
    let net = Network::new(Shape::vector(7));
    let model = model(&net, &OnnxOptions::default());
    insta::assert_snapshot!(listing(&model), @"identity: Identity (input) -> output");
}

#[test]
fn mistakes_in_options_and_weights_are_told() {
    let net = small();
    let weights = Weights::random(&net, 0);
    let error = |weights: &Weights, change: &dyn Fn(&mut OnnxOptions)| {
        let mut options = OnnxOptions::default();
        change(&mut options);
        export(&net, weights, &options).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        error(&weights, &|o| o.opset = 12),
        @"operator set 12 is not supported; choose one from 13 to 17"
    );
    insta::assert_snapshot!(
        error(&weights, &|o| o.batch = Batch::Fixed(0)),
        @"a fixed batch must hold at least 1 sample; 0 was asked for"
    );
    insta::assert_snapshot!(
        error(&weights, &|o| o.output_name = "input".into()),
        @"`input` already names another tensor of the model; choose another output name"
    );
    insta::assert_snapshot!(
        error(&weights, &|o| o.input_name = "n2_bn".into()),
        @"`n2_bn` already names another tensor of the model; choose another input name"
    );
    insta::assert_snapshot!(
        error(&weights, &|o| o.output_name = "n6.weight".into()),
        @"`n6.weight` already names another tensor of the model; choose another output name"
    );
    insta::assert_snapshot!(
        error(&weights, &|o| o.name = String::new()),
        @"the graph name is empty; give it a name"
    );
    insta::assert_snapshot!(
        error(&weights, &|o| o.metadata = vec![("a".into(), "1".into()); 2]),
        @"metadata key `a` appears twice; keys must be unique"
    );
    insta::assert_snapshot!(
        error(&Weights::default(), &|_| ()),
        @"the weights do not fit the network: the weights lack tensor `n1.weight`"
    );
}
