//! Where the outputs of a choice's options meet.

use super::{Mix, graph::Graph};
use crate::network::{Builder, Inputs, NodeId, Shape};
use crate::space::step::{ChoiceId, Value};

/// Where a walk stands: the current tensor and the values in scope with the
/// nodes of those that are tensors.
#[derive(Debug, Clone)]
pub struct State {
    pub at: NodeId,
    pub slots: Vec<Value>,
    pub nodes: Vec<NodeId>,
}

/// What came of options, one state each.
pub struct Outcomes<'a> {
    /// Where all options began.
    pub before: &'a State,
    pub choice: ChoiceId,
    pub options: Vec<usize>,
    pub states: Vec<State>,
    /// The option that stands for all in what is no tensor and in shapes; none for
    /// the one of most channels.
    pub main: Option<usize>,
}

impl Outcomes<'_> {
    /// One state for all, in which every tensor that differs is mixed.
    ///
    /// # Errors
    /// Options, by their place, whose tensors differ in more than channels.
    pub fn merge(self, graph: &mut Graph) -> Result<State, [(usize, Shape); 2]> {
        let channels = |place: usize| graph.shape(self.states[place].at).channels();
        let main = self.main.unwrap_or_else(|| {
            // The first of those with most.
            let places = (0..self.states.len()).rev();
            places.max_by_key(|p| channels(*p)).expect("some option")
        });
        let mut merged = self.states[main].clone();
        merged.at = self.mix(|state| state.at, main, graph)?;
        for slot in 0..merged.slots.len() {
            let Value::Tensor(_) = merged.slots[slot] else {
                continue;
            };
            let before = self.before.nodes.get(slot);
            if self.states.iter().all(|s| Some(&s.nodes[slot]) == before) {
                continue;
            }
            let node = self.mix(|state| state.nodes[slot], main, graph)?;
            merged.nodes[slot] = node;
            merged.slots[slot] = Value::Tensor(graph.shape(node));
        }
        Ok(merged)
    }

    fn mix(
        &self,
        node: impl Fn(&State) -> NodeId,
        main: usize,
        graph: &mut Graph,
    ) -> Result<NodeId, [(usize, Shape); 2]> {
        let inputs: Inputs = self.states.iter().map(node).collect();
        let base = inputs[main];
        // Where options do not differ, nothing depends on their weights; one that is
        // gated alone is weighed still.
        let is_alone = inputs.len() == 1 && self.main.is_some();
        if !is_alone && inputs.iter().all(|input| *input == base) {
            return Ok(base);
        }
        let wanted = graph.shape(base);
        for (place, input) in inputs.iter().enumerate() {
            let shape = graph.shape(*input);
            if !fits(shape, wanted) {
                return Err([(main, wanted), (place, shape)]);
            }
        }
        let mix = Mix {
            choice: self.choice,
            options: self.options.clone(),
        };
        Ok(graph.mix(mix, inputs, base))
    }
}

/// Whether one becomes the other by more or fewer channels.
fn fits(shape: Shape, wanted: Shape) -> bool {
    use Shape::{Image, Tokens, Vector};
    match (shape, wanted) {
        (Image { .. }, Image { .. }) => shape.spatial() == wanted.spatial(),
        (Tokens { length, .. }, Tokens { length: other, .. }) => length == other,
        (Vector { .. }, Vector { .. }) => true,
        _ => false,
    }
}
