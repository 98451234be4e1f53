//! Drawing a search space as papers do: the network on the left, the blocks it
//! is made of beside it, each once however often it is used. What is to be
//! decided is orange and says its options; what a figure leaves to the caption
//! (how many architectures, limits, what is shared) is written out. The drawing
//! follows the file; how often a choice is decided comes from the elaborated
//! space.

mod body;
mod figure;
mod words;

use std::collections::HashMap;

use super::ast::{Block, File, Input, Stmt, calls};
use super::error::Span;
use super::{Space, parser, step::Choice};
use body::Graph;
use figure::{Figure, Style, Tone};

/// Space between panels.
const GUTTER: f64 = 28.0;

impl Space {
    /// The family as an SVG document; equal spaces give equal text. An
    /// architecture of it is drawn by [`network::draw`](crate::network::draw).
    pub fn drawing(&self) -> String {
        figure(self).0.svg()
    }
}

/// What drawing needs to know of the space.
struct Context<'a> {
    text: &'a str,
    blocks: HashMap<&'a str, &'a Block>,
    /// The choices made of each place of the source.
    choices: HashMap<Span, Vec<&'a Choice>>,
}

/// The whole figure, with the places of the source whose choices it shows.
fn figure(space: &Space) -> (Figure, Vec<Span>) {
    let Ok(file) = parser::parse(space.text()) else {
        unreachable!("a checked space parses")
    };
    let mut choices: HashMap<Span, Vec<&Choice>> = HashMap::new();
    for choice in space.choices() {
        choices.entry(choice.span).or_default().push(choice);
    }
    let context = Context {
        text: space.text(),
        blocks: file
            .blocks
            .iter()
            .map(|b| (b.name.text.as_str(), b))
            .collect(),
        choices,
    };
    let mut shown = Vec::new();
    let network = network(&context, &file, &mut shown);
    let panels: Vec<Figure> = used_blocks(&context, &file)
        .into_iter()
        .map(|block| panel(&context, block, &mut shown))
        .collect();
    let mut whole = header(space, &context, &file, &mut shown);
    whole.below(columns(network, panels), GUTTER / 2.0);
    whole.below(legend(), GUTTER / 2.0);
    (whole, shown)
}

fn header(space: &Space, context: &Context, file: &File, shown: &mut Vec<Span>) -> Figure {
    let count = words::count(space.count());
    let mut header = Figure::line(space.name(), Style::Title);
    let sum = format!("{count} architectures, {} decisions", space.choices().len());
    header.below(Figure::line(&sum, Style::Note), 2.0);
    for (name, expr) in &file.lets {
        let line = context.value(&name.text, expr, shown);
        header.below(line, 4.0);
    }
    for require in &file.requires {
        let line = context.source(require.span);
        header.below(Figure::line(&line, Style::Note), 2.0);
    }
    header
}

fn network(context: &Context, file: &File, shown: &mut Vec<Span>) -> Figure {
    let Some((body, _)) = &file.network else {
        return Figure::default();
    };
    let mut graph = Graph::new(context, shown);
    if let Some((input, span)) = &file.input {
        let (lines, tone) = match context.is_choice(*span) {
            true => (input_lines(context, input), Tone::Choice),
            false => (input_lines(context, input), Tone::End),
        };
        graph.shown(*span);
        graph.enter(&lines, tone);
    }
    graph.statements(body);
    graph.framed("network", Tone::Panel)
}

fn input_lines(context: &Context, input: &Input) -> Vec<String> {
    let dims = |d: &[usize]| {
        let parts: Vec<String> = d.iter().map(usize::to_string).collect();
        parts.join("×")
    };
    match input {
        Input::Image(d) => vec![format!("image {}", dims(d))],
        Input::Square(channels, side) => vec![
            format!("image {channels}×side×side"),
            format!("resolution ∈ {}", context.source(side.span)),
        ],
        Input::Tokens { length, vocab } => vec![
            format!("tokens of {vocab}"),
            format!("length ∈ {}", context.source(length.span)),
        ],
        Input::Sequence(d) => vec![format!("sequence {}", dims(d))],
        Input::Tabular(n) => vec![format!("{n} features")],
    }
}

fn panel(context: &Context, block: &Block, shown: &mut Vec<Span>) -> Figure {
    let mut graph = Graph::new(context, shown);
    let params: Vec<String> = block
        .params
        .iter()
        .map(|p| match &p.default {
            Some(default) => {
                graph.note_choices(default);
                format!("{} = {}", p.name.text, context.source(default.span))
            }
            None => p.name.text.clone(),
        })
        .collect();
    let shared = match block.shared {
        true => " · shared by all uses",
        false => "",
    };
    let title = match params.is_empty() {
        true => format!("{}{shared}", block.name.text),
        false => format!("{}({}){shared}", block.name.text, params.join(", ")),
    };
    graph.enter(&["input".into()], Tone::End);
    graph.statements(&block.body);
    graph.framed(&title, Tone::Panel)
}

/// The blocks the network uses, in the order it meets them.
fn used_blocks<'a>(context: &Context<'a>, file: &'a File) -> Vec<&'a Block> {
    let mut used: Vec<&Block> = Vec::new();
    let mut bodies: Vec<&[Stmt]> = file.network.iter().map(|(b, _)| b.as_slice()).collect();
    let mut next = 0;
    while next < bodies.len() {
        for call in calls(bodies[next]) {
            if let Some(block) = context.blocks.get(call.name.text.as_str())
                && !used.iter().any(|b| std::ptr::eq(*b, *block))
            {
                used.push(block);
                bodies.push(&block.body);
            }
        }
        next += 1;
    }
    used
}

/// The network, and the panels beside it in columns about as tall.
fn columns(network: Figure, panels: Vec<Figure>) -> Figure {
    let tallest = panels.iter().map(|p| p.height).fold(0.0, f64::max);
    // A little taller is better than a column more.
    let limit = 1.2 * network.height.max(tallest);
    let mut whole = network;
    let mut column = Figure::default();
    for panel in panels {
        if column.height > 0.0 && column.height + GUTTER + panel.height > limit {
            whole.beside(std::mem::take(&mut column), GUTTER);
        }
        column.below(panel, GUTTER);
    }
    whole.beside(column, GUTTER);
    whole
}

fn legend() -> Figure {
    let mut legend = Figure::boxed(&["a choice".into()], Tone::Choice);
    for (text, tone) in [
        ("a block, drawn beside", Tone::Block),
        ("an operator", Tone::Op),
    ] {
        legend.beside(Figure::boxed(&[text.into()], tone), 10.0);
    }
    let note = "×3: decided at three places; dashed lines: only where chosen";
    legend.beside(Figure::line(note, Style::Note).padded(0.0, 7.0), 10.0);
    legend
}

#[cfg(test)]
mod tests;
