//! The syntax tree to a [`Program`]: resolves names, inlines blocks, unrolls
//! repeats and gives every choice point its path and identity. Nothing is
//! decided here; expressions that depend on decisions stay expressions.

use std::collections::{BTreeMap, HashMap};

use super::ast::*;
use super::error::{Problem, Span};
use super::ops;
use super::step::*;
use crate::network::Shape;

/// A `repeat` may run at most this often.
const MAX_REPEAT: i64 = 1_000;
/// Steps of the unrolled program.
const MAX_STEPS: usize = 200_000;
/// Blocks may use blocks this deep.
const MAX_CALLS: usize = 64;

/// The elaborated space.
#[derive(Debug, Clone)]
pub struct Program {
    pub input: Shape,
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
    let Some((dims, _)) = &file.input else {
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
        next_id: 0,
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
    let root = elaborator.root(file, body, *network_span);
    let problems = elaborator.problems;
    match root {
        Ok(root) if problems.is_empty() => Ok(Program {
            input: Shape::image(dims[0], dims[1], dims[2]),
            choices: elaborator.choices,
            root,
        }),
        Ok(_) => Err(problems),
        Err(problem) => {
            let mut problems = problems;
            problems.push(problem);
            problems.sort_by_key(|p| p.span.start);
            problems.dedup();
            Err(problems)
        }
    }
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
    next_id: usize,
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
    fn root(&mut self, file: &'a File, body: &'a [Stmt], span: Span) -> Elab<Step> {
        if let Some((classes, _)) = file.classes {
            let value = Meaning::Value(Term::Const(Value::Int(classes)));
            self.names.push(("classes".into(), value));
        }
        let mut steps = Vec::new();
        for (name, expr) in &file.lets {
            self.bind(name, expr, &mut steps)?;
        }
        let body = self.in_block(body, span)?;
        steps.push(body);
        self.seq(steps, span)
    }

    fn step(&mut self, kind: StepKind, span: Span) -> Elab<Step> {
        self.next_id += 1;
        if self.next_id > MAX_STEPS {
            return Err(Problem::new(
                span,
                format!("the space unrolls to more than {MAX_STEPS} steps"),
                "too large from here on",
            )
            .help("repeat less often, or nest fewer repeats"));
        }
        Ok(Step {
            id: self.next_id,
            span,
            kind,
        })
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
        let (slots, names) = (self.slots, self.names.len());
        let inner = self.statements(body, span);
        self.names.truncate(names);
        let used = self.slots > slots;
        self.slots = slots;
        let inner = inner?;
        match used {
            true => self.step(StepKind::Scope(slots, Box::new(inner)), span),
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
        let both = vec![save, inner?];
        let both = self.seq(both, span)?;
        self.step(StepKind::Scope(base, Box::new(both)), span)
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
        for stmt in body {
            // Keep going after a wrong statement, to report the others too.
            if let Err(problem) = self.statement(stmt, &mut steps) {
                if self.problems.len() >= 20 || self.next_id > MAX_STEPS {
                    return Err(problem);
                }
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                if let Stmt::Bind(name, _) | Stmt::Tensor(name, _) = stmt {
                    let value = Meaning::Value(Term::Const(Value::Int(1)));
                    self.names.push((name.text.clone(), value));
                }
            }
        }
        self.seq(steps, span)
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
            Stmt::Call(call) => {
                let step = self.call(call)?;
                out.push(step);
                Ok(())
            }
            Stmt::Repeat {
                name,
                min,
                max,
                body,
                span,
            } => {
                let path = match name {
                    Some(name) => self.segment(&name.text),
                    None => self.segment("repeat"),
                };
                let step = self.repeat(path, (min, max.as_ref()), body, *span)?;
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
                let kind = StepKind::If(condition, Box::new(then), Box::new(otherwise));
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

    fn stage(&mut self, name: &Name, shared: bool, body: &'a [Stmt], span: Span) -> Elab<Step> {
        let path = self.segment(&name.text);
        let outer_shared = self.shared;
        let outer_groups = std::mem::take(&mut self.new_groups);
        self.shared |= shared;
        // A stage that is one repeat lends it its name: `s2.depth`, `s2[0]`.
        let inner = match body {
            [
                Stmt::Repeat {
                    name: None,
                    min,
                    max,
                    body,
                    span,
                },
            ] => {
                let path_inner = path.clone();
                self.under(path.clone(), |e| {
                    e.repeat(path_inner, (min, max.as_ref()), body, *span)
                })
            }
            _ => self.under(path, |e| e.scoped(body, span)),
        };
        self.shared = outer_shared;
        let groups = std::mem::replace(&mut self.new_groups, outer_groups);
        let inner = inner?;
        if groups.is_empty() || self.shared {
            // An outer shared scope keeps the inner decisions alive.
            self.new_groups.extend(groups);
            return Ok(inner);
        }
        let forget = self.step(StepKind::Forget(groups), span)?;
        self.seq(vec![inner, forget], span)
    }

    fn repeat(
        &mut self,
        path: String,
        (min, max): (&Expr, Option<&Expr>),
        body: &'a [Stmt],
        span: Span,
    ) -> Elab<Step> {
        let low = self.count(min)?;
        let high = match max {
            Some(max) => self.count(max)?,
            None => low,
        };
        if low > high {
            return Err(Problem::new(
                span,
                format!("`repeat {low}..{high}` runs backwards"),
                "the first bound is larger",
            ));
        }
        let options = (high - low + 1) as usize;
        let depth = match options {
            1 => None,
            _ => {
                let labels = (low..=high).map(|d| d.to_string()).collect();
                let path = format!("{path}.depth");
                Some(self.choice(path, ChoiceKind::Depth, labels, span)?)
            }
        };
        // In a shared scope all rounds take the decisions of one group.
        let group = match self.shared && high > 1 {
            true => {
                self.groups += 1;
                self.new_groups.push(self.groups - 1);
                Some(self.groups - 1)
            }
            false => None,
        };
        let outer_round = self.round;
        let outer_unit = self.unit;
        let mut rounds = Vec::new();
        for round in 0..high {
            self.round = Some(round);
            let step = match group {
                Some(group) => {
                    self.unit = Some(group);
                    let inner = self.under(path.clone(), |e| e.scoped(body, span))?;
                    self.step(StepKind::Unit(group, Box::new(inner)), span)?
                }
                None if high == 1 => self.under(path.clone(), |e| e.scoped(body, span))?,
                None => self.under(format!("{path}[{round}]"), |e| e.scoped(body, span))?,
            };
            rounds.push(step);
        }
        self.round = outer_round;
        self.unit = outer_unit;
        let Some(depth) = depth else {
            return self.seq(rounds, span);
        };
        // Depth d runs the first d rounds; nesting the tail in each option
        // would repeat steps, so a chain of "stop here" choices is avoided by
        // one option a depth over clones of the rounds.
        let mut alternatives = Vec::new();
        for d in low..=high {
            let steps = rounds[..d as usize].to_vec();
            let step = self.step(StepKind::Seq(steps), span)?;
            alternatives.push((None, step));
        }
        self.step(StepKind::Choose(depth, alternatives), span)
    }

    /// A number of rounds, which must be known before anything is decided.
    fn count(&mut self, expr: &Expr) -> Elab<i64> {
        let mut steps = Vec::new();
        let term = self.expr(expr, "count", &mut steps)?;
        let value = match (&term, steps.is_empty()) {
            (Term::Slot(_) | Term::Current(_) | Term::Extent(..), _) | (_, false) => None,
            _ => term.eval(Shape::vector(1), &[]).ok(),
        };
        match value.and_then(Value::as_int) {
            Some(n) if (0..=MAX_REPEAT).contains(&n) => Ok(n),
            Some(n) => Err(Problem::new(
                expr.span,
                format!("cannot repeat {n} times"),
                format!("must lie in 0..{MAX_REPEAT}"),
            )),
            None => Err(Problem::new(
                expr.span,
                "a `repeat` needs bounds that no choice decides",
                "not a constant",
            )
            .help("write an elastic depth as a range: `repeat 1..4 { ... }`")),
        }
    }

    fn choose(&mut self, path: String, alternatives: &'a [Alternative], span: Span) -> Elab<Step> {
        let mut labels: Vec<String> = Vec::new();
        for alternative in alternatives {
            let label = match &alternative.label {
                Some(label) => label.text.clone(),
                None => default_label(&alternative.body),
            };
            let same = labels.iter().filter(|l| **l == label).count();
            labels.push(match same {
                0 => label,
                _ => format!("{label}#{}", labels.len() + 1),
            });
        }
        if let [only] = alternatives
            && only.guard.is_none()
        {
            return self.under(path, |e| e.scoped(&only.body, span));
        }
        let choice = self.choice(path.clone(), ChoiceKind::Option, labels.clone(), span)?;
        let mut options = Vec::new();
        for (alternative, label) in alternatives.iter().zip(&labels) {
            let guard = match &alternative.guard {
                Some(guard) => {
                    let mut steps = Vec::new();
                    let term = self.expr(guard, "when", &mut steps)?;
                    if !steps.is_empty() {
                        return Err(Problem::new(
                            guard.span,
                            "a condition cannot itself be a choice",
                            "a choice stands here",
                        )
                        .help("name the choice before the `choose` and use its name"));
                    }
                    Some(term)
                }
                None => None,
            };
            let body = self.under(format!("{path}.{label}"), |e| {
                e.scoped(&alternative.body, alternative.span)
            })?;
            options.push((guard, body));
        }
        self.step(StepKind::Choose(choice, options), span)
    }

    fn call(&mut self, call: &'a Call) -> Elab<Step> {
        if let Some(block) = self.blocks.get(call.name.text.as_str()).copied() {
            return self.block_call(call, block);
        }
        let Some(found) = ops::find(&call.name.text) else {
            let mut known: Vec<&str> = ops::names().collect();
            known.extend(self.blocks.keys());
            return Err(Problem::new(
                call.name.span,
                format!("there is no operator or block `{}`", call.name.text),
                "unknown",
            )
            .help("operators are listed in docs/space-language.md; blocks are defined with `block NAME { ... }`")
            .suggest(&call.name.text, known));
        };
        let base = self.slots;
        let mut steps = Vec::new();
        let skip = usize::from(found.kernel.is_some());
        let names: Vec<&str> = found.params.iter().map(|p| p.name).collect();
        let given = self.match_args(call, &names[skip..])?;
        let mut terms = Vec::new();
        if let Some(kernel) = found.kernel {
            terms.push(Term::Const(Value::Int(kernel)));
        }
        for (param, arg) in found.params[skip..].iter().zip(given) {
            terms.push(match (arg, param.default) {
                (Some(arg), _) => self.expr(&arg.value, param.name, &mut steps)?,
                (None, Some(default)) => Term::Const(default),
                (None, None) => return Err(missing_argument(call, param.name)),
            });
        }
        let op = self.step(StepKind::Op(found.kind, terms), call.span)?;
        if steps.is_empty() {
            return Ok(op);
        }
        steps.push(op);
        self.slots = base;
        let seq = self.seq(steps, call.span)?;
        self.step(StepKind::Scope(base, Box::new(seq)), call.span)
    }

    fn block_call(&mut self, call: &'a Call, block: &'a Block) -> Elab<Step> {
        if self.calls.contains(&block.name.text.as_str()) || self.calls.len() >= MAX_CALLS {
            return Err(Problem::new(
                call.span,
                format!("block `{}` uses itself", block.name.text),
                "used inside itself",
            )
            .help("a block cannot be recursive; use `repeat` for repetition"));
        }
        let path = match block.shared {
            true => block.name.text.clone(),
            false => self.segment(&block.name.text),
        };
        // Arguments are the caller's, even where the body's decisions are shared.
        let args_path = match block.shared {
            true => self.segment(&format!("{}()", block.name.text)),
            false => path.clone(),
        };
        let params: Vec<&str> = block.params.iter().map(|p| p.name.text.as_str()).collect();
        let given = self.match_args(call, &params)?;
        let base = self.slots;
        let mut steps = Vec::new();
        let mut bound = Vec::new();
        for (param, arg) in block.params.iter().zip(given) {
            let value = match (arg, &param.default) {
                (Some(arg), _) => &arg.value,
                (None, Some(default)) => default,
                (None, None) => return Err(missing_argument(call, &param.name.text)),
            };
            let term = self.under(args_path.clone(), |e| {
                e.expr(value, &param.name.text, &mut steps)
            })?;
            let term = self.fix(term, param.name.span, &mut steps)?;
            bound.push((param.name.text.clone(), Meaning::Value(term)));
        }
        // The body sees its parameters and the file's names, not the caller's.
        let globals = self.globals();
        let callers = std::mem::replace(&mut self.names, globals);
        self.names.extend(bound);
        self.calls.push(block.name.text.as_str());
        let outer_round = self.round.take();
        let (outer_shared, outer_unit) = (self.shared, self.unit);
        let outer_groups = std::mem::take(&mut self.new_groups);
        if block.shared {
            let next = self.groups;
            let group = *self
                .block_groups
                .entry(block.name.text.clone())
                .or_insert(next);
            self.groups = self.groups.max(group + 1);
            self.shared = true;
            self.unit = Some(group);
        }
        let group = self.unit.filter(|_| block.shared);
        let body = self.under(path, |e| e.in_block(&block.body, call.span));
        // Decisions inside a shared block live as long as the space.
        let inner_groups = std::mem::replace(&mut self.new_groups, outer_groups);
        if !block.shared {
            self.new_groups.extend(inner_groups);
        }
        (self.shared, self.unit) = (outer_shared, outer_unit);
        self.round = outer_round;
        self.calls.pop();
        self.names = callers;
        self.slots = base;
        let mut body = body?;
        if let Some(group) = group {
            body = self.step(StepKind::Unit(group, Box::new(body)), call.span)?;
        }
        if steps.is_empty() {
            return Ok(body);
        }
        steps.push(body);
        let seq = self.seq(steps, call.span)?;
        self.step(StepKind::Scope(base, Box::new(seq)), call.span)
    }

    /// The file-level names: those bound before any block was entered.
    fn globals(&self) -> Vec<(String, Meaning)> {
        self.names
            .iter()
            .take_while(|(name, _)| name != "input")
            .cloned()
            .collect()
    }

    fn match_args<'c>(&self, call: &'c Call, params: &[&str]) -> Elab<Vec<Option<&'c Arg>>> {
        let mut given: Vec<Option<&Arg>> = vec![None; params.len()];
        let mut position = 0;
        for arg in &call.args {
            let index = match &arg.name {
                None => {
                    position += 1;
                    position - 1
                }
                Some(name) => match params.iter().position(|p| *p == name.text) {
                    Some(index) => index,
                    None => {
                        return Err(Problem::new(
                            name.span,
                            format!("`{}` has no parameter `{}`", call.name.text, name.text),
                            "no such parameter",
                        )
                        .help(signature_help(&call.name.text, params))
                        .suggest(&name.text, params.iter().copied()));
                    }
                },
            };
            if index >= params.len() {
                return Err(Problem::new(
                    arg.value.span,
                    format!(
                        "`{}` takes at most {} arguments",
                        call.name.text,
                        params.len()
                    ),
                    "one too many",
                )
                .help(signature_help(&call.name.text, params)));
            }
            if given[index].replace(arg).is_some() {
                return Err(Problem::new(
                    arg.value.span,
                    format!("`{}` is given twice", params[index]),
                    "given before already",
                ));
            }
        }
        Ok(given)
    }

    /// A flow leaves its result as the current tensor.
    fn flow(&mut self, flow: &'a Flow, name: &str, out: &mut Vec<Step>) -> Elab<()> {
        match flow {
            Flow::Tensor(tensor) => {
                let slot = self.tensor(tensor)?;
                let step = self.step(StepKind::Load(slot), tensor.span)?;
                out.push(step);
                Ok(())
            }
            Flow::Through(from, calls) => {
                self.flow(from, name, out)?;
                for call in calls {
                    let step = self.call(call)?;
                    out.push(step);
                }
                Ok(())
            }
            Flow::Sum(parts) => self.join(Join::Sum, parts, name, out),
            Flow::Concat(parts) => self.join(Join::Concat, parts, name, out),
            Flow::Pick {
                name: own,
                count,
                from,
                span,
            } => {
                let slots: Vec<usize> = from
                    .iter()
                    .map(|n| self.tensor(n))
                    .collect::<Elab<Vec<usize>>>()?;
                let combinations = combinations(from.len(), *count);
                if combinations.len() > 10_000 {
                    return Err(Problem::new(
                        *span,
                        "too many combinations of inputs",
                        "more than 10,000",
                    ));
                }
                let label = own
                    .as_ref()
                    .map_or(format!("{name}.inputs"), |n| n.text.clone());
                let path = self.segment(&label);
                let labels: Vec<String> = combinations
                    .iter()
                    .map(|c| {
                        let names: Vec<&str> = c.iter().map(|i| from[*i].text.as_str()).collect();
                        names.join("+")
                    })
                    .collect();
                let mut options = Vec::new();
                for combination in &combinations {
                    let picked: Vec<usize> = combination.iter().map(|i| slots[*i]).collect();
                    let kind = match picked.as_slice() {
                        [one] => StepKind::Load(*one),
                        _ => StepKind::Join(Join::Sum, picked),
                    };
                    options.push((None, self.step(kind, *span)?));
                }
                let step = if options.len() == 1 {
                    options.pop().expect("one").1
                } else {
                    let choice = self.choice(path, ChoiceKind::Inputs, labels, *span)?;
                    self.step(StepKind::Choose(choice, options), *span)?
                };
                out.push(step);
                Ok(())
            }
        }
    }

    fn join(&mut self, join: Join, parts: &'a [Flow], name: &str, out: &mut Vec<Step>) -> Elab<()> {
        let base = self.slots;
        let mut steps = Vec::new();
        let mut span = Span::default();
        for part in parts {
            self.flow(part, name, &mut steps)?;
            span = steps.last().map_or(span, |s| s.span);
            let save = self.step(StepKind::Save, span)?;
            steps.push(save);
            self.slots += 1;
        }
        // Slots used inside the parts are gone by then: each part is balanced.
        let slots = (base..self.slots).collect();
        let step = self.step(StepKind::Join(join, slots), span)?;
        steps.push(step);
        self.slots = base;
        let seq = self.seq(steps, span)?;
        let scope = self.step(StepKind::Scope(base, Box::new(seq)), span)?;
        out.push(scope);
        Ok(())
    }

    fn tensor(&self, name: &Name) -> Elab<usize> {
        match self.lookup(&name.text) {
            Some(Meaning::Tensor(slot)) => Ok(*slot),
            Some(Meaning::Value(_)) => Err(Problem::new(
                name.span,
                format!("`{}` is a value, not a tensor", name.text),
                "a tensor is needed",
            )),
            None => {
                let known: Vec<&str> = self
                    .names
                    .iter()
                    .filter(|(_, m)| matches!(m, Meaning::Tensor(_)))
                    .map(|(n, _)| n.as_str())
                    .collect();
                Err(Problem::new(
                    name.span,
                    format!("there is no tensor `{}` here", name.text),
                    "unknown",
                )
                .suggest(&name.text, known))
            }
        }
    }

    fn lookup(&self, name: &str) -> Option<&Meaning> {
        self.names
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, m)| m)
    }

