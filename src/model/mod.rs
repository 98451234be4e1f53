//! A network as something burn can run and train. [`Model`] interprets the
//! typed graph node by node, so one type serves every architecture and every
//! device; it derives burn's `Module`, so burn's optimisers train it.
//! Architectures come in as [`Network`] and [`Weights`] and leave as
//! [`Weights`]: nothing outside this room needs to hold a tensor.

pub mod backend;
mod cpu;
mod engine;
mod fold;
mod mixing;
mod plan;
mod portable;
mod sequence;
mod session;
mod state_space;
mod watch;

use burn::backend::DispatchDevice;
use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use crate::network::{
    Activation, Array, Attention, Network, NodeId, Op, ParamSpec, Shape, Weights, WeightsError,
};

pub use backend::{Backend, BackendError};
pub use engine::BurnEngine;
pub use fold::fold_batch_norm;
pub(crate) use mixing::Gates;
pub use session::InferenceSession;
pub(crate) use watch::Watch;

/// Frees memory of feature maps that this thread keeps for its next step of
/// training on the CPU.
pub(crate) use cpu::release_buffers;

use plan::{Plan, Slot, Step};

/// Added to the variance by batch normalisation.
pub const BATCH_NORM_EPSILON: f32 = 1e-5;
/// Share of the newest batch in the running statistics of batch normalisation.
pub const BATCH_NORM_MOMENTUM: f32 = 0.1;

/// Why a network cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error("the device could not finish: {0}")]
    Device(String),
}

/// How feature maps lie in memory, and with it which operators run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `N x C x H x W`: burn's own operators, on any backend.
    ChannelsFirst,
    /// `N x H x W x C`: our kernels, on the CPU.
    ChannelsLast,
}

/// A network with its tensors on a device.
///
/// On a device with automatic differentiation ([`Device::autodiff`]) a forward
/// pass is one of training: batch norm uses the batch's moments and updates its
/// running statistics. On a plain device it is inference. burn's
/// [`Module::valid`] turns the first into the second.
#[derive(Module, Debug)]
pub struct Model {
    /// Of convolutions `[out, in / groups, k, k]`, of those over positions `[out,
    /// in / groups, k, 1]`, of linear layers `[out, in, 1, 1]`.
    filters: Vec<Param<Tensor<4>>>,
    /// Biases, the scales and shifts of normalisations, and what state spaces
    /// learn.
    vectors: Vec<Param<Tensor<1>>>,
    /// Running means and variances.
    statistics: Vec<RunningState<Tensor<1>>>,
    #[module(skip)]
    plan: Plan,
    #[module(skip)]
    specs: Vec<ParamSpec>,
    #[module(skip)]
    layout: Layout,
    /// Share of the newest batch in running statistics.
    #[module(skip)]
    momentum: f32,
}

impl Model {
    /// Puts a network on a device.
    ///
    /// # Errors
    /// When the weights do not fit the network.
    pub fn new(network: &Network, weights: &Weights, device: &Device) -> Result<Self, ModelError> {
        let on_cpu = matches!(
            device.clone().without_autodiff().as_dispatch(),
            DispatchDevice::Flex(_)
        );
        let layout = if on_cpu {
            Layout::ChannelsLast
        } else {
            Layout::ChannelsFirst
        };
        Self::with_layout(network, weights, device, layout)
    }

