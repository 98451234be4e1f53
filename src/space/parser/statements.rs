//! The grammar of what stands between braces: operators, repetition, stages,
//! choices. After a wrong statement the next line is read, so that one slip does
//! not hide the others.

use super::*;

impl Parser {
    pub(super) fn braced(&mut self) -> Parse<Vec<Stmt>> {
        self.expect_punct("{")?;
        let body = self.nested(|p| p.statements(&["}"]))?;
        self.expect_punct("}")?;
        Ok(body)
    }

    /// Statements up to one of the closing tokens or a guard.
    pub(super) fn statements(&mut self, ends: &[&str]) -> Parse<Vec<Stmt>> {
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
                    (_, Token::Ident(with)) if with == "with" => None,
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
                let carried = match self.eat_word("with") {
                    true => self.carried()?,
                    false => Vec::new(),
                };
                let body = self.braced()?;
                Ok(Stmt::Repeat {
                    name,
                    min,
                    max,
                    carried,
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

    /// `before = stem, last`: what stands after `with`.
    fn carried(&mut self) -> Parse<Vec<Carried>> {
        let mut carried: Vec<Carried> = Vec::new();
        loop {
            let name = self.name("the name of a tensor that each round hands to the next")?;
            if carried.iter().any(|c| c.name.text == name.text) {
                return Err(Problem::new(
                    name.span,
                    format!("`{}` is carried twice", name.text),
                    "named before already",
                )
                .help("keep one of them"));
            }
            let start = match self.eat_punct("=") {
                true => Some(self.flow()?),
                false => None,
            };
            carried.push(Carried { name, start });
            if !self.eat_punct(",") {
                return Ok(carried);
            }
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

    pub(super) fn call(&mut self) -> Parse<Call> {
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

    pub(super) fn arguments(&mut self) -> Parse<Vec<Arg>> {
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
