//! Forward passes of networks in which outputs of several options are weighed
//! and added (`space::mixed`).

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::{Layout, Model, Watch, cpu};
use crate::network::NodeId;
use crate::space::ChoiceId;
use crate::space::mixed::MixedNetwork;

/// A weight for every option of a choice, `[options]`, by choice. A choice that
/// has none is not weighed: its outputs are added as they are.
pub(crate) type Gates = BTreeMap<ChoiceId, Tensor<1>>;

struct Mixing<'a> {
    mixed: &'a MixedNetwork,
    gates: &'a Gates,
    layout: Layout,
}

impl Watch for Mixing<'_> {
    fn before(&mut self, node: NodeId, _: &[usize], values: &mut [Tensor<4>]) {
        let Some(mix) = self.mixed.mixes.get(&node) else {
            return;
        };
        let channels = self.mixed.network.shape(node).channels();
        let gates = self.gates.get(&mix.choice);
        for (value, option) in values.iter_mut().zip(&mix.options) {
            let fitted = self.fitted(value.clone(), channels);
            *value = match gates {
                Some(gates) => self.weighed(fitted, gates.clone().narrow(0, *option, 1)),
                None => fitted,
            };
        }
    }

    fn after(&mut self, node: NodeId, value: Tensor<4>) -> Tensor<4> {
        match self.mixed.passive[node.0] {
            true => value.detach(),
            false => value,
        }
    }
}

impl Mixing<'_> {
    /// With zero channels added, or cut, to have so many.
    fn fitted(&self, x: Tensor<4>, channels: usize) -> Tensor<4> {
        let axis = match self.layout {
            Layout::ChannelsFirst => 1,
            Layout::ChannelsLast => 3,
        };
        let mut dims = x.dims();
        match dims[axis] {
            own if own == channels => x,
            own if own > channels => x.narrow(axis, 0, channels),
            own => {
                dims[axis] = channels - own;
                let zeros = Tensor::zeros(dims, &x.device());
                Tensor::cat(vec![x, zeros], axis)
            }
        }
    }

    fn weighed(&self, x: Tensor<4>, gate: Tensor<1>) -> Tensor<4> {
        match self.layout {
            Layout::ChannelsFirst => x * gate.reshape([1, 1, 1, 1]),
            Layout::ChannelsLast => {
                let [batch, _, _, channels] = x.dims();
                let factors = gate.reshape([1, 1, 1, 1]).expand([batch, 1, 1, channels]);
                cpu::gate(x, factors)
            }
        }
    }
}

impl Model {
    /// [`forward`](Self::forward) of a network of which `mixed` tells what is
    /// weighed.
    pub(crate) fn forward_mixed(
        &self,
        samples: Tensor<4>,
        mixed: &MixedNetwork,
        gates: &Gates,
    ) -> Tensor<2> {
        let layout = self.layout;
        self.forward_watched(
            samples,
            &mut Mixing {
                mixed,
                gates,
                layout,
            },
        )
    }
}
