//! From counts back to decisions: the way through the space with a given index,
//! which also gives an example that leads to a fault.

use super::*;

impl Analysis {
    /// The architecture with the given index, `0 <= index < count`; the order
    /// is fixed for a given space but otherwise unspecified.
    pub fn unrank(&mut self, index: &BigUint) -> Decisions {
        let mut index = index.clone();
        let program = self.program.clone();
        let start = self.start();
        let mut decisions = Decisions::new();
        for (end, ways) in self.finals().iter() {
            if index < *ways {
                self.path(&program.root, &start, end, index, &mut decisions);
                decisions.sort_unstable();
                decisions.dedup();
                return decisions;
            }
            index -= ways;
        }
        unreachable!("the index is below the count")
    }

    /// The `index`-th way through a step from one state to another.
    fn path(
        &mut self,
        step: &Step,
        from: &State,
        to: &State,
        mut index: BigUint,
        out: &mut Decisions,
    ) {
        match &step.kind {
            StepKind::Seq(steps) => {
                let layers = self.layers((step.id, steps.len()), steps, from);
                self.path_seq(steps, &layers, to, index, out);
            }
            StepKind::Decide(choice, terms) => {
                for option in self.open(*choice, terms.len(), from) {
                    let value = terms[option].eval(from.shape, &from.slots);
                    let Ok(value) = value else { continue };
                    if pushed(&self.record(from, *choice, option), value) == *to {
                        if index == BigUint::default() {
                            out.push((*choice, option));
                            return;
                        }
                        index -= 1u8;
                    }
                }
                unreachable!("the index is below the number of ways")
            }
            StepKind::Choose(choice, options) => {
                for option in self.open(*choice, options.len(), from) {
                    let (guard, body) = &options[option];
                    let taken = guard
                        .as_ref()
                        .is_none_or(|g| condition(g, from.shape, &from.slots) == Ok(true));
                    if !taken {
                        continue;
                    }
                    let state = self.record(from, *choice, option);
                    let ways = self.sure(body, &state).get(to).cloned().unwrap_or_default();
                    if index < ways {
                        out.push((*choice, option));
                        self.path(body, &state, to, index, out);
                        return;
                    }
                    index -= ways;
                }
                unreachable!("the index is below the number of ways")
            }
            StepKind::Depth {
                choice,
                least,
                rounds,
            } => {
                for option in self.open(*choice, rounds.len() - least + 1, from) {
                    let rounds = &rounds[..least + option];
                    let layers = self.layers((step.id, rounds.len()), rounds, from);
                    let last = layers.last().expect("holds at least the start");
                    // The end as it was before the depth was recorded.
                    let ends: Vec<(State, BigUint)> = last
                        .iter()
                        .filter(|(end, _)| self.record(end, *choice, option) == *to)
                        .map(|(end, ways)| (end.clone(), ways.clone()))
                        .collect();
                    for (end, ways) in ends {
                        if index < ways {
                            out.push((*choice, option));
                            self.path_seq(rounds, &layers, &end, index, out);
                            return;
                        }
                        index -= ways;
                    }
                }
                unreachable!("the index is below the number of ways")
            }
            StepKind::Input(choice, shapes) => {
                for option in self.open(*choice, shapes.len(), from) {
                    let state = self.record(from, *choice, option);
                    if reshaped(&state, shapes[option]) == *to {
                        out.push((*choice, option));
                        return;
                    }
                }
                unreachable!("an input is one of those declared")
            }
            StepKind::KeepPrecision(body) => self.path(body, from, to, index, out),
            StepKind::If(term, then, otherwise) => {
                let taken = condition(term, from.shape, &from.slots) == Ok(true);
                let branch = if taken { then } else { otherwise };
                self.path(branch, from, to, index, out);
            }
            StepKind::Scope(base, body) => {
                for (state, ways) in self.sure(body, from).iter() {
                    if cut(state, *base) != *to {
                        continue;
                    }
                    if index < *ways {
                        self.path(body, from, state, index, out);
                        return;
                    }
                    index -= ways;
                }
                unreachable!("the index is below the number of ways")
            }
            StepKind::Unit(group, body) => {
                let exact = self.all_tracked(*group);
                if from.shared.contains_key(group) {
                    // Already decided, unless a later instance decides more.
                    if exact {
                        self.path(body, from, to, index, out);
                    }
                    return;
                }
                let mut opened = from.clone();
                opened.shared.insert(*group, Shared::default());
                let mut end = to.clone();
                end.shared.get_mut(group).expect("decided").ways = BigUint::default();
                self.path(body, &opened, &end, index, out);
            }
            StepKind::Set(_)
            | StepKind::Op(..)
            | StepKind::Save
            | StepKind::Load(_)
            | StepKind::Join(..)
            | StepKind::Residual(..)
            | StepKind::Precision(..)
            | StepKind::Forget(_) => {}
        }
    }

    /// Outcomes after each prefix of steps that are known to succeed.
    fn layers(
        &mut self,
        (id, taken): (usize, usize),
        steps: &[Step],
        from: &State,
    ) -> Arc<Vec<Outcomes>> {
        let key = (id, taken, from.clone());
        if let Some(known) = self.layers.get(&key) {
            return known.clone();
        }
        let Ok(layers) = self.forward(steps, from) else {
            unreachable!("a path is asked for where the run succeeded")
        };
        let layers = Arc::new(layers);
        self.layers.insert(key, layers.clone());
        layers
    }

    pub(super) fn path_seq(
        &mut self,
        steps: &[Step],
        layers: &[Outcomes],
        to: &State,
        mut index: BigUint,
        out: &mut Decisions,
    ) {
        // Backwards: which state came before the last step?
        let mut legs = Vec::new();
        let mut end = to.clone();
        for (step, before) in steps.iter().zip(layers).rev() {
            let mut found = None;
            for (state, ways) in before.iter() {
                let inner = self.sure(step, state);
                let Some(through) = inner.get(&end) else {
                    continue;
                };
                let both = ways * through;
                if index < both {
                    found = Some((state.clone(), &index % through, &index / through));
                    break;
                }
                index -= both;
            }
            let Some((state, inside, rest)) = found else {
                unreachable!("the index is below the number of ways")
            };
            legs.push((step, state.clone(), end, inside));
            (end, index) = (state, rest);
        }
        for (step, from, to, inside) in legs.into_iter().rev() {
            self.path(step, &from, &to, inside, out);
        }
    }
}
