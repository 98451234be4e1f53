//! The operators of the language: their names and parameters, and how each
//! becomes primitive operators of the network. A new operator is one entry in
//! [`SIGNATURES`] and one arm of [`OpKind::emit`].

use super::step::Value;
use crate::network::{
    Activation, Attention, Builder, Conv, Conv1d, NodeId, Op, PoolKind, Relative, Shape, StateSpace,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpKind {
    Conv,
    Depthwise,
    Separable,
    Conv1d,
    Depthwise1d,
    Separable1d,
    Linear,
    MaxPool,
    AvgPool,
    GlobalMaxPool,
    GlobalAvgPool,
    BatchNorm,
    SqueezeExcite,
    Flatten,
    Identity,
    Zero,
    Act(Activation),
    LayerNorm,
    RmsNorm,
    GroupNorm,
    Attention,
    LinearAttention,
    Ssm,
    Mlp,
    Glu,
    Embedding,
    Position,
    Sinusoidal,
    ClassToken,
    Select,
    Tokens,
    Patchify,
}

/// A parameter's name and what it is when not given.
#[derive(Debug, Clone, Copy)]
pub struct ParamInfo {
    pub name: &'static str,
    pub default: Option<Value>,
}

const fn needed(name: &'static str) -> ParamInfo {
    ParamInfo {
        name,
        default: None,
    }
}

const fn int(name: &'static str, default: i64) -> ParamInfo {
    ParamInfo {
        name,
        default: Some(Value::Int(default)),
    }
}

const fn flag(name: &'static str, default: bool) -> ParamInfo {
    ParamInfo {
        name,
        default: Some(Value::Bool(default)),
    }
}

/// What the file writes, which operator it is, its parameters in order.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    pub name: &'static str,
    pub kind: OpKind,
    pub params: &'static [ParamInfo],
}

const CONV: [ParamInfo; 6] = [
    needed("kernel"),
    needed("out"),
    int("stride", 1),
    int("groups", 1),
    int("dilation", 1),
    flag("bias", false),
];
const POOL: [ParamInfo; 2] = [needed("kernel"), int("stride", 1)];

macro_rules! signature {
    ($name:literal, $kind:expr, $params:expr) => {
        Signature {
            name: $name,
            kind: $kind,
            params: $params,
        }
    };
}

pub const SIGNATURES: [Signature; 34] = [
    signature!("conv", OpKind::Conv, &CONV),
    signature!(
        "depthwise",
        OpKind::Depthwise,
        &[
            needed("kernel"),
            int("stride", 1),
            int("dilation", 1),
            flag("bias", false)
        ]
    ),
    signature!(
        "separable",
        OpKind::Separable,
        &[
            needed("kernel"),
            needed("out"),
            int("stride", 1),
            int("dilation", 1)
        ]
    ),
    signature!(
        "conv1d",
        OpKind::Conv1d,
        &[
            needed("kernel"),
            needed("out"),
            int("stride", 1),
            int("groups", 1),
            int("dilation", 1),
            flag("causal", false),
            flag("bias", false)
        ]
    ),
    signature!(
        "depthwise1d",
        OpKind::Depthwise1d,
        &[
            needed("kernel"),
            int("stride", 1),
            int("dilation", 1),
            flag("causal", false),
            flag("bias", false)
        ]
    ),
    signature!(
        "separable1d",
        OpKind::Separable1d,
        &[
            needed("kernel"),
            needed("out"),
            int("stride", 1),
            int("dilation", 1),
            flag("causal", false)
        ]
    ),
    signature!(
        "linear",
        OpKind::Linear,
        &[needed("out"), flag("bias", true)]
    ),
    signature!("maxpool", OpKind::MaxPool, &POOL),
    signature!("avgpool", OpKind::AvgPool, &POOL),
    signature!("global_maxpool", OpKind::GlobalMaxPool, &[]),
    signature!("global_avgpool", OpKind::GlobalAvgPool, &[]),
    signature!("bn", OpKind::BatchNorm, &[]),
    signature!(
        "se",
        OpKind::SqueezeExcite,
        &[int("reduction", 4), int("multiple", 8), int("to", 0)]
    ),
    signature!("flatten", OpKind::Flatten, &[]),
    signature!("skip", OpKind::Identity, &[]),
    signature!("identity", OpKind::Identity, &[]),
    signature!("zero", OpKind::Zero, &[int("stride", 1)]),
    signature!("none", OpKind::Zero, &[int("stride", 1)]),
    signature!("relu", OpKind::Act(Activation::Relu), &[]),
    signature!("layernorm", OpKind::LayerNorm, &[]),
    signature!("rmsnorm", OpKind::RmsNorm, &[]),
    signature!("groupnorm", OpKind::GroupNorm, &[needed("groups")]),
    signature!(
        "attention",
        OpKind::Attention,
        &[
            needed("heads"),
            int("dim", 0),
            int("kv_heads", 0),
            int("window", 0),
            flag("causal", false),
            flag("rope", false),
            flag("bias", true),
            int("relative", 0),
            flag("grid", false)
        ]
    ),
    signature!(
        "linear_attention",
        OpKind::LinearAttention,
        &[
            needed("heads"),
            int("dim", 0),
            flag("causal", false),
            flag("bias", true)
        ]
    ),
    signature!(
        "ssm",
        OpKind::Ssm,
        &[
            needed("heads"),
            int("state", 64),
            int("expand", 2),
            int("kernel", 4),
            flag("bias", false)
        ]
    ),
    signature!("mlp", OpKind::Mlp, &[needed("hidden"), flag("bias", true)]),
    signature!("glu", OpKind::Glu, &[needed("hidden"), flag("bias", false)]),
    signature!(
        "embedding",
        OpKind::Embedding,
        &[needed("vocab"), needed("dim")]
    ),
    signature!("position", OpKind::Position, &[]),
    signature!("sinusoidal", OpKind::Sinusoidal, &[]),
    signature!("class_token", OpKind::ClassToken, &[]),
    signature!("select", OpKind::Select, &[int("index", 0)]),
    signature!("tokens", OpKind::Tokens, &[]),
    signature!(
        "patchify",
        OpKind::Patchify,
        &[needed("patch"), needed("dim")]
    ),
];

