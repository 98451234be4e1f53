//! Uses of operators and blocks: arguments are matched to parameters, blocks
//! are inlined where they are used.

use super::*;

impl<'a> Elaborator<'a> {
    pub(super) fn call(&mut self, call: &'a Call) -> Elab<Step> {
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
        let constants: Option<Vec<Value>> = terms.iter().map(Term::constant).collect();
        let primitive = constants.and_then(|values| found.kind.primitive(&values));
        let kind = match primitive {
            Some(Ok(op)) => StepKind::Primitive(op),
            // What is wrong shows where it is run, with an example.
            _ => StepKind::Op(found.kind, terms),
        };
        let op = self.step(kind, call.span)?;
        if steps.is_empty() {
            return Ok(op);
        }
        steps.push(op);
        self.slots = base;
        let seq = self.seq(steps, call.span)?;
        self.step(StepKind::Scope(base, seq), call.span)
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
            if let ExprKind::Name(name) = &value.kind
                && let Some(Meaning::Tensor(slot)) = self.lookup(name)
            {
                bound.push((param.name.text.clone(), Meaning::Tensor(*slot)));
                continue;
            }
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
        let inside = self.slots;
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
            body = self.unit(group, body, inside, call.span)?;
        }
        if steps.is_empty() {
            return Ok(body);
        }
        steps.push(body);
        let seq = self.seq(steps, call.span)?;
        self.step(StepKind::Scope(base, seq), call.span)
    }

    /// The file-level names: those bound before any block was entered.
    fn globals(&self) -> Vec<(String, Meaning)> {
        self.names
            .iter()
            .take_while(|(name, _)| name != "input")
            .cloned()
            .collect()
    }

    pub(super) fn match_args<'c>(
        &self,
        call: &'c Call,
        params: &[&str],
    ) -> Elab<Vec<Option<&'c Arg>>> {
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
