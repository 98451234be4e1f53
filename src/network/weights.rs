//! The tensors of a network as plain data: what training produces, what ONNX
//! export and safetensors consume. No tensor library is involved, so the probe
//! agent can make weights without burn.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::op::features;
use super::{Network, NodeId, Op};

/// What a tensor is to its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Convolution `[out, in / groups, k, k]` or `[out, in / groups, k]`, linear `[out, in]`, or the scale
    /// `[C]` of batch norm.
    Weight,
    /// `[out]`; of the step size of a state space, `[heads]`.
    Bias,
    /// Of a state space, the logarithm of each head's rate of decay, `A_log` of
    /// Mamba-2.
    LogDecay,
    /// Of a state space, each head's factor of the input, `D` of Mamba-2.
    Skip,
    /// Of relative attention, `[axes, entries, channels of a head]`: what
    /// distances add to keys.
    RelativeKeys,
    /// The same of values.
    RelativeValues,
    /// `[C]`; a statistic, not a learned parameter.
    RunningMean,
    /// `[C]`; a statistic, not a learned parameter.
    RunningVar,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Weight => "weight",
            Role::Bias => "bias",
            Role::LogDecay => "log_decay",
            Role::Skip => "skip",
            Role::RelativeKeys => "relative_keys",
            Role::RelativeValues => "relative_values",
            Role::RunningMean => "running_mean",
            Role::RunningVar => "running_var",
        }
    }

    /// Whether gradient descent changes it.
    pub fn is_learned(self) -> bool {
        !matches!(self, Role::RunningMean | Role::RunningVar)
    }
}

/// One tensor a network needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamSpec {
    pub node: NodeId,
    pub role: Role,
    pub dims: Vec<usize>,
}

impl ParamSpec {
    /// The tensor's name in files: `n12.weight`.
    pub fn name(&self) -> String {
        format!("n{}.{}", self.node.0, self.role.name())
    }

    pub fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// Initial values for the operator, as [`Weights::random`] says.
    pub(crate) fn drawn(&self, op: &Op, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let is_norm = matches!(
            op,
            Op::BatchNorm | Op::LayerNorm | Op::RmsNorm | Op::GroupNorm { .. }
        );
        let is_table = matches!(op, Op::Embedding { .. } | Op::Position | Op::ClassToken);
        let elements = 0..self.elements();
        match self.role {
            Role::Weight if !is_norm => {
                let fan_in: usize = self.dims[1..].iter().product();
                // A uniform law with the variance 2 / fan_in.
                let bound = match is_table {
                    true => 0.02 * 3f32.sqrt(),
                    false => (6.0 / fan_in as f32).sqrt(),
                };
                elements.map(|_| rng.random_range(-bound..bound)).collect()
            }
            Role::RelativeKeys | Role::RelativeValues => {
                let bound = 0.02 * 3f32.sqrt();
                elements.map(|_| rng.random_range(-bound..bound)).collect()
            }
            // Rates of 1 to 16, steps of 0.001 to 0.1.
            Role::LogDecay => elements
                .map(|_| rng.random_range(1f32..16.0).ln())
                .collect(),
            Role::Bias if matches!(op, Op::StateSpace(_)) => elements
                .map(|_| inverse_softplus(rng.random_range(1e-3f32.ln()..0.1f32.ln()).exp()))
                .collect(),
            Role::Weight | Role::RunningVar | Role::Skip => vec![1.0; self.elements()],
            Role::Bias | Role::RunningMean => vec![0.0; self.elements()],
        }
    }
}

impl Op {
    /// Whether the operator has tensors of its own.
    pub fn is_learned(&self) -> bool {
        matches!(
            self,
            Op::Conv(_)
                | Op::Conv1d(_)
                | Op::Linear { .. }
                | Op::BatchNorm
                | Op::LayerNorm
                | Op::GroupNorm { .. }
                | Op::RmsNorm
                | Op::Embedding { .. }
                | Op::Position
                | Op::ClassToken
                | Op::RelativeAttention(..)
                | Op::StateSpace(_)
        )
    }
}

