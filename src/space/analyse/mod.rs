//! What holds for every architecture of a space, without enumerating them: a
//! dynamic programme over sets of states. A state is the shape of the current
//! tensor with the values still in scope; running a step from a state gives
//! the states it can end in, each with the number of ways to get there. The
//! number of ways gives the exact count and exact uniform sampling; a step that
//! fails from any reachable state disproves the space, with an example.
//!
//! Decisions shared by several instances (a stacked cell) would multiply the
//! states. So a shared choice is first assumed not to matter for the state
//! afterwards; where a later instance shows that it does, that choice alone is
//! kept in the state and the analysis starts again.

mod paths;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use num_bigint::BigUint;

use crate::network::Shape;
use crate::space::elaborate::Program;
use crate::space::error::{Problem, Span};
use crate::space::step::*;
use crate::space::walk::{apply_join, apply_op, apply_residual, condition, precision};

/// Distinct states after one step.
const MAX_STATES: usize = 100_000;
/// Steps run and options tried in one analysis: a few seconds.
const MAX_WORK: usize = 1_000_000;

/// Decisions in program order.
pub type Decisions = Vec<(ChoiceId, usize)>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State {
    pub shape: Shape,
    pub slots: Vec<Value>,
    /// Groups decided so far, with the tracked decisions and, unless all are
    /// tracked, the number of ways the first instance could be decided.
    shared: BTreeMap<GroupId, Shared>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
struct Shared {
    decided: BTreeMap<ChoiceId, usize>,
    ways: BigUint,
}

pub type Outcomes = Arc<BTreeMap<State, BigUint>>;

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

/// The analysis of one space, with its memory.
#[derive(Debug)]
pub struct Analysis {
    program: Arc<Program>,
    tracked: BTreeSet<ChoiceId>,
    memo: HashMap<(usize, State), Outcomes>,
    /// The outcomes after each prefix of a sequence or of a depth's rounds, for
    /// finding ways back: by step, rounds taken and state before.
    layers: HashMap<(usize, usize, State), Arc<Vec<Outcomes>>>,
    /// Work done so far while proving; sampling later is not limited.
    work: usize,
    proven: bool,
}

impl Analysis {
    /// Runs the space for all decisions at once.
    ///
    /// # Errors
    /// The first step that fails in a reachable state, with an example.
    pub fn new(program: Arc<Program>) -> Result<Self, Box<Fault>> {
        let mut analysis = Analysis {
            program: program.clone(),
            tracked: BTreeSet::new(),
            memo: HashMap::new(),
            layers: HashMap::new(),
            work: 0,
            proven: false,
        };
        loop {
            match analysis.run(&program.root, &analysis.start()) {
                Ok(_) => {
                    analysis.proven = true;
                    return Ok(analysis);
                }
                Err(Stop::Fault(fault)) => return Err(fault),
                Err(Stop::Track(choices)) => {
                    analysis.tracked.extend(choices);
                    analysis.memo.clear();
                }
            }
        }
    }

    fn start(&self) -> State {
        State {
            shape: self.program.inputs[0],
            slots: Vec::new(),
            shared: BTreeMap::new(),
        }
    }

    /// The number of architectures, exactly.
    pub fn count(&mut self) -> BigUint {
        self.finals().values().sum()
    }

    /// The shapes the network can end in.
    pub fn output_shapes(&mut self) -> BTreeSet<Shape> {
        self.finals().keys().map(|s| s.shape).collect()
    }

    fn finals(&mut self) -> Outcomes {
        let start = self.start();
        self.sure(&self.program.clone().root, &start)
    }

    /// Outcomes of a step already known to succeed from a state.
    fn sure(&mut self, step: &Step, from: &State) -> Outcomes {
        match self.run(step, from) {
            Ok(outcomes) => outcomes,
            Err(_) => unreachable!("the space was analysed without a fault"),
        }
    }

    fn fault<T>(&self, step: &Step, message: String) -> Run<T> {
        Err(Stop::Fault(Box::new(Fault {
            span: step.span,
            message,
            help: None,
            decisions: Vec::new(),
        })))
    }

    fn run(&mut self, step: &Step, from: &State) -> Run<Outcomes> {
        // Cheap steps are not worth remembering.
        let cheap = matches!(
            step.kind,
            StepKind::Set(_) | StepKind::Save | StepKind::Load(_) | StepKind::Decide(..)
        );
        if cheap {
            return self.run_anew(step, from);
        }
        let key = (step.id, from.clone());
        if let Some(known) = self.memo.get(&key) {
            return Ok(known.clone());
        }
        let outcomes = self.run_anew(step, from)?;
        if outcomes.len() > MAX_STATES {
            return Err(too_many(
                step,
                format!("more than {MAX_STATES} different shapes and values can leave here"),
            ));
        }
        self.memo.insert(key, outcomes.clone());
        Ok(outcomes)
    }

    fn one(&self, state: State) -> Run<Outcomes> {
        Ok(Arc::new(BTreeMap::from([(state, BigUint::from(1u8))])))
    }

    fn run_anew(&mut self, step: &Step, from: &State) -> Run<Outcomes> {
        self.work += match &step.kind {
            StepKind::Decide(_, terms) => terms.len(),
            StepKind::Choose(_, options) => options.len(),
            StepKind::Input(_, shapes) => shapes.len(),
            _ => 1,
        };
        if self.work > MAX_WORK && !self.proven {
            return Err(too_many(
                step,
                "the space has too many different shapes and values to be checked".into(),
            ));
        }
        match &step.kind {
            StepKind::Seq(steps) => Ok(self
                .forward(steps, from)?
                .pop()
                .expect("forward holds at least the start")),
            StepKind::Set(term) => match term.eval(from.shape, &from.slots) {
                Ok(value) => self.one(pushed(from, value)),
                Err(message) => self.fault(step, message),
            },
            StepKind::Decide(choice, terms) => {
                let mut ends = BTreeMap::new();
                for option in self.open(*choice, terms.len(), from) {
                    let value = terms[option]
                        .eval(from.shape, &from.slots)
                        .or_else(|message| self.fault_at(step, message, *choice, option))?;
                    let state = pushed(&self.record(from, *choice, option), value);
                    *ends.entry(state).or_default() += BigUint::from(1u8);
                }
                Ok(Arc::new(ends))
            }
            StepKind::Choose(choice, options) => {
                let mut ends: BTreeMap<State, BigUint> = BTreeMap::new();
                let mut any = false;
                for option in self.open(*choice, options.len(), from) {
                    let (guard, body) = &options[option];
                    if let Some(guard) = guard {
                        match condition(guard, from.shape, &from.slots) {
                            Ok(true) => {}
                            Ok(false) => continue,
                            Err(message) => return self.fault(step, message),
                        }
                    }
                    any = true;
                    let state = self.record(from, *choice, option);
                    let inner = self.run(body, &state);
                    let inner = inner.map_err(|stop| stop.after((*choice, option)))?;
                    for (end, ways) in inner.iter() {
                        *ends.entry(end.clone()).or_default() += ways;
                    }
                }
                if !any {
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
                Ok(Arc::new(ends))
            }
            StepKind::Depth {
                choice,
                least,
                rounds,
            } => {
                let mut ends: BTreeMap<State, BigUint> = BTreeMap::new();
                for (option, after) in self.depths(*choice, *least, rounds, from)? {
                    for (end, ways) in after.iter() {
                        *ends.entry(self.record(end, *choice, option)).or_default() += ways;
                    }
                }
                Ok(Arc::new(ends))
            }
            StepKind::Input(choice, shapes) => {
                let options = self.open(*choice, shapes.len(), from).into_iter();
                let ends = options
                    .map(|option| {
                        let state = self.record(from, *choice, option);
                        (reshaped(&state, shapes[option]), BigUint::from(1u8))
                    })
                    .collect();
                Ok(Arc::new(ends))
            }
            StepKind::Precision(weights, activations) => {
                match precision(weights, activations, from.shape, &from.slots) {
                    Ok(_) => self.one(from.clone()),
                    Err(message) => self.fault(step, message),
                }
            }
            StepKind::KeepPrecision(body) => self.run(body, from),
            StepKind::If(term, then, otherwise) => match condition(term, from.shape, &from.slots) {
                Ok(true) => self.run(then, from),
                Ok(false) => self.run(otherwise, from),
                Err(message) => self.fault(step, message),
            },
            StepKind::Op(kind, terms) => match apply_op(*kind, terms, from.shape, &from.slots) {
                Ok(shape) => self.one(reshaped(from, shape)),
                Err(message) => self.fault(step, message),
            },
            StepKind::Save => self.one(pushed(from, Value::Tensor(from.shape))),
            StepKind::Load(slot) => match from.slots[*slot] {
                Value::Tensor(shape) => self.one(reshaped(from, shape)),
                other => self.fault(step, format!("{other} is not a tensor")),
            },
            StepKind::Join(join, slots) => match apply_join(*join, slots, &from.slots) {
                Ok(shape) => self.one(reshaped(from, shape)),
                Err(message) => self.fault(step, message),
            },
            StepKind::Residual(when, slot) => {
                match apply_residual(when, *slot, from.shape, &from.slots) {
                    Ok(_) => self.one(from.clone()),
                    Err(message) => self.fault(step, message),
                }
            }
            StepKind::Scope(base, body) => {
                let inner = self.run(body, from)?;
                let mut ends: BTreeMap<State, BigUint> = BTreeMap::new();
                for (state, ways) in inner.iter() {
                    *ends.entry(cut(state, *base)).or_default() += ways;
                }
                Ok(Arc::new(ends))
            }
            StepKind::Unit(group, body) => self.unit(*group, body, from),
            StepKind::Forget(groups) => {
                let mut state = from.clone();
                for group in groups {
                    state.shared.remove(group);
                }
                self.one(state)
            }
        }
    }

    /// What each open depth ends in: `(option, outcomes)`. All depths share
    /// their first rounds. The depth itself is recorded after the rounds, which
    /// cannot depend on it.
    fn depths(
        &mut self,
        choice: ChoiceId,
        least: usize,
        rounds: &[Step],
        from: &State,
    ) -> Run<Vec<(usize, Outcomes)>> {
        let open = self.open(choice, rounds.len() - least + 1, from);
        let deepest = open.last().map_or(0, |option| least + option);
        let layers = self.forward(&rounds[..deepest], from);
        let layers = layers.map_err(|stop| stop.after((choice, deepest - least)))?;
        let layer = |option: usize| (option, layers[least + option].clone());
        Ok(open.into_iter().map(layer).collect())
    }

    fn fault_at<T>(&self, step: &Step, message: String, choice: ChoiceId, option: usize) -> Run<T> {
        let fault = self.fault::<T>(step, message);
        fault.map_err(|stop| stop.after((choice, option)))
    }

    /// The outcomes after each prefix of a sequence, the empty one included.
    fn forward(&mut self, steps: &[Step], from: &State) -> Run<Vec<Outcomes>> {
        let mut layers: Vec<Outcomes> = vec![self.one(from.clone())?];
        for (done, step) in steps.iter().enumerate() {
            let before = layers.last().expect("not empty").clone();
            let mut after: BTreeMap<State, BigUint> = BTreeMap::new();
            for (state, ways) in before.iter() {
                let inner = match self.run(step, state) {
                    Ok(inner) => inner,
                    Err(Stop::Fault(mut fault)) => {
                        // How this state is reached completes the example.
                        let mut lead = Decisions::new();
                        let zero = BigUint::default();
                        // The way there was run before, within the limit.
                        let proven = std::mem::replace(&mut self.proven, true);
                        self.path_seq(&steps[..done], &layers, state, zero, &mut lead);
                        self.proven = proven;
                        lead.append(&mut fault.decisions);
                        fault.decisions = lead;
                        return Err(Stop::Fault(fault));
                    }
                    Err(other) => return Err(other),
                };
                for (end, more) in inner.iter() {
                    *after.entry(end.clone()).or_default() += ways * more;
                }
            }
            if after.len() > MAX_STATES {
                return Err(too_many(
                    step,
                    format!("more than {MAX_STATES} different shapes and values can leave here"),
                ));
            }
            layers.push(Arc::new(after));
        }
        Ok(layers)
    }

    /// Options still open for a choice: one if it was decided and is tracked.
    fn open(&self, choice: ChoiceId, options: usize, state: &State) -> Vec<usize> {
        match self.decided(choice, state) {
            Some(option) => vec![option],
            None => (0..options).collect(),
        }
    }

    fn decided(&self, choice: ChoiceId, state: &State) -> Option<usize> {
        let group = self.program.choices[choice].group?;
        state.shared.get(&group)?.decided.get(&choice).copied()
    }

    fn record(&self, state: &State, choice: ChoiceId, option: usize) -> State {
        let mut state = state.clone();
        if let Some(group) = self.program.choices[choice].group
            && self.tracked.contains(&choice)
        {
            state
                .shared
                .entry(group)
                .or_default()
                .decided
                .insert(choice, option);
        }
        state
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

    fn unit(&mut self, group: GroupId, body: &Step, from: &State) -> Run<Outcomes> {
        let exact = self.all_tracked(group);
        let Some(known) = from.shared.get(&group) else {
            let mut opened = from.clone();
            opened.shared.insert(group, Shared::default());
            let inner = self.run(body, &opened)?;
            if exact {
                return Ok(inner);
            }
            // Ways are remembered for each set of tracked decisions.
            let mut ways: BTreeMap<BTreeMap<ChoiceId, usize>, BigUint> = BTreeMap::new();
            for (state, n) in inner.iter() {
                *ways
                    .entry(state.shared[&group].decided.clone())
                    .or_default() += n;
            }
            let mut ends = BTreeMap::new();
            for (state, n) in inner.iter() {
                let mut state = state.clone();
                let shared = state.shared.get_mut(&group).expect("opened above");
                shared.ways = ways[&shared.decided].clone();
                ends.insert(state, n.clone());
            }
            // One state a set of tracked decisions, or the choice matters.
            if ends.len() > ways.len() {
                return Err(Stop::Track(self.influential(group, body, from)));
            }
            return Ok(Arc::new(ends));
        };
        let inner = self.run(body, from)?;
        if exact {
            return Ok(inner);
        }
        let total: BigUint = inner.values().sum();
        if inner.len() != 1 || total != known.ways {
            return Err(Stop::Track(self.influential(group, body, from)));
        }
        let only = inner.keys().next().expect("one").clone();
        self.one(only)
    }

    /// The untracked choices of a group that change what an instance ends in;
    /// all of them where no single one does.
    fn influential(&self, group: GroupId, body: &Step, from: &State) -> Vec<ChoiceId> {
        let untracked: Vec<ChoiceId> = self
            .group_choices(group)
            .filter(|c| !self.tracked.contains(c))
            .collect();
        let mut found = Vec::new();
        for &choice in &untracked {
            let mut trial = Analysis {
                program: self.program.clone(),
                tracked: self.tracked.clone(),
                memo: HashMap::new(),
                layers: HashMap::new(),
                work: self.work,
                proven: false,
            };
            trial.tracked.insert(choice);
            let mut opened = from.clone();
            opened.shared.entry(group).or_default();
            let Ok(ends) = trial.run(body, &opened) else {
                continue;
            };
            let mut by_option: BTreeMap<Option<usize>, BTreeMap<State, BigUint>> = BTreeMap::new();
            for (state, ways) in ends.iter() {
                let mut state = state.clone();
                let shared = state.shared.get_mut(&group).expect("opened above");
                let option = shared.decided.remove(&choice);
                by_option
                    .entry(option)
                    .or_default()
                    .insert(state, ways.clone());
            }
            let mut sets = by_option.values();
            let first = sets.next();
            if sets.any(|s| Some(s) != first) {
                found.push(choice);
            }
        }
        if found.is_empty() { untracked } else { found }
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

fn pushed(state: &State, value: Value) -> State {
    let mut state = state.clone();
    state.slots.push(value);
    state
}

fn reshaped(state: &State, shape: Shape) -> State {
    let mut state = state.clone();
    state.shape = shape;
    state
}

fn cut(state: &State, base: usize) -> State {
    let mut state = state.clone();
    state.slots.truncate(base);
    state
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
