//! The syntax tree to a [`Program`]: resolves names, inlines blocks, unrolls
//! repeats and gives every choice point its path and identity. Nothing is
//! decided here; expressions that depend on decisions stay expressions.

mod calls;
mod carry;
mod control;
mod flows;
mod head;
mod values;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::network::Shape;
use crate::space::FastMap;
use crate::space::ast::*;
use crate::space::constraint::{Constraint, Metric};
use crate::space::error::{Problem, Span};
use crate::space::ops;
use crate::space::step::*;

/// A `repeat` may run at most this often.
const MAX_REPEAT: i64 = 1_000;
/// Steps of the unrolled program.
const MAX_STEPS: usize = 200_000;
/// Blocks may use blocks this deep.
const MAX_CALLS: usize = 64;

/// The elaborated space.
#[derive(Debug, Clone)]
pub struct Program {
    /// The shapes a sample may have; several are a choice of their own.
    pub inputs: Vec<Shape>,
    pub constraints: Vec<Constraint>,
    pub choices: Vec<Choice>,
    pub root: Step,
}

type Elab<T> = Result<T, Problem>;

/// Elaborates a file.
///
/// # Errors
/// What names, arguments or sizes are wrong, in source order.
pub fn elaborate(file: &File) -> Result<Program, Vec<Problem>> {
    let mut problems = Vec::new();
    let whole = file.name.span;
    let Some((input, input_span)) = &file.input else {
        return Err(vec![
            Problem::new(whole, "the space has no `input`", "of this space")
                .help("add a line such as `input image 3x32x32`"),
        ]);
    };
    let Some((body, network_span)) = &file.network else {
        return Err(vec![
            Problem::new(whole, "the space has no `network`", "of this space")
                .help("add `network { ... }`"),
        ]);
    };
    if let Some((classes, span)) = file.classes
        && !(1..=1_000_000).contains(&classes)
    {
        problems.push(Problem::new(
            span,
            "the number of classes must lie in 1..1000000",
            "out of range",
        ));
    }
    let mut blocks = HashMap::new();
    for block in &file.blocks {
        if ops::find(&block.name.text).is_some() {
            problems.push(
                Problem::new(
                    block.name.span,
                    format!("`{}` is an operator of the language", block.name.text),
                    "a block cannot take this name",
                )
                .help("choose another name for the block"),
            );
        }
        if blocks.insert(block.name.text.as_str(), block).is_some() {
            problems.push(Problem::new(
                block.name.span,
                format!("block `{}` is defined twice", block.name.text),
                "defined before already",
            ));
        }
    }
    let mut elaborator = Elaborator {
        blocks,
        problems,
        choices: Vec::new(),
        by_path: HashMap::new(),
        made: 0,
        known: FastMap::default(),
        groups: 0,
        block_groups: HashMap::new(),
        shared: false,
        unit: None,
        new_groups: Vec::new(),
        calls: Vec::new(),
        slots: 0,
        names: Vec::new(),
        input_slot: None,
        round: None,
        path: String::new(),
        ordinals: BTreeMap::new(),
    };
    let inputs = elaborator.input(input, *input_span);
    let constraints = elaborator.constraints(&file.requires);
    let (inputs, head) = inputs.unwrap_or_default();
    let root = elaborator.root(file, head, body, *network_span);
    let problems = elaborator.problems;
    match root {
        Ok(root) if problems.is_empty() => Ok(Program {
            inputs,
            constraints,
            choices: elaborator.choices,
            root,
        }),
        Ok(_) => Err(sorted(problems)),
        Err(problem) => {
            let mut problems = problems;
            problems.push(problem);
            Err(sorted(problems))
        }
    }
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|p| p.span.start);
    problems.dedup();
    problems
}

/// What a name in scope stands for.
#[derive(Clone)]
enum Meaning {
    Value(Term),
    Tensor(usize),
}

struct Elaborator<'a> {
    blocks: HashMap<&'a str, &'a Block>,
    problems: Vec<Problem>,
    choices: Vec<Choice>,
    by_path: HashMap<String, ChoiceId>,
    /// Steps made so far, those that repeat earlier ones included.
    made: usize,
    /// The steps by what they do.
    known: FastMap<Arc<StepKind>, usize>,
    groups: usize,
    block_groups: HashMap<String, GroupId>,
    /// Whether rounds of a `repeat` share their decisions here.
    shared: bool,
    /// The group whose instance is being elaborated.
    unit: Option<GroupId>,
    /// Groups opened inside the stage being elaborated.
    new_groups: Vec<GroupId>,
    calls: Vec<&'a str>,
    /// Slots in use, as a stack.
    slots: usize,
    names: Vec<(String, Meaning)>,
    /// The slot of the tensor that entered the block; none at file level.
    input_slot: Option<usize>,
    /// The round of the innermost `repeat`.
    round: Option<i64>,
    /// Prefix of choice paths.
    path: String,
    /// How often each path segment was used in the present scope.
    ordinals: BTreeMap<String, usize>,
}

