//! A body between braces as a graph: a box for each statement, the tensors that
//! flow between them as edges; bodies inside are drawn the same way in frames of
//! their own.

use std::collections::HashMap;

use super::Context;
use super::figure::{Figure, Line, Mark, Style, Tone};
use super::words::wrapped;
use crate::network::draw::layout::{Point, Size, layout};
use crate::space::ast::{Alternative, Call, Carried, Expr, ExprKind, Flow, Name, Stmt};
use crate::space::error::Span;

/// How wide the alternatives of a choice may stand beside each other.
const WIDEST_ROW: f64 = 720.0;
const PADDING: f64 = 12.0;

pub struct Graph<'c, 's> {
    context: &'c Context<'c>,
    shown: &'s mut Vec<Span>,
    /// Values and bit widths, above the graph.
    values: Vec<Figure>,
    boxes: Vec<Figure>,
    edges: Vec<(usize, usize, Line)>,
    /// Tensors by name and the boxes they come from.
    names: HashMap<String, usize>,
    /// Where the current tensor comes from; none at the start of a body whose
    /// input enters its frame.
    current: Option<usize>,
}

impl<'c, 's> Graph<'c, 's> {
    pub fn new(context: &'c Context<'c>, shown: &'s mut Vec<Span>) -> Self {
        Graph {
            context,
            shown,
            values: Vec::new(),
            boxes: Vec::new(),
            edges: Vec::new(),
            names: HashMap::new(),
            current: None,
        }
    }

    /// Begins with a box for what enters.
    pub fn enter(&mut self, lines: &[String], tone: Tone) {
        let entry = self.add(Figure::boxed(lines, tone));
        self.names.insert("input".into(), entry);
        self.current = Some(entry);
    }

    /// Notes that the choices of a place are in the drawing.
    pub fn shown(&mut self, span: Span) {
        self.shown.push(span);
    }

    pub fn note_choices(&mut self, expr: &Expr) -> bool {
        let spans = self.context.choices_in(expr);
        self.shown.extend(&spans);
        !spans.is_empty()
    }

    fn add(&mut self, figure: Figure) -> usize {
        self.boxes.push(figure);
        self.boxes.len() - 1
    }

    /// Adds a box that takes the current tensor and gives the next.
    fn follow(&mut self, figure: Figure) -> usize {
        let index = self.add(figure);
        if let Some(from) = self.current {
            self.edges.push((from, index, Line::Always));
        }
        self.current = Some(index);
        index
    }

    /// The box a tensor comes from: one of its own where it was named outside.
    fn tensor(&mut self, name: &str) -> usize {
        if let Some(&known) = self.names.get(name) {
            return known;
        }
        let ghost = self.add(Figure::boxed(&[name.to_string()], Tone::End));
        self.names.insert(name.to_string(), ghost);
        ghost
    }

    pub fn statements(&mut self, body: &[Stmt]) {
        let mut at = 0;
        while at < body.len() {
            let head = &body[at];
            at += 1;
            let Stmt::Call(call) = head else {
                self.statement(head);
                continue;
            };
            if call.name.text == "precision" {
                let (text, spans) = self.context.call(call);
                let choice = !spans.is_empty();
                self.shown.extend(spans);
                let figure = match choice {
                    true => Figure::boxed(&wrapped(&text), Tone::Choice),
                    false => Figure::line(&text, Style::Note),
                };
                self.values.push(figure);
                continue;
            }
            let mut run = vec![call];
            if !self.is_block(call) {
                while let Some(Stmt::Call(next)) = body.get(at)
                    && self.context.follows(next)
                {
                    run.push(next);
                    at += 1;
                }
            }
            let sources = self.tensor_args(&run);
            let figure = self.calls(&run, " · ", "");
            let index = self.follow(figure);
            self.join(sources, index);
        }
    }

    fn is_block(&self, call: &Call) -> bool {
        self.context.blocks.contains_key(call.name.text.as_str())
    }

    /// Tensors among the arguments.
    fn tensor_args(&mut self, calls: &[&Call]) -> Vec<usize> {
        let mut found = Vec::new();
        for arg in calls.iter().flat_map(|c| &c.args) {
            if let ExprKind::Name(name) = &arg.value.kind
                && let Some(&index) = self.names.get(name)
            {
                found.push(index);
            }
        }
        found
    }

