//! What holds for every architecture of a space, without enumerating them: a
//! dynamic programme over sets of states. A state is the shape of the current
//! tensor with the values still in scope; running a step from a state gives
//! the states it can end in, each with the ways to get there. The ways give the
//! exact count and exact uniform sampling; a step that fails from any reachable
//! state disproves the space, with an example.
//!
//! Decisions shared by several instances (a stacked cell) would multiply the
//! states. So a shared choice is first assumed not to matter for the state
//! afterwards; where a later instance shows that it does, that choice alone is
//! kept in the state and the analysis starts again.

mod outcomes;
mod state;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use num_bigint::BigUint;
use rand::Rng;
use smallvec::{SmallVec, smallvec};

use crate::network::{Network, Shape};
use crate::space::FastMap;
use crate::space::elaborate::Program;
use crate::space::error::{Problem, Span};
use crate::space::step::*;
use crate::space::walk::{apply_join, apply_op, apply_residual, condition, precision};
use outcomes::{Ends, Outcomes};
use state::{Groups, Shared, State, States};
pub use ways::Decisions;
use ways::{Circuit, NOTHING, WaysId};

/// Distinct states after one step.
const MAX_STATES: usize = 100_000;
/// Steps run and options tried in one analysis: a few seconds.
const MAX_WORK: usize = 1_000_000;

/// A reachable state in which a step cannot run.
#[derive(Debug, Clone)]
pub struct Fault {
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
    /// Decisions that lead there.
    pub decisions: Decisions,
}

enum Stop {
    Fault(Box<Fault>),
    /// These shared choices matter for the state after all.
    Track(Vec<ChoiceId>),
}

impl Stop {
    /// The same, once this decision was taken.
    fn after(mut self, decision: (ChoiceId, usize)) -> Stop {
        if let Stop::Fault(fault) = &mut self {
            fault.decisions.insert(0, decision);
        }
        self
    }
}

type Run<T> = Result<T, Stop>;

/// A space without a fault: all its architectures.
#[derive(Debug)]
pub struct Architectures {
    ways: Circuit,
    all: WaysId,
    /// The shapes the network can end in.
    pub outputs: BTreeSet<Shape>,
}

impl Architectures {
    /// The number of architectures, exactly.
    pub fn count(&self) -> BigUint {
        self.ways.count(self.all)
    }

    /// The architecture with the given index, `0 <= index < count`; the order
    /// is fixed for a given space but otherwise unspecified.
    pub fn unrank(&self, index: &BigUint) -> Decisions {
        self.ways.way(self.all, index)
    }

    /// An architecture drawn uniformly.
    pub fn draw(&self, rng: &mut impl Rng) -> Decisions {
        self.ways.draw(self.all, rng)
    }
}

/// Runs the space for all decisions at once.
///
/// # Errors
/// The first step that fails in a reachable state, with an example.
pub fn analyse(program: &Arc<Program>) -> Result<Architectures, Box<Fault>> {
    let mut analysis = Analysis {
        program: program.clone(),
        tracked: BTreeSet::new(),
        states: States::new(),
        ways: Circuit::new(),
        memo: FastMap::default(),
        scratch: Network::new(program.inputs[0]),
        work: 0,
    };
    let start = analysis.states.start(program.inputs[0]);
    let ends = loop {
        match analysis.run(&program.root, start) {
            Ok(ends) => break ends,
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Track(choices)) => {
                analysis.tracked.extend(choices);
                analysis.memo.clear();
            }
        }
    };
    let ways: Vec<WaysId> = ends.iter().map(|(_, ways)| *ways).collect();
    let all = analysis.ways.either(&ways);
    analysis.ways.freeze();
    Ok(Architectures {
        ways: analysis.ways,
        all,
        outputs: ends.iter().map(|(state, _)| state.shape).collect(),
    })
}

/// The analysis of one space, with its memory.
struct Analysis {
    program: Arc<Program>,
    tracked: BTreeSet<ChoiceId>,
    states: States,
    ways: Circuit,
    memo: FastMap<(usize, State), Outcomes>,
    /// Where operators are tried.
    scratch: Network,
    /// Work done so far.
    work: usize,
}

