//! `repeat ... with before, last`: tensors that each round takes from the one
//! before it, as a cell takes the outputs of the last two cells. They have slots
//! of their own, the same before, between and after all rounds; a round ends by
//! moving there what its body gave these names.

use super::*;

impl<'a> Elaborator<'a> {
    /// Saves what the first round takes, in slots on top of those in use, and
    /// gives it the names, which stay known after the `repeat`. The current
    /// tensor is still the current one afterwards.
    pub(super) fn carry_in(
        &mut self,
        carried: &'a [Carried],
        body: &'a [Stmt],
        span: Span,
    ) -> Elab<Vec<Step>> {
        let mut steps = Vec::new();
        if carried.is_empty() {
            return Ok(steps);
        }
        for Carried { name, .. } in carried {
            if !body.iter().any(|stmt| gives(stmt, &name.text)) {
                return Err(Problem::new(
                    name.span,
                    format!("no round gives `{}` a new tensor", name.text),
                    "handed on as it came",
                )
                .help(format!(
                    "write `{0} = ...` among the statements of the body, or leave `{0}` out of \
                     `with`: a tensor named outside is known inside",
                    name.text
                )));
            }
        }
        let base = self.slots;
        steps.push(self.step(StepKind::Save, span)?);
        self.slots += 1;
        for Carried { name, start } in carried {
            match start {
                Some(flow) => self.flow(flow, &name.text, &mut steps)?,
                None => {
                    let slot =
                        self.tensor(name)
                            .map_err(|problem| match problem.help.is_some() {
                                true => problem,
                                false => problem.help(format!(
                                    "say what the first round takes, as in `with {} = input`",
                                    name.text
                                )),
                            })?;
                    steps.push(self.step(StepKind::Load(slot), name.span)?);
                }
            }
            steps.push(self.step(StepKind::Save, name.span)?);
            self.slots += 1;
        }
        // The current tensor as it was, whose own slot then goes.
        steps.push(self.step(StepKind::Load(base), span)?);
        let saved = (base + 1..self.slots).collect();
        steps.push(self.step(StepKind::Carry(base, saved), span)?);
        self.slots = base;
        for Carried { name, .. } in carried {
            self.names
                .push((name.text.clone(), Meaning::Tensor(self.slots)));
            self.slots += 1;
        }
        Ok(steps)
    }

    /// One round: a scope of which the carried tensors alone are left.
    pub(super) fn round(
        &mut self,
        carried: &'a [Carried],
        body: &'a [Stmt],
        span: Span,
    ) -> Elab<Step> {
        if carried.is_empty() {
            return self.scoped(body, span);
        }
        let (slots, names) = (self.slots, self.names.len());
        let base = slots - carried.len();
        let inner = self.statements(body, span);
        let moved: Elab<Vec<usize>> = carried.iter().map(|c| self.tensor(&c.name)).collect();
        self.names.truncate(names);
        self.slots = slots;
        let inner = inner?;
        let carry = self.step(StepKind::Carry(base, moved?), span)?;
        self.seq(vec![inner, carry], span)
    }
}

/// Whether a statement gives the name a tensor in the scope it stands in.
fn gives(stmt: &Stmt, name: &str) -> bool {
    match stmt {
        Stmt::Tensor(given, _) => given.text == name,
        Stmt::Repeat { carried, .. } => carried.iter().any(|c| c.name.text == name),
        _ => false,
    }
}