impl Network {
    /// Every tensor the network needs, in node order.
    pub fn param_specs(&self) -> Vec<ParamSpec> {
        let mut specs = Vec::new();
        for (index, node) in self.nodes().iter().enumerate() {
            let mut need = |role, dims| {
                specs.push(ParamSpec {
                    node: NodeId(index),
                    role,
                    dims,
                })
            };
            let Some(input) = node.inputs.first().map(|i| self.shape(*i)) else {
                continue;
            };
            match node.op {
                Op::Conv(c) => {
                    let fan = input.channels() / c.groups;
                    need(Role::Weight, vec![c.out_channels, fan, c.kernel, c.kernel]);
                    if c.bias {
                        need(Role::Bias, vec![c.out_channels]);
                    }
                }
                Op::Conv1d(c) => {
                    let fan = input.channels() / c.groups;
                    need(Role::Weight, vec![c.out_channels, fan, c.kernel]);
                    if c.bias {
                        need(Role::Bias, vec![c.out_channels]);
                    }
                }
                Op::RelativeAttention(a, relative) => {
                    let (axes, entries) = (relative.axes(input), relative.entries(input));
                    for role in [Role::RelativeKeys, Role::RelativeValues] {
                        need(role, vec![axes, entries, input.channels() / a.heads]);
                    }
                }
                Op::StateSpace(space) => {
                    for role in [Role::LogDecay, Role::Skip, Role::Bias] {
                        need(role, vec![space.heads]);
                    }
                }
                Op::Linear { out_features, bias } => {
                    need(Role::Weight, vec![out_features, features(input)]);
                    if bias {
                        need(Role::Bias, vec![out_features]);
                    }
                }
                Op::BatchNorm => {
                    for role in [
                        Role::Weight,
                        Role::Bias,
                        Role::RunningMean,
                        Role::RunningVar,
                    ] {
                        need(role, vec![input.channels()]);
                    }
                }
                Op::LayerNorm | Op::GroupNorm { .. } => {
                    need(Role::Weight, vec![input.channels()]);
                    need(Role::Bias, vec![input.channels()]);
                }
                Op::RmsNorm => need(Role::Weight, vec![input.channels()]),
                Op::Embedding { vocab, dim } => need(Role::Weight, vec![vocab, dim]),
                Op::Position => need(Role::Weight, vec![input.length(), input.channels()]),
                Op::ClassToken => need(Role::Weight, vec![1, input.channels()]),
                _ => {}
            }
        }
        specs
    }
}

/// A tensor of 32-bit floats, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub dims: Vec<usize>,
    pub data: Vec<f32>,
}

/// All tensors of one network, by [`ParamSpec::name`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    pub tensors: BTreeMap<String, Array>,
}

/// Why a set of weights cannot serve a network.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("the weights lack tensor `{0}`")]
    Missing(String),
    #[error("tensor `{name}` has shape {found:?} where the network needs {expected:?}")]
    Shape {
        name: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    #[error("not a safetensors file: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    #[error("tensor `{name}` is {dtype:?}; only F32 is supported")]
    Type {
        name: String,
        dtype: safetensors::Dtype,
    },
}

/// The `x` with `ln(1 + exp(x)) = y`.
fn inverse_softplus(y: f32) -> f32 {
    y + (-(-y).exp_m1()).ln()
}

impl Weights {
    /// He-initialised weights (He et al. 2015), unit normalisations, zero biases;
    /// embeddings, positions (relative ones too) and class tokens with a deviation of 0.02 (as in
    /// the GPT and ViT papers); state spaces as Mamba-2's. Equal seeds give equal weights on every platform.
    pub fn random(network: &Network, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tensors = BTreeMap::new();
        for spec in network.param_specs() {
            let data = spec.drawn(&network.node(spec.node).op, &mut rng);
            tensors.insert(
                spec.name(),
                Array {
                    dims: spec.dims,
                    data,
                },
            );
        }
        Weights { tensors }
    }

    /// The tensor a spec asks for, with its shape checked.
    pub fn get(&self, spec: &ParamSpec) -> Result<&Array, WeightsError> {
        let name = spec.name();
        let array = self
            .tensors
            .get(&name)
            .ok_or_else(|| WeightsError::Missing(name.clone()))?;
        if array.dims != spec.dims {
            return Err(WeightsError::Shape {
                name,
                expected: spec.dims.clone(),
                found: array.dims.clone(),
            });
        }
        Ok(array)
    }

    /// Checks that every tensor the network needs is there with its shape.
    pub fn check(&self, network: &Network) -> Result<(), WeightsError> {
        network
            .param_specs()
            .iter()
            .try_for_each(|spec| self.get(spec).map(|_| ()))
    }

    /// Serialises to the safetensors format.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, WeightsError> {
        let bytes: Vec<(&String, Vec<u8>, &Array)> = self
            .tensors
            .iter()
            .map(|(name, a)| {
                let raw = a.data.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name, raw, a)
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, raw, a)| {
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, a.dims.clone(), raw)
                    .map(|v| (name.as_str(), v))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(safetensors::serialize(views, None)?)
    }

    /// Reads what [`to_safetensors`](Self::to_safetensors) wrote.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, WeightsError> {
        let file = safetensors::SafeTensors::deserialize(bytes)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            if view.dtype() != safetensors::Dtype::F32 {
                return Err(WeightsError::Type {
                    name,
                    dtype: view.dtype(),
                });
            }
            let data = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            let dims = view.shape().to_vec();
            tensors.insert(name, Array { dims, data });
        }
        Ok(Weights { tensors })
    }
}
