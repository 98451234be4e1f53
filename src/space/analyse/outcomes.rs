//! Where steps can end: states, each with the ways to get there.

use std::ops::Deref;
use std::rc::Rc;

use smallvec::{SmallVec, smallvec};

use super::state::State;
use super::ways::{Circuit, WaysId};
use crate::space::FastMap;

/// Where a step can end, each with the ways to get there. Mostly one place.
#[derive(Clone)]
pub enum Outcomes {
    One([(State, WaysId); 1]),
    Many(Rc<[(State, WaysId)]>),
}

impl Deref for Outcomes {
    type Target = [(State, WaysId)];

    fn deref(&self) -> &Self::Target {
        match self {
            Outcomes::One(one) => one,
            Outcomes::Many(many) => many,
        }
    }
}

/// Outcomes being gathered: ways that end in the same state are put together.
#[derive(Default)]
pub struct Ends {
    ends: Vec<(State, SmallVec<[WaysId; 4]>)>,
    /// Positions in `ends`, once there are many.
    index: FastMap<State, usize>,
}

/// So many states are looked through one by one.
const FEW: usize = 8;

impl Ends {
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn add(&mut self, end: State, ways: WaysId) {
        let known = match self.index.is_empty() {
            true => self.ends.iter().position(|(state, _)| *state == end),
            false => self.index.get(&end).copied(),
        };
        if let Some(known) = known {
            self.ends[known].1.push(ways);
            return;
        }
        self.ends.push((end, smallvec![ways]));
        match self.ends.len() {
            n if n > FEW + 1 => {
                self.index.insert(end, n - 1);
            }
            n if n == FEW + 1 => {
                let positions = self.ends.iter().enumerate();
                self.index = positions.map(|(i, (state, _))| (*state, i)).collect();
            }
            _ => {}
        }
    }

    pub fn outcomes(self, circuit: &mut Circuit) -> Outcomes {
        if let [(state, ways)] = self.ends.as_slice() {
            return Outcomes::One([(*state, circuit.either(ways))]);
        }
        let ends = self.ends.into_iter();
        Outcomes::Many(
            ends.map(|(state, ways)| (state, circuit.either(&ways)))
                .collect(),
        )
    }
}
