//! Text to tokens. White space and `#` comments separate and vanish; every
//! token keeps its place in the source.

use super::error::{Problem, Span};

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Ident(String),
    Int(i64),
    Float(f64),
    /// `3x32x32`: a shape literal. One size alone, `3x`, stands before the
    /// braces of a choice: `3x{128, 160}`.
    Dims(Vec<usize>),
    /// `"lib/mobile.space"`: the path of an import.
    Text(String),
    /// Punctuation and operators.
    Punct(&'static str),
    End,
}

impl Token {
    /// How the token is called in an error message.
    pub fn describe(&self) -> String {
        match self {
            Token::Ident(name) => format!("`{name}`"),
            Token::Int(v) => format!("`{v}`"),
            Token::Float(v) => format!("`{v}`"),
            Token::Dims(dims) => {
                let text: Vec<String> = dims.iter().map(usize::to_string).collect();
                let open = if dims.len() == 1 { "x" } else { "" };
                format!("`{}{open}`", text.join("x"))
            }
            Token::Text(text) => format!("`\"{text}\"`"),
            Token::Punct(p) => format!("`{p}`"),
            Token::End => "the end of the file".into(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Lexeme {
    pub token: Token,
    pub span: Span,
    /// Whether a line begins with it: where the parser takes up again after an
    /// error.
    pub leads_line: bool,
}

/// Longest first, so that `==` wins over `=`.
const PUNCTUATION: [&str; 25] = [
    "==", "!=", "<=", ">=", "=>", "->", "..", "{", "}", "(", ")", ",", ":", "|", "+", "-", "*",
    "/", "%", "<", ">", "=", "[", "]", ";",
];

/// Splits the source into tokens; the last one is always [`Token::End`].
pub fn lex(text: &str) -> Result<Vec<Lexeme>, Problem> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut leads_line = true;
    let mut push = |token, span, leads_line: &mut bool| {
        out.push(Lexeme {
            token,
            span,
            leads_line: std::mem::replace(leads_line, false),
        });
    };
    let mut at = 0;
    while at < bytes.len() {
        let c = bytes[at];
        if c.is_ascii_whitespace() {
            leads_line |= c == b'\n';
            at += 1;
        } else if c == b'#' {
            while at < bytes.len() && bytes[at] != b'\n' {
                at += 1;
            }
        } else if c.is_ascii_alphabetic() || c == b'_' {
            let start = at;
            while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                at += 1;
            }
            let token = Token::Ident(text[start..at].to_string());
            push(token, Span::new(start, at), &mut leads_line);
        } else if c.is_ascii_digit() {
            let (token, end) = number(text, at)?;
            push(token, Span::new(at, end), &mut leads_line);
            at = end;
        } else if c == b'"' {
            let (inner, end) = quoted(text, at)?;
            let token = Token::Text(inner.to_string());
            push(token, Span::new(at, end), &mut leads_line);
            at = end;
        } else if let Some(p) = PUNCTUATION.iter().find(|p| text[at..].starts_with(**p)) {
            let span = Span::new(at, at + p.len());
            push(Token::Punct(p), span, &mut leads_line);
            at += p.len();
        } else {
            let c = text[at..].chars().next().expect("inside the text");
            return Err(Problem::new(
                Span::new(at, at + c.len_utf8()),
                format!("the character `{}` has no meaning here", c.escape_default()),
                "not part of the language",
            )
            .help("names use ASCII letters, digits and `_`; comments begin with `#`"));
        }
    }
    let end = Span::new(text.len(), text.len());
    push(Token::End, end, &mut leads_line);
    Ok(out)
}

/// What stands between the quotes that begin at `start`, and where they end.
fn quoted(text: &str, start: usize) -> Result<(&str, usize), Problem> {
    let inner = &text[start + 1..];
    let line = inner.split('\n').next().unwrap_or(inner);
    match line.find('"') {
        Some(end) => Ok((&line[..end], start + end + 2)),
        None => Err(Problem::new(
            Span::new(start, start + 1 + line.len()),
            "the quotes are not closed on this line",
            "opened here",
        )
        .help("a path stands between two quotes: `import \"lib/mobile.space\"`")),
    }
}

/// An integer (with `K`, `M`, `G` or, for bytes, `Ki`, `Mi`, `Gi`), a decimal,
/// or a shape such as `3x32x32`.
fn number(text: &str, start: usize) -> Result<(Token, usize), Problem> {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while at < bytes.len() && (bytes[at].is_ascii_digit() || bytes[at] == b'_') {
            at += 1;
        }
        at
    };
    let too_large = |end| {
        Problem::new(
            Span::new(start, end),
            "this number is too large",
            "does not fit",
        )
        .help("numbers go up to about 9.2e18")
    };
    let int = |from: usize, to: usize| text[from..to].replace('_', "").parse::<i64>();
    let mut at = digits(start);
    let is_digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    if bytes.get(at) == Some(&b'x') && is_digit(at + 1) {
        let mut dims = vec![int(start, at).map_err(|_| too_large(at))? as usize];
        while bytes.get(at) == Some(&b'x') && is_digit(at + 1) {
            let from = at + 1;
            at = digits(from);
            dims.push(int(from, at).map_err(|_| too_large(at))? as usize);
        }
        return Ok((Token::Dims(dims), at));
    }
    if bytes.get(at) == Some(&b'x') && bytes.get(at + 1) == Some(&b'{') {
        let size = int(start, at).map_err(|_| too_large(at))? as usize;
        return Ok((Token::Dims(vec![size]), at + 1));
    }
    let is_decimal = bytes.get(at) == Some(&b'.') && is_digit(at + 1);
    if is_decimal {
        at = digits(at + 1);
    }
    let number_end = at;
    let power = match bytes.get(at) {
        Some(b'K') => 1,
        Some(b'M') => 2,
        Some(b'G') => 3,
        _ => 0,
    };
    let binary = power > 0 && bytes.get(at + 1) == Some(&b'i');
    let scale = if binary { 1024i64 } else { 1000 }.pow(power);
    at += usize::from(power > 0) + usize::from(binary);
    if bytes
        .get(at)
        .is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_')
    {
        return Err(Problem::new(
            Span::new(start, at + 1),
            "letters directly after a number",
            "where does the number end?",
        )
        .help(
            "put a space between a number and a name; only `K`, `M`, `G`, `Ki`, `Mi` and `Gi` may follow directly",
        ));
    }
    if is_decimal {
        let value: f64 = text[start..number_end]
            .replace('_', "")
            .parse()
            .map_err(|_| too_large(at))?;
        let value = value * scale as f64;
        return Ok(
            match value.fract() == 0.0 && value.abs() < 9e15 && scale > 1 {
                true => (Token::Int(value as i64), at),
                false => (Token::Float(value), at),
            },
        );
    }
    int(start, number_end)
        .ok()
        .and_then(|v| v.checked_mul(scale))
        .map(|v| (Token::Int(v), at))
        .ok_or_else(|| too_large(at))
}
