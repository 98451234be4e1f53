//! The primitive operators a network is made of. There are few of them on
//! purpose: squeeze-excite, inverted residuals and cells are built from these,
//! so every consumer (burn, ONNX, costs, features) handles each primitive once.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::attention::{Attention, Relative, attend, attend_relative};
use super::sequence::{Conv1d, StateSpace, convolve, scan};
use super::shape::Shape;

/// Element-wise non-linearities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x * relu6(x + 3) / 6` (MobileNetV3).
    HardSwish,
    /// `relu6(x + 3) / 6`.
    HardSigmoid,
    Sigmoid,
    /// `x * sigmoid(x)`, also called SiLU.
    Swish,
    Gelu,
    Tanh,
}

impl Activation {
    pub const ALL: [(&'static str, Activation); 8] = [
        ("relu", Activation::Relu),
        ("relu6", Activation::Relu6),
        ("hswish", Activation::HardSwish),
        ("hsigmoid", Activation::HardSigmoid),
        ("sigmoid", Activation::Sigmoid),
        ("swish", Activation::Swish),
        ("gelu", Activation::Gelu),
        ("tanh", Activation::Tanh),
    ];

    /// The name used in the DSL.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, a)| *a == self)
            .map(|(n, _)| *n)
            .expect("every activation is listed in ALL")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    Max,
    /// Padding does not count in the mean (`count_include_pad = false`).
    Avg,
}

/// Hyper-parameters of a 2-D convolution with a square kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Conv {
    pub out_channels: usize,
    pub kernel: usize,
    pub stride: usize,
    /// Symmetric zero padding on each side.
    pub padding: usize,
    pub dilation: usize,
    pub groups: usize,
    pub bias: bool,
}

impl Conv {
    /// A dense convolution without bias, padded so that stride 1 keeps the size
    /// (for odd kernels).
    pub fn same(out_channels: usize, kernel: usize, stride: usize) -> Self {
        Conv {
            out_channels,
            kernel,
            stride,
            padding: kernel / 2,
            dilation: 1,
            groups: 1,
            bias: false,
        }
    }

    pub fn groups(self, groups: usize) -> Self {
        Conv { groups, ..self }
    }

    pub fn bias(self, bias: bool) -> Self {
        Conv { bias, ..self }
    }

    /// Sets the dilation and the padding that keeps the size at stride 1.
    pub fn dilation(self, dilation: usize) -> Self {
        Conv {
            dilation,
            padding: dilation * (self.kernel / 2),
            ..self
        }
    }
}