impl Analysis {
    fn fault<T>(&self, step: &Step, message: String) -> Run<T> {
        Err(Stop::Fault(Box::new(Fault {
            span: step.span,
            message,
            help: None,
            decisions: Vec::new(),
        })))
    }

    fn run(&mut self, step: &Step, from: State) -> Run<Outcomes> {
        // Steps that decide nothing are not worth remembering, and sequences
        // stand in one of these.
        let branches = matches!(
            *step.kind,
            StepKind::Choose(..)
                | StepKind::Depth { .. }
                | StepKind::Unit { .. }
                | StepKind::If(..)
                | StepKind::Scope(..)
        );
        if !branches {
            return self.run_anew(step, from);
        }
        if let Some(known) = self.memo.get(&(step.id, from)) {
            return Ok(known.clone());
        }
        let outcomes = self.run_anew(step, from)?;
        self.limit(step, &outcomes)?;
        self.memo.insert((step.id, from), outcomes.clone());
        Ok(outcomes)
    }

    fn one(&self, state: State) -> Run<Outcomes> {
        Ok(Outcomes::One([(state, NOTHING)]))
    }

    fn run_anew(&mut self, step: &Step, from: State) -> Run<Outcomes> {
        self.work += match &*step.kind {
            StepKind::Decide(_, terms) => terms.len(),
            StepKind::Choose(_, options) => options.len(),
            StepKind::Input(_, shapes) => shapes.len(),
            _ => 1,
        };
        if self.work > MAX_WORK {
            return Err(too_many(
                step,
                "the space has too many different shapes and values to be checked".into(),
            ));
        }
        let slots = self.states.slots(from);
        match &*step.kind {
            StepKind::Seq(steps) => {
                let mut ends = self.one(from)?;
                for step in steps {
                    ends = self.then(step, &ends)?;
                }
                Ok(ends)
            }
            StepKind::Set(term) => match term.eval(from.shape, &slots) {
                Ok(value) => {
                    let state = self.states.pushed(from, value);
                    self.one(state)
                }
                Err(message) => self.fault(step, message),
            },
            StepKind::Decide(choice, terms) => {
                let mut ends = Ends::default();
                for option in self.open(*choice, terms.len(), from) {
                    let value = terms[option]
                        .eval(from.shape, &self.states.slots(from))
                        .or_else(|message| self.fault_at(step, message, *choice, option))?;
                    let state = self.record(from, *choice, option);
                    let state = self.states.pushed(state, value);
                    ends.add(state, self.ways.decision(*choice, option));
                }
                Ok(ends.outcomes(&mut self.ways))
            }
            StepKind::Choose(choice, options) => {
                let mut ends = Ends::default();
                for option in self.open(*choice, options.len(), from) {
                    let (guard, body) = &options[option];
                    if let Some(guard) = guard {
                        match condition(guard, from.shape, &self.states.slots(from)) {
                            Ok(true) => {}
                            Ok(false) => continue,
                            Err(message) => return self.fault(step, message),
                        }
                    }
                    let state = self.record(from, *choice, option);
                    let inner = self.run(body, state);
                    let inner = inner.map_err(|stop| stop.after((*choice, option)))?;
                    let taken = self.ways.decision(*choice, option);
                    for (end, ways) in inner.iter() {
                        ends.add(*end, self.ways.both(taken, *ways));
                    }
                }
                if ends.is_empty() {
                    return Err(Stop::Fault(Box::new(Fault {
                        span: step.span,
                        message: format!(
                            "no alternative of this choice can be taken with {} coming in",
                            from.shape
                        ),
                        help: Some("add an alternative without `when`, such as `skip`".into()),
                        decisions: Vec::new(),
                    })));
                }
                Ok(ends.outcomes(&mut self.ways))
            }
            StepKind::Depth {
                choice,
                least,
                rounds,
            } => {
                // All depths share their first rounds. The depth itself is
                // recorded after the rounds, which cannot depend on it.
                let open = self.open(*choice, rounds.len() - least + 1, from);
                let deepest = open.last().map_or(0, |option| least + option);
                let layers = self.forward(&rounds[..deepest], from);
                let layers = layers.map_err(|stop| stop.after((*choice, deepest - least)))?;
                let mut ends = Ends::default();
                for option in open {
                    let taken = self.ways.decision(*choice, option);
                    for (end, ways) in layers[least + option].iter() {
                        let end = self.record(*end, *choice, option);
                        ends.add(end, self.ways.both(taken, *ways));
                    }
                }
                Ok(ends.outcomes(&mut self.ways))
            }
            StepKind::Input(choice, shapes) => {
                let mut ends = Ends::default();
                for option in self.open(*choice, shapes.len(), from) {
                    let state = self.record(from, *choice, option);
                    let taken = self.ways.decision(*choice, option);
                    ends.add(state.reshaped(shapes[option]), taken);
                }
                Ok(ends.outcomes(&mut self.ways))
            }
            StepKind::Precision(weights, activations) => {
                match precision(weights, activations, from.shape, &slots) {
                    Ok(_) => self.one(from),
                    Err(message) => self.fault(step, message),
                }
            }
            StepKind::KeepPrecision(body) => self.run(body, from),
            StepKind::If(term, then, otherwise) => match condition(term, from.shape, &slots) {
                Ok(true) => self.run(then, from),
                Ok(false) => self.run(otherwise, from),
                Err(message) => self.fault(step, message),
            },
            StepKind::Op(kind, terms) => {
                match apply_op(*kind, terms, from.shape, &slots, &mut self.scratch) {
                    Ok(shape) => self.one(from.reshaped(shape)),
                    Err(message) => self.fault(step, message),
                }
            }
            StepKind::Primitive(op) => match op.infer(&[from.shape]) {
                Ok(shape) => self.one(from.reshaped(shape)),
                Err(error) => self.fault(step, error.to_string()),
            },
            StepKind::Save => {
                let state = self.states.pushed(from, Value::Tensor(from.shape));
                self.one(state)
            }
            StepKind::Load(slot) => match slots.get(*slot) {
                Value::Tensor(shape) => self.one(from.reshaped(shape)),
                other => self.fault(step, format!("{other} is not a tensor")),
            },
            StepKind::Join(join, from_slots) => match apply_join(*join, from_slots, &slots) {
                Ok(shape) => self.one(from.reshaped(shape)),
                Err(message) => self.fault(step, message),
            },
            StepKind::Residual(when, slot) => {
                match apply_residual(when, *slot, from.shape, &slots) {
                    Ok(_) => self.one(from),
                    Err(message) => self.fault(step, message),
                }
            }
            StepKind::Scope(base, body) => {
                let inner = self.run(body, from)?;
                let mut ends = Ends::default();
                for (state, ways) in inner.iter() {
                    ends.add(self.states.cut(*state, *base), *ways);
                }
                Ok(ends.outcomes(&mut self.ways))
            }
            StepKind::Carry(base, moved) => {
                let values: Vec<Value> = moved.iter().map(|slot| slots.get(*slot)).collect();
                let mut state = self.states.cut(from, *base);
                for value in values {
                    state = self.states.pushed(state, value);
                }
                self.one(state)
            }
            StepKind::Unit { group, body, .. } => self.unit(*group, body, from),
            StepKind::Forget(groups) => {
                let mut left = self.states.groups(from).clone();
                for group in groups {
                    left.remove(group);
                }
                let state = self.states.with_groups(from, left);
                self.one(state)
            }
        }
    }

