//! From primitive operators to ONNX operators. Most map one to one; the rest
//! are spelled out in the operators that every runtime of the supported
//! operator sets knows, so that no custom operator is ever needed.

use std::collections::BTreeSet;

use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

use super::proto::{attr_float, attr_int, attr_ints, int, tensor};
use super::{OnnxError, OnnxOptions};
use crate::network::{
    Activation, Conv, Conv1d, Network, NodeId, Op, ParamSpec, PoolKind, Shape, Weights, sinusoids,
};

/// The epsilon that [`Op::BatchNorm`] promises.
const BATCH_NORM_EPSILON: f32 = 1e-5;

/// Collects the ONNX graph while the network is walked in topological order.
pub struct Lowering<'a> {
    network: &'a Network,
    weights: &'a Weights,
    pub(super) options: &'a OnnxOptions,
    specs: Vec<ParamSpec>,
    /// Name of the tensor that holds each network node's value.
    values: Vec<String>,
    nodes: Vec<NodeProto>,
    pub(super) initializers: Vec<TensorProto>,
}

impl<'a> Lowering<'a> {
    pub fn new(network: &'a Network, weights: &'a Weights, options: &'a OnnxOptions) -> Self {
        Lowering {
            network,
            weights,
            options,
            specs: network.param_specs(),
            values: vec![String::new(); network.nodes().len()],
            nodes: Vec::new(),
            initializers: Vec::new(),
        }
    }

