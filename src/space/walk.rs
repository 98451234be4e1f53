//! The program run for one architecture: a chooser answers every choice point
//! in program order, and the network grows as operators are met. The same
//! small rules for operators, joins and conditions serve the analysis.

use smallvec::SmallVec;

use super::elaborate::Program;
use super::error::Span;
use super::ops::OpKind;
use super::step::*;
use crate::network::{
    Builder, Fragment, Inputs, Network, NodeId, Op, Precision, Shape, Simplifier,
};

/// Evaluates a condition.
pub fn condition(term: &Term, shape: Shape, slots: &impl Slots) -> Result<bool, String> {
    match term.eval(shape, slots)? {
        Value::Bool(b) => Ok(b),
        other => Err(format!("a condition must be true or false, not {other}")),
    }
}

pub fn values(
    terms: &[Term],
    shape: Shape,
    slots: &impl Slots,
) -> Result<SmallVec<[Value; 8]>, String> {
    let mut values = SmallVec::new();
    for term in terms {
        values.push(term.eval(shape, slots)?);
    }
    Ok(values)
}

/// The shape after an operator, which is tried in a scratch network.
pub fn apply_op(
    kind: OpKind,
    terms: &[Term],
    shape: Shape,
    slots: &impl Slots,
    scratch: &mut Network,
) -> Result<Shape, String> {
    let values = values(terms, shape, slots)?;
    scratch.restart(shape);
    let at = kind.emit(&values, scratch, NodeId(0))?;
    Ok(scratch.shape(at))
}

/// The bit widths that a `precision` sets.
pub fn precision(
    weights: &Term,
    activations: &Term,
    shape: Shape,
    slots: &impl Slots,
) -> Result<Precision, String> {
    let bits = |what: &str, term: &Term| {
        let value = term.eval(shape, slots)?;
        match value.as_int() {
            Some(bits @ 1..=32) => Ok(bits as u8),
            _ => Err(format!(
                "the precision of {what} is {value}; it must be 1 to 32 bits"
            )),
        }
    };
    Ok(Precision {
        weights: bits("weights", weights)?,
        activations: bits("activations", activations)?,
    })
}

fn tensor(slots: &impl Slots, slot: usize) -> Result<Shape, String> {
    match slots.get(slot) {
        Value::Tensor(shape) => Ok(shape),
        other => Err(format!("{other} is not a tensor")),
    }
}

/// The shape after joining tensors.
pub fn apply_join(join: Join, from: &[usize], slots: &impl Slots) -> Result<Shape, String> {
    let shapes: Result<Vec<Shape>, String> = from.iter().map(|s| tensor(slots, *s)).collect();
    join_op(join).infer(&shapes?).map_err(|e| e.to_string())
}

pub fn join_op(join: Join) -> Op {
    match join {
        Join::Sum => Op::Add,
        Join::Product => Op::Mul,
        Join::Concat => Op::Concat,
    }
}

/// Whether the residual is added, once known that it fits.
pub fn apply_residual(
    when: &Term,
    slot: usize,
    shape: Shape,
    slots: &impl Slots,
) -> Result<bool, String> {
    if !condition(when, shape, slots)? {
        return Ok(false);
    }
    let entered = tensor(slots, slot)?;
    if entered != shape {
        return Err(format!(
            "the residual cannot be added: {entered} entered the block and {shape} leaves it"
        ));
    }
    Ok(true)
}

/// Answers a choice point with one of the options open to it.
pub trait Chooser {
    /// `open` lists the indices of the options whose guards hold, never empty.
    fn choose(&mut self, choice: ChoiceId, open: &[usize]) -> Result<usize, String>;
}

/// A step that could not run for this architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkError {
    pub span: Span,
    pub message: String,
}

/// Runs the program and returns the network as the file writes it.
pub fn walk(program: &Program, chooser: &mut impl Chooser) -> Result<Network, Box<WalkError>> {
    let (mut network, at) = run(program, chooser, Network::new(program.inputs[0]))?;
    network.set_output(at);
    Ok(network)
}

/// Runs the program and returns the network without what computes nothing.
pub fn walk_simplified(
    program: &Program,
    chooser: &mut impl Chooser,
) -> Result<Network, Box<WalkError>> {
    let (network, at) = run(program, chooser, Simplifier::new(program.inputs[0]))?;
    Ok(network.finish(at))
}

fn run<B: Builder>(
    program: &Program,
    chooser: &mut impl Chooser,
    net: B,
) -> Result<(B, NodeId), Box<WalkError>> {
    let mut walker = Walker {
        chooser,
        net,
        at: NodeId(0),
        slots: Vec::with_capacity(16),
        nodes: Vec::with_capacity(16),
        instances: Vec::new(),
        all: Vec::with_capacity(16),
    };
    walker.run(&program.root)?;
    Ok((walker.net, walker.at))
}

struct Walker<'c, C, B> {
    chooser: &'c mut C,
    net: B,
    at: NodeId,
    slots: Vec<Value>,
    /// The node behind each slot that holds a tensor (the input elsewhere).
    nodes: Vec<NodeId>,
    instances: Vec<Instance>,
    /// The numbers from 0 on: the options of a choice where all are open.
    all: Vec<usize>,
}

/// What an instance of shared decisions became, which another becomes too where
/// the same enters.
struct Instance {
    body: usize,
    shape: Shape,
    zero: bool,
    precision: Precision,
    fragment: Fragment,
}