    fn fault_at<T>(&self, step: &Step, message: String, choice: ChoiceId, option: usize) -> Run<T> {
        let fault = self.fault::<T>(step, message);
        fault.map_err(|stop| stop.after((choice, option)))
    }

    /// The outcomes after each prefix of a sequence, the empty one included.
    fn forward(&mut self, steps: &[Step], from: State) -> Run<Vec<Outcomes>> {
        let mut layers: Vec<Outcomes> = vec![self.one(from)?];
        for step in steps {
            let next = self.then(step, &layers[layers.len() - 1])?;
            layers.push(next);
        }
        Ok(layers)
    }

    /// The outcomes of a step after those before it.
    fn then(&mut self, step: &Step, before: &Outcomes) -> Run<Outcomes> {
        if let [(state, lead)] = **before {
            // Nothing to gather: what follows is led there by the same ways.
            return Ok(match self.led(step, state, lead)? {
                Outcomes::One([(end, ways)]) => Outcomes::One([(end, self.ways.both(lead, ways))]),
                many if lead == NOTHING => many,
                many => {
                    let ends = many.iter();
                    let led = ends.map(|(end, ways)| (*end, self.ways.both(lead, *ways)));
                    Outcomes::Many(led.collect())
                }
            });
        }
        let mut after = Ends::default();
        for (state, lead) in before.iter() {
            for (end, ways) in self.led(step, *state, *lead)?.iter() {
                after.add(*end, self.ways.both(*lead, *ways));
            }
        }
        let after = after.outcomes(&mut self.ways);
        self.limit(step, &after)?;
        Ok(after)
    }

