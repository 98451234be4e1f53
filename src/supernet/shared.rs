//! The weights of a whole space, plain data: each place has one tensor, as large
//! as any architecture needs there, of which an architecture takes its first
//! channels and the middle of its kernels (Once-for-All, Cai et al. 2020, arXiv
//! 1908.09791). What cannot be cut so, such as a linear layer over a flattened
//! map, has a tensor for each size.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::network::{Array, Network, Op, ParamSpec, Role, Shape, Weights};
use crate::space::mixed::MixedNetwork;

/// Shared weights by name, with what stochastic gradient descent keeps of each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SharedWeights {
    tensors: BTreeMap<String, Shared>,
    /// What tensors start from.
    seed: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shared {
    pub dims: Vec<usize>,
    pub value: Vec<f32>,
    pub momentum: Vec<f32>,
    /// Whether weight decay applies: to filters, not to biases and normalisations.
    pub decays: bool,
    /// Summed since the last update, where anything was.
    gradient: Option<Vec<f32>>,
}

impl Shared {
    fn covers(&self, dims: &[usize]) -> bool {
        self.dims.iter().zip(dims).all(|(have, need)| have >= need)
    }
}

/// How weights are changed by their gradients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Descent {
    pub learning_rate: f64,
    /// Nesterov momentum.
    pub momentum: f64,
    pub weight_decay: f64,
    /// The largest norm of all gradients together; larger ones are scaled down.
    pub clip: f64,
}

/// Where a network's tensor lies in the shared one.
struct Cut<'a> {
    large: &'a [usize],
    small: &'a [usize],
    /// Of the small tensor's first element, by axis.
    offsets: Vec<usize>,
}

impl Cut<'_> {
    fn of<'a>(large: &'a [usize], small: &'a [usize], op: &Op) -> Cut<'a> {
        let is_kernel = |axis: usize| matches!(op, Op::Conv(_) | Op::Conv1d(_)) && axis >= 2;
        let offsets = (0..small.len())
            .map(|axis| match is_kernel(axis) {
                true => (large[axis] - small[axis]) / 2,
                false => 0,
            })
            .collect();
        Cut {
            large,
            small,
            offsets,
        }
    }

    /// Visits each run of elements that is contiguous in both: `visit(offset in
    /// the large, offset in the small, length)`.
    fn runs(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let Some((&length, outer)) = self.small.split_last() else {
            return;
        };
        let rows: usize = outer.iter().product();
        for row in 0..rows {
            let (mut rest, mut large, mut stride) = (row, 0, 1);
            let last = outer.len();
            large += self.offsets[last];
            stride *= self.large[last];
            for axis in (0..last).rev() {
                let index = rest % outer[axis];
                rest /= outer[axis];
                large += (index + self.offsets[axis]) * stride;
                stride *= self.large[axis];
            }
            visit(large, row * length, length);
        }
    }
}

impl SharedWeights {
    pub fn new(seed: u64) -> Self {
        SharedWeights {
            tensors: BTreeMap::new(),
            seed,
        }
    }

    /// Whether every tensor is there and large enough for a network.
    pub fn covers(&self, placed: &MixedNetwork) -> bool {
        learned(placed).iter().all(|(spec, key)| {
            let shared = self.tensors.get(key);
            shared.is_some_and(|shared| shared.covers(&spec.dims))
        })
    }

