//! Layout of `.space` files. The formatter works on tokens and comments, not on
//! the syntax tree, and never changes a token: it sets indentation, the spaces
//! within a line and blank lines, and keeps the line breaks a person chose.

use super::error::Problem;
use super::lexer::{Lexeme, Token, lex};
use super::parser::ITEMS;

/// Words before a parenthesis that are no calls.
const WORDS: [&str; 10] = [
    "if", "when", "and", "or", "not", "first", "else", "step", "repeat", "residual",
];

/// A token or comment of the source.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Token(Token),
    Comment(String),
}

#[derive(Default)]
struct Line {
    pieces: Vec<Piece>,
    /// A blank line stood before it.
    apart: bool,
}

/// Formats a file: two spaces a level, one between tokens, at most one blank
/// line. Formatting again changes nothing, and neither tokens nor comments
/// change.
///
/// # Errors
/// Where the text has no tokens of the language.
pub fn format(text: &str) -> Result<String, Problem> {
    let lexemes = lex(text)?;
    let mut out = String::new();
    // What is open: whether it is the brace of a `choose`.
    let mut open: Vec<bool> = Vec::new();
    let values = value_braces(&lexemes);
    let mut token = 0;
    for line in lines(text, &lexemes) {
        if line.apart && !out.is_empty() {
            out.push('\n');
        }
        let closing = line
            .pieces
            .iter()
            .take_while(|p| is_punct(p, &["}", ")"]))
            .count();
        let level = &open[..open.len().saturating_sub(closing)];
        let mut indent = level.len() + level.iter().filter(|choose| **choose).count();
        // The bar of an alternative stands before what it begins.
        let bar = line.pieces.first().is_some_and(|p| is_punct(p, &["|"]));
        if bar && level.last() == Some(&true) {
            indent -= 1;
        }
        let mut row = "  ".repeat(indent);
        let mut before: Option<(&Piece, usize)> = None;
        for piece in &line.pieces {
            let here = token;
            match (before, piece) {
                (None, _) => {}
                (Some(_), Piece::Comment(_)) => row.push_str("  "),
                (Some((Piece::Token(a), at)), Piece::Token(b)) => {
                    let earlier = at.checked_sub(1).map(|i| &lexemes[i].token);
                    if spaced(earlier, (a, values[at]), (b, values[here])) {
                        row.push(' ');
                    }
                }
                (Some((Piece::Comment(_), _)), _) => {}
            }
            match piece {
                Piece::Comment(comment) => row.push_str(comment),
                Piece::Token(t) => {
                    row.push_str(spelled(text, &lexemes[here]));
                    match t {
                        Token::Punct("{") => open.push(opens_choose(&lexemes, here)),
                        Token::Punct("(") => open.push(false),
                        Token::Punct("}" | ")") => {
                            open.pop();
                        }
                        _ => {}
                    }
                    token += 1;
                }
            }
            before = Some((piece, here));
        }
        out.push_str(row.trim_end());
        out.push('\n');
    }
    Ok(out)
}

/// Whether a file, a space's or a library's, can be read at all, apart from what
/// it means and imports; [`format`] works on any text that has tokens.
///
/// # Errors
/// Every syntax error found, in source order.
pub fn check_syntax(text: &str) -> Result<(), Vec<Problem>> {
    super::parser::parse(&super::bundle::alone(text)).map(drop)
}