/// One primitive operator. Shapes are in the node, not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The network's input; always node 0.
    Input,
    Conv(Conv),
    /// Convolution over the positions of a sequence.
    #[serde(rename = "conv1d")]
    Conv1d(Conv1d),
    /// `y = W x + b` on a flat vector, or on every token of a sequence.
    Linear {
        out_features: usize,
        bias: bool,
    },
    /// Batch normalisation over channels, epsilon 1e-5.
    BatchNorm,
    Activation(Activation),
    /// A square window on a map, one of so many positions on a sequence.
    Pool {
        kind: PoolKind,
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    /// Reduces a feature map to `Cx1x1`, a sequence to a vector of its channels.
    GlobalPool {
        kind: PoolKind,
    },
    /// Element-wise sum of two or more equal shapes.
    Add,
    /// Element-wise product; the second input may be `Cx1x1` and is broadcast
    /// over space (the gate of squeeze-excite).
    Mul,
    /// Concatenation along channels.
    Concat,
    /// Zeros of the input's channels, spatially reduced by `stride`: the "none"
    /// operator of cell spaces (of a sequence, the length is reduced). `Network::simplify` removes what it can.
    Zero {
        stride: usize,
    },
    /// `CxHxW` to a vector of `C*H*W` features, a sequence to one of `L*C`.
    Flatten,
    /// Layer normalisation over the channels of each position, epsilon 1e-5
    /// (Ba et al. 2016).
    LayerNorm,
    /// Root-mean-square normalisation over the channels of each position,
    /// epsilon 1e-5 (Zhang & Sennrich 2019).
    RmsNorm,
    /// Normalisation over groups of channels and all positions, epsilon 1e-5
    /// (Wu & He 2018).
    GroupNorm {
        groups: usize,
    },
    /// Scaled dot-product attention of queries, keys and values, which are its
    /// three inputs; the projections around it are linear layers of their own.
    Attention(Attention),
    /// The same with learned embeddings of distances between positions: of queries
    /// and keys, those of a pair count towards its score; those of values are
    /// mixed as the values are.
    RelativeAttention(Attention, Relative),
    /// Attention linear in the length: the softmax replaced by the feature map
    /// `elu(x) + 1` (Katharopoulos et al. 2020, arXiv 2006.16236). Inputs:
    /// queries, keys, values.
    LinearAttention {
        heads: usize,
        causal: bool,
    },
    /// The state space of Mamba-2; its projections, convolution and gate are
    /// operators of their own.
    StateSpace(StateSpace),
    /// Rotates the two halves of each head by an angle that grows with the
    /// position (Su et al. 2021, arXiv 2104.09864; base 10,000).
    Rotary {
        heads: usize,
    },
    /// Token ids to learned vectors.
    Embedding {
        vocab: usize,
        dim: usize,
    },
    /// Adds a learned vector of its own to each position.
    Position,
    /// Adds the sines and cosines of Vaswani et al. 2017.
    Sinusoidal,
    /// Prepends a learned token (Dosovitskiy et al. 2021).
    ClassToken,
    /// One token of a sequence, as a vector.
    Select {
        index: usize,
    },
    /// `CxHxW` to a sequence of `H*W` tokens, row by row.
    ToTokens,
}

/// Why an operator does not accept its inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op} does not fit: {reason}")]
pub struct ShapeError {
    pub op: String,
    pub reason: String,
}

impl Op {
    /// Output shape of the operator, or why the inputs do not fit or what is too
    /// large to be counted.
    pub fn infer(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        let shape = self.infer_shape(inputs)?;
        match self.excess(inputs, shape) {
            None => Ok(shape),
            Some(reason) => Err(ShapeError {
                op: self.to_string(),
                reason,
            }),
        }
    }

