//! Tokens to a syntax tree, by recursive descent. After an error the parser
//! skips to the next top-level item, so that one slip does not hide the rest.

mod flows;
mod items;
mod statements;
mod values;

use crate::space::ast::*;
use crate::space::error::{Problem, Span};
use crate::space::lexer::{Lexeme, Token, lex};

/// Blocks, choices and parentheses may be nested this deep.
const MAX_NESTING: usize = 64;

pub(super) const ITEMS: [&str; 7] = [
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
}