    fn with_layout(
        network: &Network,
        weights: &Weights,
        device: &Device,
        layout: Layout,
    ) -> Result<Self, ModelError> {
        let plan = Plan::new(network);
        let specs = network.param_specs();
        let mut model = Model {
            filters: Vec::new(),
            vectors: Vec::new(),
            statistics: Vec::new(),
            plan,
            specs: Vec::new(),
            layout,
            momentum: BATCH_NORM_MOMENTUM,
        };
        for (spec, slot) in specs.iter().zip(model.plan.slots.clone()) {
            let data = weights.get(spec)?.data.clone();
            let vector = |data: Vec<f32>| {
                let len = data.len();
                Tensor::<1>::from_data(TensorData::new(data, [len]), device)
            };
            match slot {
                Slot::Filter(_) => {
                    let mut dims = [1; 4];
                    dims[..spec.dims.len()].copy_from_slice(&spec.dims);
                    let tensor = Tensor::from_data(TensorData::new(data, dims), device);
                    model.filters.push(Param::from_tensor(tensor));
                }
                Slot::Vector(_) => model.vectors.push(Param::from_tensor(vector(data))),
                Slot::Statistic(_) => model.statistics.push(RunningState::new(vector(data))),
            }
        }
        model.specs = specs;
        Ok(model)
    }

    /// The dimensions in which [`forward`](Self::forward) takes a batch of
    /// samples, each laid out as in ONNX.
    pub fn input_dims(input: Shape, batch: usize) -> [usize; 4] {
        match input {
            Shape::Image {
                channels,
                height,
                width,
            } => [batch, channels, height, width],
            Shape::Vector { features } => [batch, features, 1, 1],
            Shape::Tokens { length, channels } => [batch, 1, length, channels],
            Shape::Ids { length } => [batch, 1, 1, length],
        }
    }

    /// Outputs `[N, F]`, such as logits, of samples in the dimensions of
    /// [`input_dims`](Self::input_dims): images `[N, C, H, W]`, vectors
    /// `[N, F, 1, 1]`, sequences `[N, 1, L, C]`, or token ids `[N, 1, 1, L]` as
    /// whole numbers. An output that is a sequence comes token by token.
    pub fn forward(&self, samples: Tensor<4>) -> Tensor<2> {
        self.forward_watched(samples, &mut watch::Unwatched)
    }

    /// [`forward`](Self::forward), with every node's value shown to `watch`.
    pub(crate) fn forward_watched(&self, samples: Tensor<4>, watch: &mut dyn Watch) -> Tensor<2> {
        let mut values: Vec<Option<Tensor<4>>> = vec![None; self.plan.nodes];
        let batch = samples.dims()[0];
        values[0] = Some(match (self.plan.input, self.layout) {
            (Shape::Tokens { .. }, Layout::ChannelsFirst) => samples.permute([0, 3, 1, 2]),
            (Shape::Image { .. } | Shape::Vector { .. }, Layout::ChannelsLast) => {
                channels_last(samples)
            }
            _ => samples,
        });
        for step in &self.plan.steps {
            // The last reader takes the tensor itself, so that its buffer can be
            // reused.
            let mut inputs: Vec<Tensor<4>> = step
                .inputs
                .iter()
                .enumerate()
                .map(|(place, input)| {
                    let again = step.inputs[place + 1..].contains(input);
                    let value = if step.frees.contains(input) && !again {
                        values[*input].take()
                    } else {
                        values[*input].clone()
                    };
                    value.expect("kept for its readers")
                })
                .collect();
            let node = NodeId(step.output);
            watch.before(node, &step.inputs, &mut inputs);
            values[step.output] = Some(watch.after(node, self.execute(step, inputs)));
            if step.frees.contains(&step.output) {
                values[step.output] = None;
            }
        }
        let output = values[self.plan.output].take().expect("the last step's");
        let output = self.flatten(output, self.plan.output_shape);
        let features = output.dims().iter().product::<usize>() / batch.max(1);
        output.reshape([batch, features])
    }

    /// Makes the running statistics the means over these batches (batch-norm
    /// recalibration, as weights that were inherited need). The device must be one
    /// of automatic differentiation.
    pub(crate) fn recalibrate(&mut self, batches: impl Iterator<Item = Tensor<4>>) {
        for (seen, batch) in batches.enumerate() {
            self.momentum = 1.0 / (seen + 1) as f32;
            self.forward(batch);
        }
        self.momentum = BATCH_NORM_MOMENTUM;
    }