    fn infer_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        let fail = |reason: String| {
            Err(ShapeError {
                op: self.to_string(),
                reason,
            })
        };
        let arity_ok = match self {
            Op::Input => inputs.is_empty(),
            Op::Add | Op::Concat => !inputs.is_empty(),
            Op::Mul | Op::StateSpace(_) => inputs.len() == 2,
            Op::Attention(_) | Op::RelativeAttention(..) | Op::LinearAttention { .. } => {
                inputs.len() == 3
            }
            _ => inputs.len() == 1,
        };
        if !arity_ok {
            return fail(format!("it cannot take {} inputs", inputs.len()));
        }
        match *self {
            Op::Input => fail("an input has no shape to infer".into()),
            Op::Conv(conv) => {
                let Shape::Image {
                    channels,
                    height,
                    width,
                } = inputs[0]
                else {
                    let hint = match inputs[0] {
                        Shape::Tokens { .. } => " (`conv1d` is for sequences)",
                        _ => "",
                    };
                    let kind = inputs[0].kind();
                    return fail(format!("it needs a feature map, not {kind}{hint}"));
                };
                if conv.out_channels == 0 || conv.kernel == 0 || conv.stride == 0 {
                    return fail("channels, kernel and stride must be at least 1".into());
                }
                if conv.dilation == 0 || conv.groups == 0 {
                    return fail("groups and dilation must be at least 1".into());
                }
                let divides = |channels| conv.groups == 1 || channels % conv.groups == 0;
                if !divides(channels) || !divides(conv.out_channels) {
                    return fail(format!(
                        "{} groups divide neither or not both of {channels} input and {} output channels",
                        conv.groups, conv.out_channels
                    ));
                }
                let reach = conv
                    .dilation
                    .saturating_mul(conv.kernel - 1)
                    .saturating_add(1);
                match (
                    window_out(height, reach, conv.stride, 2 * conv.padding),
                    window_out(width, reach, conv.stride, 2 * conv.padding),
                ) {
                    (Some(h), Some(w)) => Ok(Shape::image(conv.out_channels, h, w)),
                    _ => fail(format!(
                        "a window of {reach} with padding {} is larger than the {height}x{width} map",
                        conv.padding
                    )),
                }
            }
            Op::Conv1d(conv) => convolve(conv, inputs[0]).or_else(fail),
            Op::Linear { out_features, .. } => match inputs[0] {
                _ if out_features == 0 => fail("it needs at least 1 output feature".into()),
                Shape::Vector { .. } => Ok(Shape::vector(out_features)),
                Shape::Tokens { length, .. } => Ok(Shape::tokens(length, out_features)),
                Shape::Ids { .. } => fail(NEEDS_EMBEDDING.into()),
                image => fail(format!(
                    "it needs a flat vector, not a {image} map (pool globally or flatten first)"
                )),
            },
            Op::BatchNorm | Op::Activation(_) | Op::LayerNorm | Op::RmsNorm => match inputs[0] {
                Shape::Ids { .. } => fail(NEEDS_EMBEDDING.into()),
                shape => Ok(shape),
            },
            Op::Pool {
                kernel,
                stride,
                padding,
                ..
            } => {
                if !matches!(inputs[0], Shape::Image { .. } | Shape::Tokens { .. }) {
                    return fail(format!(
                        "it needs a feature map or a sequence, not {}",
                        inputs[0].kind()
                    ));
                }
                if kernel == 0 || stride == 0 {
                    return fail("kernel and stride must be at least 1".into());
                }
                if padding >= kernel {
                    return fail(format!(
                        "padding {padding} must be below the kernel {kernel}"
                    ));
                }
                let pooled = |size| window_out(size, kernel, stride, 2 * padding);
                let out = match inputs[0] {
                    Shape::Image {
                        channels,
                        height,
                        width,
                    } => pooled(height)
                        .zip(pooled(width))
                        .map(|(h, w)| Shape::image(channels, h, w)),
                    other => {
                        pooled(other.length()).map(|length| Shape::tokens(length, other.channels()))
                    }
                };
                match out {
                    Some(shape) => Ok(shape),
                    None => fail(format!(
                        "a window of {kernel} is larger than {}",
                        match inputs[0] {
                            Shape::Image { height, width, .. } => {
                                format!("the {height}x{width} map")
                            }
                            other => format!("the {} positions", other.length()),
                        }
                    )),
                }
            }
            Op::GlobalPool { .. } => match inputs[0] {
                Shape::Image { channels, .. } => Ok(Shape::image(channels, 1, 1)),
                Shape::Tokens { channels, .. } => Ok(Shape::vector(channels)),
                other => fail(format!(
                    "it needs a feature map or a sequence, not {}",
                    other.kind()
                )),
            },
            Op::Add => {
                if let Shape::Ids { .. } = inputs[0] {
                    return fail(NEEDS_EMBEDDING.into());
                }
                if let Some(other) = inputs.iter().find(|s| **s != inputs[0]) {
                    return fail(format!("{} and {other} cannot be added", inputs[0]));
                }
                Ok(inputs[0])
            }
            Op::Mul => {
                if let Shape::Ids { .. } = inputs[0] {
                    return fail(NEEDS_EMBEDDING.into());
                }
                let gate = match inputs[0] {
                    Shape::Tokens { .. } => inputs[0],
                    map => Shape::image(map.channels(), 1, 1),
                };
                if inputs[1] != inputs[0] && inputs[1] != gate {
                    return fail(format!("{} cannot be scaled by {}", inputs[0], inputs[1]));
                }
                Ok(inputs[0])
            }
            Op::Concat => {
                let with = |channels: usize| match inputs[0] {
                    Shape::Image { height, width, .. } => {
                        Some(Shape::image(channels, height, width))
                    }
                    Shape::Vector { .. } => Some(Shape::vector(channels)),
                    Shape::Tokens { length, .. } => Some(Shape::tokens(length, channels)),
                    Shape::Ids { .. } => None,
                };
                // All alike but for their channels.
                let misfit = inputs.iter().find(|s| with(s.channels()) != Some(**s));
                if let Some(other) = misfit {
                    return fail(format!("{} and {other} cannot be concatenated", inputs[0]));
                }
                match with(inputs.iter().map(Shape::channels).sum()) {
                    Some(shape) => Ok(shape),
                    None => fail(NEEDS_EMBEDDING.into()),
                }
            }
            Op::Zero { stride } => match inputs[0] {
                Shape::Image {
                    channels,
                    height,
                    width,
                } if stride > 0 => Ok(Shape::image(
                    channels,
                    height.div_ceil(stride),
                    width.div_ceil(stride),
                )),
                Shape::Tokens { length, channels } if stride > 0 => {
                    Ok(Shape::tokens(length.div_ceil(stride), channels))
                }
                Shape::Vector { .. } if stride == 1 => Ok(inputs[0]),
                other => fail(format!("stride {stride} makes no sense on {other}")),
            },
            Op::Flatten => match inputs[0] {
                Shape::Ids { .. } => fail(NEEDS_EMBEDDING.into()),
                shape => Ok(Shape::vector(shape.elements())),
            },
            Op::GroupNorm { groups } => match inputs[0] {
                Shape::Image { channels, .. } | Shape::Tokens { channels, .. } => {
                    if groups == 0 || !channels.is_multiple_of(groups) {
                        return fail(format!("{groups} groups do not divide {channels} channels"));
                    }
                    Ok(inputs[0])
                }
                other => fail(format!(
                    "it needs a feature map or a sequence, not {}",
                    other.kind()
                )),
            },
            Op::Attention(attention) => attend(attention, inputs).or_else(fail),
            Op::RelativeAttention(attention, relative) => {
                attend_relative(attention, relative, inputs).or_else(fail)
            }
            Op::LinearAttention { heads, causal } => {
                if let Shape::Image { .. } = inputs[0]
                    && causal
                {
                    return fail("the positions of a map have no order to be causal in".into());
                }
                let attention = Attention {
                    heads,
                    kv_heads: heads,
                    window: 0,
                    causal: false,
                };
                attend(attention, inputs).or_else(fail)
            }
            Op::StateSpace(space) => scan(space, inputs).or_else(fail),
            Op::Rotary { heads } => match inputs[0] {
                Shape::Tokens { channels, .. } => {
                    if heads == 0 || !channels.is_multiple_of(2 * heads) {
                        return fail(format!(
                            "{heads} heads do not divide {channels} channels into even parts"
                        ));
                    }
                    Ok(inputs[0])
                }
                other => fail(format!("it needs a sequence, not {}", other.kind())),
            },
            Op::Embedding { vocab, dim } => match inputs[0] {
                Shape::Ids { length } if vocab > 0 && dim > 0 => Ok(Shape::tokens(length, dim)),
                Shape::Ids { .. } => fail("vocabulary and width must be at least 1".into()),
                other => fail(format!("it needs token ids, not {}", other.kind())),
            },
            Op::Position | Op::Sinusoidal => match inputs[0] {
                Shape::Tokens { .. } => Ok(inputs[0]),
                other => fail(format!("it needs a sequence, not {}", other.kind())),
            },
            Op::ClassToken => match inputs[0] {
                Shape::Tokens { length, channels } => Ok(Shape::tokens(length + 1, channels)),
                other => fail(format!("it needs a sequence, not {}", other.kind())),
            },
            Op::Select { index } => match inputs[0] {
                Shape::Tokens { length, channels } if index < length => Ok(Shape::vector(channels)),
                Shape::Tokens { length, .. } => {
                    fail(format!("there is no token {index} among {length}, from 0"))
                }
                other => fail(format!("it needs a sequence, not {}", other.kind())),
            },
            Op::ToTokens => match inputs[0] {
                Shape::Image {
                    channels,
                    height,
                    width,
                } => Ok(Shape::tokens(height * width, channels)),
                other => fail(format!("it needs a feature map, not {}", other.kind())),
            },
        }
    }
}

