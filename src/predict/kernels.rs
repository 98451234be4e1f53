//! The kernels an inference engine would launch for a network: operators fused
//! with the norms and activations that follow them.

use serde::{Deserialize, Serialize};

use crate::network::{Activation, Network, Op, Shape};

/// What a kernel does; convolutions are told apart as engines do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelKind {
    /// A convolution over all channels with a window above 1x1.
    Dense,
    /// A 1x1 convolution over all channels.
    Pointwise,
    /// One filter a channel.
    Depthwise,
    /// Several groups of several channels.
    Grouped,
    Pool,
    GlobalPool,
    Linear,
    /// Sums and products of tensors.
    Elementwise,
    /// Activations and norms that no producer could take in.
    Pointfunction,
    Concat,
    Zero,
}

impl KernelKind {
    fn of_convolution(kernel: usize, groups: usize, in_channels: usize) -> Self {
        match (kernel, groups) {
            (1, 1) => KernelKind::Pointwise,
            (_, 1) => KernelKind::Dense,
            _ if groups == in_channels => KernelKind::Depthwise,
            _ => KernelKind::Grouped,
        }
    }
}

/// One fused kernel: an operator with the norm and activation that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    pub kind: KernelKind,
    pub in_channels: usize,
    pub out_channels: usize,
    /// Side of a window on a map, length of one on a sequence; 1 where there is
    /// none.
    pub window: usize,
    pub stride: usize,
    pub groups: usize,
    /// Pixels of the output map.
    pub out_pixels: usize,
    pub macs: f64,
    pub input_bytes: f64,
    pub output_bytes: f64,
    pub weight_bytes: f64,
    /// Multiplications the window needs at each output scalar's channel:
    /// window² (on a sequence, window) × output scalars.
    pub window_outputs: f64,
    /// Scalars of the unfolded input: as many × input channels × output pixels.
    pub unfolded_inputs: f64,
    /// Whether it ends in an activation dearer than a clamp (sigmoids, swish).
    pub smooth_activation: bool,
}

impl Kernel {
    /// Multiply-accumulates for each byte moved.
    pub fn arithmetic_intensity(&self) -> f64 {
        self.macs / (self.input_bytes + self.output_bytes + self.weight_bytes).max(1.0)
    }
}

/// The fused kernels of a network, in execution order.
pub fn kernels(network: &Network) -> Vec<Kernel> {
    let fused = Fusion::of(network);
    (0..network.nodes().len())
        .filter_map(|i| fused.kernel(network, i))
        .collect()
}

/// Which nodes their producer takes in, and what each producer ends with.
pub(super) struct Fusion {
    /// The node is part of its input's kernel.
    absorbed: Vec<bool>,
    /// The kernel that holds the node ends in a smooth activation.
    smooth: Vec<bool>,
}

impl Fusion {
    pub fn of(network: &Network) -> Self {
        let nodes = network.nodes();
        let mut readers = vec![0u32; nodes.len()];
        for node in nodes {
            for input in &node.inputs {
                readers[input.0] += 1;
            }
        }
        let mut absorbed = vec![false; nodes.len()];
        let mut smooth = vec![false; nodes.len()];
        // The node that starts the kernel a node belongs to, where it can
        // still take in what follows.
        let mut head: Vec<Option<usize>> = vec![None; nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            match node.op {
                Op::Conv(_)
                | Op::Conv1d(_)
                | Op::Linear { .. }
                | Op::Add
                | Op::Mul
                | Op::BatchNorm => {
                    head[index] = Some(index);
                }
                _ => {}
            }
            if let Op::BatchNorm | Op::Activation(_) = node.op {
                let input = node.inputs[0].0;
                if let (1, Some(start)) = (readers[input], head[input]) {
                    absorbed[index] = true;
                    head[index] = matches!(node.op, Op::BatchNorm).then_some(start);
                    smooth[start] |= is_smooth(node.op);
                } else {
                    smooth[index] |= is_smooth(node.op);
                }
            }
        }
        Fusion { absorbed, smooth }
    }

    pub fn kernel(&self, network: &Network, index: usize) -> Option<Kernel> {
        let node = &network.nodes()[index];
        if self.absorbed[index] {
            return None;
        }
        let input = network.shape(*node.inputs.first()?);
        let (in_channels, out_channels) = (input.channels(), node.shape.channels());
        let (kind, window, stride, groups) = match node.op {
            Op::Conv(c) => {
                let kind = KernelKind::of_convolution(c.kernel, c.groups, in_channels);
                (kind, c.kernel, c.stride, c.groups)
            }
            Op::Conv1d(c) => {
                let kind = KernelKind::of_convolution(c.kernel, c.groups, in_channels);
                (kind, c.kernel, c.stride, c.groups)
            }
            Op::Pool { kernel, stride, .. } => (KernelKind::Pool, kernel, stride, 1),
            Op::GlobalPool { .. } => (KernelKind::GlobalPool, 1, 1, 1),
            // At every position: what a pointwise convolution does.
            Op::Linear { .. } if node.shape.length() > 1 => (KernelKind::Pointwise, 1, 1, 1),
            Op::Attention(_)
            | Op::RelativeAttention(..)
            | Op::LinearAttention { .. }
            | Op::StateSpace(_) => (KernelKind::Pointwise, 1, 1, 1),
            Op::Linear { .. } => (KernelKind::Linear, 1, 1, 1),
            Op::Add | Op::Mul if node.inputs.len() == 1 => return None,
            Op::Add | Op::Mul => (KernelKind::Elementwise, 1, 1, 1),
            Op::BatchNorm
            | Op::Activation(_)
            | Op::LayerNorm
            | Op::RmsNorm
            | Op::GroupNorm { .. }
            | Op::ToTokens => (KernelKind::Pointfunction, 1, 1, 1),
            Op::Rotary { .. } | Op::Embedding { .. } | Op::Position | Op::Sinusoidal => {
                (KernelKind::Elementwise, 1, 1, 1)
            }
            Op::Concat | Op::ClassToken => (KernelKind::Concat, 1, 1, 1),
            Op::Zero { stride } => (KernelKind::Zero, 1, stride, 1),
            Op::Input | Op::Flatten | Op::Select { .. } => return None,
        };
        let (height, width) = node.shape.spatial();
        let out_pixels = height * width;
        // On a sequence a window is a row of positions.
        let window_area = match input {
            Shape::Tokens { .. } => window as f64,
            _ => (window as f64).powi(2),
        };
        let bytes = |s: Shape| s.bytes_f32() as f64;
        let tally = network.tally(node);
        Some(Kernel {
            kind,
            in_channels,
            out_channels,
            window,
            stride,
            groups,
            out_pixels,
            macs: tally.macs as f64,
            input_bytes: node.inputs.iter().map(|i| bytes(network.shape(*i))).sum(),
            output_bytes: bytes(node.shape),
            weight_bytes: match node.op {
                Op::Conv(_) | Op::Conv1d(_) | Op::Linear { .. } => 4.0 * tally.params as f64,
                _ => 0.0,
            },
            window_outputs: window_area * node.shape.elements() as f64,
            unfolded_inputs: window_area * in_channels as f64 * out_pixels as f64,
            smooth_activation: self.smooth[index],
        })
    }
}

fn is_smooth(op: Op) -> bool {
    match op {
        Op::Activation(a) => !matches!(a, Activation::Relu | Activation::Relu6),
        _ => false,
    }
}