    /// Runs a step from a state; how that is reached completes the example of a
    /// fault.
    fn led(&mut self, step: &Step, state: State, lead: WaysId) -> Run<Outcomes> {
        self.run(step, state).map_err(|stop| match stop {
            Stop::Fault(mut fault) => {
                let mut decisions = self.ways.way(lead, &BigUint::default());
                decisions.append(&mut fault.decisions);
                fault.decisions = decisions;
                Stop::Fault(fault)
            }
            other => other,
        })
    }

    fn limit(&self, step: &Step, outcomes: &Outcomes) -> Run<()> {
        match outcomes.len() > MAX_STATES {
            true => Err(too_many(
                step,
                format!("more than {MAX_STATES} different shapes and values can leave here"),
            )),
            false => Ok(()),
        }
    }

    /// Options still open for a choice: one if it was decided and is tracked.
    fn open(&self, choice: ChoiceId, options: usize, state: State) -> SmallVec<[usize; 16]> {
        match self.decided(choice, state) {
            Some(option) => smallvec![option],
            None => (0..options).collect(),
        }
    }

    fn decided(&self, choice: ChoiceId, state: State) -> Option<usize> {
        let group = self.program.choices[choice].group?;
        let shared = self.states.groups(state).get(&group)?;
        shared.decided.get(&choice).copied()
    }

    fn record(&mut self, state: State, choice: ChoiceId, option: usize) -> State {
        match self.program.choices[choice].group {
            Some(group) if self.tracked.contains(&choice) => {
                let mut groups = self.states.groups(state).clone();
                let shared = groups.entry(group).or_default();
                shared.decided.insert(choice, option);
                self.states.with_groups(state, groups)
            }
            _ => state,
        }
    }

