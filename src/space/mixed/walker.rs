//! The program run for several options of a choice at once.

use super::extent;
use super::graph::{Graph, MAX_NODES};
use super::merge::{Outcomes, State};
use super::{MixedNetwork, Paths, Picked};
use crate::network::{Builder, Inputs, NodeId, Op, Shape};
use crate::space::Problem;
use crate::space::elaborate::Program;
use crate::space::step::*;
use crate::space::walk::{apply_residual, condition, join_op, precision, values};

/// Steps run for one network: choices inside choices multiply.
const MAX_STEPS: usize = 2_000_000;

type Walk<T> = Result<T, Box<Problem>>;

/// Runs the program for the paths picked; `shares` says whether what is computed
/// twice is built once.
pub fn mixed(
    program: &Program,
    paths: &mut impl Paths,
    shares: bool,
) -> Result<MixedNetwork, Problem> {
    let mut walker = Walker {
        program,
        paths,
        graph: Graph::new(program.inputs[0], shares),
        state: State {
            at: NodeId(0),
            slots: Vec::new(),
            nodes: Vec::new(),
        },
        path: String::new(),
        picked: vec![None; program.choices.len()],
        steps: 0,
    };
    walker.run(&program.root).map_err(|problem| *problem)?;
    let at = walker.state.at;
    Ok(walker.graph.finish(at))
}

struct Walker<'a, P> {
    program: &'a Program,
    paths: &'a mut P,
    graph: Graph,
    state: State,
    /// Where in the program, as positions within positions.
    path: String,
    /// What was picked of each choice; inside one of several options, that one.
    picked: Vec<Option<Picked>>,
    steps: usize,
}

