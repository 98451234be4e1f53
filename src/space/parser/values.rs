//! The grammar of values, by precedence climbing, and of choices among them.

use super::*;

impl Parser {
    pub(super) fn expr(&mut self) -> Parse<Expr> {
        self.nested(|p| p.binary(0))
    }

    fn binary(&mut self, level: usize) -> Parse<Expr> {
        use Binary::*;
        const LEVELS: [&[(&str, Binary)]; 5] = [
            &[("or", Or)],
            &[("and", And)],
            &[
                ("==", Eq),
                ("!=", Ne),
                ("<=", Le),
                (">=", Ge),
                ("<", Lt),
                (">", Gt),
            ],
            &[("+", Add), ("-", Sub)],
            &[("*", Mul), ("/", Div), ("%", Rem)],
        ];
        if level == LEVELS.len() {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        loop {
            let found = LEVELS[level]
                .iter()
                .find(|(sign, _)| self.is_punct(sign) || self.is_word(sign));
            let Some((_, op)) = found else {
                return Ok(left);
            };
            self.next();
            let right = self.binary(level + 1)?;
            let span = left.span.to(right.span);
            left = Expr {
                kind: ExprKind::Binary(*op, Box::new(left), Box::new(right)),
                span,
            };
        }
    }

    fn unary(&mut self) -> Parse<Expr> {
        let start = self.span();
        let op = match self.peek() {
            Token::Punct("-") => Unary::Neg,
            Token::Ident(w) if w == "not" => Unary::Not,
            _ => return self.primary(),
        };
        self.next();
        let inner = self.nested(|p| p.unary())?;
        let span = start.to(inner.span);
        Ok(Expr {
            kind: ExprKind::Unary(op, Box::new(inner)),
            span,
        })
    }

    fn primary(&mut self) -> Parse<Expr> {
        let start = self.span();
        let kind = match self.peek().clone() {
            Token::Int(v) => {
                self.next();
                ExprKind::Int(v)
            }
            Token::Float(v) => {
                self.next();
                ExprKind::Float(v)
            }
            Token::Ident(w) if w == "true" || w == "false" => {
                self.next();
                ExprKind::Bool(w == "true")
            }
            Token::Ident(w) if w == "first" => {
                self.next();
                let first = self.expr()?;
                let later = match self.eat_word("else") {
                    true => self.expr()?,
                    false => Expr {
                        kind: ExprKind::Int(1),
                        span: first.span,
                    },
                };
                ExprKind::First(Box::new(first), Box::new(later))
            }
            Token::Ident(w) => {
                self.next();
                if self.eat_punct("(") {
                    let mut args = Vec::new();
                    while !self.is_punct(")") {
                        args.push(self.expr()?);
                        if !self.eat_punct(",") {
                            break;
                        }
                    }
                    self.expect_punct(")")?;
                    ExprKind::Call(w, args)
                } else {
                    ExprKind::Name(w)
                }
            }
            Token::Punct("(") => {
                self.next();
                let inner = self.expr()?;
                self.expect_punct(")")?;
                inner.kind
            }
            Token::Punct("{") => {
                self.next();
                return self.choice(start);
            }
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Expr {
            kind,
            span: start.to(self.last_span()),
        })
    }

    /// `{3, 5, 7}` or `{8..64 step 8}`, the brace already read.
    fn choice(&mut self, start: Span) -> Parse<Expr> {
        if self.is_punct("}") {
            let span = start.to(self.next().span);
            return Err(
                Problem::new(span, "a choice of nothing", "no value inside the braces")
                    .help("give at least one value, as in `{3, 5, 7}`"),
            );
        }
        let mut values = vec![self.expr()?];
        if self.eat_punct("..") {
            let (from, to) = (values.remove(0), self.expr()?);
            let step = match self.eat_word("step") {
                true => self.int("a step")?.0,
                false => 1,
            };
            self.expect_punct("}")?;
            let span = start.to(self.last_span());
            let (ExprKind::Int(from), ExprKind::Int(to)) = (from.kind, to.kind) else {
                return Err(Problem::new(
                    span,
                    "a range runs between two whole numbers",
                    "not two whole numbers",
                ));
            };
            if step < 1 || from > to || (to - from) / step > 10_000 {
                return Err(Problem::new(
                    span,
                    "a range must rise in steps of at least 1, to at most 10,000 values",
                    "not such a range",
                ));
            }
            values = (from..=to)
                .step_by(step as usize)
                .map(|v| Expr {
                    kind: ExprKind::Int(v),
                    span,
                })
                .collect();
            return Ok(Expr {
                kind: ExprKind::Choice(values),
                span,
            });
        }
        while self.eat_punct(",") {
            if self.is_punct("}") {
                break;
            }
            values.push(self.expr()?);
        }
        self.expect_punct("}")?;
        Ok(Expr {
            kind: ExprKind::Choice(values),
            span: start.to(self.last_span()),
        })
    }
}
