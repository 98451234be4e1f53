//! The grammar of tensors: `a -> conv3x3(8) + pick 2 {b, c}`.

use super::*;

impl Parser {
    pub(super) fn flow(&mut self) -> Parse<Flow> {
        let mut terms = vec![self.flow_product()?];
        while self.eat_punct("+") {
            terms.push(self.flow_product()?);
        }
        Ok(match terms.len() {
            1 => terms.pop().expect("one"),
            _ => Flow::Sum(terms),
        })
    }

    fn flow_product(&mut self) -> Parse<Flow> {
        let mut product = self.flow_term()?;
        let mut factors = 1;
        while self.eat_punct("*") {
            factors += 1;
            if factors > MAX_NESTING {
                return Err(self.unexpected("fewer factors in one product"));
            }
            let factor = self.flow_term()?;
            product = Flow::Product(vec![product, factor]);
        }
        Ok(product)
    }

    fn flow_term(&mut self) -> Parse<Flow> {
        let primary = self.nested(|p| p.flow_primary())?;
        let mut calls = Vec::new();
        while self.eat_punct("->") {
            calls.push(self.call()?);
        }
        Ok(match calls.is_empty() {
            true => primary,
            false => Flow::Through(Box::new(primary), calls),
        })
    }

    fn flow_primary(&mut self) -> Parse<Flow> {
        if self.eat_punct("(") {
            let inner = self.flow()?;
            self.expect_punct(")")?;
            return Ok(inner);
        }
        let start = self.span();
        match (self.peek().clone(), self.peek_at(1).clone()) {
            (Token::Ident(w), Token::Punct("(")) if w == "concat" => {
                self.next();
                self.next();
                let mut parts = vec![self.flow()?];
                while self.eat_punct(",") {
                    parts.push(self.flow()?);
                }
                self.expect_punct(")")?;
                Ok(Flow::Concat(parts))
            }
            (Token::Ident(w), Token::Int(_) | Token::Punct("{") | Token::Ident(_))
                if w == "pick" =>
            {
                self.next();
                let name = match self.peek() {
                    Token::Ident(_) => Some(self.name("a name")?),
                    _ => None,
                };
                let count = match self.peek() {
                    Token::Int(_) => self.int("how many")?.0,
                    _ => 1,
                };
                self.expect_punct("{")?;
                let mut from = vec![self.name("a tensor's name")?];
                while self.eat_punct(",") {
                    from.push(self.name("a tensor's name")?);
                }
                self.expect_punct("}")?;
                let span = start.to(self.last_span());
                let through = match self.eat_word("through") {
                    true => Some(self.braced()?),
                    false => None,
                };
                if count < 1 || count as usize > from.len() {
                    return Err(Problem::new(
                        span,
                        format!("cannot pick {count} of {} tensors", from.len()),
                        "an impossible choice",
                    ));
                }
                Ok(Flow::Pick {
                    name,
                    count: count as usize,
                    from,
                    through,
                    span,
                })
            }
            _ => Ok(Flow::Tensor(self.name("a tensor's name")?)),
        }
    }
}