/// An operator as the file wrote it: some names fix the kernel (`conv3x3`).
pub struct Found {
    pub kind: OpKind,
    pub params: &'static [ParamInfo],
    /// The kernel in the name, which takes the place of the first parameter.
    pub kernel: Option<i64>,
}

/// Looks an operator up by name.
pub fn find(name: &str) -> Option<Found> {
    if let Some(s) = SIGNATURES.iter().find(|s| s.name == name) {
        return Some(Found {
            kind: s.kind,
            params: s.params,
            kernel: None,
        });
    }
    if let Some((_, a)) = Activation::ALL.iter().find(|(n, _)| *n == name) {
        return Some(Found {
            kind: OpKind::Act(*a),
            params: &[],
            kernel: None,
        });
    }
    // `conv3x3`, `depthwise5x5`, `separable3x3`, `maxpool3x3`, ...
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    let (base, size) = name.split_at(digits);
    let (a, b) = size.split_once('x')?;
    let kernel: i64 = a.parse().ok().filter(|_| a == b && a.len() <= 3)?;
    let s = SIGNATURES
        .iter()
        .find(|s| s.name == base && s.params.first().is_some_and(|p| p.name == "kernel"))?;
    Some(Found {
        kind: s.kind,
        params: s.params,
        kernel: Some(kernel),
    })
}

/// Every operator name, for suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    SIGNATURES
        .iter()
        .map(|s| s.name)
        .chain(Activation::ALL.iter().map(|(n, _)| *n))
        .chain(["conv1x1", "conv3x3", "conv5x5", "depthwise3x3"])
}

/// The largest size any operator parameter may have.
const MAX_SIZE: i64 = 1 << 20;

/// A parameter as a size of at least `min`.
fn size(kind: OpKind, values: &[Value], index: usize, min: i64) -> Result<usize, String> {
    match values[index].as_int() {
        Some(v) if v >= min && v <= MAX_SIZE => Ok(v as usize),
        wrong => {
            let name = kind.params()[index].name;
            Err(match wrong {
                Some(v) => format!("`{name}` is {v}; it must lie in {min}..{MAX_SIZE}"),
                None => format!("`{name}` must be a whole number, not {}", values[index]),
            })
        }
    }
}