    /// Moves the tensors back to plain data, under the network's names.
    pub fn to_weights(&self) -> Weights {
        self.gather(|slot| match slot {
            Slot::Filter(i) => Some(self.filters[i].val().into_data()),
            Slot::Vector(i) => Some(self.vectors[i].val().into_data()),
            Slot::Statistic(i) => Some(self.statistics[i].value_sync().into_data()),
        })
    }

    /// The gradients of learned parameters after a backward pass, under the
    /// network's names; parameters that the loss does not depend on are absent.
    pub fn gradients(&self, gradients: &Gradients) -> Weights {
        self.gather(|slot| match slot {
            Slot::Filter(i) => self.filters[i].val().grad(gradients).map(Tensor::into_data),
            Slot::Vector(i) => self.vectors[i].val().grad(gradients).map(Tensor::into_data),
            Slot::Statistic(_) => None,
        })
    }

    fn gather(&self, data: impl Fn(Slot) -> Option<TensorData>) -> Weights {
        let mut weights = Weights::default();
        for (spec, slot) in self.specs.iter().zip(&self.plan.slots) {
            if let Some(data) = data(*slot) {
                let array = Array {
                    dims: spec.dims.clone(),
                    data: data.try_into_vec().expect("the model's tensors are f32"),
                };
                weights.tensors.insert(spec.name(), array);
            }
        }
        weights
    }

    fn execute(&self, step: &Step, mut inputs: Vec<Tensor<4>>) -> Tensor<4> {
        let last = self.layout == Layout::ChannelsLast;
        let channel_axis = if last { 3 } else { 1 };
        let first = inputs.swap_remove(0);
        match step.op {
            Op::Input => first,
            Op::Conv(conv) => self.convolve(conv, step, first),
            Op::Conv1d(conv) => {
                let (filters, bias) = self.filters_and_bias(step);
                if last {
                    return cpu::conv1d(conv, first, filters, bias, step.activation);
                }
                self.activated(step, portable::conv1d(conv, first, filters, bias))
            }
            Op::Linear { out_features, bias } => {
                let conv = crate::network::Conv::same(out_features, 1, 1).bias(bias);
                self.convolve(conv, step, first)
            }
            Op::BatchNorm => self.normalise(step, first),
            Op::Activation(activation) => self.activate(activation, first),
            Op::Pool {
                kind,
                kernel,
                stride,
                padding,
            } => {
                let pool = if last { cpu::pool } else { portable::pool };
                // A sequence is one row.
                let (kernel, padding) = match step.from {
                    Shape::Tokens { .. } => ([1, kernel], [0, padding]),
                    _ => ([kernel; 2], [padding; 2]),
                };
                pool(kind, first, kernel, stride, padding)
            }
            Op::GlobalPool { kind } => {
                let pool = if last {
                    cpu::global_pool
                } else {
                    portable::global_pool
                };
                pool(kind, first)
            }
            Op::Add => inputs.into_iter().fold(first, |sum, x| sum + x),
            Op::Mul => {
                let factors = inputs.pop().expect("a product has two inputs");
                if last && factors.dims() != first.dims() {
                    cpu::gate(first, factors)
                } else {
                    first * factors
                }
            }
            Op::Concat => {
                // `swap_remove` has put the last input in front.
                if !inputs.is_empty() {
                    inputs.rotate_left(1);
                }
                inputs.insert(0, first);
                Tensor::cat(inputs, channel_axis)
            }
            Op::Zero { stride } => {
                let mut dims = first.dims();
                for (axis, size) in dims.iter_mut().enumerate().skip(1) {
                    if axis != channel_axis {
                        *size = size.div_ceil(stride);
                    }
                }
                Tensor::zeros(dims, &first.device())
            }
            Op::Flatten => self.flatten(first, step.from),
            Op::LayerNorm | Op::RmsNorm => {
                let (scale, shift) = self.scale_and_shift(step);
                self.by_rows(step, first, |x| sequence::norm(x, scale, shift))
            }
            Op::GroupNorm { groups } => {
                let (scale, shift) = self.scale_and_shift(step);
                let shift = shift.expect("a group normalisation has a shift");
                self.by_rows(step, first, |x| {
                    sequence::group_norm(x, groups, scale, shift)
                })
            }
            Op::Attention(attention) => self.attend(step, attention, None, first, inputs),
            Op::RelativeAttention(attention, relative) => {
                let values = step.relative_values.expect("distances have embeddings");
                let tables = [self.table(step), self.filters[values].val()];
                let distances = sequence::Distances::new(relative, step.from, tables);
                self.attend(step, attention, Some(distances), first, inputs)
            }
            Op::LinearAttention { heads, causal } => {
                let operands = self.operands(first, inputs);
                let out = sequence::linear_attention(heads, causal, operands);
                sequence::unrows(out, self.layout, step.from.spatial())
            }
            Op::StateSpace(space) => {
                let steps = inputs.pop().expect("a state space has two inputs");
                let steps = sequence::rows(steps, self.layout);
                let vector = |slot: Option<usize>| {
                    let slot = slot.expect("a state space has its parameters");
                    self.vectors[slot].val()
                };
                let learned = state_space::Learned {
                    log_decay: vector(step.log_decay),
                    skip: vector(step.skip),
                    bias: vector(step.bias),
                };
                self.by_rows(step, first, |x| state_space::scan(space, x, steps, learned))
            }
            Op::Rotary { heads } => self.by_rows(step, first, |x| sequence::rotary(x, heads)),
            Op::Embedding { .. } => {
                let rows = sequence::embed(first, self.table(step));
                sequence::unrows(rows, self.layout, step.shape.spatial())
            }
            Op::Position => {
                let table = self.table(step);
                self.by_rows(step, first, |x| sequence::position(x, table))
            }
            Op::Sinusoidal => self.by_rows(step, first, sequence::sinusoidal),
            Op::ClassToken => {
                let token = self.table(step);
                self.by_rows(step, first, |x| sequence::class_token(x, token))
            }
            Op::Select { index } => self.by_rows(step, first, |x| x.narrow(1, index, 1)),
            // The positions of a map are a sequence already.
            Op::ToTokens => self.by_rows(step, first, |x| x),
        }
    }

