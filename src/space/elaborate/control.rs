//! Stages, repetition and choices of sub-networks: what shares decisions, what
//! is unrolled, and how choice points are named by where they stand.

use super::*;

impl<'a> Elaborator<'a> {
    pub(super) fn stage(
        &mut self,
        name: &Name,
        shared: bool,
        body: &'a [Stmt],
        span: Span,
    ) -> Elab<Step> {
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
                    carried,
                    body,
                    span,
                },
            ] => {
                let path_inner = path.clone();
                self.under(path.clone(), |e| {
                    e.scope(*span, |e| {
                        e.repeat(path_inner, (min, max.as_ref()), (carried, body), *span)
                    })
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

    pub(super) fn repeat(
        &mut self,
        path: String,
        (min, max): (&Expr, Option<&Expr>),
        (carried, body): (&'a [Carried], &'a [Stmt]),
        span: Span,
    ) -> Elab<Step> {
        let mut steps = self.carry_in(carried, body, span)?;
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
                    let inner = self.under(path.clone(), |e| e.round(carried, body, span))?;
                    self.unit(group, inner, self.slots, span)?
                }
                None if high == 1 => self.under(path.clone(), |e| e.round(carried, body, span))?,
                None => self.under(format!("{path}[{round}]"), |e| e.round(carried, body, span))?,
            };
            rounds.push(step);
        }
        self.round = outer_round;
        self.unit = outer_unit;
        match depth {
            None => steps.extend(rounds),
            Some(choice) => {
                let least = low as usize;
                let kind = StepKind::Depth {
                    choice,
                    least,
                    rounds,
                };
                steps.push(self.step(kind, span)?);
            }
        }
        self.seq(steps, span)
    }

    /// A number of rounds, which must be known before anything is decided.
    fn count(&mut self, expr: &Expr) -> Elab<i64> {
        let mut steps = Vec::new();
        let term = self.expr(expr, "count", &mut steps)?;
        let value = match (&term, steps.is_empty()) {
            (Term::Slot(_) | Term::Current(_) | Term::Extent(..), _) | (_, false) => None,
            _ => term.eval(Shape::vector(1), &Vec::new()).ok(),
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

    pub(super) fn choose(
        &mut self,
        path: String,
        alternatives: &'a [Alternative],
        span: Span,
    ) -> Elab<Step> {
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
}

fn default_label(body: &[Stmt]) -> String {
    match body.first() {
        Some(Stmt::Call(call)) => call.name.text.clone(),
        Some(Stmt::Stage { name, .. }) => name.text.clone(),
        Some(Stmt::Repeat { .. }) => "repeat".into(),
        _ => "option".into(),
    }
}