impl<P: Paths> Walker<'_, P> {
    fn shape(&self) -> Shape {
        self.graph.shape(self.state.at)
    }

    fn push(&mut self, value: Value) {
        self.state.slots.push(value);
        self.state.nodes.push(self.state.at);
    }

    fn truncate(&mut self, base: usize) {
        self.state.slots.truncate(base);
        self.state.nodes.truncate(base);
    }

    /// Runs a part of the program under its place.
    fn within(&mut self, place: impl std::fmt::Display, step: &Step) -> Walk<()> {
        use std::fmt::Write;
        let outer = self.path.len();
        write!(self.path, ".{place}").expect("text");
        let done = self.run(step);
        self.path.truncate(outer);
        done
    }

    /// Runs steps from `first` on.
    fn run_all(&mut self, steps: &[Step], first: usize, end: usize) -> Walk<()> {
        let mut index = first;
        while index < end {
            index += match &*steps[index].kind {
                StepKind::Decide(choice, terms) => {
                    self.decide(*choice, terms, steps, index, end)?
                }
                _ => {
                    // What follows a tensor that was named goes by that tensor's
                    // name: an edge has the same weights in whichever pick of
                    // inputs it stands.
                    let loaded = index.checked_sub(1).map(|i| &*steps[i].kind);
                    match loaded {
                        Some(StepKind::Load(slot)) => {
                            self.within(format_args!("{index}<{slot}"), &steps[index])?
                        }
                        _ => self.within(index, &steps[index])?,
                    }
                    1
                }
            };
        }
        Ok(())
    }

    fn run(&mut self, step: &Step) -> Walk<()> {
        self.steps += 1;
        let span = step.span;
        let at = |message: String| Box::new(Problem::new(span, message, "here"));
        if self.steps > MAX_STEPS || self.graph.size() > MAX_NODES {
            let problem = at("the options of this space are too many to be built together".into());
            return Err(Box::new(problem.help(
                "sample single paths instead (`gdas`, `proxyless`), or nest fewer choices",
            )));
        }
        match &*step.kind {
            StepKind::Seq(steps) => self.run_all(steps, 0, steps.len()),
            StepKind::Set(term) => {
                let value = term.eval(self.shape(), &self.state.slots).map_err(at)?;
                self.push(value);
                Ok(())
            }
            // Alone, so that nothing reads it.
            StepKind::Decide(choice, terms) => {
                let steps = std::slice::from_ref(step);
                self.decide(*choice, terms, steps, 0, 1).map(|_| ())
            }
            StepKind::Choose(choice, options) => {
                let mut open = Vec::new();
                for (index, (guard, _)) in options.iter().enumerate() {
                    let holds = match guard {
                        Some(g) => condition(g, self.shape(), &self.state.slots).map_err(at)?,
                        None => true,
                    };
                    if holds {
                        open.push(index);
                    }
                }
                if open.is_empty() {
                    return Err(at("no alternative of this choice can be taken".into()));
                }
                let of_inputs = self.program.choices[*choice].kind == ChoiceKind::Inputs;
                self.branch(*choice, &open, |walker, option| {
                    let body = &options[option].1;
                    match of_inputs {
                        true => walker.within("in", body),
                        false => walker.within(format_args!("o{option}"), body),
                    }
                })
            }
            StepKind::Depth {
                choice,
                least,
                rounds,
            } => {
                let open: Vec<usize> = (0..=rounds.len() - least).collect();
                self.branch(*choice, &open, |walker, option| {
                    let mut rounds = rounds[..least + option].iter().enumerate();
                    rounds.try_for_each(|(index, round)| walker.within(index, round))
                })
            }
            StepKind::Input(choice, shapes) => {
                let open: Vec<usize> = (0..shapes.len()).collect();
                match self.pick(*choice, &open)? {
                    Picked::One(option) => self.graph.restart(shapes[option]),
                    _ => return Err(self.unmixable(*choice, "it decides the network's input")),
                }
                Ok(())
            }
            StepKind::Precision(weights, activations) => {
                let bits = precision(weights, activations, self.shape(), &self.state.slots);
                self.graph.set_precision(bits.map_err(at)?);
                Ok(())
            }
            StepKind::KeepPrecision(body) => {
                let before = self.graph.precision();
                self.run(body)?;
                self.graph.set_precision(before);
                Ok(())
            }
            StepKind::If(term, then, otherwise) => {
                match condition(term, self.shape(), &self.state.slots).map_err(at)? {
                    true => self.within("t", then),
                    false => self.within("e", otherwise),
                }
            }
            StepKind::Op(kind, terms) => {
                let values = values(terms, self.shape(), &self.state.slots).map_err(at)?;
                self.graph.begin(&self.path);
                let emitted = kind.emit(&values, &mut self.graph, self.state.at);
                self.state.at = emitted.map_err(at)?;
                Ok(())
            }
            StepKind::Primitive(op) => {
                self.graph.begin(&self.path);
                self.append(*op, &[self.state.at]).map_err(at)
            }
            StepKind::Save => {
                self.push(Value::Tensor(self.shape()));
                Ok(())
            }
            StepKind::Load(slot) => {
                self.state.at = self.state.nodes[*slot];
                Ok(())
            }
            StepKind::Join(join, slots) => {
                let inputs: Inputs = slots.iter().map(|s| self.state.nodes[*s]).collect();
                self.append(join_op(*join), &inputs).map_err(at)
            }
            StepKind::Residual(when, slot) => {
                let slots = &self.state.slots;
                if apply_residual(when, *slot, self.shape(), slots).map_err(at)? {
                    let inputs = [self.state.at, self.state.nodes[*slot]];
                    self.append(Op::Add, &inputs).map_err(at)?;
                }
                Ok(())
            }
            StepKind::Scope(base, body) => {
                self.run(body)?;
                self.truncate(*base);
                Ok(())
            }
            StepKind::Carry(base, from) => {
                let slots: Vec<Value> = from.iter().map(|s| self.state.slots[*s]).collect();
                let nodes: Vec<NodeId> = from.iter().map(|s| self.state.nodes[*s]).collect();
                self.truncate(*base);
                self.state.slots.extend(slots);
                self.state.nodes.extend(nodes);
                Ok(())
            }
            StepKind::Unit { body, .. } => self.run(body),
            StepKind::Forget(_) => Ok(()),
        }
    }

    fn append(&mut self, op: Op, inputs: &[NodeId]) -> Result<(), String> {
        self.state.at = self.graph.push(op, inputs).map_err(|e| e.to_string())?;
        Ok(())
    }

    /// Runs a choice of a value with what reads it; returns how many steps that
    /// were.
    fn decide(
        &mut self,
        choice: ChoiceId,
        terms: &[Term],
        steps: &[Step],
        index: usize,
        end: usize,
    ) -> Walk<usize> {
        let slot = self.state.slots.len();
        let open: Vec<usize> = (0..terms.len()).collect();
        let span = steps[index].span;
        let value = |walker: &mut Self, option: usize| -> Walk<()> {
            let value = terms[option].eval(walker.shape(), &walker.state.slots);
            let value = value.map_err(|m| Box::new(Problem::new(span, m, "here")))?;
            walker.push(value);
            Ok(())
        };
        if let Picked::One(option) = self.pick(choice, &open)? {
            value(self, option)?;
            return Ok(1);
        }
        if extent::sets_precision(&steps[index + 1..end], slot) {
            return Err(
                self.unmixable(choice, "it decides bit widths, which no weight learns from")
            );
        }
        let reach = extent::readers(&steps[..end], index, slot);
        self.branch(choice, &open, |walker, option| {
            value(walker, option)?;
            walker.run_all(steps, index + 1, index + 1 + reach)
        })?;
        Ok(1 + reach)
    }

    fn pick(&mut self, choice: ChoiceId, open: &[usize]) -> Walk<Picked> {
        if self.picked[choice].is_none() {
            let mut picked = self.paths.pick(choice, open);
            // A passive path is there to show its output; what it meets is one
            // option, weighed by nothing.
            if self.graph.is_passive {
                picked = Picked::One(match picked {
                    Picked::One(option) => option,
                    Picked::Gated { active, .. } => active,
                    Picked::Mixed(options) => options[0],
                });
            }
            self.picked[choice] = Some(picked);
        }
        let picked = self.picked[choice].clone().expect("just picked");
        let fitting = match picked {
            Picked::One(option) if open.contains(&option) => Some(Picked::One(option)),
            Picked::Gated { active, passive } if open.contains(&active) => Some(Picked::Gated {
                active,
                passive: passive.filter(|p| open.contains(p) && !self.graph.is_passive),
            }),
            Picked::Mixed(options) => {
                let kept: Vec<usize> = options.into_iter().filter(|o| open.contains(o)).collect();
                (!kept.is_empty()).then_some(Picked::Mixed(kept))
            }
            _ => None,
        };
        fitting.ok_or_else(|| {
            self.unmixable(
                choice,
                "the option taken is closed to a later instance of it",
            )
        })
    }

    /// Runs what was picked of a choice.
    fn branch(
        &mut self,
        choice: ChoiceId,
        open: &[usize],
        mut run: impl FnMut(&mut Self, usize) -> Walk<()>,
    ) -> Walk<()> {
        let (options, main, passive) = match self.pick(choice, open)? {
            Picked::One(option) => return run(self, option),
            Picked::Mixed(options) => (options, None, None),
            Picked::Gated { active, passive } => {
                let options = std::iter::once(active).chain(passive).collect();
                (options, Some(0), passive)
            }
        };
        let before = self.state.clone();
        let outer = self.picked[choice].clone();
        let mut states = Vec::new();
        for option in &options {
            self.state.clone_from(&before);
            self.picked[choice] = Some(Picked::One(*option));
            let was_passive = self.graph.is_passive;
            let precision = self.graph.precision();
            if passive == Some(*option) {
                self.graph.is_passive = true;
            }
            // Choices met inside a passive path alone were not really taken.
            let known = self.graph.is_passive.then(|| self.picked.clone());
            let done = run(self, *option);
            if let Some(known) = known {
                self.picked = known;
            }
            self.graph.is_passive = was_passive;
            self.graph.set_precision(precision);
            done?;
            states.push(self.state.clone());
        }
        self.picked[choice] = outer;
        let outcomes = Outcomes {
            before: &before,
            choice,
            options: options.clone(),
            states,
            main,
        };
        self.state = outcomes.merge(&mut self.graph).map_err(|ends| {
            let labels = &self.program.choices[choice].labels;
            let [one, other] =
                ends.map(|(place, shape)| format!("`{}` ends in {shape}", labels[options[place]]));
            self.unmixable(choice, &format!("{one}, {other}"))
        })?;
        Ok(())
    }

    fn unmixable(&self, choice: ChoiceId, why: &str) -> Box<Problem> {
        let choice = &self.program.choices[choice];
        let message = format!("choice `{}` cannot be relaxed: {why}", choice.path);
        Box::new(Problem::new(choice.span, message, "this choice").help(
            "differentiable strategies weigh operators and widths whose outputs can be added; \
                 fix this choice in a copy of the space, or search with another strategy",
        ))
    }
}
