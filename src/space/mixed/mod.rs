//! Networks in which several options of a choice are built side by side, for
//! weight sharing: which node of which architecture takes its weights from the
//! same place, and where the outputs of options meet. A supernet trains them; a
//! differentiable search weighs them.
//!
//! An operator choice ends where its options do. A choice of a value (a width, a
//! kernel) is turned into one of operators: what reads the value is built once
//! for each, and the outputs meet behind the last reader. Outputs of fewer
//! channels are filled up with zeros, as the channel masks of FBNetV2 (Wan et al.
//! 2020, arXiv 2004.05565) do. What two options have in common is built once.

mod extent;
mod graph;
mod merge;
mod walker;

use std::collections::BTreeMap;

use super::{Architecture, Problem, Space, SpaceError, step::ChoiceId};
use crate::network::{Network, NodeId};

/// Which options of a choice are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picked {
    /// This option, as in an architecture.
    One(usize),
    /// This option, its output weighed, beside one that only shows what would
    /// come of it: nothing before it learns from it (ProxylessNAS's second path).
    Gated {
        active: usize,
        passive: Option<usize>,
    },
    /// All of these, their outputs weighed and added.
    Mixed(Vec<usize>),
}

/// Answers a choice with what to build of its open options. A choice that is met
/// again, as in a shared cell, is not asked about again.
pub trait Paths {
    fn pick(&mut self, choice: ChoiceId, open: &[usize]) -> Picked;
}

impl<F: FnMut(ChoiceId, &[usize]) -> Picked> Paths for F {
    fn pick(&mut self, choice: ChoiceId, open: &[usize]) -> Picked {
        self(choice, open)
    }
}

/// Where a node's weights come from: equal places share them, whatever the
/// architecture. Empty for a node without weights.
pub type Place = std::sync::Arc<str>;

/// Where outputs of options meet. The node's inputs are the outputs, in the order
/// of `options`, each to be filled up with zero channels or cut to the node's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    pub choice: ChoiceId,
    pub options: Vec<usize>,
}

/// A network with what weight sharing needs to know of its nodes.
#[derive(Debug, Clone)]
pub struct MixedNetwork {
    /// A node that mixes stands here as a sum.
    pub network: Network,
    /// By node.
    pub places: Vec<Place>,
    pub mixes: BTreeMap<NodeId, Mix>,
    /// By node, whether it belongs to a path that only shows its output.
    pub passive: Vec<bool>,
}

impl Space {
    /// The network of the paths picked.
    ///
    /// # Errors
    /// The choice that cannot be built so, and why: outputs of options that do
    /// not fit together, resolutions and bit widths, or a network too large to be
    /// mixed.
    pub fn mixed(&self, paths: &mut impl Paths) -> Result<MixedNetwork, Box<SpaceError>> {
        walker::mixed(self.program(), paths, true).map_err(|problem| self.refusal(problem))
    }

    /// The network of an architecture, [`simplified`](Space::network) and with
    /// the places of its weights.
    ///
    /// # Panics
    /// When the architecture is of another space.
    pub fn placed(&self, architecture: &Architecture) -> MixedNetwork {
        let mut follow = |choice: ChoiceId, _: &[usize]| {
            let option = architecture.option(choice);
            Picked::One(option.expect("an architecture of this space"))
        };
        match walker::mixed(self.program(), &mut follow, false) {
            Ok(written) => written.simplified(),
            Err(problem) => unreachable!("a checked space failed: {}", problem.message),
        }
    }

    fn refusal(&self, problem: Problem) -> Box<SpaceError> {
        Box::new(SpaceError::new(&self.bundle, vec![problem]))
    }
}

impl MixedNetwork {
    /// Of a network that mixes nothing: without what computes nothing.
    fn simplified(self) -> MixedNetwork {
        let (network, origins) = self.network.simplify_traced();
        let places = origins.iter().map(|o| self.places[o.0].clone()).collect();
        let passive = vec![false; network.nodes().len()];
        MixedNetwork {
            network,
            places,
            mixes: BTreeMap::new(),
            passive,
        }
    }
}

#[cfg(test)]
mod tests;
