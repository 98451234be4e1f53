//! Tokens to a syntax tree, by recursive descent. After an error the parser
//! skips to the next top-level item, so that one slip does not hide the rest.

mod flows;
mod values;

use crate::space::ast::*;
use crate::space::error::{Problem, Span};
use crate::space::lexer::{Lexeme, Token, lex};

/// Blocks, choices and parentheses may be nested this deep.
const MAX_NESTING: usize = 64;

const ITEMS: [&str; 6] = ["space", "input", "classes", "let", "block", "network"];

type Parse<T> = Result<T, Problem>;

/// Parses a file.
///
/// # Errors
/// Every syntax error found, in source order.
pub fn parse(text: &str) -> Result<File, Vec<Problem>> {
    let lexemes = lex(text).map_err(|p| vec![p])?;
    let mut parser = Parser {
        lexemes,
        at: 0,
        nesting: 0,
    };
    parser.file()
}

struct Parser {
    lexemes: Vec<Lexeme>,
    at: usize,
    nesting: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.lexemes[self.at].token
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        let last = self.lexemes.len() - 1;
        &self.lexemes[(self.at + ahead).min(last)].token
    }

    fn span(&self) -> Span {
        self.lexemes[self.at].span
    }

    fn last_span(&self) -> Span {
        self.lexemes[self.at.saturating_sub(1)].span
    }

    fn next(&mut self) -> Lexeme {
        let lexeme = self.lexemes[self.at].clone();
        if self.at + 1 < self.lexemes.len() {
            self.at += 1;
        }
        lexeme
    }

    fn is_punct(&self, p: &str) -> bool {
        matches!(self.peek(), Token::Punct(q) if *q == p)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Ident(w) if w == word)
    }

    fn eat_punct(&mut self, p: &str) -> bool {
        let hit = self.is_punct(p);
        if hit {
            self.next();
        }
        hit
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let hit = self.is_word(word);
        if hit {
            self.next();
        }
        hit
    }

    fn unexpected(&self, wanted: &str) -> Problem {
        Problem::new(
            self.span(),
            format!("expected {wanted}, found {}", self.peek().describe()),
            format!("expected {wanted}"),
        )
    }

    fn expect_punct(&mut self, p: &'static str) -> Parse<Span> {
        if self.is_punct(p) {
            Ok(self.next().span)
        } else {
            Err(self.unexpected(&format!("`{p}`")))
        }
    }

    fn name(&mut self, what: &str) -> Parse<Name> {
        match self.peek().clone() {
            Token::Ident(text) => Ok(Name {
                text,
                span: self.next().span,
            }),
            _ => Err(self.unexpected(what)),
        }
    }

    fn int(&mut self, what: &str) -> Parse<(i64, Span)> {
        match *self.peek() {
            Token::Int(value) => Ok((value, self.next().span)),
            _ => Err(self.unexpected(what)),
        }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.nesting >= MAX_NESTING {
            return Err(Problem::new(
                self.span(),
                format!("nested more than {MAX_NESTING} deep"),
                "too deep",
            )
            .help("name the inner part as a `block` and use it here"));
        }
        self.nesting += 1;
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    fn file(&mut self) -> Result<File, Vec<Problem>> {
        let mut problems = Vec::new();
        if !self.is_word("space") {
            return Err(vec![
                self.unexpected("`space NAME` at the head of the file")
                    .help("a search space begins with its name, as in `space my_space`"),
            ]);
        }
        self.next();
        let name = self.name("a name for the space").map_err(|p| vec![p])?;
        let mut file = File {
            name,
            input: None,
            classes: None,
            lets: Vec::new(),
            blocks: Vec::new(),
            network: None,
        };
        while *self.peek() != Token::End {
            let before = self.at;
            if let Err(problem) = self.item(&mut file) {
                problems.push(problem);
                self.nesting = 0;
                self.recover(before);
            }
        }
        if problems.is_empty() {
            Ok(file)
        } else {
            Err(problems)
        }
    }

    /// Skips to the next word that begins an item at the left margin of the
    /// nesting, guessing by keywords alone.
    fn recover(&mut self, before: usize) {
        if self.at == before {
            self.next();
        }
        while *self.peek() != Token::End && !["block", "network"].iter().any(|w| self.is_word(w)) {
            self.next();
        }
    }

    fn item(&mut self, file: &mut File) -> Parse<()> {
        let start = self.span();
        let word = match self.peek() {
            Token::Ident(word) => word.clone(),
            _ => return Err(self.unexpected("`input`, `classes`, `let`, `block` or `network`")),
        };
        let twice = |what: &str| {
            Problem::new(
                start,
                format!("`{what}` is given twice"),
                "given before already",
            )
            .help("keep one of them")
        };
        match word.as_str() {
            "input" => {
                self.next();
                if !self.eat_word("image") {
                    return Err(self.unexpected("`image`").help(
                        "write the input as `input image 3x32x32` (channels x height x width)",
                    ));
                }
                let Token::Dims(dims) = self.peek().clone() else {
                    return Err(self
                        .unexpected("a shape")
                        .help("channels x height x width, as in `3x32x32`"));
                };
                let span = self.next().span;
                if dims.len() != 3 || dims.contains(&0) {
                    return Err(Problem::new(
                        span,
                        "an image has three sizes, each at least 1",
                        "not an image",
                    )
                    .help("channels x height x width, as in `3x32x32`"));
                }
                if file.input.replace((dims, span)).is_some() {
                    return Err(twice("input"));
                }
            }
            "classes" => {
                self.next();
                let (value, span) = self.int("the number of classes")?;
                if file.classes.replace((value, span)).is_some() {
                    return Err(twice("classes"));
                }
            }
            "let" => {
                self.next();
                let name = self.name("a name")?;
                self.expect_punct("=")?;
                let value = self.expr()?;
                file.lets.push((name, value));
            }
            "block" => {
                let block = self.block()?;
                file.blocks.push(block);
            }
            "network" => {
                let span = self.next().span;
                let body = self.braced()?;
                if file.network.replace((body, span)).is_some() {
                    return Err(twice("network"));
                }
            }
            other => {
                let help_from = ITEMS.into_iter().skip(1);
                return Err(Problem::new(
                    start,
                    format!("`{other}` does not begin a top-level item"),
                    "expected `input`, `classes`, `let`, `block` or `network`",
                )
                .help("operators stand inside `block NAME { ... }` or `network { ... }`")
                .suggest(other, help_from));
            }
        }
        Ok(())
    }

    fn block(&mut self) -> Parse<Block> {
        self.next();
        let name = self.name("a name for the block")?;
        let mut params = Vec::new();
        if self.eat_punct("(") {
            while !self.is_punct(")") {
                let name = self.name("a parameter's name or `)`")?;
                let default = match self.eat_punct("=") {
                    true => Some(self.expr()?),
                    false => None,
                };
                params.push(Param { name, default });
                if !self.eat_punct(",") {
                    break;
                }
            }
            self.expect_punct(")")?;
        }
        let shared = self.eat_word("shared");
        let body = self.braced()?;
        Ok(Block {
            name,
            params,
            shared,
            body,
        })
    }

    fn braced(&mut self) -> Parse<Vec<Stmt>> {
        self.expect_punct("{")?;
        let body = self.nested(|p| p.statements(&["}"]))?;
        self.expect_punct("}")?;
        Ok(body)
    }

    /// Statements up to one of the closing tokens or a guard.
    fn statements(&mut self, ends: &[&str]) -> Parse<Vec<Stmt>> {
        let mut body = Vec::new();
        while !ends.iter().any(|e| self.is_punct(e)) && !self.is_word("when") {
            if *self.peek() == Token::End {
                return Err(self.unexpected("`}`"));
            }
            if self.eat_punct(";") {
                continue;
            }
            body.push(self.statement()?);
        }
        Ok(body)
    }

    fn statement(&mut self) -> Parse<Stmt> {
        let start = self.span();
        let Token::Ident(word) = self.peek().clone() else {
            return Err(self.unexpected("an operator, a block or a statement"));
        };
        match (word.as_str(), self.peek_at(1)) {
            (_, Token::Punct(":")) => {
                let name = self.name("a name")?;
                self.next();
                Ok(Stmt::Bind(name, self.expr()?))
            }
            (_, Token::Punct("=")) => {
                let name = self.name("a name")?;
                self.next();
                Ok(Stmt::Tensor(name, self.flow()?))
            }
            ("let", _) => {
                self.next();
                let name = self.name("a name")?;
                self.expect_punct("=")?;
                Ok(Stmt::Bind(name, self.expr()?))
            }
            ("repeat", _) => {
                self.next();
                let name = match (self.peek(), self.peek_at(1)) {
                    // `repeat n {`: a count by name; `repeat tail 1..3 {`: a name.
                    (Token::Ident(_), Token::Int(_) | Token::Ident(_)) => {
                        Some(self.name("a name")?)
                    }
                    _ => None,
                };
                let min = self.expr()?;
                let max = match self.eat_punct("..") {
                    true => Some(self.expr()?),
                    false => None,
                };
                let span = start.to(self.last_span());
                let body = self.braced()?;
                Ok(Stmt::Repeat {
                    name,
                    min,
                    max,
                    body,
                    span,
                })
            }
            ("stage", _) => {
                self.next();
                let name = self.name("a name for the stage")?;
                let shared = self.eat_word("shared");
                let span = start.to(self.last_span());
                let body = self.braced()?;
                Ok(Stmt::Stage {
                    name,
                    shared,
                    body,
                    span,
                })
            }
            ("choose", _) => self.choose(),
            ("if", _) => {
                self.next();
                let condition = self.expr()?;
                let span = start.to(self.last_span());
                let then = self.braced()?;
                let otherwise = match self.eat_word("else") {
                    true => self.braced()?,
                    false => Vec::new(),
                };
                Ok(Stmt::If {
                    condition,
                    then,
                    otherwise,
                    span,
                })
            }
            ("residual", _) => {
                self.next();
                let when = match self.eat_word("when") {
                    true => Some(self.expr()?),
                    false => None,
                };
                let span = start.to(self.last_span());
                Ok(Stmt::Residual { when, span })
            }
            _ => Ok(Stmt::Call(self.call()?)),
        }
    }

    fn choose(&mut self) -> Parse<Stmt> {
        let start = self.next().span;
        let name = match self.is_punct("{") {
            true => None,
            false => Some(self.name("a name for the choice or `{`")?),
        };
        let span = start.to(self.last_span());
        self.expect_punct("{")?;
        if self.is_punct("}") {
            return Err(Problem::new(
                span.to(self.span()),
                "a choice of nothing",
                "no alternative inside",
            )
            .help("give at least one, as in `choose { conv3x3(16) | skip }`"));
        }
        let alternatives = self.nested(|p| {
            p.eat_punct("|");
            let mut alternatives = vec![p.alternative()?];
            while p.eat_punct("|") {
                alternatives.push(p.alternative()?);
            }
            Ok(alternatives)
        })?;
        self.expect_punct("}")?;
        Ok(Stmt::Choose {
            name,
            alternatives,
            span,
        })
    }

    fn alternative(&mut self) -> Parse<Alternative> {
        let start = self.span();
        let label = match (self.peek(), self.peek_at(1)) {
            (Token::Ident(_), Token::Punct("=>")) => {
                let name = self.name("a label")?;
                self.next();
                Some(name)
            }
            _ => None,
        };
        let body = self.statements(&["|", "}"])?;
        if body.is_empty() {
            return Err(Problem::new(
                start.to(self.span()),
                "an empty alternative",
                "nothing stands here",
            )
            .help("write `skip` for the identity"));
        }
        let guard = match self.eat_word("when") {
            true => Some(self.expr()?),
            false => None,
        };
        Ok(Alternative {
            label,
            body,
            guard,
            span: start.to(self.last_span()),
        })
    }

    fn call(&mut self) -> Parse<Call> {
        let name = self.name("an operator or block")?;
        let start = name.span;
        if name.text == "pool" {
            return self.pool(start);
        }
        let args = match self.is_punct("(") {
            true => self.arguments()?,
            false => Vec::new(),
        };
        Ok(Call {
            name,
            args,
            span: start.to(self.last_span()),
        })
    }

    /// `pool avg global`, `pool max (3, stride 2)`: prose for three operators.
    fn pool(&mut self, start: Span) -> Parse<Call> {
        let kind = self.name("`avg` or `max`")?;
        if !["avg", "max"].contains(&kind.text.as_str()) {
            return Err(Problem::new(
                kind.span,
                format!("`{}` is not a kind of pooling", kind.text),
                "expected `avg` or `max`",
            ));
        }
        let (text, args) = if self.eat_word("global") {
            (format!("global_{}pool", kind.text), Vec::new())
        } else if self.is_punct("(") {
            (format!("{}pool", kind.text), self.arguments()?)
        } else {
            return Err(self.unexpected("`global` or `(kernel, stride)`"));
        };
        let span = start.to(self.last_span());
        Ok(Call {
            name: Name { text, span },
            args,
            span,
        })
    }

    fn arguments(&mut self) -> Parse<Vec<Arg>> {
        self.expect_punct("(")?;
        let args = self.nested(|p| {
            let mut args = Vec::new();
            while !p.is_punct(")") {
                args.push(p.argument()?);
                if !p.eat_punct(",") {
                    break;
                }
            }
            Ok(args)
        })?;
        self.expect_punct(")")?;
        Ok(args)
    }

    fn argument(&mut self) -> Parse<Arg> {
        let named = match (self.peek(), self.peek_at(1)) {
            (Token::Ident(word), _) if word == "first" || word == "not" => false,
            (Token::Ident(_), Token::Punct(p)) => *p == ":" || *p == "{",
            (Token::Ident(_), Token::Int(_) | Token::Float(_) | Token::Ident(_)) => {
                !matches!(self.peek_at(1), Token::Ident(w) if w == "and" || w == "or" || w == "else")
            }
            _ => false,
        };
        let name = match named {
            true => Some(self.name("an argument's name")?),
            false => None,
        };
        if named {
            self.eat_punct(":");
        }
        Ok(Arg {
            name,
            value: self.expr()?,
        })
    }
}
