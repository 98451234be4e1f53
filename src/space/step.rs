//! The elaborated space: blocks inlined, repeats unrolled, names resolved. What
//! is left is a small program over choice points, run either for all decisions
//! at once (`analyse`) or for one architecture (`walk`).

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::ast::{Binary, Unary};
use super::error::Span;
use super::ops::OpKind;
use crate::network::{Op, Shape};

/// Index into [`Program::choices`](super::elaborate::Program); ascending in
/// program order.
pub type ChoiceId = usize;
/// A set of choices that several instances share.
pub type GroupId = usize;

/// A value during elaboration or a walk. Ordered and hashable so that states
/// can be merged; floats by their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    Int(i64),
    Float(FloatBits),
    Bool(bool),
    /// A named tensor, known by its shape.
    Tensor(Shape),
}

/// A float that compares by its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FloatBits(u64);

impl Value {
    pub fn float(value: f64) -> Value {
        Value::Float(FloatBits(value.to_bits()))
    }

    pub fn as_f64(self) -> Option<f64> {
        match self {
            Value::Int(v) => Some(v as f64),
            Value::Float(FloatBits(bits)) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// A whole number; floats qualify when they have no fraction.
    pub fn as_int(self) -> Option<i64> {
        match self {
            Value::Int(v) => Some(v),
            Value::Float(_) => self
                .as_f64()
                .filter(|f| f.fract() == 0.0 && f.abs() < 9e15)
                .map(|f| f as i64),
            _ => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Int(v) => write!(f, "{v}"),
            Value::Float(FloatBits(bits)) => write!(f, "{}", f64::from_bits(*bits)),
            Value::Bool(v) => write!(f, "{v}"),
            Value::Tensor(shape) => write!(f, "a {shape} tensor"),
        }
    }
}

/// Functions of expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Func {
    Min,
    Max,
    Ceil,
    Floor,
    /// `divisible(x, n)`: the nearest multiple of `n`, at least `n` and at
    /// least 90 % of `x` (the rounding of the MobileNet papers).
    Divisible,
}

impl Func {
    pub const ALL: [(&'static str, Func, usize); 5] = [
        ("min", Func::Min, 2),
        ("max", Func::Max, 2),
        ("ceil", Func::Ceil, 1),
        ("floor", Func::Floor, 1),
        ("divisible", Func::Divisible, 2),
    ];
}

/// The values in scope, by slot.
pub trait Slots {
    fn get(&self, slot: usize) -> Value;
}

impl Slots for Vec<Value> {
    fn get(&self, slot: usize) -> Value {
        self[slot]
    }
}

/// An expression with its names resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Term {
    Const(Value),
    Slot(usize),
    /// Channels, height or width of the tensor in a slot.
    Extent(usize, Extent),
    /// The same of the current tensor.
    Current(Extent),
    Unary(Unary, Box<Term>),
    Binary(Binary, Box<Term>, Box<Term>),
    Call(Func, Vec<Term>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent {
    Channels,
    Height,
    Width,
    /// Of a sequence; 1 for anything else.
    Length,
}

impl Extent {
    pub const ALL: [(&'static str, Extent); 4] = [
        ("channels", Extent::Channels),
        ("height", Extent::Height),
        ("width", Extent::Width),
        ("length", Extent::Length),
    ];
}

impl Extent {
    fn of(self, shape: Shape) -> Value {
        Value::Int(match self {
            Extent::Channels => shape.channels(),
            Extent::Height => shape.spatial().0,
            Extent::Width => shape.spatial().1,
            Extent::Length => shape.length(),
        } as i64)
    }
}

impl Term {
    /// Whether the value stays the same while the current tensor changes.
    pub fn is_fixed(&self) -> bool {
        match self {
            Term::Current(_) => false,
            Term::Const(_) | Term::Slot(_) | Term::Extent(..) => true,
            Term::Unary(_, a) => a.is_fixed(),
            Term::Binary(_, a, b) => a.is_fixed() && b.is_fixed(),
            Term::Call(_, args) => args.iter().all(Term::is_fixed),
        }
    }

    /// The value, if it is one.
    pub fn constant(&self) -> Option<Value> {
        match self {
            Term::Const(value) => Some(*value),
            _ => None,
        }
    }

    /// Whether it reads a slot of which this holds.
    fn reads(&self, slots: &impl Fn(usize) -> bool) -> bool {
        match self {
            Term::Const(_) | Term::Current(_) => false,
            Term::Slot(slot) | Term::Extent(slot, _) => slots(*slot),
            Term::Unary(_, a) => a.reads(slots),
            Term::Binary(_, a, b) => a.reads(slots) || b.reads(slots),
            Term::Call(_, args) => args.iter().any(|a| a.reads(slots)),
        }
    }

    /// The value, or what is wrong with it.
    pub fn eval(&self, current: Shape, slots: &impl Slots) -> Result<Value, String> {
        match self {
            Term::Const(v) => Ok(*v),
            Term::Slot(slot) => Ok(slots.get(*slot)),
            Term::Extent(slot, extent) => match slots.get(*slot) {
                Value::Tensor(shape) => Ok(extent.of(shape)),
                other => Err(format!("{other} has no channels")),
            },
            Term::Current(extent) => Ok(extent.of(current)),
            Term::Unary(op, a) => unary(*op, a.eval(current, slots)?),
            Term::Binary(op, a, b) => {
                let left = a.eval(current, slots)?;
                match (op, left) {
                    (Binary::And, Value::Bool(false)) => return Ok(Value::Bool(false)),
                    (Binary::Or, Value::Bool(true)) => return Ok(Value::Bool(true)),
                    _ => {}
                }
                binary(*op, left, b.eval(current, slots)?)
            }
            Term::Call(func, args) => {
                // All functions take one or two arguments.
                let mut values = [Value::Bool(false); 2];
                for (value, arg) in values.iter_mut().zip(args) {
                    *value = arg.eval(current, slots)?;
                }
                call(*func, &values)
            }
        }
    }
}

fn unary(op: Unary, value: Value) -> Result<Value, String> {
    match (op, value) {
        (Unary::Not, Value::Bool(b)) => Ok(Value::Bool(!b)),
        (Unary::Neg, Value::Int(v)) => v
            .checked_neg()
            .map(Value::Int)
            .ok_or_else(|| "the number overflows".into()),
        (Unary::Neg, Value::Float(_)) => Ok(Value::float(-value.as_f64().expect("a float"))),
        (Unary::Not, v) => Err(format!("`not` needs true or false, not {v}")),
        (Unary::Neg, v) => Err(format!("`-` needs a number, not {v}")),
    }
}

fn binary(op: Binary, a: Value, b: Value) -> Result<Value, String> {
    use Binary::*;
    if let (And | Or, Value::Bool(_), Value::Bool(b)) = (op, a, b) {
        // The left side did not settle it, so the right side does.
        return Ok(Value::Bool(b));
    }
    if matches!(op, And | Or) {
        return Err(format!(
            "`and` and `or` need true or false, not {a} and {b}"
        ));
    }
    if let (Eq | Ne, Value::Bool(a), Value::Bool(b)) = (op, a, b) {
        return Ok(Value::Bool((a == b) == (op == Eq)));
    }
    if let (Value::Int(a), Value::Int(b)) = (a, b) {
        let overflow = || "the number overflows".to_string();
        return match op {
            Add => a.checked_add(b).map(Value::Int).ok_or_else(overflow),
            Sub => a.checked_sub(b).map(Value::Int).ok_or_else(overflow),
            Mul => a.checked_mul(b).map(Value::Int).ok_or_else(overflow),
            Div | Rem if b == 0 => Err("division by zero".into()),
            // The least number has no negative.
            Div if b == -1 => a.checked_neg().map(Value::Int).ok_or_else(overflow),
            Rem if b == -1 => Ok(Value::Int(0)),
            Div if a % b == 0 => Ok(Value::Int(a / b)),
            Div => Ok(Value::float(a as f64 / b as f64)),
            Rem => Ok(Value::Int(a.rem_euclid(b))),
            Eq => Ok(Value::Bool(a == b)),
            Ne => Ok(Value::Bool(a != b)),
            Lt => Ok(Value::Bool(a < b)),
            Le => Ok(Value::Bool(a <= b)),
            Gt => Ok(Value::Bool(a > b)),
            Ge => Ok(Value::Bool(a >= b)),
            And | Or => unreachable!("handled above"),
        };
    }
    let (Some(x), Some(y)) = (a.as_f64(), b.as_f64()) else {
        return Err(format!("cannot combine {a} and {b}"));
    };
    Ok(match op {
        Add => Value::float(x + y),
        Sub => Value::float(x - y),
        Mul => Value::float(x * y),
        Div | Rem if y == 0.0 => return Err("division by zero".into()),
        Div => Value::float(x / y),
        Rem => Value::float(x.rem_euclid(y)),
        Eq => Value::Bool(x == y),
        Ne => Value::Bool(x != y),
        Lt => Value::Bool(x < y),
        Le => Value::Bool(x <= y),
        Gt => Value::Bool(x > y),
        Ge => Value::Bool(x >= y),
        And | Or => unreachable!("handled above"),
    })
}

fn call(func: Func, args: &[Value]) -> Result<Value, String> {
    let number = |i: usize| -> Result<f64, String> {
        args[i]
            .as_f64()
            .ok_or_else(|| format!("a number is needed, not {}", args[i]))
    };
    match func {
        Func::Min | Func::Max => {
            let (a, b) = (number(0)?, number(1)?);
            let first = if func == Func::Min { a <= b } else { a >= b };
            Ok(if first { args[0] } else { args[1] })
        }
        Func::Ceil => Ok(Value::Int(number(0)?.ceil() as i64)),
        Func::Floor => Ok(Value::Int(number(0)?.floor() as i64)),
        Func::Divisible => {
            let (x, n) = (number(0)?, number(1)?);
            if n < 1.0 || n.fract() != 0.0 {
                return Err("`divisible(x, n)` needs a whole n of at least 1".into());
            }
            let mut rounded = (((x + n / 2.0) / n).floor() * n).max(n);
            if rounded < 0.9 * x {
                rounded += n;
            }
            Ok(Value::Int(rounded as i64))
        }
    }
}

/// A part of the program. Steps that do the same have the same `id`, wherever
/// they stand: what is known of one holds for all.
#[derive(Debug, Clone)]
pub struct Step {
    pub id: usize,
    pub span: Span,
    pub kind: Arc<StepKind>,
}

impl PartialEq for Step {
    fn eq(&self, other: &Step) -> bool {
        self.id == other.id
    }
}

impl Eq for Step {}

impl Hash for Step {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StepKind {
    Seq(Vec<Step>),
    /// Pushes a value onto the slots.
    Set(Term),
    /// Decides among values and pushes the one decided.
    Decide(ChoiceId, Vec<Term>),
    /// Runs the option decided, of those whose guard holds.
    Choose(ChoiceId, Vec<(Option<Term>, Step)>),
    /// Option `d` runs the first `least + d` rounds: an elastic depth.
    Depth {
        choice: ChoiceId,
        least: usize,
        rounds: Vec<Step>,
    },
    /// Option `i` makes the network's input the `i`-th shape; comes first.
    Input(ChoiceId, Vec<Shape>),
    /// From here on operators carry these bit widths: weights, activations.
    Precision(Term, Term),
    /// Runs, then restores the bit widths that held before.
    KeepPrecision(Step),
    If(Term, Step, Step),
    /// Applies an operator to the current tensor.
    Op(OpKind, Vec<Term>),
    /// The same where nothing about the operator is left to decide.
    Primitive(Op),
    /// Pushes the current tensor onto the slots.
    Save,
    /// Makes the tensor in a slot the current one.
    Load(usize),
    /// Joins the tensors in slots and makes the result the current one.
    Join(Join, Vec<usize>),
    /// Adds the tensor in the slot to the current one where the condition holds.
    Residual(Term, usize),
    /// Runs, then drops the slots above `base`.
    Scope(usize, Step),
    /// The tensors in these slots move to the slots from `base` on, which end
    /// with them: what one round of a `repeat` hands to the next.
    Carry(usize, Vec<usize>),
    /// One instance of a body whose decisions the whole group shares.
    Unit {
        group: GroupId,
        body: Step,
        /// Whether the body reads no value from outside but the current tensor.
        closed: bool,
    },
    /// The shared decisions of these groups end here.
    Forget(Vec<GroupId>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Join {
    Sum,
    Product,
    Concat,
}

/// What kind of thing a choice decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceKind {
    /// One of several values.
    Value,
    /// One of several pieces of network.
    Option,
    /// How often a `repeat` runs.
    Depth,
    /// Which tensors feed a node.
    Inputs,
    /// The resolution of images, or the length of sequences.
    Resolution,
}

impl Step {
    /// The steps inside, itself included.
    pub fn size(&self) -> usize {
        1 + self.inner().iter().map(|step| step.size()).sum::<usize>()
    }

    /// The steps directly inside.
    fn inner(&self) -> Vec<&Step> {
        match &*self.kind {
            StepKind::Seq(steps) | StepKind::Depth { rounds: steps, .. } => steps.iter().collect(),
            StepKind::Choose(_, options) => options.iter().map(|(_, body)| body).collect(),
            StepKind::If(_, then, otherwise) => vec![then, otherwise],
            StepKind::Scope(_, body)
            | StepKind::Unit { body, .. }
            | StepKind::KeepPrecision(body) => vec![body],
            _ => Vec::new(),
        }
    }

    /// Whether it or a step inside reads a slot of which this holds.
    pub fn reads(&self, slots: &impl Fn(usize) -> bool) -> bool {
        let reads = |term: &Term| term.reads(slots);
        let here = match &*self.kind {
            StepKind::Set(term) | StepKind::If(term, ..) => reads(term),
            StepKind::Decide(_, terms) | StepKind::Op(_, terms) => terms.iter().any(reads),
            StepKind::Choose(_, options) => {
                let guards = options.iter().filter_map(|(guard, _)| guard.as_ref());
                guards.into_iter().any(reads)
            }
            StepKind::Precision(weights, activations) => reads(weights) || reads(activations),
            StepKind::Load(slot) => slots(*slot),
            // What it leaves there is seen outside, too.
            StepKind::Carry(to, moved) => slots(*to) || moved.iter().any(|slot| slots(*slot)),
            StepKind::Join(_, joined) => joined.iter().any(|slot| slots(*slot)),
            StepKind::Residual(term, slot) => reads(term) || slots(*slot),
            _ => false,
        };
        here || self.inner().iter().any(|step| step.reads(slots))
    }

    /// Whether it or a step inside makes a slot.
    pub fn makes_slots(&self) -> bool {
        let here = matches!(
            *self.kind,
            StepKind::Set(_) | StepKind::Decide(..) | StepKind::Save | StepKind::Carry(..)
        );
        here || self.inner().iter().any(|step| step.makes_slots())
    }
}

/// A choice point of the elaborated space.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Where it stands, for people and files: `s2[0].expand`.
    pub path: String,
    pub kind: ChoiceKind,
    /// The options by name, in order.
    pub labels: Vec<String>,
    pub span: Span,
    /// The group whose instances share the decision.
    pub group: Option<GroupId>,
}