    /// Makes every tensor large enough for a network; what is new is drawn as
    /// [`Weights::random`] draws it.
    pub fn reserve(&mut self, placed: &MixedNetwork) {
        for (spec, key) in learned(placed) {
            let op = placed.network.node(spec.node).op;
            match self.tensors.get_mut(&key) {
                None => {
                    let value = self.drawn(&key, &op, &spec);
                    let shared = Shared {
                        momentum: vec![0.0; value.len()],
                        value,
                        decays: spec.dims.len() > 1,
                        gradient: None,
                        dims: spec.dims,
                    };
                    self.tensors.insert(key, shared);
                }
                Some(shared) if shared.covers(&spec.dims) => {}
                Some(shared) => {
                    let dims: Vec<usize> = shared
                        .dims
                        .iter()
                        .zip(&spec.dims)
                        .map(|(a, b)| *a.max(b))
                        .collect();
                    let old = self.tensors.remove(&key).expect("just found");
                    let spec = ParamSpec { dims, ..spec };
                    let mut value = self.drawn(&key, &op, &spec);
                    let mut momentum = vec![0.0; value.len()];
                    let cut = Cut::of(&spec.dims, &old.dims, &op);
                    cut.runs(|large, small, length| {
                        value[large..large + length]
                            .copy_from_slice(&old.value[small..small + length]);
                        momentum[large..large + length]
                            .copy_from_slice(&old.momentum[small..small + length]);
                    });
                    let shared = Shared {
                        dims: spec.dims,
                        value,
                        momentum,
                        decays: old.decays,
                        gradient: None,
                    };
                    self.tensors.insert(key, shared);
                }
            }
        }
    }

    /// Initial values, the same for a name whatever was asked for before.
    fn drawn(&self, key: &str, op: &Op, spec: &ParamSpec) -> Vec<f32> {
        let digest = Sha256::digest(format!("{} {key}", self.seed));
        let mut seed = [0; 8];
        seed.copy_from_slice(&digest[..8]);
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from_le_bytes(seed));
        spec.drawn(op, &mut rng)
    }

    /// The weights of a network, with running statistics yet to be found.
    ///
    /// # Panics
    /// When the network was not [reserved](Self::reserve) for.
    pub fn slice(&self, placed: &MixedNetwork) -> Weights {
        let mut weights = Weights::default();
        let network = &placed.network;
        for spec in network.param_specs() {
            let elements = spec.elements();
            let data = match spec.role {
                Role::RunningMean => vec![0.0; elements],
                Role::RunningVar => vec![1.0; elements],
                _ => {
                    let shared = &self.tensors[&key(placed, &spec)];
                    let op = network.node(spec.node).op;
                    let mut data = vec![0.0; elements];
                    Cut::of(&shared.dims, &spec.dims, &op).runs(|large, small, length| {
                        data[small..small + length]
                            .copy_from_slice(&shared.value[large..large + length]);
                    });
                    data
                }
            };
            let name = spec.name();
            let dims = spec.dims;
            weights.tensors.insert(name, Array { dims, data });
        }
        weights
    }

    /// Adds a network's gradients, times `scale`, to what the next
    /// [`update`](Self::update) goes by.
    pub fn accumulate(&mut self, placed: &MixedNetwork, gradients: &Weights, scale: f32) {
        for (spec, key) in learned(placed) {
            let Some(array) = gradients.tensors.get(&spec.name()) else {
                continue;
            };
            let shared = self.tensors.get_mut(&key).expect("reserved");
            let op = placed.network.node(spec.node).op;
            let sum = shared
                .gradient
                .get_or_insert_with(|| vec![0.0; shared.value.len()]);
            Cut::of(&shared.dims, &spec.dims, &op).runs(|large, small, length| {
                let from = &array.data[small..small + length];
                for (sum, gradient) in sum[large..large + length].iter_mut().zip(from) {
                    *sum += scale * gradient;
                }
            });
        }
    }

    /// Stochastic gradient descent on every tensor that gradients came for.
    pub fn update(&mut self, descent: &Descent) {
        let squares: f64 = self
            .tensors
            .values()
            .filter_map(|shared| shared.gradient.as_ref())
            .flatten()
            .map(|g| f64::from(*g).powi(2))
            .sum();
        let scale = (descent.clip / squares.sqrt().max(f64::MIN_POSITIVE)).min(1.0) as f32;
        let rate = descent.learning_rate as f32;
        let momentum = descent.momentum as f32;
        for shared in self.tensors.values_mut() {
            let Some(gradient) = shared.gradient.take() else {
                continue;
            };
            let decay = match shared.decays {
                true => descent.weight_decay as f32,
                false => 0.0,
            };
            let values = shared.value.iter_mut().zip(&mut shared.momentum);
            for ((value, velocity), gradient) in values.zip(gradient) {
                let gradient = scale * gradient + decay * *value;
                *velocity = momentum * *velocity + gradient;
                *value -= rate * (gradient + momentum * *velocity);
            }
        }
    }

    /// Moves against the gradients that were accumulated, and forgets them;
    /// momentum and decay stay out of it. Second-order DARTS looks ahead so.
    pub fn shift(&mut self, by: f64) {
        for shared in self.tensors.values_mut() {
            if let Some(gradient) = shared.gradient.take() {
                for (value, gradient) in shared.value.iter_mut().zip(gradient) {
                    *value -= by as f32 * gradient;
                }
            }
        }
    }

    /// The Euclidean norm of what was accumulated.
    pub fn gradient_norm(&self) -> f64 {
        let all = self.tensors.values().filter_map(|s| s.gradient.as_ref());
        all.flatten()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt()
    }

    /// How many numbers are learned.
    pub fn parameters(&self) -> usize {
        self.tensors.values().map(|shared| shared.value.len()).sum()
    }

    pub(crate) fn tensors(&self) -> &BTreeMap<String, Shared> {
        &self.tensors
    }

    pub(crate) fn restored(
        seed: u64,
        tensors: impl Iterator<Item = (String, Vec<usize>, Vec<f32>, Vec<f32>)>,
    ) -> Self {
        let tensors = tensors.map(|(key, dims, value, momentum)| {
            let shared = Shared {
                decays: dims.len() > 1,
                dims,
                value,
                momentum,
                gradient: None,
            };
            (key, shared)
        });
        SharedWeights {
            tensors: tensors.collect(),
            seed,
        }
    }
}