impl<C: Chooser, B: Builder> Walker<'_, C, B> {
    fn shape(&self) -> Shape {
        self.net.shape(self.at)
    }

    fn push(&mut self, value: Value) {
        self.slots.push(value);
        self.nodes.push(self.at);
    }

    /// Asks for one of the options of a choice all of which are open.
    fn any(&mut self, choice: ChoiceId, options: usize) -> Result<usize, String> {
        while self.all.len() < options {
            self.all.push(self.all.len());
        }
        self.chooser.choose(choice, &self.all[..options])
    }

    fn run(&mut self, step: &Step) -> Result<(), Box<WalkError>> {
        let at = |message: String| {
            let span = step.span;
            Box::new(WalkError { span, message })
        };
        match &*step.kind {
            StepKind::Seq(steps) => steps.iter().try_for_each(|s| self.run(s)),
            StepKind::Set(term) => {
                let value = term.eval(self.shape(), &self.slots).map_err(at)?;
                self.push(value);
                Ok(())
            }
            StepKind::Decide(choice, terms) => {
                let option = self.any(*choice, terms.len()).map_err(at)?;
                let value = terms[option].eval(self.shape(), &self.slots).map_err(at)?;
                self.push(value);
                Ok(())
            }
            StepKind::Choose(choice, options) if options.iter().all(|(g, _)| g.is_none()) => {
                let option = self.any(*choice, options.len()).map_err(at)?;
                self.run(&options[option].1)
            }
            StepKind::Choose(choice, options) => {
                let mut open: SmallVec<[usize; 16]> = SmallVec::new();
                for (index, (guard, _)) in options.iter().enumerate() {
                    let holds = match guard {
                        Some(g) => condition(g, self.shape(), &self.slots).map_err(at)?,
                        None => true,
                    };
                    if holds {
                        open.push(index);
                    }
                }
                if open.is_empty() {
                    return Err(at("no alternative of this choice can be taken".into()));
                }
                let option = self.chooser.choose(*choice, &open).map_err(at)?;
                self.run(&options[option].1)
            }
            StepKind::Depth {
                choice,
                least,
                rounds,
            } => {
                let option = self.any(*choice, rounds.len() - least + 1).map_err(at)?;
                let taken = &rounds[..least + option];
                taken.iter().try_for_each(|round| self.run(round))
            }
            StepKind::Input(choice, shapes) => {
                let option = self.any(*choice, shapes.len()).map_err(at)?;
                self.net.restart(shapes[option]);
                Ok(())
            }
            StepKind::Precision(weights, activations) => {
                let bits = precision(weights, activations, self.shape(), &self.slots);
                self.net.set_precision(bits.map_err(at)?);
                Ok(())
            }
            StepKind::KeepPrecision(body) => {
                let before = self.net.precision();
                self.run(body)?;
                self.net.set_precision(before);
                Ok(())
            }
            StepKind::If(term, then, otherwise) => {
                match condition(term, self.shape(), &self.slots).map_err(at)? {
                    true => self.run(then),
                    false => self.run(otherwise),
                }
            }
            StepKind::Op(kind, terms) => {
                let values = values(terms, self.shape(), &self.slots).map_err(at)?;
                self.at = kind.emit(&values, &mut self.net, self.at).map_err(at)?;
                Ok(())
            }
            StepKind::Primitive(op) => {
                let pushed = self.net.push(*op, &[self.at]);
                self.at = pushed.map_err(|e| at(e.to_string()))?;
                Ok(())
            }
            StepKind::Save => {
                self.push(Value::Tensor(self.shape()));
                Ok(())
            }
            StepKind::Load(slot) => {
                self.at = self.nodes[*slot];
                Ok(())
            }
            StepKind::Join(join, slots) => {
                let inputs: Inputs = slots.iter().map(|s| self.nodes[*s]).collect();
                let joined = self.net.push(join_op(*join), &inputs);
                self.at = joined.map_err(|e| at(e.to_string()))?;
                Ok(())
            }
            StepKind::Residual(when, slot) => {
                let added = apply_residual(when, *slot, self.shape(), &self.slots).map_err(at)?;
                if added {
                    let joined = self.net.push(Op::Add, &[self.at, self.nodes[*slot]]);
                    self.at = joined.map_err(|e| at(e.to_string()))?;
                }
                Ok(())
            }
            StepKind::Scope(base, body) => {
                self.run(body)?;
                self.slots.truncate(*base);
                self.nodes.truncate(*base);
                Ok(())
            }
            StepKind::Carry(base, from) => {
                let slots: Vec<Value> = from.iter().map(|s| self.slots[*s]).collect();
                let nodes: Vec<NodeId> = from.iter().map(|s| self.nodes[*s]).collect();
                self.slots.truncate(*base);
                self.nodes.truncate(*base);
                self.slots.extend(slots);
                self.nodes.extend(nodes);
                Ok(())
            }
            StepKind::Unit { body, closed, .. } => match closed {
                true => self.instance(body),
                false => self.run(body),
            },
            StepKind::Forget(_) => Ok(()),
        }
    }

    /// An instance of shared decisions that depends on nothing but the current
    /// tensor: copied from an earlier one where there is one like it.
    fn instance(&mut self, body: &Step) -> Result<(), Box<WalkError>> {
        let (shape, entry) = (self.shape(), self.at);
        let zero = self.net.is_zero(entry);
        let precision = self.net.precision();
        let like = self.instances.iter().find(|known| {
            known.body == body.id
                && known.shape == shape
                && known.zero == zero
                && known.precision == precision
        });
        if let Some(known) = like {
            self.at = self.net.repeat(&known.fragment, entry);
            return Ok(());
        }
        let first = self.net.size();
        let known = self.instances.len();
        self.run(body)?;
        self.at = self.net.settle(first, self.at);
        // Nodes of instances inside may have moved.
        self.instances.truncate(known);
        self.instances.push(Instance {
            body: body.id,
            shape,
            zero,
            precision,
            fragment: Fragment {
                nodes: first..self.net.size(),
                entry,
                end: self.at,
            },
        });
        Ok(())
    }
}
