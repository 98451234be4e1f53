//! Named tensors and what flows between them: sums, concatenations, chosen
//! inputs. This is what cells are written in.

use super::*;

impl<'a> Elaborator<'a> {
    /// A flow leaves its result as the current tensor.
    pub(super) fn flow(&mut self, flow: &'a Flow, name: &str, out: &mut Vec<Step>) -> Elab<()> {
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
            Flow::Product(parts) => self.join(Join::Product, parts, name, out),
            Flow::Concat(parts) => self.join(Join::Concat, parts, name, out),
            Flow::Pick {
                name: own,
                count,
                from,
                through,
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
                let label = match (own, through) {
                    (Some(own), _) => own.text.clone(),
                    (None, Some(_)) => name.to_string(),
                    (None, None) => format!("{name}.inputs"),
                };
                let node = self.segment(&label);
                let (path, bodies) = match through {
                    Some(body) => {
                        let copies = combinations.len();
                        let bodies = self.edges(&node, body, *count, copies, *span)?;
                        (format!("{node}.inputs"), bodies)
                    }
                    None => (node, Vec::new()),
                };
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
                    let step = match picked.as_slice() {
                        _ if !bodies.is_empty() => self.picked(&picked, &bodies, *span)?,
                        [one] => self.step(StepKind::Load(*one), *span)?,
                        _ => self.step(StepKind::Join(Join::Sum, picked), *span)?,
                    };
                    options.push((None, step));
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

    /// The body of each picked edge, whose decisions do not depend on which
    /// tensors are picked. The `j`-th one finds `j` results saved before it.
    fn edges(
        &mut self,
        node: &str,
        body: &'a [Stmt],
        count: usize,
        combinations: usize,
        span: Span,
    ) -> Elab<Vec<Step>> {
        let base = self.slots;
        let mut bodies = Vec::new();
        for edge in 0..count {
            self.slots = base + edge;
            let step = self.under(format!("{node}[{edge}]"), |e| e.in_block(body, span));
            self.slots = base;
            bodies.push(step?);
        }
        // Every combination gets a copy of them.
        let size: usize = bodies.iter().map(Step::size).sum();
        self.made = self.made.saturating_add(size.saturating_mul(combinations));
        Ok(bodies)
    }

    /// Sends each picked tensor through its body and adds the results.
    fn picked(&mut self, picked: &[usize], bodies: &[Step], span: Span) -> Elab<Step> {
        let base = self.slots;
        let mut steps = Vec::new();
        for (slot, body) in picked.iter().zip(bodies) {
            steps.push(self.step(StepKind::Load(*slot), span)?);
            steps.push(body.clone());
            steps.push(self.step(StepKind::Save, span)?);
        }
        let results = (base..base + picked.len()).collect();
        steps.push(self.step(StepKind::Join(Join::Sum, results), span)?);
        let seq = self.seq(steps, span)?;
        self.step(StepKind::Scope(base, seq), span)
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
        let scope = self.step(StepKind::Scope(base, seq), span)?;
        out.push(scope);
        Ok(())
    }

    pub(super) fn tensor(&self, name: &Name) -> Elab<usize> {
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