    fn join(&mut self, sources: Vec<usize>, to: usize) {
        for from in sources {
            if !self.edges.iter().any(|(a, b, _)| (*a, *b) == (from, to)) {
                self.edges.push((from, to, Line::Always));
            }
        }
    }

    /// A box of calls one after the other.
    fn calls(&mut self, calls: &[&Call], between: &str, name: &str) -> Figure {
        let mut texts = Vec::new();
        let mut choice = false;
        for call in calls {
            let (text, spans) = self.context.call(call);
            choice |= !spans.is_empty();
            self.shown.extend(spans);
            texts.push(text);
        }
        let tone = match (choice, calls.iter().any(|c| self.is_block(c))) {
            (true, _) => Tone::Choice,
            (_, true) => Tone::Block,
            _ => Tone::Op,
        };
        Figure::boxed(&wrapped(&format!("{name}{}", texts.join(between))), tone)
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Call(_) => unreachable!("calls are drawn in runs"),
            Stmt::Bind(name, expr) => {
                let figure = self.context.value(&name.text, expr, self.shown);
                self.values.push(figure);
            }
            Stmt::Tensor(name, flow) => {
                let index = self.flow(flow, &name.text);
                self.names.insert(name.text.clone(), index);
                self.current = Some(index);
            }
            Stmt::Repeat {
                name,
                min,
                max,
                carried,
                body,
                span,
            } => {
                let name = name.as_ref().map(|n| n.text.as_str());
                let mark = handed_on(carried);
                let starts: Vec<usize> = carried.iter().map(|c| self.start(c)).collect();
                let bounds = (min, max.as_ref());
                let figure = self.repeat(name.unwrap_or(""), bounds, body, *span, &mark);
                self.carry(figure, carried, starts);
            }
            Stmt::Stage {
                name, shared, body, ..
            } => {
                let shared = if *shared { " · shared" } else { "" };
                let figure = match body.as_slice() {
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
                        let mark = format!("{shared}{}", handed_on(carried));
                        let starts: Vec<usize> = carried.iter().map(|c| self.start(c)).collect();
                        let bounds = (min, max.as_ref());
                        let figure = self.repeat(&name.text, bounds, body, *span, &mark);
                        self.carry(figure, carried, starts);
                        return;
                    }
                    _ => {
                        let title = format!("{}{shared}", name.text);
                        self.inner(body, &title, Tone::Stage)
                    }
                };
                self.follow(figure);
            }
            Stmt::Choose {
                name,
                alternatives,
                span,
            } => {
                let figure = self.choose(name.as_ref(), alternatives, *span);
                self.follow(figure);
            }
            Stmt::If {
                condition,
                then,
                otherwise,
                ..
            } => {
                self.note_choices(condition);
                let title = format!("if {}", self.context.source(condition.span));
                let mut cases = vec![self.titled(then, &title)];
                if !otherwise.is_empty() {
                    cases.push(self.titled(otherwise, "else"));
                }
                let figure = Figure::rows(cases, WIDEST_ROW, 16.0);
                self.follow(figure.padded(PADDING, 8.0).framed(Tone::Condition));
            }
            Stmt::Residual { when, .. } => {
                let mut lines = vec!["+".to_string()];
                let mut line = Line::Always;
                let mut tone = Tone::Join;
                if let Some(when) = when {
                    line = Line::Conditional;
                    if self.note_choices(when) {
                        tone = Tone::Choice;
                    }
                    lines = wrapped(&format!("+ when {}", self.context.source(when.span)));
                }
                let input = self.tensor("input");
                let index = self.follow(Figure::boxed(&lines, tone));
                self.edges.push((input, index, line));
            }
        }
    }

    /// The box a flow ends in; its result is called `name`, where it has one.
    fn flow(&mut self, flow: &Flow, name: &str) -> usize {
        let label = match name {
            "" => String::new(),
            name => format!("{name} = "),
        };
        match flow {
            Flow::Tensor(tensor) => self.tensor(&tensor.text),
            Flow::Through(from, calls) => {
                let from = self.flow(from, "");
                let calls: Vec<&Call> = calls.iter().collect();
                let sources = self.tensor_args(&calls);
                let figure = self.calls(&calls, " → ", &label);
                let index = self.add(figure);
                self.edges.push((from, index, Line::Always));
                self.join(sources, index);
                index
            }
            Flow::Sum(parts) => self.joined(parts, &format!("{label}+")),
            Flow::Product(parts) => self.joined(parts, &format!("{label}×")),
            Flow::Concat(parts) => self.joined(parts, &format!("{label}concat")),
            Flow::Pick {
                name: own,
                count,
                from,
                through,
                span,
            } => {
                let froms: Vec<usize> = from.iter().map(|n| self.tensor(&n.text)).collect();
                let names: Vec<&str> = from.iter().map(|n| n.text.as_str()).collect();
                let own = own.as_ref().map_or("inputs", |n| n.text.as_str());
                let times = self.context.times(&[*span]);
                self.shown(*span);
                // All of them are no choice.
                let (text, tone, line) = match froms.len() == *count {
                    true => {
                        let text = format!("{label}{}", names.join(" + "));
                        (text, Tone::Stage, Line::Always)
                    }
                    false => {
                        let of = names.join(", ");
                        let text = format!("{label}{own}: {count} of {of}{times}");
                        (text, Tone::Choice, Line::Picked)
                    }
                };
                let figure = match through {
                    None => Figure::boxed(&wrapped(&text), tone),
                    Some(body) => self.inner(body, &format!("{text} · each through"), tone),
                };
                let index = self.add(figure);
                self.edges
                    .extend(froms.into_iter().map(|f| (f, index, line)));
                index
            }
        }
    }

    fn joined(&mut self, parts: &[Flow], text: &str) -> usize {
        let from: Vec<usize> = parts.iter().map(|p| self.flow(p, "")).collect();
        let index = self.add(Figure::boxed(&[text.to_string()], Tone::Join));
        self.edges
            .extend(from.into_iter().map(|f| (f, index, Line::Always)));
        index
    }

    /// The box of what the first round takes for a carried tensor.
    fn start(&mut self, carried: &Carried) -> usize {
        match &carried.start {
            Some(flow) => self.flow(flow, ""),
            None => self.tensor(&carried.name.text),
        }
    }

    /// Adds a `repeat` that takes these tensors and gives the carried ones.
    fn carry(&mut self, figure: Figure, carried: &[Carried], starts: Vec<usize>) {
        let index = self.follow(figure);
        self.join(starts, index);
        for Carried { name, .. } in carried {
            self.names.insert(name.text.clone(), index);
        }
    }

    fn repeat(
        &mut self,
        name: &str,
        (min, max): (&Expr, Option<&Expr>),
        body: &[Stmt],
        span: Span,
        shared: &str,
    ) -> Figure {
        let times = self.context.times(&[span]);
        self.shown(span);
        let mut title = name.to_string();
        if !title.is_empty() {
            title.push_str(": ");
        }
        let low = self.context.source(min.span);
        title += &match max {
            None => format!("repeat {low}"),
            Some(max) => format!("repeat {low}..{}", self.context.source(max.span)),
        };
        if self.context.is_choice(span) {
            title += " (depth)";
        }
        self.inner(body, &format!("{title}{shared}{times}"), Tone::Repeat)
    }

    fn choose(&mut self, name: Option<&Name>, alternatives: &[Alternative], span: Span) -> Figure {
        self.shown(span);
        let known = self.context.choices.get(&span).and_then(|c| c.first());
        let mut options = Vec::new();
        for (at, alternative) in alternatives.iter().enumerate() {
            let label = known.map_or("", |c| c.labels[at].as_str());
            options.push(self.option(label, alternative));
        }
        let title = match name {
            Some(name) => format!("choose {}{}", name.text, self.context.times(&[span])),
            None => format!("choose{}", self.context.times(&[span])),
        };
        let mut figure = Figure::line(&title, Style::Choice);
        figure.below(Figure::rows(options, WIDEST_ROW, 8.0), 6.0);
        figure.padded(PADDING, 8.0).framed(Tone::Choice)
    }

    /// An alternative: one box where it is a single use of something.
    fn option(&mut self, label: &str, alternative: &Alternative) -> Figure {
        let guard = alternative.guard.as_ref().map(|guard| {
            let condition = self.context.source(guard.span);
            wrapped(&format!("when {condition}"))
        });
        let mut title = Figure::line(label, Style::Choice);
        let plain = alternative
            .body
            .iter()
            .all(|s| matches!(s, Stmt::Call(c) if c.name.text != "precision"));
        let text = match plain {
            true => self.texts(&alternative.body),
            false => None,
        };
        match text {
            Some(text) if text == label => {}
            Some(text) => {
                for line in wrapped(&text) {
                    title.below(Figure::line(&line, Style::Plain), 0.0);
                }
            }
            None => {
                let mut graph = Graph::new(self.context, self.shown);
                graph.statements(&alternative.body);
                let inner = graph.figure();
                title.width = title.width.max(inner.width);
                title.centred(inner, 6.0);
            }
        }
        for line in guard.into_iter().flatten() {
            title.below(Figure::line(&line, Style::Note), 2.0);
        }
        title.padded(9.0, 6.0).framed(Tone::Option)
    }

    /// Calls without choices as one text.
    fn texts(&mut self, body: &[Stmt]) -> Option<String> {
        let mut texts = Vec::new();
        for statement in body {
            let Stmt::Call(call) = statement else {
                return None;
            };
            let (text, spans) = self.context.call(call);
            if !spans.is_empty() {
                return None;
            }
            texts.push(text);
        }
        Some(texts.join(" · "))
    }

    /// Without a frame.
    fn titled(&mut self, body: &[Stmt], title: &str) -> Figure {
        let mut graph = Graph::new(self.context, self.shown);
        graph.statements(body);
        graph.titled_figure(title, Style::Note)
    }

    fn inner(&mut self, body: &[Stmt], title: &str, tone: Tone) -> Figure {
        let mut graph = Graph::new(self.context, self.shown);
        graph.statements(body);
        graph.framed(title, tone)
    }

    /// In a frame with a title.
    pub fn framed(self, title: &str, tone: Tone) -> Figure {
        let style = match tone {
            Tone::Panel => Style::Title,
            Tone::Choice => Style::Choice,
            Tone::Repeat if title.contains("(depth)") => Style::Choice,
            _ => Style::Note,
        };
        self.titled_figure(title, style)
            .padded(PADDING, 8.0)
            .framed(tone)
    }

    /// The title stands to the left, what it is about in the middle.
    fn titled_figure(self, title: &str, style: Style) -> Figure {
        let mut whole = Figure::default();
        for line in wrapped(title) {
            whole.below(Figure::line(&line, style), 0.0);
        }
        let inner = self.figure();
        whole.width = whole.width.max(inner.width);
        whole.centred(inner, 6.0);
        whole
    }

    /// Values above, then the graph.
    fn figure(self) -> Figure {
        let mut whole = Figure::default();
        for value in self.values {
            whole.below(value, 4.0);
        }
        let sizes: Vec<Size> = self
            .boxes
            .iter()
            .map(|b| Size {
                width: b.width,
                height: b.height,
            })
            .collect();
        let pairs: Vec<(usize, usize)> = self.edges.iter().map(|(a, b, _)| (*a, *b)).collect();
        let layout = layout(&sizes, &pairs);
        let mut graph = Figure {
            width: layout.width,
            height: layout.height,
            marks: Vec::new(),
        };
        for ((from, to, line), lane) in self.edges.iter().zip(&layout.lanes) {
            let (start, end) = (layout.boxes[*from], layout.boxes[*to]);
            graph.marks.push(Mark::Edge {
                start: Point {
                    y: start.y + sizes[*from].height / 2.0,
                    ..start
                },
                lane: lane.clone(),
                end: Point {
                    y: end.y - sizes[*to].height / 2.0,
                    ..end
                },
                line: *line,
            });
        }
        for (mut figure, at) in self.boxes.into_iter().zip(&layout.boxes) {
            figure.shift(at.x - figure.width / 2.0, at.y - figure.height / 2.0);
            graph.marks.append(&mut figure.marks);
        }
        if !graph.marks.is_empty() {
            whole.width = whole.width.max(graph.width);
            whole.centred(graph, 8.0);
        }
        whole
    }
}

/// What the rounds of a `repeat` hand on, for its title.
fn handed_on(carried: &[Carried]) -> String {
    let names: Vec<&str> = carried.iter().map(|c| c.name.text.as_str()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(" · hands on {}", names.join(", ")),
    }
}