fn boolean(kind: OpKind, values: &[Value], index: usize) -> Result<bool, String> {
    match values[index] {
        Value::Bool(b) => Ok(b),
        other => Err(format!(
            "`{}` must be true or false, not {other}",
            kind.params()[index].name
        )),
    }
}

impl OpKind {
    fn params(self) -> &'static [ParamInfo] {
        SIGNATURES
            .iter()
            .find(|s| s.kind == self)
            .map_or(&[], |s| s.params)
    }

    /// The operator where it is one primitive, whatever comes in.
    ///
    /// # Errors
    /// A parameter that is wrong by itself, in a sentence.
    pub fn primitive(self, values: &[Value]) -> Option<Result<Op, String>> {
        let size = |index, min| size(self, values, index, min);
        let flag = |index| boolean(self, values, index);
        let op = match self {
            OpKind::Conv => {
                let conv = || {
                    let conv = Conv::same(size(1, 1)?, size(0, 1)?, size(2, 1)?);
                    let conv = conv.groups(size(3, 1)?).dilation(size(4, 1)?);
                    Ok(Op::Conv(conv.bias(flag(5)?)))
                };
                return Some(conv());
            }
            OpKind::Conv1d => {
                let conv = || {
                    let conv = Conv1d::same(size(1, 1)?, size(0, 1)?, size(2, 1)?);
                    let conv = conv.groups(size(3, 1)?).dilation(size(4, 1)?);
                    Ok(Op::Conv1d(conv.causal(flag(5)?).bias(flag(6)?)))
                };
                return Some(conv());
            }
            OpKind::MaxPool | OpKind::AvgPool => {
                let kind = match self {
                    OpKind::MaxPool => PoolKind::Max,
                    _ => PoolKind::Avg,
                };
                let pool = || {
                    let (kernel, stride) = (size(0, 1)?, size(1, 1)?);
                    Ok(Op::Pool {
                        kind,
                        kernel,
                        stride,
                        padding: (kernel - 1) / 2,
                    })
                };
                return Some(pool());
            }
            OpKind::Zero => return Some(size(0, 1).map(|stride| Op::Zero { stride })),
            OpKind::GroupNorm => return Some(size(0, 1).map(|groups| Op::GroupNorm { groups })),
            OpKind::Select => return Some(size(0, 0).map(|index| Op::Select { index })),
            OpKind::Embedding => {
                let embedding = || {
                    let (vocab, dim) = (size(0, 1)?, size(1, 1)?);
                    Ok(Op::Embedding { vocab, dim })
                };
                return Some(embedding());
            }
            OpKind::GlobalMaxPool => Op::GlobalPool {
                kind: PoolKind::Max,
            },
            OpKind::GlobalAvgPool => Op::GlobalPool {
                kind: PoolKind::Avg,
            },
            OpKind::BatchNorm => Op::BatchNorm,
            OpKind::Flatten => Op::Flatten,
            OpKind::Act(a) => Op::Activation(a),
            OpKind::LayerNorm => Op::LayerNorm,
            OpKind::RmsNorm => Op::RmsNorm,
            OpKind::Position => Op::Position,
            OpKind::Sinusoidal => Op::Sinusoidal,
            OpKind::ClassToken => Op::ClassToken,
            OpKind::Tokens => Op::ToTokens,
            _ => return None,
        };
        Some(Ok(op))
    }

    /// Appends the operator to a network after node `at`.
    ///
    /// # Errors
    /// What does not fit, in a sentence.
    pub fn emit(
        self,
        values: &[Value],
        net: &mut impl Builder,
        at: NodeId,
    ) -> Result<NodeId, String> {
        if let Some(op) = self.primitive(values) {
            return add(net, op?, &[at]);
        }
        let size = |index, min| size(self, values, index, min);
        let flag = |index| boolean(self, values, index);
        let shape = net.shape(at);
        let mut push = |op: Op, from: NodeId| add(net, op, &[from]);
        match self {
            OpKind::Depthwise => {
                let channels = shape.channels();
                let conv = Conv::same(channels, size(0, 1)?, size(1, 1)?)
                    .groups(channels)
                    .dilation(size(2, 1)?)
                    .bias(flag(3)?);
                push(Op::Conv(conv), at)
            }
            OpKind::Separable => {
                let channels = shape.channels();
                let depthwise = Conv::same(channels, size(0, 1)?, size(2, 1)?)
                    .groups(channels)
                    .dilation(size(3, 1)?);
                let x = push(Op::Conv(depthwise), at)?;
                push(Op::Conv(Conv::same(size(1, 1)?, 1, 1)), x)
            }
            OpKind::Depthwise1d => {
                let channels = shape.channels();
                let conv = Conv1d::same(channels, size(0, 1)?, size(1, 1)?)
                    .groups(channels)
                    .dilation(size(2, 1)?)
                    .bias(flag(4)?);
                push(Op::Conv1d(conv.causal(flag(3)?)), at)
            }
            OpKind::Separable1d => {
                let channels = shape.channels();
                let depthwise = Conv1d::same(channels, size(0, 1)?, size(2, 1)?)
                    .groups(channels)
                    .dilation(size(3, 1)?);
                let x = push(Op::Conv1d(depthwise.causal(flag(4)?)), at)?;
                push(Op::Conv1d(Conv1d::same(size(1, 1)?, 1, 1)), x)
            }
            OpKind::Linear => {
                let linear = Op::Linear {
                    out_features: size(0, 1)?,
                    bias: flag(1)?,
                };
                // After global pooling the flattening is a formality.
                let x = match shape {
                    Shape::Image {
                        height: 1,
                        width: 1,
                        ..
                    } => push(Op::Flatten, at)?,
                    _ => at,
                };
                push(linear, x)
            }
            OpKind::SqueezeExcite => {
                // Hu et al. 2018, in the form of MobileNetV3 (hard sigmoid gate).
                let channels = shape.channels();
                let (reduction, multiple) = (size(0, 1)?, size(1, 1)?);
                let squeezed = match size(2, 0)? {
                    0 => (channels.div_ceil(reduction)).next_multiple_of(multiple),
                    given => given,
                };
                let x = push(
                    Op::GlobalPool {
                        kind: PoolKind::Avg,
                    },
                    at,
                )?;
                let x = push(Op::Conv(Conv::same(squeezed, 1, 1).bias(true)), x)?;
                let x = push(Op::Activation(Activation::Relu), x)?;
                let x = push(Op::Conv(Conv::same(channels, 1, 1).bias(true)), x)?;
                let gate = push(Op::Activation(Activation::HardSigmoid), x)?;
                add(net, Op::Mul, &[at, gate])
            }
            OpKind::Identity => Ok(at),
            OpKind::Attention => {
                let heads = size(0, 1)?;
                let kv_heads = match size(2, 0)? {
                    0 => heads,
                    given => given,
                };
                let attention = Attention {
                    heads,
                    kv_heads,
                    window: size(3, 0)?,
                    causal: flag(4)?,
                };
                let head = HeadShape::of(shape, heads, size(1, 0)?)?;
                let rotary = flag(5)?;
                let grid = flag(8)?;
                let core = match size(7, 0)? {
                    0 if grid => return Err("`grid` goes with `relative` positions".into()),
                    0 => Op::Attention(attention),
                    distance => Op::RelativeAttention(attention, Relative { distance, grid }),
                };
                head.attend(net, at, kv_heads, core, rotary, flag(6)?)
            }
            OpKind::LinearAttention => {
                let heads = size(0, 1)?;
                let core = Op::LinearAttention {
                    heads,
                    causal: flag(2)?,
                };
                let head = HeadShape::of(shape, heads, size(1, 0)?)?;
                head.attend(net, at, heads, core, false, flag(3)?)
            }
            OpKind::Ssm => {
                let space = StateSpace {
                    heads: size(0, 1)?,
                    state: size(1, 1)?,
                };
                let (expand, kernel) = (size(2, 1)?, size(3, 1)?);
                state_space(net, at, space, expand, kernel, flag(4)?)
            }
            OpKind::Mlp => {
                let bias = flag(1)?;
                let x = project(net, at, size(0, 1)?, bias)?;
                let x = add(net, Op::Activation(Activation::Gelu), &[x])?;
                project(net, x, shape.channels(), bias)
            }
            OpKind::Glu => {
                // Shazeer 2020 (arXiv 2002.05202): the SwiGLU variant.
                let (hidden, bias) = (size(0, 1)?, flag(1)?);
                let gate = project(net, at, hidden, bias)?;
                let gate = add(net, Op::Activation(Activation::Swish), &[gate])?;
                let up = project(net, at, hidden, bias)?;
                let x = add(net, Op::Mul, &[up, gate])?;
                project(net, x, shape.channels(), bias)
            }
            OpKind::Patchify => {
                let patch = size(0, 1)?;
                let conv = Conv {
                    padding: 0,
                    ..Conv::same(size(1, 1)?, patch, patch).bias(true)
                };
                let x = push(Op::Conv(conv), at)?;
                push(Op::ToTokens, x)
            }
            _ => unreachable!("the others are primitive"),
        }
    }
}