    /// An expression; choices inside become steps before it. `name` is what a
    /// choice without a name of its own is called.
    fn expr(&mut self, expr: &Expr, name: &str, out: &mut Vec<Step>) -> Elab<Term> {
        match &expr.kind {
            ExprKind::Int(v) => Ok(Term::Const(Value::Int(*v))),
            ExprKind::Float(v) => Ok(Term::Const(Value::float(*v))),
            ExprKind::Bool(v) => Ok(Term::Const(Value::Bool(*v))),
            ExprKind::Name(n) => self.name(n, expr.span),
            ExprKind::Unary(op, a) => {
                let a = self.expr(a, name, out)?;
                fold(Term::Unary(*op, Box::new(a)), expr.span)
            }
            ExprKind::Binary(op, a, b) => {
                let a = self.expr(a, name, out)?;
                let b = self.expr(b, name, out)?;
                fold(Term::Binary(*op, Box::new(a), Box::new(b)), expr.span)
            }
            ExprKind::Call(function, args) => {
                let Some((_, func, arity)) = Func::ALL.iter().find(|(n, ..)| n == function) else {
                    return Err(Problem::new(
                        expr.span,
                        format!("there is no function `{function}`"),
                        "unknown",
                    )
                    .help("functions: min, max, ceil, floor, divisible")
                    .suggest(function, Func::ALL.iter().map(|(n, ..)| *n)));
                };
                if args.len() != *arity {
                    return Err(Problem::new(
                        expr.span,
                        format!("`{function}` takes {arity} arguments, not {}", args.len()),
                        "wrong number of arguments",
                    ));
                }
                let terms: Elab<Vec<Term>> = args.iter().map(|a| self.expr(a, name, out)).collect();
                fold(Term::Call(*func, terms?), expr.span)
            }
            ExprKind::First(first, later) => match self.round {
                Some(0) => self.expr(first, name, out),
                Some(_) => self.expr(later, name, out),
                None => Err(Problem::new(
                    expr.span,
                    "`first` has no meaning outside `repeat`",
                    "no round is counted here",
                )
                .help("pass the value as an argument from inside the `repeat`")),
            },
            ExprKind::Choice(values) => self.value_choice(values, name, expr.span, out),
        }
    }

