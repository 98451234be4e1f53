//! The grammar of a file's head: what goes in, and what is required of it.

use super::*;

/// The costs a `require` can bound.
const METRICS: [&str; 4] = ["params", "macs", "memory", "flash"];

impl Parser {
    /// What stands after the word `input`.
    pub(super) fn input(&mut self, start: Span) -> Parse<(Input, Span)> {
        const KINDS: [&str; 4] = ["image", "tokens", "sequence", "tabular"];
        let kind = match self.peek() {
            Token::Ident(word) if KINDS.contains(&word.as_str()) => word.clone(),
            other => {
                let problem = self
                    .unexpected("`image`, `tokens`, `sequence` or `tabular`")
                    .help(
                        "as in `input image 3x32x32` (channels x height x width), `input tokens \
                         128 vocab 32000`, `input sequence 49x40` or `input tabular 16`",
                    );
                return Err(match other {
                    Token::Ident(word) => problem.suggest(word, KINDS),
                    _ => problem,
                });
            }
        };
        self.next();
        let input = match kind.as_str() {
            "image" => self.image()?,
            "tokens" => {
                let length = self.expr()?;
                if !self.eat_word("vocab") {
                    return Err(self
                        .unexpected("`vocab`")
                        .help("the vocabulary's size, as in `input tokens 128 vocab 32000`"));
                }
                let vocab = self.size("the vocabulary's size")?;
                Input::Tokens { length, vocab }
            }
            "sequence" => Input::Sequence(self.dims(
                2,
                "a sequence has two sizes, each at least 1",
                "steps x features, as in `49x40`",
            )?),
            _ => Input::Tabular(self.size("the number of features")?),
        };
        Ok((input, start.to(self.last_span())))
    }

    fn image(&mut self) -> Parse<Input> {
        const HELP: &str = "channels x height x width, as in `3x32x32`; resolutions to choose \
                            from as in `3x{128, 160, 192}`";
        if let Token::Dims(dims) = self.peek()
            && let [channels] = dims[..]
            && channels > 0
        {
            self.next();
            if !self.is_punct("{") {
                return Err(self.unexpected("`{`").help(HELP));
            }
            return Ok(Input::Square(channels, self.expr()?));
        }
        let dims = self.dims(3, "an image has three sizes, each at least 1", HELP)?;
        Ok(Input::Image(dims))
    }

    fn dims(&mut self, count: usize, message: &str, help: &str) -> Parse<Vec<usize>> {
        let Token::Dims(dims) = self.peek().clone() else {
            return Err(self.unexpected("a shape").help(help));
        };
        let span = self.next().span;
        if dims.len() != count || dims.contains(&0) {
            return Err(Problem::new(span, message, "not such a shape").help(help));
        }
        Ok(dims)
    }

    /// A constant of at least 1 and at most a million.
    fn size(&mut self, what: &str) -> Parse<i64> {
        let (value, span) = self.int(what)?;
        match value {
            1..=1_000_000 => Ok(value),
            _ => Err(Problem::new(
                span,
                format!("{what} must lie in 1..1000000"),
                "out of range",
            )),
        }
    }

    /// `require params < 5M`.
    pub(super) fn require(&mut self) -> Parse<Require> {
        const HELP: &str = "as in `require params < 5M`, `require macs <= 300M`, `require memory \
                            <= 320Ki` (peak activations) or `require flash <= 1Mi` (weights)";
        let start = self.next().span;
        let metric = self.name("`params`, `macs`, `memory` or `flash`")?;
        if !METRICS.contains(&metric.text.as_str()) {
            return Err(Problem::new(
                metric.span,
                format!("`{}` is not a cost that can be bounded", metric.text),
                "expected `params`, `macs`, `memory` or `flash`",
            )
            .help(HELP)
            .suggest(&metric.text, METRICS));
        }
        let sign = match self.peek() {
            Token::Punct("<") => Binary::Lt,
            Token::Punct("<=") => Binary::Le,
            Token::Punct(">") => Binary::Gt,
            Token::Punct(">=") => Binary::Ge,
            _ => return Err(self.unexpected("`<`, `<=`, `>` or `>=`").help(HELP)),
        };
        self.next();
        let bound = self.expr()?;
        let span = start.to(self.last_span());
        Ok(Require {
            metric,
            sign,
            bound,
            span,
        })
    }
}
