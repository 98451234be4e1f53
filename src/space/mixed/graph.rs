//! The network as it grows: a node that computes what an earlier one does, from
//! the same inputs and weights, is that one.

use std::collections::BTreeMap;

use super::{Mix, MixedNetwork, Place};
use crate::network::{
    Builder, Conv, Fragment, Inputs, Network, NodeId, Op, Precision, Shape, ShapeError,
};
use crate::space::FastMap;
use crate::space::step::ChoiceId;

/// A network mixed from more nodes is refused.
pub const MAX_NODES: usize = 20_000;

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Op(Op, Inputs, Place),
    Mix(ChoiceId, Vec<usize>, Inputs),
}

pub struct Graph {
    network: Network,
    places: Vec<Place>,
    mixes: BTreeMap<NodeId, Mix>,
    passive: Vec<bool>,
    known: FastMap<Key, NodeId>,
    /// The place of the step that runs, and how many nodes with weights it has
    /// made so far.
    at: String,
    made: usize,
    nowhere: Place,
    /// Whether what is pushed belongs to a passive path.
    pub is_passive: bool,
    /// Whether what is computed twice is built once.
    shares: bool,
}

impl Graph {
    pub fn new(input: Shape, shares: bool) -> Graph {
        let nowhere: Place = "".into();
        Graph {
            network: Network::new(input),
            places: vec![nowhere.clone()],
            mixes: BTreeMap::new(),
            passive: vec![false],
            known: FastMap::default(),
            at: String::new(),
            made: 0,
            nowhere,
            is_passive: false,
            shares,
        }
    }

    /// Begins the step at a place.
    pub fn begin(&mut self, place: &str) {
        place.clone_into(&mut self.at);
        self.made = 0;
    }

    fn place(&mut self, op: &Op) -> Place {
        if !op.is_learned() {
            return self.nowhere.clone();
        }
        self.made += 1;
        match self.made {
            1 => self.at.as_str().into(),
            n => format!("{}#{n}", self.at).into(),
        }
    }

    fn push_placed(
        &mut self,
        op: Op,
        inputs: &[NodeId],
        place: Place,
    ) -> Result<NodeId, ShapeError> {
        if let [one] = inputs
            && let Some(mix) = self.uneven(*one)
            && is_by_channel(&op)
        {
            return self.push_through(op, *one, mix, place);
        }
        let key = Key::Op(op, inputs.iter().copied().collect(), place.clone());
        if let Some(known) = self.known.get(&key).filter(|_| self.shares) {
            return Ok(*known);
        }
        let node = self.network.push(op, inputs)?;
        self.noted(key, node, place);
        Ok(node)
    }

    fn noted(&mut self, key: Key, node: NodeId, place: Place) {
        self.known.insert(key, node);
        self.places.push(place);
        self.passive.push(self.is_passive);
    }

    /// The mix of a node whose inputs differ in their channels.
    fn uneven(&self, node: NodeId) -> Option<Mix> {
        let mix = self.mixes.get(&node)?;
        let channels = self.network.shape(node).channels();
        let mut inputs = self.network.node(node).inputs.iter();
        inputs
            .any(|input| self.network.shape(*input).channels() != channels)
            .then(|| mix.clone())
    }

    /// Channels that an option does not have must stay zeros, which the shift of
    /// a normalisation would end: so it is applied to each output before they
    /// meet.
    fn push_through(
        &mut self,
        op: Op,
        mixed: NodeId,
        mix: Mix,
        place: Place,
    ) -> Result<NodeId, ShapeError> {
        let inputs = self.network.node(mixed).inputs.clone();
        let is_passive = self.is_passive;
        let mut outputs = Inputs::new();
        for input in inputs {
            let channels = self.network.shape(input).channels();
            let op = match op {
                Op::Conv(conv) => Op::Conv(Conv {
                    out_channels: channels,
                    groups: channels,
                    ..conv
                }),
                other => other,
            };
            self.is_passive = is_passive || self.passive[input.0];
            let output = self.push_placed(op, &[input], place.clone());
            self.is_passive = is_passive;
            outputs.push(output?);
        }
        let shape = op.infer(&[self.network.shape(mixed)])?;
        Ok(self.mix_as(mix, outputs, shape))
    }

    /// The node at which outputs of options meet, in the shape of `base`.
    pub fn mix(&mut self, mix: Mix, inputs: Inputs, base: NodeId) -> NodeId {
        let shape = self.network.shape(base);
        self.mix_as(mix, inputs, shape)
    }

    fn mix_as(&mut self, mix: Mix, inputs: Inputs, shape: Shape) -> NodeId {
        let key = Key::Mix(mix.choice, mix.options.clone(), inputs.clone());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let node = self.network.push_shaped(Op::Add, inputs, shape);
        self.noted(key, node, self.nowhere.clone());
        self.mixes.insert(node, mix);
        node
    }

    /// What of it reaches `output`.
    pub fn finish(self, output: NodeId) -> MixedNetwork {
        let (network, origins) = self.network.reaching(output);
        let found: BTreeMap<usize, usize> = origins
            .iter()
            .enumerate()
            .map(|(new, old)| (old.0, new))
            .collect();
        let mixes = self.mixes.into_iter().filter_map(|(node, mix)| {
            let node = found.get(&node.0)?;
            Some((NodeId(*node), mix))
        });
        MixedNetwork {
            places: origins.iter().map(|o| self.places[o.0].clone()).collect(),
            passive: origins.iter().map(|o| self.passive[o.0]).collect(),
            mixes: mixes.collect(),
            network,
        }
    }
}

/// Whether each output channel comes from the input channel of that number alone.
fn is_by_channel(op: &Op) -> bool {
    match op {
        Op::Conv(conv) => conv.groups > 1 && conv.groups == conv.out_channels,
        Op::BatchNorm | Op::Activation(_) | Op::Pool { .. } | Op::GlobalPool { .. } => true,
        _ => false,
    }
}

impl Builder for Graph {
    fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, ShapeError> {
        let place = self.place(&op);
        self.push_placed(op, inputs, place)
    }

    fn shape(&self, id: NodeId) -> Shape {
        self.network.shape(id)
    }

    fn restart(&mut self, input: Shape) {
        *self = Graph::new(input, self.shares);
    }

    fn set_precision(&mut self, precision: Precision) {
        self.network.set_precision(precision);
    }

    fn precision(&self) -> Precision {
        self.network.precision()
    }

    fn is_zero(&self, _: NodeId) -> bool {
        false
    }

    fn size(&self) -> usize {
        self.network.nodes().len()
    }

    fn settle(&mut self, _: usize, kept: NodeId) -> NodeId {
        kept
    }

    fn repeat(&mut self, _: &Fragment, _: NodeId) -> NodeId {
        unreachable!("every instance has weights of its own, so that none is a copy")
    }
}