    fn attend(
        &self,
        step: &Step,
        attention: Attention,
        distances: Option<sequence::Distances>,
        queries: Tensor<4>,
        others: Vec<Tensor<4>>,
    ) -> Tensor<4> {
        let operands = self.operands(queries, others);
        let map = step.from.spatial();
        let window = attention.windows(step.from);
        let out = sequence::attention(attention, distances, operands, map, window);
        sequence::unrows(out, self.layout, map)
    }

    /// Applies an operator of rows between two layouts.
    fn by_rows(
        &self,
        step: &Step,
        x: Tensor<4>,
        operator: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<4> {
        let rows = operator(sequence::rows(x, self.layout));
        sequence::unrows(rows, self.layout, step.shape.spatial())
    }

    /// Queries, keys and values as rows. `swap_remove` of the first has put the
    /// last in front of the others.
    fn operands(&self, queries: Tensor<4>, others: Vec<Tensor<4>>) -> [Tensor<3>; 3] {
        let [values, keys] = others.try_into().expect("attention has three inputs");
        [queries, keys, values].map(|x| sequence::rows(x, self.layout))
    }

    fn scale_and_shift(&self, step: &Step) -> (Tensor<1>, Option<Tensor<1>>) {
        let scale = step.scale.expect("a normalisation has a scale");
        let shift = step.bias.map(|bias| self.vectors[bias].val());
        (self.vectors[scale].val(), shift)
    }

    /// The learned table of embeddings, positions, distances or a class token.
    fn table(&self, step: &Step) -> Tensor<4> {
        self.filters[step.filter.expect("a table is learned")].val()
    }

    fn convolve(&self, conv: crate::network::Conv, step: &Step, x: Tensor<4>) -> Tensor<4> {
        let (filters, bias) = self.filters_and_bias(step);
        match self.layout {
            Layout::ChannelsLast => cpu::conv(conv, x, filters, bias, step.activation),
            Layout::ChannelsFirst => self.activated(step, portable::conv(conv, x, filters, bias)),
        }
    }

    fn filters_and_bias(&self, step: &Step) -> (Tensor<4>, Option<Tensor<1>>) {
        let filters = step.filter.expect("a convolution has filters");
        let bias = step.bias.map(|bias| self.vectors[bias].val());
        (self.filters[filters].val(), bias)
    }

    fn normalise(&self, step: &Step, x: Tensor<4>) -> Tensor<4> {
        let (gamma, beta) = self.scale_and_shift(step);
        let beta = beta.expect("a batch normalisation has a shift");
        let (mean, variance) = step.statistics.expect("a normalisation has statistics");
        let running = [&self.statistics[mean], &self.statistics[variance]];
        if !x.device().is_autodiff() {
            let [mean, variance] = running.map(|statistic| statistic.value());
            let scale = gamma / (variance + BATCH_NORM_EPSILON).sqrt();
            let shift = beta - mean * scale.clone();
            let channels = scale.dims()[0];
            let dims = match self.layout {
                Layout::ChannelsFirst => [1, channels, 1, 1],
                Layout::ChannelsLast => [1, 1, 1, channels],
            };
            let out = x * scale.reshape(dims) + shift.reshape(dims);
            return self.activated(step, out);
        }
        let (out, mean, variance) = match self.layout {
            Layout::ChannelsLast => {
                cpu::norm_train(x, gamma, beta, BATCH_NORM_EPSILON, step.activation)
            }
            Layout::ChannelsFirst => {
                let (out, mean, variance) =
                    portable::norm_train(x, gamma, beta, BATCH_NORM_EPSILON);
                (self.activated(step, out), mean, variance)
            }
        };
        for (statistic, new) in running.into_iter().zip([mean, variance]) {
            let old = statistic.value_sync() * (1.0 - self.momentum);
            statistic.update((old + new.detach() * self.momentum).detach());
        }
        out
    }

    fn activated(&self, step: &Step, x: Tensor<4>) -> Tensor<4> {
        match step.activation {
            Some(activation) => self.activate(activation, x),
            None => x,
        }
    }

    fn activate(&self, activation: Activation, x: Tensor<4>) -> Tensor<4> {
        match self.layout {
            Layout::ChannelsFirst => portable::activate(activation, x),
            Layout::ChannelsLast => cpu::activate(activation, x),
        }
    }

    /// All features of a sample as channels of a 1x1 map, in `C x H x W` order,
    /// those of a sequence in `L x C` order.
    fn flatten(&self, x: Tensor<4>, from: Shape) -> Tensor<4> {
        let [batch, a, b, c] = x.dims();
        if let Shape::Tokens { .. } = from {
            let rows = sequence::rows(x, self.layout);
            let dims = match self.layout {
                Layout::ChannelsFirst => [batch, a * b * c, 1, 1],
                Layout::ChannelsLast => [batch, 1, 1, a * b * c],
            };
            return rows.reshape(dims);
        }
        match self.layout {
            Layout::ChannelsFirst => x.reshape([batch, a * b * c, 1, 1]),
            Layout::ChannelsLast if a * b == 1 => x,
            Layout::ChannelsLast => x.permute([0, 3, 1, 2]).reshape([batch, 1, 1, a * b * c]),
        }
    }
}

/// `N x C x H x W` to `N x H x W x C`.
fn channels_last(images: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = images.dims();
    if channels == 1 {
        // One channel lies the same in both.
        images.reshape([batch, height, width, 1])
    } else {
        images.permute([0, 2, 3, 1])
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