    fn group_choices(&self, group: GroupId) -> impl Iterator<Item = ChoiceId> + '_ {
        let choices = self.program.choices.iter().enumerate();
        choices
            .filter(move |(_, c)| c.group == Some(group))
            .map(|(id, _)| id)
    }

    fn all_tracked(&self, group: GroupId) -> bool {
        self.group_choices(group).all(|c| self.tracked.contains(&c))
    }

    /// The state with a group opened: nothing decided yet.
    fn opened(&mut self, state: State, group: GroupId) -> State {
        let mut groups = self.states.groups(state).clone();
        groups.entry(group).or_default();
        self.states.with_groups(state, groups)
    }

    fn unit(&mut self, group: GroupId, body: &Step, from: State) -> Run<Outcomes> {
        let exact = self.all_tracked(group);
        let Some(known) = self.states.groups(from).get(&group).cloned() else {
            let opened = self.opened(from, group);
            let inner = self.run(body, opened)?;
            if exact {
                return Ok(inner);
            }
            // Ways are remembered for each set of tracked decisions: one state
            // each, or the choice matters.
            let mut sets = BTreeSet::new();
            let mut ends = Vec::with_capacity(inner.len());
            for (state, ways) in inner.iter() {
                let mut groups = self.states.groups(*state).clone();
                let shared = groups.entry(group).or_default();
                if !sets.insert(shared.decided.clone()) {
                    return Err(Stop::Track(self.influential(group, body, from)));
                }
                shared.ways = Some(*ways);
                ends.push((self.states.with_groups(*state, groups), *ways));
            }
            return Ok(Outcomes::Many(ends.into()));
        };
        let inner = self.run(body, from)?;
        if exact {
            return Ok(inner);
        }
        match *inner {
            // The same decisions are open as in the first instance.
            [(only, ways)] if Some(ways) == known.ways => self.one(only),
            _ => Err(Stop::Track(self.influential(group, body, from))),
        }
    }

    /// The untracked choices of a group that change what an instance ends in;
    /// all of them where no single one does.
    fn influential(&mut self, group: GroupId, body: &Step, from: State) -> Vec<ChoiceId> {
        let untracked: Vec<ChoiceId> = self
            .group_choices(group)
            .filter(|c| !self.tracked.contains(c))
            .collect();
        let opened = self.opened(from, group);
        let memo = std::mem::take(&mut self.memo);
        let mut found = Vec::new();
        for &choice in &untracked {
            self.tracked.insert(choice);
            self.memo.clear();
            if let Ok(ends) = self.run(body, opened)
                && self.matters(choice, group, &ends)
            {
                found.push(choice);
            }
            self.tracked.remove(&choice);
        }
        self.memo = memo;
        if found.is_empty() { untracked } else { found }
    }

    /// Whether the options of a tracked choice lead to different states, or
    /// there in differently many ways.
    fn matters(&mut self, choice: ChoiceId, group: GroupId, ends: &[(State, WaysId)]) -> bool {
        let mut by_option: BTreeMap<Option<usize>, Vec<(State, WaysId)>> = BTreeMap::new();
        for (state, ways) in ends {
            let mut groups: Groups = self.states.groups(*state).clone();
            let shared: &mut Shared = groups.entry(group).or_default();
            let option = shared.decided.remove(&choice);
            let state = self.states.with_groups(*state, groups);
            by_option.entry(option).or_default().push((state, *ways));
        }
        let mut sets = by_option.values();
        let Some(first) = sets.next() else {
            return false;
        };
        let alike = |set: &Vec<(State, WaysId)>| {
            let found = |(state, ways): &(State, WaysId)| {
                let same = first.iter().find(|(other, _)| other == state);
                same.is_some_and(|(_, other)| self.ways.as_many(*ways, *other))
            };
            set.len() == first.len() && set.iter().all(found)
        };
        !sets.all(alike)
    }
}

/// A limit of the analysis, at the step where it was met.
fn too_many(step: &Step, message: String) -> Stop {
    Stop::Fault(Box::new(Fault {
        span: step.span,
        message,
        help: Some(
            "let fewer choices decide widths or sizes that live on, or end their scope sooner"
                .into(),
        ),
        decisions: Vec::new(),
    }))
}

impl Fault {
    /// The fault as a problem at its place, with the example architecture.
    pub fn problem(&self, program: &Program, blame: Option<ChoiceId>) -> Problem {
        let mut example = Vec::new();
        for (choice, option) in &self.decisions {
            let choice = &program.choices[*choice];
            example.push(format!("{}={}", choice.path, choice.labels[*option]));
        }
        let mut help = Vec::new();
        help.extend(self.help.clone());
        if let Some(blame) = blame {
            help.push(format!(
                "the choice `{}` decides it: other options of it avoid the error",
                program.choices[blame].path
            ));
        }
        help.push(match example.is_empty() {
            true => "every architecture of the space meets this".into(),
            false => format!("for example with {}", example.join(" ")),
        });
        Problem::new(self.span, self.message.clone(), "does not fit here").help(help.join("\n"))
    }
}