/// The tokens alone, an item a line.
pub(super) fn canonical(text: &str) -> String {
    let lexemes = lex(text).unwrap_or_default();
    let values = value_braces(&lexemes);
    let mut out = String::new();
    let mut depth = 0usize;
    for (at, lexeme) in lexemes.iter().enumerate() {
        if lexeme.token == Token::End {
            break;
        }
        let begins =
            depth == 0 && matches!(&lexeme.token, Token::Ident(w) if ITEMS.contains(&w.as_str()));
        if at > 0 {
            let before = &lexemes[at - 1].token;
            let earlier = at.checked_sub(2).map(|i| &lexemes[i].token);
            // `library` bodies and `space input` aside, an item starts a line.
            if begins && !matches!(before, Token::Ident(w) if w == "space") {
                out.push('\n');
            } else if spaced(
                earlier,
                (before, values[at - 1]),
                (&lexeme.token, values[at]),
            ) {
                out.push(' ');
            }
        }
        out.push_str(spelled(text, lexeme));
        match lexeme.token {
            Token::Punct("{" | "(") => depth += 1,
            Token::Punct("}" | ")") => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    out.push('\n');
    out
}

fn is_punct(piece: &Piece, which: &[&str]) -> bool {
    matches!(piece, Piece::Token(Token::Punct(p)) if which.contains(p))
}

/// Tokens and comments by the source line they begin on.
fn lines(text: &str, lexemes: &[Lexeme]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut current = Line::default();
    let mut at = 0;
    let mut breaks = 0;
    let end_line = |current: &mut Line, lines: &mut Vec<Line>, breaks: usize| {
        if !current.pieces.is_empty() {
            lines.push(std::mem::take(current));
        }
        current.apart |= breaks > 1;
    };
    for lexeme in lexemes {
        let mut gap = &text[at..lexeme.span.start];
        while let Some(next) = gap.find(['\n', '#']) {
            if gap[next..].starts_with('\n') {
                breaks += 1;
                end_line(&mut current, &mut lines, breaks);
                gap = &gap[next + 1..];
            } else {
                let comment = gap[next..].split('\n').next().unwrap_or_default();
                current
                    .pieces
                    .push(Piece::Comment(comment.trim_end().into()));
                breaks = 0;
                gap = &gap[next + comment.len()..];
            }
        }
        if lexeme.token == Token::End {
            end_line(&mut current, &mut lines, 0);
            break;
        }
        current.pieces.push(Piece::Token(lexeme.token.clone()));
        breaks = 0;
        at = lexeme.span.end;
    }
    lines
}

fn spelled<'a>(text: &'a str, lexeme: &Lexeme) -> &'a str {
    &text[lexeme.span.start..lexeme.span.end]
}

/// For each brace, whether it holds values or tensors rather than statements:
/// those have commas or a range on their own level, or one number alone.
fn value_braces(lexemes: &[Lexeme]) -> Vec<bool> {
    let mut values = vec![false; lexemes.len()];
    // Where it opened, whether it is a brace, whether it is known for values.
    let mut open: Vec<(usize, bool, bool)> = Vec::new();
    for (at, lexeme) in lexemes.iter().enumerate() {
        match lexeme.token {
            Token::Punct("{") => open.push((at, true, false)),
            Token::Punct("(") => open.push((at, false, false)),
            Token::Punct("," | "..") => {
                if let Some((_, _, known)) = open.last_mut() {
                    *known = true;
                }
            }
            Token::Punct("}" | ")") => {
                if let Some((start, brace, known)) = open.pop()
                    && brace
                {
                    let single = at == start + 2
                        && matches!(lexemes[start + 1].token, Token::Int(_) | Token::Float(_));
                    // `repeat 1..3 { ... }` inside has its range on this level,
                    // too, but then there are statements.
                    let statements = lexemes[start + 1..at]
                        .iter()
                        .any(|l| matches!(l.token, Token::Punct("{" | "|" | "->" | "=")));
                    let is_value = (known && !statements) || single || at == start + 1;
                    (values[start], values[at]) = (is_value, is_value);
                }
            }
            _ => {}
        }
    }
    values
}

/// Whether a brace is that of `choose {` or `choose name {`.
fn opens_choose(lexemes: &[Lexeme], at: usize) -> bool {
    let word = |back: usize| {
        at.checked_sub(back)
            .map(|i| &lexemes[i].token)
            .is_some_and(|t| matches!(t, Token::Ident(w) if w == "choose"))
    };
    word(1) || word(2)
}

