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
