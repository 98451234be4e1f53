//! Tokens to a syntax tree, by recursive descent. After an error the parser
//! skips to the next top-level item, so that one slip does not hide the rest.

mod flows;
mod items;
mod values;

use crate::space::ast::*;
use crate::space::error::{Problem, Span};
use crate::space::lexer::{Lexeme, Token, lex};

/// Blocks, choices and parentheses may be nested this deep.
const MAX_NESTING: usize = 64;

const ITEMS: [&str; 7] = [
    "input", "classes", "let", "require", "import", "block", "network",
];
/// Errors reported at once.
const MAX_PROBLEMS: usize = 20;

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
        problems: Vec::new(),
    };
    parser.file()
}

struct Parser {
    lexemes: Vec<Lexeme>,
    at: usize,
    nesting: usize,
    /// Errors after which the parser went on.
    problems: Vec<Problem>,
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
        if self.is_word("library") {
            return Err(vec![
                Problem::new(
                    self.span(),
                    "a library is not a space: it holds blocks for others",
                    "a library",
                )
                .help("write `import \"PATH\"` in a file that begins with `space NAME`"),
            ]);
        }
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
            requires: Vec::new(),
            blocks: Vec::new(),
            network: None,
        };
        while *self.peek() != Token::End {
            let before = self.at;
            if let Err(problem) = self.item(&mut file) {
                self.problems.push(problem);
                self.nesting = 0;
                self.recover(before);
            }
            if self.problems.len() >= MAX_PROBLEMS {
                break;
            }
        }
        match self.problems.is_empty() {
            true => Ok(file),
            false => Err(std::mem::take(&mut self.problems)),
        }
    }

    /// Skips to the next line that begins an item outside all braces, or to the
    /// next `block` or `network` that begins a line, should braces be missing.
    fn recover(&mut self, before: usize) {
        let mut depth = 0i64;
        for at in before.. {
            let lexeme = &self.lexemes[at];
            let starts = |items: &[&str]| {
                lexeme.leads_line
                    && matches!(&lexeme.token, Token::Ident(w) if items.contains(&w.as_str()))
            };
            let found = starts(&["block", "network"]) || depth <= 0 && starts(&ITEMS);
            let later = at >= self.at && at > before;
            if lexeme.token == Token::End || later && found {
                self.at = at;
                return;
            }
            match lexeme.token {
                Token::Punct("{") => depth += 1,
                Token::Punct("}") => depth -= 1,
                _ => {}
            }
        }
    }

    fn item(&mut self, file: &mut File) -> Parse<()> {
        let start = self.span();
        let word = match self.peek() {
            Token::Ident(word) => word.clone(),
            _ => {
                return Err(self.unexpected(
                    "`input`, `classes`, `let`, `require`, `import`, `block` or `network`",
                ));
            }
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
                let (input, span) = self.input(start)?;
                if file.input.replace((input, span)).is_some() {
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
            "require" => {
                let require = self.require()?;
                file.requires.push(require);
            }
            "import" => {
                self.next();
                return Err(match self.peek() {
                    Token::Text(_) => Problem::new(
                        start.to(self.next().span),
                        "this import cannot be followed here",
                        "not found",
                    )
                    .help("imports are read when a space is loaded from a file"),
                    _ => self
                        .unexpected("a path in quotes")
                        .help("as in `import \"lib/mobile.space\"`"),
                });
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
                return Err(Problem::new(
                    start,
                    format!("`{other}` does not begin a top-level item"),
                    "expected `input`, `classes`, `let`, `require`, `import`, `block` or `network`",
                )
                .help("operators stand inside `block NAME { ... }` or `network { ... }`")
                .suggest(other, ITEMS));
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
        // Where a statement is wrong, its line is skipped and the next is read.
        let nesting = self.nesting;
        while !ends.iter().any(|e| self.is_punct(e)) && !self.is_word("when") {
            if *self.peek() == Token::End {
                return Err(self.unexpected("`}`"));
            }
            if self.eat_punct(";") {
                continue;
            }
            let before = self.at;
            match self.statement() {
                Ok(statement) => body.push(statement),
                Err(problem) => {
                    self.nesting = nesting;
                    if self.problems.len() + 1 >= MAX_PROBLEMS || !self.skip_line(before, ends) {
                        return Err(problem);
                    }
                    self.problems.push(problem);
                    // What was wrong stands for a statement, so that no
                    // complaint about an empty body follows.
                    body.push(Stmt::Call(Call {
                        name: Name {
                            text: "skip".into(),
                            span: self.last_span(),
                        },
                        args: Vec::new(),
                        span: self.last_span(),
                    }));
                }
            }
        }
        Ok(body)
    }

    /// Goes on to the first token of a later line on this level of braces, or
    /// to what ends it; false where the rest of the file has neither.
    fn skip_line(&mut self, before: usize, ends: &[&str]) -> bool {
        // Braces opened between the statement's start and the error are open.
        let mut depth = 0usize;
        let count = |token: &Token, depth: &mut usize| match token {
            Token::Punct("{") => *depth += 1,
            Token::Punct("}") => *depth = depth.saturating_sub(1),
            _ => {}
        };
        for at in before..self.at {
            count(&self.lexemes[at].token.clone(), &mut depth);
        }
        loop {
            let lexeme = &self.lexemes[self.at];
            if lexeme.token == Token::End {
                return false;
            }
            let later = self.at > before;
            let ended = matches!(lexeme.token, Token::Punct(p) if p == "}" || ends.contains(&p));
            if depth == 0 && (ended || later && lexeme.leads_line) {
                return true;
            }
            let token = lexeme.token.clone();
            count(&token, &mut depth);
            self.next();
        }
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