/// Whether a space stands between two tokens; `earlier` is the one before them.
/// Each comes with whether it is a brace of values.
fn spaced(
    earlier: Option<&Token>,
    (a, a_value): (&Token, bool),
    (b, b_value): (&Token, bool),
) -> bool {
    use Token::*;
    match (a, b) {
        (Punct("("), _) | (_, Punct(")" | "," | ":" | ";")) => false,
        (Punct("{"), _) if a_value => false,
        (_, Punct("}")) if b_value => false,
        (Punct(".."), _) | (_, Punct("..")) => false,
        (Dims(dims), Punct("{")) if dims.len() == 1 => false,
        // A sign rather than a difference.
        (Punct("-"), Int(_) | Float(_) | Ident(_) | Punct("(")) => {
            let word = |t: &Token| matches!(t, Ident(w) if WORDS.contains(&w.as_str()));
            !earlier.is_some_and(word)
                && !matches!(
                    earlier,
                    None | Some(Punct(
                        "(" | ","
                            | ":"
                            | "{"
                            | "="
                            | "=="
                            | "!="
                            | "<"
                            | ">"
                            | "<="
                            | ">="
                            | "+"
                            | "-"
                            | "*"
                            | "/"
                            | "%"
                            | ".."
                    ))
                )
        }
        (Ident(word), Punct("(")) => {
            WORDS.contains(&word.as_str()) || matches!(earlier, Some(Ident(pool)) if pool == "pool")
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str) -> Vec<Token> {
        lex(text).unwrap().into_iter().map(|l| l.token).collect()
    }

    #[test]
    fn layout_is_set_and_comments_stay() {
        let text = "# head\nspace   t\ninput image 3x{8,16}   # two\n\n\nblock b( out ,k=3 ) {\nchoose {\nconv( k,out ) bn\n| x => if in==out {\nrelu\n}\n# last\n| skip when in == out and - 1 < out\n}\nresidual\n}\nnetwork{ b(8,k: {3,5}) y = pick 2 {a,b} through { relu } repeat 1 .. 3 {relu} pool max (3) }\n\n\n";
        insta::assert_snapshot!(format(text).unwrap());
    }

    fn shipped() -> Vec<String> {
        ["search-spaces", "search-spaces/lib"]
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect()
    }

    #[test]
    fn shipped_files_are_formatted() {
        for text in shipped() {
            assert_eq!(check_syntax(&text), Ok(()));
            assert_eq!(format(&text).unwrap(), text);
        }
    }

    #[test]
    fn canonical_text_is_the_same_space() {
        for name in ["quickstart", "hybrid-lm", "darts", "mcu"] {
            let path = format!("search-spaces/{name}.space");
            let space = crate::space::Space::load(std::path::Path::new(&path)).unwrap();
            let canonical = space.canonical();
            let again = crate::space::Space::parse("canonical", &canonical).unwrap();
            assert_eq!(again.hash(), space.hash(), "{canonical}");
            assert_eq!(again.canonical(), canonical);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whatever the spaces and breaks between tokens.
        #[test]
        fn formatting_twice_changes_nothing_and_no_token_ever(
            file in 0usize..14,
            seed in any::<u64>(),
        ) {
            let files = shipped();
            let text = &files[file % files.len()];
            let lexemes = lex(text).unwrap();
            let gaps = ["", " ", "\n", "\n\n\n", "  # note\n", "\n# note\n\n"];
            let mut state = seed;
            let mut shaken = String::new();
            for lexeme in &lexemes {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                // Some gap, lest two words run together.
                let gap = gaps[1 + (state >> 33) as usize % (gaps.len() - 1)];
                shaken.push_str(&text[lexeme.span.start..lexeme.span.end]);
                // A number, an `x` and a brace stay together.
                let glued = matches!(&lexeme.token, Token::Dims(d) if d.len() == 1);
                shaken.push_str(if glued { "" } else { gap });
            }
            let once = format(&shaken).unwrap();
            prop_assert_eq!(tokens(&once), tokens(text));
            prop_assert_eq!(format(&once).unwrap(), once.clone());
            prop_assert_eq!(once.matches("# note").count(), shaken.matches("# note").count());
        }
    }
}