    /// Adds one node of the network; its inputs must have been added before.
    pub fn push(&mut self, id: NodeId) -> Result<(), OnnxError> {
        let network = self.network;
        let node = network.node(id);
        let is_output = id == network.output();
        if node.op == Op::Input {
            self.values[id.0] = self.options.input_name.clone();
            if is_output {
                let input = self.options.input_name.clone();
                let output = self.options.output_name.clone();
                self.emit("identity", "Identity", vec![input], vec![], output);
            }
            return Ok(());
        }
        let name = format!("n{}_{}", id.0, label(&node.op));
        let output = if is_output {
            self.options.output_name.clone()
        } else {
            name.clone()
        };
        let inputs: Vec<String> = node
            .inputs
            .iter()
            .map(|i| self.values[i.0].clone())
            .collect();
        self.values[id.0] = output.clone();
        match node.op {
            Op::Input => unreachable!("handled above"),
            Op::Conv(conv) => {
                let inputs = self.with_params(inputs, id)?;
                self.emit(&name, "Conv", inputs, conv_attributes(conv), output);
            }
            Op::Conv1d(conv) => {
                let inputs = self.with_params(inputs, id)?;
                self.over_positions(&name, "Conv", inputs, conv1d_attributes(conv), output);
            }
            Op::Linear { bias, .. } if matches!(node.shape, Shape::Tokens { .. }) => {
                let inputs = self.with_params(inputs, id)?;
                self.linear_per_token(&name, inputs, bias, output);
            }
            Op::Linear { .. } => {
                let inputs = self.with_params(inputs, id)?;
                self.emit(&name, "Gemm", inputs, vec![attr_int("transB", 1)], output);
            }
            Op::BatchNorm => {
                let mut inputs = self.with_params(inputs, id)?;
                let op = "BatchNormalization";
                let epsilon = vec![attr_float("epsilon", BATCH_NORM_EPSILON)];
                if let Shape::Tokens { .. } = node.shape {
                    inputs[0] = self.transpose(&name, "channels_first", &inputs[0], &[0, 2, 1]);
                    let normal = self.step_with(&name, "normal", op, inputs, epsilon);
                    let back = vec![attr_ints("perm", &[0, 2, 1])];
                    self.emit(&name, "Transpose", vec![normal], back, output);
                } else {
                    self.emit(&name, op, inputs, epsilon, output);
                }
            }
            Op::Activation(activation) => self.activation(&name, activation, inputs, output),
            Op::Pool {
                kind,
                kernel,
                stride,
                padding,
            } => {
                let row = matches!(node.shape, Shape::Tokens { .. });
                let axes = if row { 1 } else { 2 };
                let mut attributes = vec![
                    attr_ints("kernel_shape", &vec![kernel; axes]),
                    attr_ints("strides", &vec![stride; axes]),
                    attr_ints("pads", &vec![padding; 2 * axes]),
                ];
                let op_type = match kind {
                    PoolKind::Max => "MaxPool",
                    PoolKind::Avg => {
                        attributes.push(attr_int("count_include_pad", 0));
                        "AveragePool"
                    }
                };
                if row {
                    self.over_positions(&name, op_type, inputs, attributes, output);
                } else {
                    self.emit(&name, op_type, inputs, attributes, output);
                }
            }
            Op::GlobalPool { kind }
                if matches!(network.shape(node.inputs[0]), Shape::Tokens { .. }) =>
            {
                self.pool_tokens(&name, kind, inputs, output);
            }
            Op::GlobalPool { kind } => {
                let op_type = match kind {
                    PoolKind::Max => "GlobalMaxPool",
                    PoolKind::Avg => "GlobalAveragePool",
                };
                self.emit(&name, op_type, inputs, vec![], output);
            }
            Op::Add => self.sum(&name, inputs, output),
            Op::Mul => {
                let mut inputs = inputs;
                let flat = matches!(node.shape, Shape::Vector { .. });
                let gate = network.shape(node.inputs[1]);
                if flat && matches!(gate, Shape::Image { .. }) {
                    // A `Cx1x1` gate on a vector: ONNX would broadcast the two
                    // ranks against each other instead.
                    inputs[1] = self.step(&name, "gate", "Flatten", vec![inputs[1].clone()]);
                }
                self.emit(&name, "Mul", inputs, vec![], output);
            }
            Op::Concat => {
                let axis = match node.shape {
                    Shape::Tokens { .. } => 2,
                    _ => 1,
                };
                self.emit(
                    &name,
                    "Concat",
                    inputs,
                    vec![attr_int("axis", axis)],
                    output,
                );
            }
            Op::Zero { stride } => {
                let mut inputs = inputs;
                if let Shape::Tokens { length, .. } = network.shape(node.inputs[0])
                    && stride > 1
                {
                    for (part, value) in
                        [("start", 0), ("end", length), ("axis", 1), ("by", stride)]
                    {
                        inputs.push(self.whole(&name, part, &[1], &[int(value)]));
                    }
                    inputs = vec![self.step(&name, "strided", "Slice", inputs)];
                } else if stride > 1 {
                    // A window of one keeps every `stride`-th value.
                    let strided = format!("{name}.strided");
                    let attributes = vec![
                        attr_ints("kernel_shape", &[1; 2]),
                        attr_ints("strides", &[stride; 2]),
                    ];
                    self.emit(&strided, "MaxPool", inputs, attributes, strided.clone());
                    inputs = vec![strided];
                }
                inputs.push(self.constant("const.zero", 0.0));
                self.emit(&name, "Mul", inputs, vec![], output);
            }
            Op::Flatten => {
                self.emit(&name, "Flatten", inputs, vec![attr_int("axis", 1)], output);
            }
            Op::LayerNorm | Op::RmsNorm => {
                let inputs = self.with_params(inputs, id)?;
                self.channel_norm(&name, node.shape, inputs, output);
            }
            Op::GroupNorm { groups } => {
                let inputs = self.with_params(inputs, id)?;
                self.group_norm(&name, groups, node.shape, inputs, output);
            }
            Op::Attention(attention) => {
                self.attention(&name, attention, None, node.shape, inputs, output);
            }
            Op::RelativeAttention(attention, relative) => {
                let inputs = self.with_params(inputs, id)?;
                let relative = Some(relative);
                self.attention(&name, attention, relative, node.shape, inputs, output);
            }
            Op::LinearAttention { heads, causal } => {
                self.linear_attention(&name, heads, causal, node.shape, inputs, output);
            }
            Op::StateSpace(space) => {
                let inputs = self.with_params(inputs, id)?;
                let from = network.shape(node.inputs[0]);
                self.state_space(&name, space, from, inputs, output);
            }
            Op::Rotary { heads } => self.rotary(&name, heads, node.shape, inputs, output),
            Op::Embedding { .. } => {
                let mut inputs = self.with_params(inputs, id)?;
                inputs.reverse();
                self.emit(&name, "Gather", inputs, vec![attr_int("axis", 0)], output);
            }
            Op::Position => {
                let inputs = self.with_params(inputs, id)?;
                self.emit(&name, "Add", inputs, vec![], output);
            }
            Op::Sinusoidal => {
                let (length, channels) = (node.shape.length(), node.shape.channels());
                let data = sinusoids(length, channels);
                let table = self.table(&name, "table", &[length, channels], &data);
                self.emit(&name, "Add", vec![inputs[0].clone(), table], vec![], output);
            }
            Op::ClassToken => {
                let inputs = self.with_params(inputs, id)?;
                self.class_token(&name, inputs, output);
            }
            Op::Select { index } => {
                let index = self.whole(&name, "index", &[], &[int(index)]);
                let inputs = vec![inputs[0].clone(), index];
                self.emit(&name, "Gather", inputs, vec![attr_int("axis", 1)], output);
            }
            Op::ToTokens => {
                let rows = self.rows(&name, "x", network.shape(node.inputs[0]), &inputs[0]);
                self.emit(&name, "Identity", vec![rows], vec![], output);
            }
        }
        Ok(())
    }