    fn value_choice(
        &mut self,
        values: &[Expr],
        name: &str,
        span: Span,
        out: &mut Vec<Step>,
    ) -> Elab<Term> {
        let mut terms = Vec::new();
        let mut labels = Vec::new();
        for value in values {
            let mut steps = Vec::new();
            let term = self.expr(value, name, &mut steps)?;
            if !steps.is_empty() {
                return Err(Problem::new(
                    value.span,
                    "a choice directly inside a choice",
                    "already inside braces",
                )
                .help("write all values in one pair of braces"));
            }
            let label = match &term {
                Term::Const(v) => v.to_string(),
                _ => format!("option{}", terms.len()),
            };
            if labels.contains(&label) {
                return Err(Problem::new(
                    value.span,
                    format!("the value {label} stands twice in the choice"),
                    "a repeated value",
                )
                .help("each value counts once; remove one"));
            }
            labels.push(label);
            terms.push(term);
        }
        if terms.len() == 1 {
            return Ok(terms.pop().expect("one"));
        }
        let path = self.segment(name);
        let choice = self.choice(path, ChoiceKind::Value, labels, span)?;
        let step = self.step(StepKind::Decide(choice, terms), span)?;
        out.push(step);
        self.slots += 1;
        Ok(Term::Slot(self.slots - 1))
    }

