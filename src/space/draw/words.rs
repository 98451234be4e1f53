//! What stands in the boxes: expressions as the file writes them, uses of
//! operators with the names of what is chosen, long ones broken into lines.

use num_bigint::BigUint;

use super::Context;
use super::figure::{Figure, Style, Tone};
use crate::space::ast::{Call, Expr, ExprKind};
use crate::space::error::Span;
use crate::space::ops::{self, OpKind};

/// Characters of a line at most, where it can be broken.
const WIDEST: usize = 46;

impl Context<'_> {
    /// The source of a place on one line, without comments.
    pub fn source(&self, span: Span) -> String {
        let lines = self.text[span.start..span.end].lines();
        let words = lines.flat_map(|l| l.split('#').next().unwrap_or(l).split_whitespace());
        words.collect::<Vec<&str>>().join(" ")
    }

    pub fn is_choice(&self, span: Span) -> bool {
        self.choices.contains_key(&span)
    }

    /// How often a choice is decided, where it is not once: ` ×3`.
    pub fn times(&self, spans: &[Span]) -> String {
        let most = spans
            .iter()
            .filter_map(|s| self.choices.get(s))
            .map(Vec::len)
            .max();
        match most {
            Some(n) if n > 1 => format!(" ×{n}"),
            _ => String::new(),
        }
    }

    /// The places inside an expression that are choices of this space.
    pub fn choices_in(&self, expr: &Expr) -> Vec<Span> {
        let mut found = Vec::new();
        self.collect(expr, &mut found);
        found
    }

    fn collect(&self, expr: &Expr, found: &mut Vec<Span>) {
        let inner: &[Expr] = match &expr.kind {
            ExprKind::Choice(values) => {
                if self.is_choice(expr.span) {
                    found.push(expr.span);
                }
                values
            }
            ExprKind::Call(_, args) => args,
            ExprKind::Unary(_, a) => return self.collect(a, found),
            ExprKind::Binary(_, a, b) | ExprKind::First(a, b) => {
                self.collect(a, found);
                return self.collect(b, found);
            }
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Name(_) => &[],
        };
        inner.iter().for_each(|e| self.collect(e, found));
    }

    /// A named value: what it is computed from or chosen from.
    pub fn value(&self, name: &str, expr: &Expr, shown: &mut Vec<Span>) -> Figure {
        let spans = self.choices_in(expr);
        let source = self.source(expr.span);
        shown.extend(&spans);
        if spans.is_empty() {
            let mut lines = Figure::default();
            for line in wrapped(&format!("{name} = {source}")) {
                lines.below(Figure::line(&line, Style::Note), 0.0);
            }
            return lines;
        }
        let sign = match expr.kind {
            ExprKind::Choice(_) => "∈",
            _ => "=",
        };
        let text = format!("{name} {sign} {source}{}", self.times(&spans));
        Figure::boxed(&wrapped(&text), Tone::Choice)
    }

    /// The use of an operator or block; arguments that are chosen have their
    /// names. With the choices inside.
    pub fn call(&self, call: &Call) -> (String, Vec<Span>) {
        let params: Vec<&str> = match self.blocks.get(call.name.text.as_str()) {
            Some(block) => block.params.iter().map(|p| p.name.text.as_str()).collect(),
            None => match ops::find(&call.name.text) {
                Some(found) => {
                    let skip = usize::from(found.kernel.is_some());
                    found.params[skip..].iter().map(|p| p.name).collect()
                }
                None => vec!["weights", "activations"],
            },
        };
        let mut spans = Vec::new();
        let mut position = 0;
        let mut args = Vec::new();
        for arg in &call.args {
            let chosen = self.choices_in(&arg.value);
            let value = self.source(arg.value.span);
            let name = match &arg.name {
                Some(name) => Some(name.text.as_str()),
                None => {
                    position += 1;
                    let known = params.get(position - 1).copied();
                    known.filter(|_| !chosen.is_empty())
                }
            };
            args.push(match name {
                Some(name) => format!("{name}: {value}"),
                None => value,
            });
            spans.extend(chosen);
        }
        let name = match call.name.text.as_str() {
            "global_avgpool" => "global average pool",
            "global_maxpool" => "global max pool",
            name => name,
        };
        let text = match args.is_empty() {
            true => name.to_string(),
            false => format!("{name}({})", args.join(", ")),
        };
        let times = self.times(&spans);
        (text + &times, spans)
    }

    /// Whether a call is drawn in the box of what it follows.
    pub fn follows(&self, call: &Call) -> bool {
        let known = !self.blocks.contains_key(call.name.text.as_str());
        let kind = ops::find(&call.name.text).map(|f| f.kind);
        known
            && matches!(
                kind,
                Some(
                    OpKind::Act(_)
                        | OpKind::BatchNorm
                        | OpKind::LayerNorm
                        | OpKind::RmsNorm
                        | OpKind::GroupNorm
                )
            )
    }
}

/// Broken after commas and before arrows and dots, or between words where those
/// are too far apart; later lines are indented.
pub fn wrapped(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let breaks = ["→", "·"].contains(&word);
        match pieces.last_mut() {
            Some(piece) if !breaks && !piece.ends_with(',') => {
                piece.push(' ');
                piece.push_str(word);
            }
            _ => pieces.push(word.to_string()),
        }
    }
    let length = |text: &str| text.chars().count();
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        let parts = match length(&piece) > WIDEST {
            true => piece.split(' ').map(str::to_string).collect(),
            false => vec![piece],
        };
        for part in parts {
            match lines.last_mut() {
                Some(line) if length(line) + 1 + length(&part) <= WIDEST => {
                    line.push(' ');
                    line.push_str(&part);
                }
                Some(_) => lines.push(format!("  {part}")),
                None => lines.push(part),
            }
        }
    }
    lines
}

/// All digits up to a quadrillion, three of them and a power of ten beyond.
pub fn count(count: &BigUint) -> String {
    let digits = count.to_string();
    if digits.len() <= 15 {
        let mut out = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        return out;
    }
    format!(
        "{}.{} × 10^{}",
        &digits[..1],
        &digits[1..3],
        digits.len() - 1
    )
}
