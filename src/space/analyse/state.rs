//! What is known between two steps of all architectures that come by there
//! alike. States are compared and looked up all the time, so the parts that can
//! be long are kept once and known by number.

use std::collections::BTreeMap;

use super::ways::WaysId;
use crate::network::Shape;
use crate::space::FastMap;
use crate::space::step::{ChoiceId, GroupId, Slots, Value};

/// A state: the shape of the current tensor, the values in scope and the shared
/// decisions that matter from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pub shape: Shape,
    stack: u32,
    shared: u32,
}

impl State {
    pub fn reshaped(self, shape: Shape) -> State {
        State { shape, ..self }
    }
}

/// Shared decisions by group.
pub type Groups = BTreeMap<GroupId, Shared>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shared {
    /// The decisions that are tracked.
    pub decided: BTreeMap<ChoiceId, usize>,
    /// The ways the first instance could be decided, unless all are tracked.
    pub ways: Option<WaysId>,
}

/// A stack of values: the topmost and the number of the stack below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Frame {
    below: u32,
    depth: u32,
    top: Value,
}

/// What the numbers in states stand for.
#[derive(Debug)]
pub struct States {
    /// The empty stack is number 0.
    frames: Vec<Frame>,
    by_frame: FastMap<Frame, u32>,
    groups: Vec<Groups>,
    by_groups: FastMap<Groups, u32>,
}

impl States {
    pub fn new() -> Self {
        let bottom = Frame {
            below: 0,
            depth: 0,
            top: Value::Bool(false),
        };
        States {
            frames: vec![bottom],
            by_frame: FastMap::default(),
            groups: vec![Groups::new()],
            by_groups: FastMap::from_iter([(Groups::new(), 0)]),
        }
    }

    /// The state before anything ran.
    pub fn start(&self, shape: Shape) -> State {
        State {
            shape,
            stack: 0,
            shared: 0,
        }
    }

    pub fn pushed(&mut self, state: State, top: Value) -> State {
        let frame = Frame {
            below: state.stack,
            depth: self.frames[state.stack as usize].depth + 1,
            top,
        };
        let next = self.frames.len() as u32;
        let stack = *self.by_frame.entry(frame).or_insert(next);
        if stack == next {
            self.frames.push(frame);
        }
        State { stack, ..state }
    }

    /// The state with the lowest `base` values alone.
    pub fn cut(&self, state: State, base: usize) -> State {
        let mut stack = state.stack;
        while self.frames[stack as usize].depth as usize > base {
            stack = self.frames[stack as usize].below;
        }
        State { stack, ..state }
    }

    /// The values in scope.
    pub fn slots(&self, state: State) -> Stack<'_> {
        Stack {
            states: self,
            top: state.stack,
        }
    }

    pub fn groups(&self, state: State) -> &Groups {
        &self.groups[state.shared as usize]
    }

    pub fn with_groups(&mut self, state: State, groups: Groups) -> State {
        let shared = match self.by_groups.get(&groups) {
            Some(known) => *known,
            None => {
                let next = self.groups.len() as u32;
                self.by_groups.insert(groups.clone(), next);
                self.groups.push(groups);
                next
            }
        };
        State { shared, ..state }
    }
}

/// The values of one state.
pub struct Stack<'a> {
    states: &'a States,
    top: u32,
}

impl Slots for Stack<'_> {
    fn get(&self, slot: usize) -> Value {
        let mut frame = &self.states.frames[self.top as usize];
        while frame.depth as usize > slot + 1 {
            frame = &self.states.frames[frame.below as usize];
        }
        frame.top
    }
}