fn add(net: &mut impl Builder, op: Op, inputs: &[NodeId]) -> Result<NodeId, String> {
    net.push(op, inputs).map_err(|e| e.to_string())
}

/// A linear layer at every position: of a map, a 1x1 convolution.
fn project(net: &mut impl Builder, at: NodeId, out: usize, bias: bool) -> Result<NodeId, String> {
    let op = match net.shape(at) {
        Shape::Image { .. } => Op::Conv(Conv::same(out, 1, 1).bias(bias)),
        _ => Op::Linear {
            out_features: out,
            bias,
        },
    };
    add(net, op, &[at])
}

/// The block of Mamba-2 (Dao & Gu 2024, arXiv 2405.21060, figure 6): projections
/// to `x`, `B`, `C` and the step size, a causal depthwise convolution over the
/// former three, the state space, a gate, RMS norm, the projection back.
fn state_space(
    net: &mut impl Builder,
    at: NodeId,
    space: StateSpace,
    expand: usize,
    kernel: usize,
    bias: bool,
) -> Result<NodeId, String> {
    let Shape::Tokens { channels, .. } = net.shape(at) else {
        return Err(format!(
            "ssm does not fit: it needs a sequence, not {}",
            net.shape(at).kind()
        ));
    };
    let inner = expand * channels;
    if !inner.is_multiple_of(space.heads) {
        return Err(format!(
            "{} heads do not divide {expand} x {channels} channels",
            space.heads
        ));
    }
    let wide = inner + 2 * space.state;
    let convolution = Conv1d::same(wide, kernel, 1).groups(wide).bias(true);
    let x = project(net, at, wide, bias)?;
    let x = add(net, Op::Conv1d(convolution.causal(true)), &[x])?;
    let x = add(net, Op::Activation(Activation::Swish), &[x])?;
    let step = project(net, at, space.heads, bias)?;
    let x = add(net, Op::StateSpace(space), &[x, step])?;
    let gate = project(net, at, inner, bias)?;
    let gate = add(net, Op::Activation(Activation::Swish), &[gate])?;
    let x = add(net, Op::Mul, &[x, gate])?;
    let x = add(net, Op::RmsNorm, &[x])?;
    project(net, x, channels, bias)
}

