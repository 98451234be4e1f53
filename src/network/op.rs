//! The primitive operators a network is made of. There are few of them on
//! purpose: squeeze-excite, inverted residuals and cells are built from these,
//! so every consumer (burn, ONNX, costs, features) handles each primitive once.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// `y = W x + b` on a flat vector.
    Linear {
        out_features: usize,
        bias: bool,
    },
    /// Batch normalisation over channels, epsilon 1e-5.
    BatchNorm,
    Activation(Activation),
    Pool {
        kind: PoolKind,
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    /// Reduces a feature map to `Cx1x1`.
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
    /// operator of cell spaces. `Network::simplify` removes what it can.
    Zero {
        stride: usize,
    },
    /// `CxHxW` to a vector of `C*H*W` features.
    Flatten,
}

/// Why an operator does not accept its inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op} does not fit: {reason}")]
pub struct ShapeError {
    pub op: String,
    pub reason: String,
}

impl Op {
    /// Output shape of the operator, or why the inputs do not fit.
    pub fn infer(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        let fail = |reason: String| {
            Err(ShapeError {
                op: self.to_string(),
                reason,
            })
        };
        let arity_ok = match self {
            Op::Input => inputs.is_empty(),
            Op::Add | Op::Concat => !inputs.is_empty(),
            Op::Mul => inputs.len() == 2,
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
                    return fail(format!(
                        "it needs a feature map, not a vector of {}",
                        inputs[0]
                    ));
                };
                if conv.out_channels == 0 || conv.kernel == 0 || conv.stride == 0 {
                    return fail("channels, kernel and stride must be at least 1".into());
                }
                if conv.dilation == 0 || conv.groups == 0 {
                    return fail("groups and dilation must be at least 1".into());
                }
                if channels % conv.groups != 0 || conv.out_channels % conv.groups != 0 {
                    return fail(format!(
                        "{} groups divide neither or not both of {channels} input and {} output channels",
                        conv.groups, conv.out_channels
                    ));
                }
                let reach = conv.dilation * (conv.kernel - 1) + 1;
                match (
                    window_out(height, reach, conv.stride, conv.padding),
                    window_out(width, reach, conv.stride, conv.padding),
                ) {
                    (Some(h), Some(w)) => Ok(Shape::image(conv.out_channels, h, w)),
                    _ => fail(format!(
                        "a window of {reach} with padding {} is larger than the {height}x{width} map",
                        conv.padding
                    )),
                }
            }
            Op::Linear { out_features, .. } => match inputs[0] {
                Shape::Vector { .. } if out_features > 0 => Ok(Shape::vector(out_features)),
                Shape::Vector { .. } => fail("it needs at least 1 output feature".into()),
                image => fail(format!(
                    "it needs a flat vector, not a {image} map (pool globally or flatten first)"
                )),
            },
            Op::BatchNorm | Op::Activation(_) => Ok(inputs[0]),
            Op::Pool {
                kernel,
                stride,
                padding,
                ..
            } => {
                let Shape::Image {
                    channels,
                    height,
                    width,
                } = inputs[0]
                else {
                    return fail(format!(
                        "it needs a feature map, not a vector of {}",
                        inputs[0]
                    ));
                };
                if kernel == 0 || stride == 0 {
                    return fail("kernel and stride must be at least 1".into());
                }
                if padding >= kernel {
                    return fail(format!(
                        "padding {padding} must be below the kernel {kernel}"
                    ));
                }
                match (
                    window_out(height, kernel, stride, padding),
                    window_out(width, kernel, stride, padding),
                ) {
                    (Some(h), Some(w)) => Ok(Shape::image(channels, h, w)),
                    _ => fail(format!(
                        "a window of {kernel} is larger than the {height}x{width} map"
                    )),
                }
            }
            Op::GlobalPool { .. } => match inputs[0] {
                Shape::Image { channels, .. } => Ok(Shape::image(channels, 1, 1)),
                vector => fail(format!("it needs a feature map, not a vector of {vector}")),
            },
            Op::Add => {
                if let Some(other) = inputs.iter().find(|s| **s != inputs[0]) {
                    return fail(format!("{} and {other} cannot be added", inputs[0]));
                }
                Ok(inputs[0])
            }
            Op::Mul => {
                let gate = Shape::image(inputs[0].channels(), 1, 1);
                if inputs[1] != inputs[0] && inputs[1] != gate {
                    return fail(format!("{} cannot be scaled by {}", inputs[0], inputs[1]));
                }
                Ok(inputs[0])
            }
            Op::Concat => {
                let spatial = inputs[0].spatial();
                let flat = matches!(inputs[0], Shape::Vector { .. });
                if let Some(other) = inputs
                    .iter()
                    .find(|s| s.spatial() != spatial || matches!(s, Shape::Vector { .. }) != flat)
                {
                    return fail(format!("{} and {other} cannot be concatenated", inputs[0]));
                }
                let channels = inputs.iter().map(Shape::channels).sum();
                Ok(if flat {
                    Shape::vector(channels)
                } else {
                    Shape::image(channels, spatial.0, spatial.1)
                })
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
                Shape::Vector { .. } if stride == 1 => Ok(inputs[0]),
                other => fail(format!("stride {stride} makes no sense on {other}")),
            },
            Op::Flatten => Ok(Shape::vector(inputs[0].elements())),
        }
    }

    /// Multiply-accumulates for one sample. Convolutions and linear layers
    /// count; normalisation, activations, pooling and sums do not, as in the
    /// papers whose figures we compare with.
    pub fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
        match *self {
            Op::Conv(c) => {
                let per_output = c.kernel * c.kernel * inputs[0].channels() / c.groups;
                (per_output * output.elements()) as u64
            }
            Op::Linear { out_features, .. } => (inputs[0].elements() * out_features) as u64,
            _ => 0,
        }
    }

    /// Learned parameters (batch norm counts its scale and shift, not its
    /// running statistics).
    pub fn params(&self, inputs: &[Shape]) -> u64 {
        match *self {
            Op::Conv(c) => {
                let weights =
                    c.kernel * c.kernel * inputs[0].channels() / c.groups * c.out_channels;
                (weights + if c.bias { c.out_channels } else { 0 }) as u64
            }
            Op::Linear { out_features, bias } => {
                let weights = inputs[0].elements() * out_features;
                (weights + if bias { out_features } else { 0 }) as u64
            }
            Op::BatchNorm => 2 * inputs[0].channels() as u64,
            _ => 0,
        }
    }
}

/// Output size of a sliding window, `None` where the window does not fit once.
fn window_out(size: usize, reach: usize, stride: usize, padding: usize) -> Option<usize> {
    (size + 2 * padding)
        .checked_sub(reach)
        .map(|room| room / stride + 1)
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Input => write!(f, "input"),
            Op::Conv(c) => {
                write!(f, "conv{0}x{0}({1}", c.kernel, c.out_channels)?;
                if c.stride != 1 {
                    write!(f, ", stride {}", c.stride)?;
                }
                if c.groups != 1 {
                    write!(f, ", groups {}", c.groups)?;
                }
                if c.dilation != 1 {
                    write!(f, ", dilation {}", c.dilation)?;
                }
                write!(f, ")")
            }
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
        }
    }
}