const NEEDS_EMBEDDING: &str = "token ids go into an `embedding` first";

/// Features a linear layer reads: all of a vector, those of one token.
pub(super) fn features(input: Shape) -> usize {
    match input {
        Shape::Tokens { channels, .. } => channels,
        other => other.elements(),
    }
}

/// Output size of a sliding window, given the padding of both sides together;
/// `None` where the window does not fit once.
#[inline]
pub(super) fn window_out(
    size: usize,
    reach: usize,
    stride: usize,
    padding: usize,
) -> Option<usize> {
    let room = size.checked_add(padding)?.checked_sub(reach)?;
    // Division is slow, and mostly not needed.
    Some(if stride == 1 { room } else { room / stride } + 1)
}

/// What of a convolution is not 1, by name.
fn unusual(f: &mut fmt::Formatter<'_>, values: [usize; 3]) -> fmt::Result {
    for (name, value) in ["stride", "groups", "dilation"].iter().zip(values) {
        if value != 1 {
            write!(f, ", {name} {value}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Input => write!(f, "input"),
            Op::Conv(c) => {
                write!(f, "conv{0}x{0}({1}", c.kernel, c.out_channels)?;
                unusual(f, [c.stride, c.groups, c.dilation])?;
                write!(f, ")")
            }
            Op::Conv1d(c) => {
                write!(f, "conv1d({}, {}", c.kernel, c.out_channels)?;
                unusual(f, [c.stride, c.groups, c.dilation])?;
                write!(f, "{})", if c.causal { ", causal" } else { "" })
            }
            Op::StateSpace(space) => write!(f, "ssm({} heads, state {})", space.heads, space.state),
            Op::Linear { out_features, .. } => write!(f, "linear({out_features})"),
            Op::BatchNorm => write!(f, "bn"),
            Op::Activation(a) => write!(f, "{}", a.name()),
            Op::Pool {
                kind,
                kernel,
                stride,
                ..
            } => {
                let name = match kind {
                    PoolKind::Max => "maxpool",
                    PoolKind::Avg => "avgpool",
                };
                write!(f, "{name}({kernel}, stride {stride})")
            }
            Op::GlobalPool { kind } => match kind {
                PoolKind::Max => write!(f, "global maxpool"),
                PoolKind::Avg => write!(f, "global avgpool"),
            },
            Op::Add => write!(f, "add"),
            Op::Mul => write!(f, "mul"),
            Op::Concat => write!(f, "concat"),
            Op::Zero { .. } => write!(f, "zero"),
            Op::Flatten => write!(f, "flatten"),
            Op::LayerNorm => write!(f, "layernorm"),
            Op::RmsNorm => write!(f, "rmsnorm"),
            Op::GroupNorm { groups } => write!(f, "groupnorm({groups})"),
            Op::Attention(a) | Op::RelativeAttention(a, _) => {
                write!(f, "attention({} heads", a.heads)?;
                if a.kv_heads != a.heads {
                    write!(f, ", {} of keys", a.kv_heads)?;
                }
                if a.window > 0 {
                    write!(f, ", window {}", a.window)?;
                }
                if let Op::RelativeAttention(_, relative) = self {
                    write!(f, ", relative {}", relative.distance)?;
                }
                write!(f, "{})", if a.causal { ", causal" } else { "" })
            }
            Op::LinearAttention { heads, causal } => {
                let causal = if *causal { ", causal" } else { "" };
                write!(f, "linear attention({heads} heads{causal})")
            }
            Op::Rotary { .. } => write!(f, "rotary"),
            Op::Embedding { vocab, dim } => write!(f, "embedding({vocab}, {dim})"),
            Op::Position => write!(f, "position"),
            Op::Sinusoidal => write!(f, "sinusoidal"),
            Op::ClassToken => write!(f, "class token"),
            Op::Select { index } => write!(f, "token {index}"),
            Op::ToTokens => write!(f, "tokens"),
        }
    }
}