/// The tensors of a network that gradients change, with their shared names.
fn learned(placed: &MixedNetwork) -> Vec<(ParamSpec, String)> {
    let specs = placed.network.param_specs().into_iter();
    specs
        .filter(|spec| spec.role.is_learned())
        .map(|spec| {
            let key = key(placed, &spec);
            (spec, key)
        })
        .collect()
}

/// The shared name of a tensor.
fn key(placed: &MixedNetwork, spec: &ParamSpec) -> String {
    let place = &placed.places[spec.node.0];
    let kind = sort(&placed.network, spec);
    format!("{place} {kind}{}", spec.role.name())
}

/// What sets tensors of one place apart that cannot be parts of one.
fn sort(network: &Network, spec: &ParamSpec) -> String {
    let node = network.node(spec.node);
    let input = network.shape(node.inputs[0]);
    let sizes = || format!("{:?} ", spec.dims).replace(", ", "x");
    let grouped = |groups: usize, out: usize| match groups {
        1 => String::new(),
        _ if groups == input.channels() && groups == out => "depthwise ".into(),
        _ => format!("{groups} groups "),
    };
    match node.op {
        Op::Conv(conv) => grouped(conv.groups, conv.out_channels),
        Op::Conv1d(conv) => grouped(conv.groups, conv.out_channels),
        Op::Linear { .. } if spec.role == Role::Bias => String::new(),
        // The features of a flattened map nest by channels alone.
        Op::Linear { .. } => {
            let flattened = match network.node(node.inputs[0]) {
                before if before.op == Op::Flatten => network.shape(before.inputs[0]),
                _ => input,
            };
            match flattened {
                Shape::Tokens { .. } if flattened != input => sizes(),
                Shape::Tokens { .. } => String::new(),
                _ => match flattened.spatial() {
                    (1, 1) => String::new(),
                    (height, width) => format!("{height}x{width} "),
                },
            }
        }
        Op::RelativeAttention(..) | Op::GroupNorm { .. } => sizes(),
        _ => String::new(),
    }
}