impl<'a> Elaborator<'a> {
    fn root(
        &mut self,
        file: &'a File,
        head: Option<Step>,
        body: &'a [Stmt],
        span: Span,
    ) -> Elab<Step> {
        if let Some((classes, _)) = file.classes {
            let value = Meaning::Value(Term::Const(Value::Int(classes)));
            self.names.push(("classes".into(), value));
        }
        if let Some((Input::Tokens { vocab, .. }, _)) = &file.input {
            let value = Meaning::Value(Term::Const(Value::Int(*vocab)));
            self.names.push(("vocab".into(), value));
        }
        let mut steps = Vec::from_iter(head);
        for (name, expr) in &file.lets {
            self.bind(name, expr, &mut steps)?;
        }
        let body = self.in_block(body, span)?;
        steps.push(body);
        self.seq(steps, span)
    }

    fn step(&mut self, kind: StepKind, span: Span) -> Elab<Step> {
        self.made += 1;
        if self.made > MAX_STEPS {
            return Err(Problem::new(
                span,
                format!("the space unrolls to more than {MAX_STEPS} steps"),
                "too large from here on",
            )
            .help("repeat less often, or nest fewer repeats"));
        }
        // The same kind written elsewhere has other places in the source, so
        // only the identity is taken over.
        let kind = Arc::new(kind);
        let next = self.known.len();
        let id = *self.known.entry(kind.clone()).or_insert(next);
        Ok(Step { id, span, kind })
    }

    /// An instance of a group's decisions; slots below `base` are not its own.
    fn unit(&mut self, group: GroupId, body: Step, base: usize, span: Span) -> Elab<Step> {
        let closed = !body.reads(&|slot| slot < base);
        let kind = StepKind::Unit {
            group,
            body,
            closed,
        };
        self.step(kind, span)
    }

    fn seq(&mut self, mut steps: Vec<Step>, span: Span) -> Elab<Step> {
        if steps.len() == 1 {
            return Ok(steps.pop().expect("one"));
        }
        self.step(StepKind::Seq(steps), span)
    }

    /// Elaborates statements in a scope of their own: names and slots made
    /// inside end with it.
    fn scoped(&mut self, body: &'a [Stmt], span: Span) -> Elab<Step> {
        self.scope(span, |e| e.statements(body, span))
    }

    /// The same around any step.
    fn scope(&mut self, span: Span, inner: impl FnOnce(&mut Self) -> Elab<Step>) -> Elab<Step> {
        let (slots, names) = (self.slots, self.names.len());
        let inner = inner(self);
        self.names.truncate(names);
        let used = self.slots > slots;
        self.slots = slots;
        let inner = inner?;
        match used {
            true => self.step(StepKind::Scope(slots, inner), span),
            false => Ok(inner),
        }
    }

    /// The same with `in` and `residual` meaning the tensor that enters here.
    fn in_block(&mut self, body: &'a [Stmt], span: Span) -> Elab<Step> {
        let (base, names) = (self.slots, self.names.len());
        let save = self.step(StepKind::Save, span)?;
        let outer = self.input_slot.replace(self.slots);
        self.names
            .push(("input".into(), Meaning::Tensor(self.slots)));
        self.slots += 1;
        let inner = self.statements(body, span);
        self.input_slot = outer;
        self.names.truncate(names);
        self.slots = base;
        let inner = inner?;
        // What enters need not be kept for a body that never names it.
        if !inner.makes_slots() && !inner.reads(&|slot| slot == base) {
            return Ok(inner);
        }
        let both = self.seq(vec![save, inner], span)?;
        self.step(StepKind::Scope(base, both), span)
    }

    /// Runs with a longer path and fresh ordinals.
    fn under<T>(&mut self, path: String, inner: impl FnOnce(&mut Self) -> Elab<T>) -> Elab<T> {
        let outer_path = std::mem::replace(&mut self.path, path);
        let outer_ordinals = std::mem::take(&mut self.ordinals);
        let result = inner(self);
        self.path = outer_path;
        self.ordinals = outer_ordinals;
        result
    }

    /// A segment unique in its scope: `mbconv`, then `mbconv#2`, ...
    fn segment(&mut self, name: &str) -> String {
        let n = self.ordinals.entry(name.to_string()).or_insert(0);
        *n += 1;
        let unique = match *n {
            1 => name.to_string(),
            n => format!("{name}#{n}"),
        };
        join(&self.path, &unique)
    }

    fn choice(
        &mut self,
        path: String,
        kind: ChoiceKind,
        labels: Vec<String>,
        span: Span,
    ) -> Elab<ChoiceId> {
        let mut path = path;
        if self.unit.is_none() {
            // Only instances of one group may meet a choice again.
            let wanted = path.clone();
            let mut n = 2;
            while self.by_path.contains_key(&path) {
                path = format!("{wanted}#{n}");
                n += 1;
            }
        }
        if let Some(&id) = self.by_path.get(&path) {
            let known = &self.choices[id];
            if known.labels != labels || known.kind != kind {
                return Err(Problem::new(
                    span,
                    format!("the shared choice `{path}` has other options here than before"),
                    format!(
                        "{{{}}} here, {{{}}} before",
                        labels.join(", "),
                        known.labels.join(", ")
                    ),
                )
                .help("a shared choice is decided once, so its options must not vary"));
            }
            return Ok(id);
        }
        let id = self.choices.len();
        self.choices.push(Choice {
            path: path.clone(),
            kind,
            labels,
            span,
            group: self.unit,
        });
        self.by_path.insert(path, id);
        Ok(id)
    }

