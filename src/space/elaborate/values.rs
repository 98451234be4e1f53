//! Expressions: names are resolved, constants computed, and choices of values
//! become steps before the place that uses them.

use super::*;

impl Elaborator<'_> {
    /// An expression; choices inside become steps before it. `name` is what a
    /// choice without a name of its own is called.
    pub(super) fn expr(&mut self, expr: &Expr, name: &str, out: &mut Vec<Step>) -> Elab<Term> {
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
            ExprKind::Call(function, args) if Extent::ALL.iter().any(|(n, _)| n == function) => {
                self.extent(function, args, expr.span)
            }
            ExprKind::Call(function, args) => {
                let Some((_, func, arity)) = Func::ALL.iter().find(|(n, ..)| n == function) else {
                    return Err(Problem::new(
                        expr.span,
                        format!("there is no function `{function}`"),
                        "unknown",
                    )
                    .help("functions: min, max, ceil, floor, divisible, and channels, height, width, length of a named tensor")
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

    /// `channels(x)`, `height(x)`, ...: a size of a named tensor.
    fn extent(&self, function: &str, args: &[Expr], span: Span) -> Elab<Term> {
        let extent = Extent::ALL.iter().find(|(n, _)| *n == function);
        let (
            Some((_, extent)),
            [
                Expr {
                    kind: ExprKind::Name(tensor),
                    span: at,
                },
            ],
        ) = (extent, args)
        else {
            return Err(Problem::new(
                span,
                format!("`{function}(...)` needs the name of one tensor"),
                "not one name",
            )
            .help(format!(
                "`{function}` alone is that of the current tensor; `{function}(x)` that of `x`"
            )));
        };
        let slot = self.tensor(&Name {
            text: tensor.clone(),
            span: *at,
        })?;
        Ok(Term::Extent(slot, *extent))
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
            "length" => Ok(Term::Current(Extent::Length)),
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
                            known.chain(["in", "channels", "height", "width", "length", "index"]),
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
    term.eval(Shape::vector(1), &Vec::new())
        .map(Term::Const)
        .map_err(|message| Problem::new(span, message, "here"))
}
