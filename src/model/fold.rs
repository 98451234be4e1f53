//! Folds batch normalisation into the convolution or linear layer before it,
//! as deployment engines do: the folded network computes the same function in
//! inference with fewer passes over memory.

use crate::network::{Array, Network, Node, NodeId, Op, ParamSpec, Role, Weights, WeightsError};

use super::BATCH_NORM_EPSILON;

/// The equivalent network (for inference) in which no batch normalisation
/// follows a convolution or linear layer that nobody else reads, with its
/// weights. Normalisations elsewhere stay.
///
/// # Errors
/// When the weights do not fit the network.
pub fn fold_batch_norm(
    network: &Network,
    weights: &Weights,
) -> Result<(Network, Weights), WeightsError> {
    weights.check(network)?;
    let consumers = network.consumers();
    let specs = network.param_specs();
    let tensor = |node: usize, role: Role| -> Option<&Array> {
        let spec = specs.iter().find(|s| s.node.0 == node && s.role == role)?;
        weights.tensors.get(&spec.name())
    };
    // The normalisation that goes into each node, if any.
    let norm_of = |index: usize, node: &Node| -> Option<usize> {
        let [reader] = consumers[index][..] else {
            return None;
        };
        let foldable = matches!(node.op, Op::Conv(_) | Op::Conv1d(_) | Op::Linear { .. })
            && network.output().0 != index
            && matches!(network.node(reader).op, Op::BatchNorm);
        foldable.then_some(reader.0)
    };
    let mut folded = Network::new(network.input_shape());
    let mut arrays: Vec<(NodeId, Role, Array)> = Vec::new();
    let mut new_id: Vec<NodeId> = vec![folded.input()];
    let mut absorbed = vec![false; network.nodes().len()];
    for (index, node) in network.nodes().iter().enumerate().skip(1) {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|i| new_id[i.0]).collect();
        if absorbed[index] {
            new_id.push(inputs[0]);
            continue;
        }
        let norm = norm_of(index, node);
        let op = match (node.op, norm) {
            (Op::Conv(conv), Some(_)) => Op::Conv(conv.bias(true)),
            (Op::Conv1d(conv), Some(_)) => Op::Conv1d(conv.bias(true)),
            (Op::Linear { out_features, .. }, Some(_)) => Op::Linear {
                out_features,
                bias: true,
            },
            (op, _) => op,
        };
        let id = folded
            .push(op, &inputs)
            .expect("the same operators on the same shapes");
        new_id.push(id);
        let Some(norm) = norm else {
            for role in [
                Role::Weight,
                Role::Bias,
                Role::LogDecay,
                Role::Skip,
                Role::RelativeKeys,
                Role::RelativeValues,
                Role::RunningMean,
                Role::RunningVar,
            ] {
                if let Some(array) = tensor(index, role) {
                    arrays.push((id, role, array.clone()));
                }
            }
            continue;
        };
        absorbed[norm] = true;
        let part = |role| &tensor(norm, role).expect("checked above").data;
        let scale: Vec<f32> = part(Role::Weight)
            .iter()
            .zip(part(Role::RunningVar))
            .map(|(gamma, variance)| gamma / (variance + BATCH_NORM_EPSILON).sqrt())
            .collect();
        let mut filters = tensor(index, Role::Weight).expect("checked above").clone();
        let filter_len = filters.data.len() / scale.len();
        for (filter, scale) in filters.data.chunks_exact_mut(filter_len).zip(&scale) {
            filter.iter_mut().for_each(|w| *w *= scale);
        }
        let bias = (0..scale.len())
            .map(|c| {
                let before = tensor(index, Role::Bias).map_or(0.0, |bias| bias.data[c]);
                part(Role::Bias)[c] + (before - part(Role::RunningMean)[c]) * scale[c]
            })
            .collect();
        arrays.push((id, Role::Weight, filters));
        let bias = Array {
            dims: vec![scale.len()],
            data: bias,
        };
        arrays.push((id, Role::Bias, bias));
    }
    folded.set_output(new_id[network.output().0]);
    let mut out = Weights::default();
    for (node, role, array) in arrays {
        let dims = array.dims.clone();
        out.tensors
            .insert(ParamSpec { node, role, dims }.name(), array);
    }
    Ok((folded, out))
}