    /// The finished nodes and initializers, once all names proved distinct. Our
    /// own names are, so a repeated one comes from the options.
    pub fn finish(self) -> Result<(Vec<NodeProto>, Vec<TensorProto>), OnnxError> {
        let mut seen = BTreeSet::from([&self.options.input_name]);
        let produced = self.nodes.iter().flat_map(|n| &n.output);
        for name in produced.chain(self.initializers.iter().map(|t| &t.name)) {
            if !seen.insert(name) {
                let is_input = *name == self.options.input_name;
                return Err(OnnxError::NameClash {
                    what: if is_input {
                        "input name"
                    } else {
                        "output name"
                    },
                    name: name.clone(),
                });
            }
        }
        Ok((self.nodes, self.initializers))
    }

    fn activation(
        &mut self,
        name: &str,
        activation: Activation,
        inputs: Vec<String>,
        output: String,
    ) {
        let x = inputs[0].clone();
        match activation {
            Activation::Relu => self.emit(name, "Relu", inputs, vec![], output),
            Activation::Sigmoid => self.emit(name, "Sigmoid", inputs, vec![], output),
            Activation::Tanh => self.emit(name, "Tanh", inputs, vec![], output),
            Activation::Relu6 => {
                let low = self.constant("const.zero", 0.0);
                let high = self.constant("const.six", 6.0);
                self.emit(name, "Clip", vec![x, low, high], vec![], output);
            }
            Activation::HardSigmoid => {
                self.emit(name, "HardSigmoid", inputs, hard_sigmoid(), output);
            }
            Activation::HardSwish if self.options.opset >= 14 => {
                self.emit(name, "HardSwish", inputs, vec![], output);
            }
            Activation::HardSwish => {
                let gate = format!("{name}.gate");
                self.emit(&gate, "HardSigmoid", inputs, hard_sigmoid(), gate.clone());
                self.emit(name, "Mul", vec![x, gate], vec![], output);
            }
            Activation::Swish => {
                let gate = self.step(name, "gate", "Sigmoid", inputs);
                self.emit(name, "Mul", vec![x, gate], vec![], output);
            }
            Activation::Gelu => {
                // x / 2 * (1 + erf(x / sqrt 2)); ONNX has a Gelu from set 20 only.
                let root = self.constant("const.sqrt_two", std::f32::consts::SQRT_2);
                let one = self.constant("const.one", 1.0);
                let half = self.constant("const.half", 0.5);
                let scaled = self.step(name, "scaled", "Div", vec![x.clone(), root]);
                let erf = self.step(name, "erf", "Erf", vec![scaled]);
                let shifted = self.step(name, "shifted", "Add", vec![erf, one]);
                let product = self.step(name, "product", "Mul", vec![x, shifted]);
                self.emit(name, "Mul", vec![product, half], vec![], output);
            }
        }
    }

    /// A sum as a chain of binary additions, left to right: engines fuse a
    /// binary addition into the convolution before it, and the order of
    /// rounding is that of every other consumer of the network.
    fn sum(&mut self, name: &str, inputs: Vec<String>, output: String) {
        let mut inputs = inputs.into_iter();
        let mut total = inputs.next().expect("an addition has inputs");
        let rest: Vec<String> = inputs.collect();
        let Some((last, middle)) = rest.split_last() else {
            return self.emit(name, "Identity", vec![total], vec![], output);
        };
        for (index, term) in middle.iter().enumerate() {
            total = self.step(
                name,
                &format!("part{}", index + 1),
                "Add",
                vec![total, term.clone()],
            );
        }
        self.emit(name, "Add", vec![total, last.clone()], vec![], output);
    }

    /// Appends the node's own tensors to its inputs, in the order ONNX expects
    /// them (which is the order of [`Network::param_specs`]).
    fn with_params(
        &mut self,
        mut inputs: Vec<String>,
        id: NodeId,
    ) -> Result<Vec<String>, OnnxError> {
        let specs: Vec<ParamSpec> = self
            .specs
            .iter()
            .filter(|s| s.node == id)
            .cloned()
            .collect();
        for spec in specs {
            let array = self.weights.get(&spec)?;
            let name = spec.name();
            self.initializers
                .push(tensor(&name, &array.dims, &array.data));
            inputs.push(name);
        }
        Ok(inputs)
    }

