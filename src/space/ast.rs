//! The syntax tree, as written: names are not resolved and nothing is unrolled.

use super::error::Span;

#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub name: Name,
    pub input: Option<(Input, Span)>,
    pub classes: Option<(i64, Span)>,
    pub lets: Vec<(Name, Expr)>,
    pub requires: Vec<Require>,
    pub blocks: Vec<Block>,
    pub network: Option<(Vec<Stmt>, Span)>,
}

/// What one sample is. Sizes are expressions so that they may be choices.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// `image 3x32x32`: channels, height, width.
    Image(Vec<usize>),
    /// `image 3x{128, 160}`: channels, and the side of a square, a choice.
    Square(usize, Expr),
    /// `tokens 256 vocab 32000`: ids below the vocabulary's size.
    Tokens { length: Expr, vocab: i64 },
    /// `sequence 49x40`: steps of so many features.
    Sequence(Vec<usize>),
    /// `tabular 32`: so many features.
    Tabular(i64),
}

/// `require params < 5M`: a bound on a cost, kept to by sampling.
#[derive(Debug, Clone, PartialEq)]
pub struct Require {
    pub metric: Name,
    pub sign: Binary,
    pub bound: Expr,
    pub span: Span,
}

/// A named, reusable piece of network with parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub name: Name,
    pub params: Vec<Param>,
    /// All uses take the same decisions (a cell stacked many times).
    pub shared: bool,
    pub body: Vec<Stmt>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    pub name: Name,
    pub default: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    Int(i64),
    Float(f64),
    Bool(bool),
    Name(String),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    Call(String, Vec<Expr>),
    /// `{3, 5, 7}`: one of these, to be decided.
    Choice(Vec<Expr>),
    /// `first A else B`: `A` in the first round of a `repeat`, `B` later.
    First(Box<Expr>, Box<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unary {
    Neg,
    Not,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binary {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Arg {
    /// `stride 2` or `stride: 2`; none for a positional argument.
    pub name: Option<Name>,
    pub value: Expr,
}

/// The use of an operator or block.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub name: Name,
    pub args: Vec<Arg>,
    pub span: Span,
}

/// One alternative of a `choose`.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    pub label: Option<Name>,
    pub body: Vec<Stmt>,
    pub guard: Option<Expr>,
    pub span: Span,
}

/// A value made of tensors: `a -> conv(3, 8) + b`.
#[derive(Debug, Clone, PartialEq)]
pub enum Flow {
    /// A named tensor, or `input` for what entered the block.
    Tensor(Name),
    /// A tensor sent through operators.
    Through(Box<Flow>, Vec<Call>),
    Sum(Vec<Flow>),
    /// `x * gate`: element-wise, the second may be a gate of `Cx1x1`.
    Product(Vec<Flow>),
    Concat(Vec<Flow>),
    /// `pick 2 {a, b, c}`: the sum of so many distinct ones, to be decided;
    /// with `through { ... }` each goes through a body of its own first.
    Pick {
        name: Option<Name>,
        count: usize,
        from: Vec<Name>,
        through: Option<Vec<Stmt>>,
        span: Span,
    },
}

/// A tensor that each round of a `repeat` takes from the one before:
/// `before` or `before = stem`.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried {
    pub name: Name,
    /// What the first round takes; the tensor of this name where none is given.
    pub start: Option<Flow>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Stmt {
    /// `kernel: {3, 5}` names a value, usually a choice.
    Bind(Name, Expr),
    /// `a = input -> conv(3, 8)` names a tensor and makes it the current one.
    Tensor(Name, Flow),
    Call(Call),
    Repeat {
        name: Option<Name>,
        min: Expr,
        max: Option<Expr>,
        carried: Vec<Carried>,
        body: Vec<Stmt>,
        span: Span,
    },
    Stage {
        name: Name,
        shared: bool,
        body: Vec<Stmt>,
        span: Span,
    },
    Choose {
        name: Option<Name>,
        alternatives: Vec<Alternative>,
        span: Span,
    },
    If {
        condition: Expr,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
        span: Span,
    },
    /// Adds what entered the block, where the condition holds.
    Residual {
        when: Option<Expr>,
        span: Span,
    },
}

/// Every use of an operator or a block in a body, in order.
pub fn calls(body: &[Stmt]) -> Vec<&Call> {
    let mut found = Vec::new();
    for statement in body {
        match statement {
            Stmt::Bind(..) | Stmt::Residual { .. } => {}
            Stmt::Tensor(_, flow) => found.extend(flow_calls(flow)),
            Stmt::Call(call) => found.push(call),
            Stmt::Repeat { body, carried, .. } => {
                let starts = carried.iter().filter_map(|c| c.start.as_ref());
                starts.for_each(|flow| found.extend(flow_calls(flow)));
                found.extend(calls(body));
            }
            Stmt::Stage { body, .. } => found.extend(calls(body)),
            Stmt::Choose { alternatives, .. } => {
                let bodies = alternatives.iter().flat_map(|a| calls(&a.body));
                found.extend(bodies);
            }
            Stmt::If {
                then, otherwise, ..
            } => {
                found.extend(calls(then));
                found.extend(calls(otherwise));
            }
        }
    }
    found
}

fn flow_calls(flow: &Flow) -> Vec<&Call> {
    match flow {
        Flow::Tensor(_) => Vec::new(),
        Flow::Through(from, calls) => {
            let mut found = flow_calls(from);
            found.extend(calls);
            found
        }
        Flow::Sum(parts) | Flow::Product(parts) | Flow::Concat(parts) => {
            parts.iter().flat_map(flow_calls).collect()
        }
        Flow::Pick { through, .. } => through.as_deref().map_or(Vec::new(), calls),
    }
}