    fn statements(&mut self, body: &'a [Stmt], span: Span) -> Elab<Step> {
        let mut steps = Vec::new();
        let mut precise = false;
        for stmt in body {
            precise |= matches!(stmt, Stmt::Call(c) if c.name.text == "precision");
            // Keep going after a wrong statement, to report the others too.
            if let Err(problem) = self.statement(stmt, &mut steps) {
                if self.problems.len() >= 20 || self.made > MAX_STEPS {
                    return Err(problem);
                }
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                // What depends on the wrong statement is not wrong by itself.
                match stmt {
                    Stmt::Bind(name, _) => {
                        let value = Meaning::Value(Term::Const(Value::Int(1)));
                        self.names.push((name.text.clone(), value));
                    }
                    Stmt::Tensor(name, _) => {
                        let slot = self.input_slot.unwrap_or_default();
                        self.names.push((name.text.clone(), Meaning::Tensor(slot)));
                    }
                    Stmt::Repeat { carried, .. } => {
                        let slot = self.input_slot.unwrap_or_default();
                        let known = carried.iter().map(|c| c.name.text.clone());
                        self.names.extend(known.map(|n| (n, Meaning::Tensor(slot))));
                    }
                    _ => {}
                }
            }
        }
        let seq = self.seq(steps, span)?;
        match precise {
            true => self.step(StepKind::KeepPrecision(seq), span),
            false => Ok(seq),
        }
    }

    fn statement(&mut self, stmt: &'a Stmt, out: &mut Vec<Step>) -> Elab<()> {
        match stmt {
            Stmt::Bind(name, expr) => self.bind(name, expr, out),
            Stmt::Tensor(name, flow) => {
                self.flow(flow, &name.text, out)?;
                let step = self.step(StepKind::Save, name.span)?;
                out.push(step);
                self.names
                    .push((name.text.clone(), Meaning::Tensor(self.slots)));
                self.slots += 1;
                Ok(())
            }
            Stmt::Call(call) if call.name.text == "precision" => self.precision(call, out),
            Stmt::Call(call) => {
                let step = self.call(call)?;
                out.push(step);
                Ok(())
            }
            Stmt::Repeat {
                name,
                min,
                max,
                carried,
                body,
                span,
            } => {
                let path = match name {
                    Some(name) => self.segment(&name.text),
                    None => self.segment("repeat"),
                };
                let step = self.repeat(path, (min, max.as_ref()), (carried, body), *span)?;
                out.push(step);
                Ok(())
            }
            Stmt::Stage {
                name,
                shared,
                body,
                span,
            } => {
                let step = self.stage(name, *shared, body, *span)?;
                out.push(step);
                Ok(())
            }
            Stmt::Choose {
                name,
                alternatives,
                span,
            } => {
                let path = self.segment(name.as_ref().map_or("choice", |n| n.text.as_str()));
                let step = self.choose(path, alternatives, *span)?;
                out.push(step);
                Ok(())
            }
            Stmt::If {
                condition,
                then,
                otherwise,
                span,
            } => {
                let condition = self.expr(condition, "if", out)?;
                let path = self.segment("if");
                let then = self.under(path, |e| e.scoped(then, *span))?;
                let path = self.segment("else");
                let otherwise = self.under(path, |e| e.scoped(otherwise, *span))?;
                let kind = StepKind::If(condition, then, otherwise);
                let step = self.step(kind, *span)?;
                out.push(step);
                Ok(())
            }
            Stmt::Residual { when, span } => {
                let condition = match when {
                    Some(when) => self.expr(when, "residual", out)?,
                    None => Term::Const(Value::Bool(true)),
                };
                let slot = self.input_slot.expect("statements stand in a block");
                let kind = StepKind::Residual(condition, slot);
                let step = self.step(kind, *span)?;
                out.push(step);
                Ok(())
            }
        }
    }

    fn bind(&mut self, name: &Name, expr: &Expr, out: &mut Vec<Step>) -> Elab<()> {
        let term = self.expr(expr, &name.text, out)?;
        let term = self.fix(term, name.span, out)?;
        self.names.push((name.text.clone(), Meaning::Value(term)));
        Ok(())
    }

    /// A term whose value no longer changes: put into a slot if it would.
    fn fix(&mut self, term: Term, span: Span, out: &mut Vec<Step>) -> Elab<Term> {
        if term.is_fixed() {
            return Ok(term);
        }
        let step = self.step(StepKind::Set(term), span)?;
        out.push(step);
        self.slots += 1;
        Ok(Term::Slot(self.slots - 1))
    }

    fn lookup(&self, name: &str) -> Option<&Meaning> {
        self.names
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, m)| m)
    }
}

fn join(path: &str, segment: &str) -> String {
    match path.is_empty() {
        true => segment.to_string(),
        false => format!("{path}.{segment}"),
    }
}