/// How many heads attention has, and how wide each is.
struct HeadShape {
    heads: usize,
    dim: usize,
    /// Of the whole, in and out.
    channels: usize,
}

impl HeadShape {
    /// `dim` 0 shares the channels out evenly.
    fn of(shape: Shape, heads: usize, dim: usize) -> Result<HeadShape, String> {
        let channels = shape.channels();
        let dim = match dim {
            0 if channels.is_multiple_of(heads) => channels / heads,
            0 => {
                return Err(format!(
                    "{heads} heads do not divide {channels} channels; give `dim`, the width of a head"
                ));
            }
            given => given,
        };
        Ok(HeadShape {
            heads,
            dim,
            channels,
        })
    }

    /// The projections to queries, keys and values, the attention itself, and
    /// the projection back.
    fn attend(
        &self,
        net: &mut impl Builder,
        at: NodeId,
        kv_heads: usize,
        core: Op,
        rotary: bool,
        bias: bool,
    ) -> Result<NodeId, String> {
        let mut queries = project(net, at, self.heads * self.dim, bias)?;
        let mut keys = project(net, at, kv_heads * self.dim, bias)?;
        let values = project(net, at, kv_heads * self.dim, bias)?;
        if rotary {
            queries = add(net, Op::Rotary { heads: self.heads }, &[queries])?;
            keys = add(net, Op::Rotary { heads: kv_heads }, &[keys])?;
        }
        let x = add(net, core, &[queries, keys, values])?;
        project(net, x, self.channels, bias)
    }
}
