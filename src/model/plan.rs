//! A network compiled for execution: where each operator finds its inputs and
//! parameters, which activations are applied by the operator before them, and
//! after which step each tensor can be freed.

use crate::network::{Activation, Network, Op, Role, Shape};

/// Where the tensor of one [`ParamSpec`](crate::network::ParamSpec) is kept,
/// by order in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// In `Model::filters`.
    Filter(usize),
    /// In `Model::vectors`.
    Vector(usize),
    /// In `Model::statistics`.
    Statistic(usize),
}

/// One operator to execute.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub op: Op,
    /// Shape of the first input.
    pub from: Shape,
    /// Shape of the output.
    pub shape: Shape,
    /// Values read, by node index.
    pub inputs: Vec<usize>,
    /// Value written, by node index.
    pub output: usize,
    /// Applied to the output by the same step.
    pub activation: Option<Activation>,
    pub filter: Option<usize>,
    /// Bias of a convolution or linear layer, shift of a normalisation, bias of
    /// a state space's step size.
    pub bias: Option<usize>,
    /// Scale of a normalisation.
    pub scale: Option<usize>,
    /// What distances add to values; what they add to keys is the filter.
    pub relative_values: Option<usize>,
    /// Logarithms of the rates of decay of a state space.
    pub log_decay: Option<usize>,
    /// Factors by which a state space passes its input on.
    pub skip: Option<usize>,
    /// Running mean and variance of a normalisation.
    pub statistics: Option<(usize, usize)>,
    /// Values whose last reader this step is.
    pub frees: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub steps: Vec<Step>,
    pub nodes: usize,
    pub input: Shape,
    pub output: usize,
    pub output_shape: Shape,
    /// In the order of [`Network::param_specs`].
    pub slots: Vec<Slot>,
}

impl Plan {
    pub fn new(network: &Network) -> Self {
        let (mut filters, mut vectors, mut statistics) = (0, 0, 0);
        let next = |counter: &mut usize| {
            *counter += 1;
            *counter - 1
        };
        let specs = network.param_specs();
        let slots: Vec<Slot> = specs
            .iter()
            .map(|spec| match spec.role {
                Role::Weight | Role::RelativeKeys | Role::RelativeValues if spec.dims.len() > 1 => {
                    Slot::Filter(next(&mut filters))
                }
                Role::RunningMean | Role::RunningVar => Slot::Statistic(next(&mut statistics)),
                _ => Slot::Vector(next(&mut vectors)),
            })
            .collect();
        let consumers = network.consumers();
        let mut steps: Vec<Step> = Vec::new();
        for (index, node) in network.nodes().iter().enumerate() {
            if node.inputs.is_empty() {
                continue;
            }
            let inputs: Vec<usize> = node.inputs.iter().map(|i| i.0).collect();
            if let Op::Activation(activation) = node.op {
                // The producer activates its output itself if nobody else reads it.
                let producer = inputs[0];
                let alone = consumers[producer].len() == 1 && network.output().0 != producer;
                let fusible = matches!(
                    network.nodes()[producer].op,
                    Op::Conv(_) | Op::Conv1d(_) | Op::Linear { .. } | Op::BatchNorm
                );
                if alone && fusible {
                    let step = steps
                        .iter_mut()
                        .find(|step| step.output == producer)
                        .expect("a producer comes before its reader");
                    step.activation = Some(activation);
                    step.output = index;
                    continue;
                }
            }
            let mut step = Step {
                op: node.op,
                from: network.shape(node.inputs[0]),
                shape: node.shape,
                inputs,
                output: index,
                activation: None,
                filter: None,
                bias: None,
                scale: None,
                relative_values: None,
                log_decay: None,
                skip: None,
                statistics: None,
                frees: Vec::new(),
            };
            let mut mean = None;
            for (spec, slot) in specs.iter().zip(&slots).filter(|(s, _)| s.node.0 == index) {
                match (*slot, spec.role) {
                    (Slot::Filter(i), Role::RelativeValues) => step.relative_values = Some(i),
                    (Slot::Filter(i), _) => step.filter = Some(i),
                    (Slot::Vector(i), Role::Bias) => step.bias = Some(i),
                    (Slot::Vector(i), Role::LogDecay) => step.log_decay = Some(i),
                    (Slot::Vector(i), Role::Skip) => step.skip = Some(i),
                    (Slot::Vector(i), _) => step.scale = Some(i),
                    (Slot::Statistic(i), Role::RunningMean) => mean = Some(i),
                    (Slot::Statistic(i), _) => step.statistics = mean.map(|mean| (mean, i)),
                }
            }
            steps.push(step);
        }
        let mut plan = Plan {
            steps,
            nodes: network.nodes().len(),
            input: network.input_shape(),
            output: network.output().0,
            output_shape: network.output_shape(),
            slots,
        };
        plan.mark_frees();
        plan
    }

    fn mark_frees(&mut self) {
        let mut last_reader = vec![None; self.nodes];
        for (index, step) in self.steps.iter().enumerate() {
            // What nobody reads goes right after it was made.
            last_reader[step.output] = Some(index);
            for &input in &step.inputs {
                last_reader[input] = Some(index);
            }
        }
        last_reader[self.output] = None;
        for (value, reader) in last_reader.into_iter().enumerate() {
            if let Some(reader) = reader {
                self.steps[reader].frees.push(value);
            }
        }
    }
}
