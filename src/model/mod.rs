//! A network as something burn can run and train. [`Model`] interprets the
//! typed graph node by node, so one type serves every architecture and every
//! device; it derives burn's `Module`, so burn's optimisers train it.
//! Architectures come in as [`Network`] and [`Weights`] and leave as
//! [`Weights`]: nothing outside this room needs to hold a tensor.

pub mod backend;
mod cpu;
mod engine;
mod fold;
mod plan;
mod portable;
mod session;

use burn::backend::DispatchDevice;
use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use crate::network::{Activation, Array, Network, Op, ParamSpec, Shape, Weights, WeightsError};

pub use backend::{Backend, BackendError};
pub use engine::BurnEngine;
pub use fold::fold_batch_norm;
pub use session::InferenceSession;

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
    #[error("the network takes a vector of {0} features, but a model is fed images")]
    Input(Shape),
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
    /// Of convolutions `[out, in / groups, k, k]`, of linear layers
    /// `[out, in, 1, 1]`.
    filters: Vec<Param<Tensor<4>>>,
    /// Biases, and the scales and shifts of normalisations.
    vectors: Vec<Param<Tensor<1>>>,
    /// Running means and variances.
    statistics: Vec<RunningState<Tensor<1>>>,
    #[module(skip)]
    plan: Plan,
    #[module(skip)]
    specs: Vec<ParamSpec>,
    #[module(skip)]
    layout: Layout,
}

impl Model {
    /// Puts a network on a device.
    ///
    /// # Errors
    /// When the weights do not fit the network or its input is not an image.
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
        if let input @ Shape::Vector { .. } = network.input_shape() {
            return Err(ModelError::Input(input));
        }
        let plan = Plan::new(network);
        let specs = network.param_specs();
        let mut model = Model {
            filters: Vec::new(),
            vectors: Vec::new(),
            statistics: Vec::new(),
            plan,
            specs: Vec::new(),
            layout,
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

    /// Logits `[N, classes]` of images `[N, C, H, W]`, which must have the
    /// network's input shape.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut values: Vec<Option<Tensor<4>>> = vec![None; self.plan.nodes];
        let batch = images.dims()[0];
        values[0] = Some(match self.layout {
            Layout::ChannelsFirst => images,
            Layout::ChannelsLast => channels_last(images),
        });
        for step in &self.plan.steps {
            // The last reader takes the tensor itself, so that its buffer can be
            // reused.
            let inputs = step
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
            values[step.output] = Some(self.execute(step, inputs));
            if step.frees.contains(&step.output) {
                values[step.output] = None;
            }
        }
        let output = values[self.plan.output].take().expect("the last step's");
        let output = self.flatten(output);
        let features = output.dims().iter().product::<usize>() / batch.max(1);
        output.reshape([batch, features])
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
            Op::Flatten => self.flatten(first),
        }
    }

    fn convolve(&self, conv: crate::network::Conv, step: &Step, x: Tensor<4>) -> Tensor<4> {
        let filters = step.filter.expect("a convolution has filters");
        let filters = self.filters[filters].val();
        let bias = step.bias.map(|bias| self.vectors[bias].val());
        match self.layout {
            Layout::ChannelsLast => cpu::conv(conv, x, filters, bias, step.activation),
            Layout::ChannelsFirst => self.activated(step, portable::conv(conv, x, filters, bias)),
        }
    }

    fn normalise(&self, step: &Step, x: Tensor<4>) -> Tensor<4> {
        let gamma = self.vectors[step.scale.expect("a normalisation has a scale")].val();
        let beta = self.vectors[step.bias.expect("a normalisation has a shift")].val();
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
            let old = statistic.value_sync() * (1.0 - BATCH_NORM_MOMENTUM);
            statistic.update((old + new.detach() * BATCH_NORM_MOMENTUM).detach());
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

    /// All features of a sample as channels of a 1x1 map, in `C x H x W` order.
    fn flatten(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, a, b, c] = x.dims();
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