    fn name(&self, name: &str, span: Span) -> Elab<Term> {
        match self.lookup(name) {
            Some(Meaning::Value(term)) => return Ok(term.clone()),
            Some(Meaning::Tensor(_)) => {
                return Err(Problem::new(
                    span,
                    format!("`{name}` is a tensor, not a value"),
                    "a value is needed",
                )
                .help("`in` is the number of channels that enter the block"));
            }
            None => {}
        }
        match name {
            "in" => match self.input_slot {
                Some(slot) => Ok(Term::Extent(slot, Extent::Channels)),
                None => Err(Problem::new(
                    span,
                    "`in` has no meaning outside a block",
                    "no tensor enters here",
                )),
            },
            "channels" => Ok(Term::Current(Extent::Channels)),
            "height" => Ok(Term::Current(Extent::Height)),
            "width" => Ok(Term::Current(Extent::Width)),
            "index" => match self.round {
                Some(round) => Ok(Term::Const(Value::Int(round))),
                None => Err(Problem::new(
                    span,
                    "`index` has no meaning outside `repeat`",
                    "no round is counted here",
                )),
            },
            _ => {
                let known = self.names.iter().map(|(n, _)| n.as_str());
                Err(
                    Problem::new(span, format!("there is no value `{name}` here"), "unknown")
                        .suggest(
                            name,
                            known.chain(["in", "channels", "height", "width", "index"]),
                        ),
                )
            }
        }
    }
}

