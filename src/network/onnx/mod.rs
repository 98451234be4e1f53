//! Export of a [`Network`] with its [`Weights`] to ONNX, the form in which a
//! network leaves for a device. The bytes depend on nothing but the arguments,
//! so equal networks give equal files. This module lays out the model around
//! the graph; [`lower`] says which ONNX operators each primitive becomes.

mod lower;
mod proto;
mod sequence;
mod state_space;

use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};

use super::{Network, NodeId, Weights, WeightsError};

/// Operator sets the export can target, oldest and newest.
pub const OPSETS: std::ops::RangeInclusive<i64> = 13..=17;

/// The batch dimension of the exported model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// A symbolic dimension named `N`, chosen by whoever runs the model.
    Dynamic,
    /// A constant, which some embedded compilers insist on.
    Fixed(usize),
}

/// How to write an ONNX model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxOptions {
    /// Name of the graph.
    pub name: String,
    /// Version of the default operator set, one of [`OPSETS`].
    pub opset: i64,
    pub batch: Batch,
    /// Name of the input tensor: `[N, C, H, W]`, `[N, F]`, `[N, L, C]`, or
    /// `[N, L]` of 64-bit token ids.
    pub input_name: String,
    /// Name of the output tensor.
    pub output_name: String,
    pub producer_version: String,
    /// Free key and value pairs stored in the model, in this order.
    pub metadata: Vec<(String, String)>,
}

impl Default for OnnxOptions {
    fn default() -> Self {
        OnnxOptions {
            name: "network".into(),
            opset: 17,
            batch: Batch::Dynamic,
            input_name: "input".into(),
            output_name: "output".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            metadata: Vec::new(),
        }
    }
}

/// Why a network cannot be written as ONNX.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    #[error(
        "operator set {found} is not supported; choose one from {} to {}",
        OPSETS.start(),
        OPSETS.end()
    )]
    Opset { found: i64 },
    #[error("a fixed batch must hold at least 1 sample; 0 was asked for")]
    EmptyBatch,
    #[error("the {what} is empty; give it a name")]
    EmptyName { what: &'static str },
    #[error("`{name}` already names another tensor of the model; choose another {what}")]
    NameClash { what: &'static str, name: String },
    #[error("metadata key `{0}` appears twice; keys must be unique")]
    RepeatedKey(String),
    #[error("the weights do not fit the network: {0}")]
    Weights(#[from] WeightsError),
}

/// Writes the part of `network` that reaches its output as a binary ONNX model.
///
/// Tensors are 32-bit floats, but for token ids. Weights keep the names of [`ParamSpec::name`]
/// (`n12.weight`), nodes are named after their place and operator
/// (`n12_conv3x3`). A [`Zero`](super::Op::Zero) becomes a product with 0, which
/// inference engines do not fold away: export
/// [`Network::simplify`](super::Network::simplify)d networks.
///
/// # Errors
/// When the options contradict themselves or a tensor is missing or misshapen.
///
/// [`ParamSpec::name`]: super::ParamSpec::name
pub fn export(
    network: &Network,
    weights: &Weights,
    options: &OnnxOptions,
) -> Result<Vec<u8>, OnnxError> {
    check(options)?;
    let mut graph = lower::Lowering::new(network, weights, options);
    for (index, reached) in reaches_output(network).into_iter().enumerate() {
        if reached {
            graph.push(NodeId(index))?;
        }
    }
    let (nodes, initializers) = graph.finish()?;
    let model = ModelProto {
        ir_version: ir_version(options.opset),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: options.opset,
        }],
        producer_name: "bespoke".into(),
        producer_version: options.producer_version.clone(),
        metadata_props: options
            .metadata
            .iter()
            .map(|(key, value)| StringStringEntryProto {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
        graph: Some(GraphProto {
            name: options.name.clone(),
            node: nodes,
            initializer: initializers,
            input: vec![proto::value_info(
                &options.input_name,
                options.batch,
                network.input_shape(),
            )],
            output: vec![proto::value_info(
                &options.output_name,
                options.batch,
                network.output_shape(),
            )],
            ..Default::default()
        }),
        ..Default::default()
    };
    Ok(model.encode_to_vec())
}

fn check(options: &OnnxOptions) -> Result<(), OnnxError> {
    if !OPSETS.contains(&options.opset) {
        return Err(OnnxError::Opset {
            found: options.opset,
        });
    }
    if options.batch == Batch::Fixed(0) {
        return Err(OnnxError::EmptyBatch);
    }
    for (what, name) in [
        ("graph name", &options.name),
        ("input name", &options.input_name),
        ("output name", &options.output_name),
    ] {
        if name.is_empty() {
            return Err(OnnxError::EmptyName { what });
        }
    }
    if options.input_name == options.output_name {
        return Err(OnnxError::NameClash {
            what: "output name",
            name: options.output_name.clone(),
        });
    }
    for (index, (key, _)) in options.metadata.iter().enumerate() {
        if options.metadata[..index].iter().any(|(k, _)| k == key) {
            return Err(OnnxError::RepeatedKey(key.clone()));
        }
    }
    Ok(())
}

/// The version of the file format released together with each operator set
/// (ONNX, `docs/Versioning.md`): older readers then accept the file.
fn ir_version(opset: i64) -> i64 {
    if opset < 15 { 7 } else { 8 }
}

/// For every node, whether the output depends on it. The input always counts:
/// a model keeps its input even where nothing reads it.
fn reaches_output(network: &Network) -> Vec<bool> {
    let mut reached = vec![false; network.nodes().len()];
    reached[network.input().0] = true;
    reached[network.output().0] = true;
    for index in (0..reached.len()).rev() {
        if reached[index] {
            for input in &network.nodes()[index].inputs {
                reached[input.0] = true;
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests;