    /// A shared scalar.
    pub(super) fn constant(&mut self, name: &str, value: f32) -> String {
        if self.initializers.iter().all(|t| t.name != name) {
            self.initializers.push(tensor(name, &[], &[value]));
        }
        name.into()
    }

    /// An intermediate node `name.part` whose tensor has the same name.
    pub(super) fn step(
        &mut self,
        name: &str,
        part: &str,
        op_type: &str,
        inputs: Vec<String>,
    ) -> String {
        self.step_with(name, part, op_type, inputs, vec![])
    }

    /// The same with attributes.
    pub(super) fn step_with(
        &mut self,
        name: &str,
        part: &str,
        op_type: &str,
        inputs: Vec<String>,
        attributes: Vec<AttributeProto>,
    ) -> String {
        let name = format!("{name}.{part}");
        self.emit(&name, op_type, inputs, attributes, name.clone());
        name
    }

    pub(super) fn emit(
        &mut self,
        name: &str,
        op_type: &str,
        input: Vec<String>,
        attribute: Vec<AttributeProto>,
        output: String,
    ) {
        self.nodes.push(NodeProto {
            name: name.into(),
            op_type: op_type.into(),
            input,
            output: vec![output],
            attribute,
            ..Default::default()
        });
    }
}

fn conv_attributes(conv: Conv) -> Vec<AttributeProto> {
    vec![
        attr_ints("kernel_shape", &[conv.kernel; 2]),
        attr_ints("strides", &[conv.stride; 2]),
        attr_ints("pads", &[conv.padding; 4]),
        attr_ints("dilations", &[conv.dilation; 2]),
        attr_int("group", int(conv.groups)),
    ]
}

fn conv1d_attributes(conv: Conv1d) -> Vec<AttributeProto> {
    vec![
        attr_ints("kernel_shape", &[conv.kernel]),
        attr_ints("strides", &[conv.stride]),
        attr_ints("pads", &conv.padding()),
        attr_ints("dilations", &[conv.dilation]),
        attr_int("group", int(conv.groups)),
    ]
}

/// ONNX's `max(0, min(1, alpha x + beta))` set to `relu6(x + 3) / 6`.
fn hard_sigmoid() -> Vec<AttributeProto> {
    vec![attr_float("alpha", 1.0 / 6.0), attr_float("beta", 0.5)]
}

/// A short operator name for node names: `conv3x3`, `dwconv5x5`, `relu6`.
fn label(op: &Op) -> String {
    match op {
        Op::Input => "input".into(),
        Op::Conv(c) => {
            let kind = match c.groups {
                1 => "conv",
                g if g == c.out_channels => "dwconv",
                _ => "gconv",
            };
            format!("{kind}{0}x{0}", c.kernel)
        }
        Op::Conv1d(c) => {
            let kind = match c.groups {
                1 => "conv",
                g if g == c.out_channels => "dwconv",
                _ => "gconv",
            };
            format!("{kind}{}", c.kernel)
        }
        Op::Linear { .. } => "linear".into(),
        Op::BatchNorm => "bn".into(),
        Op::Activation(a) => a.name().into(),
        Op::Pool { kind, kernel, .. } => match kind {
            PoolKind::Max => format!("maxpool{kernel}x{kernel}"),
            PoolKind::Avg => format!("avgpool{kernel}x{kernel}"),
        },
        Op::GlobalPool { kind } => match kind {
            PoolKind::Max => "global_maxpool".into(),
            PoolKind::Avg => "global_avgpool".into(),
        },
        Op::Add => "add".into(),
        Op::Mul => "mul".into(),
        Op::Concat => "concat".into(),
        Op::Zero { .. } => "zero".into(),
        Op::Flatten => "flatten".into(),
        Op::LayerNorm => "layernorm".into(),
        Op::RmsNorm => "rmsnorm".into(),
        Op::GroupNorm { .. } => "groupnorm".into(),
        Op::Attention(_) | Op::RelativeAttention(..) => "attention".into(),
        Op::LinearAttention { .. } => "linear_attention".into(),
        Op::StateSpace(_) => "ssm".into(),
        Op::Rotary { .. } => "rotary".into(),
        Op::Embedding { .. } => "embedding".into(),
        Op::Position => "position".into(),
        Op::Sinusoidal => "sinusoidal".into(),
        Op::ClassToken => "class_token".into(),
        Op::Select { .. } => "select".into(),
        Op::ToTokens => "tokens".into(),
    }
}