/// Computes what is constant already, so that mistakes show early.
fn fold(term: Term, span: Span) -> Elab<Term> {
    let constant = match &term {
        Term::Unary(_, a) => matches!(**a, Term::Const(_)),
        Term::Binary(_, a, b) => matches!((&**a, &**b), (Term::Const(_), Term::Const(_))),
        Term::Call(_, args) => args.iter().all(|a| matches!(a, Term::Const(_))),
        _ => false,
    };
    if !constant {
        return Ok(term);
    }
    term.eval(Shape::vector(1), &[])
        .map(Term::Const)
        .map_err(|message| Problem::new(span, message, "here"))
}

fn join(path: &str, segment: &str) -> String {
    match path.is_empty() {
        true => segment.to_string(),
        false => format!("{path}.{segment}"),
    }
}

fn default_label(body: &[Stmt]) -> String {
    match body.first() {
        Some(Stmt::Call(call)) => call.name.text.clone(),
        Some(Stmt::Stage { name, .. }) => name.text.clone(),
        Some(Stmt::Repeat { .. }) => "repeat".into(),
        _ => "option".into(),
    }
}

fn missing_argument(call: &Call, param: &str) -> Problem {
    Problem::new(
        call.span,
        format!("`{}` needs `{param}`", call.name.text),
        format!("`{param}` is missing"),
    )
}

fn signature_help(name: &str, params: &[&str]) -> String {
    match params.is_empty() {
        true => format!("`{name}` takes no arguments"),
        false => format!("parameters: {name}({})", params.join(", ")),
    }
}

/// All `count`-element subsets of `0..n`, in lexicographic order.
fn combinations(n: usize, count: usize) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    let mut current: Vec<usize> = (0..count).collect();
    loop {
        all.push(current.clone());
        if all.len() > 10_000 {
            return all;
        }
        let Some(i) = (0..count).rev().find(|&i| current[i] < n - count + i) else {
            return all;
        };
        current[i] += 1;
        for j in i + 1..count {
            current[j] = current[j - 1] + 1;
        }
    }
}
