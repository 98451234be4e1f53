//! A space with the libraries it imports as one text, which is what is parsed,
//! hashed and stored with a run: whoever reads it later needs no other file.
//! The bundle remembers where each part came from, so that errors point into
//! the file a person wrote.

use std::collections::BTreeSet;
use std::ops::Range;

use super::error::{Problem, Span};
use super::lexer::{Token, lex};

/// Files that one space may draw in, and bytes of all of them.
const MAX_FILES: usize = 100;
const MAX_BYTES: usize = 4 << 20;

/// A file as it was read: how it is called in errors, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub text: String,
}

/// Finds an import: given the importing file's name and the path as written,
/// the file, or why it cannot be had.
pub type Loader<'a> = &'a mut dyn FnMut(&str, &str) -> Result<Source, String>;

#[derive(Debug, Clone)]
pub struct Bundle {
    pub text: String,
    sources: Vec<Source>,
    /// Parts of `text` in order: where they stand, and the file and offset they
    /// were taken from.
    parts: Vec<(Range<usize>, usize, usize)>,
}

impl Bundle {
    /// One file that imports nothing, or whose imports are to be reported.
    pub fn single(name: &str, text: &str) -> Bundle {
        Bundle {
            text: text.to_string(),
            sources: vec![Source {
                name: name.to_string(),
                text: text.to_string(),
            }],
            parts: vec![(0..text.len(), 0, 0)],
        }
    }

    /// Replaces every `import "PATH"` by what it imports, each file once.
    ///
    /// # Errors
    /// The bundle so far with the imports that cannot be had.
    pub fn load(
        name: &str,
        text: &str,
        loader: Loader<'_>,
    ) -> Result<Bundle, (Bundle, Vec<Problem>)> {
        let mut bundle = Bundle {
            text: String::new(),
            sources: vec![Source {
                name: name.to_string(),
                text: text.to_string(),
            }],
            parts: Vec::new(),
        };
        let mut problems = Vec::new();
        let mut known = BTreeSet::from([name.to_string()]);
        bundle.append(0, 0, loader, &mut known, &mut problems);
        match problems.is_empty() {
            true => Ok(bundle),
            false => Err((bundle, problems)),
        }
    }

    /// Appends a file from an offset on, its imports in their places.
    fn append(
        &mut self,
        file: usize,
        from: usize,
        loader: Loader<'_>,
        known: &mut BTreeSet<String>,
        problems: &mut Vec<Problem>,
    ) {
        let Source { name, text } = self.sources[file].clone();
        let mut done = from;
        for (path, span) in imports(&text) {
            self.copy(file, done..span.start);
            done = span.end;
            // Where the statement will stand if it has to stay.
            let here = Span::new(self.text.len(), self.text.len() + span.end - span.start);
            let problem = |message: String| {
                Problem::new(here, message, "imported here")
                    .help("a path is relative to the file that imports it")
            };
            let library = match loader(&name, &path) {
                Ok(source) => source,
                Err(message) => {
                    problems.push(problem(message));
                    self.copy(file, span.start..span.end);
                    continue;
                }
            };
            if !known.insert(library.name.clone()) {
                continue;
            }
            let size = self.text.len() + library.text.len();
            if self.sources.len() >= MAX_FILES || size > MAX_BYTES {
                problems.push(problem(format!(
                    "imports of more than {MAX_FILES} files or {MAX_BYTES} bytes in all"
                )));
                self.copy(file, span.start..span.end);
                return;
            }
            let Some(body) = library_body(&library.text) else {
                problems.push(problem(format!("`{path}` is not a library")).help(
                    "a file to be imported begins with `library NAME` instead of `space NAME`",
                ));
                self.copy(file, span.start..span.end);
                continue;
            };
            self.sources.push(library);
            self.append(self.sources.len() - 1, body, loader, known, problems);
        }
        self.copy(file, done..text.len());
    }

    fn copy(&mut self, file: usize, range: Range<usize>) {
        let start = self.text.len();
        let text = &self.sources[file].text;
        self.text.push_str(&text[range.clone()]);
        self.parts.push((start..self.text.len(), file, range.start));
    }

    /// The file a place of the bundle came from, and the place there.
    pub fn locate(&self, span: Span) -> (&Source, Span) {
        let part = self
            .parts
            .iter()
            .find(|(range, ..)| range.contains(&span.start))
            // The end of the text, or nothing at all, belongs to the last part.
            .or(self.parts.last());
        let Some((range, file, offset)) = part else {
            return (&self.sources[0], Span::default());
        };
        let end = span.end.clamp(span.start, range.end.max(span.start));
        let shift = |at: usize| at.saturating_sub(range.start) + offset;
        (
            &self.sources[*file],
            Span::new(shift(span.start), shift(end)),
        )
    }
}

/// The imports of a file: the path and where the statement stands.
fn imports(text: &str) -> Vec<(String, Span)> {
    // A file that cannot be split into tokens is reported by the parser.
    let lexemes = lex(text).unwrap_or_default();
    let mut found = Vec::new();
    for pair in lexemes.windows(2) {
        if let (Token::Ident(word), Token::Text(path)) = (&pair[0].token, &pair[1].token)
            && word == "import"
        {
            found.push((path.clone(), pair[0].span.to(pair[1].span)));
        }
    }
    found
}

/// A file's text as a space without imports, every other token in its place.
pub(super) fn alone(text: &str) -> String {
    let mut alone = text.to_string();
    for (_, span) in imports(text) {
        alone.replace_range(span.start..span.end, &" ".repeat(span.end - span.start));
    }
    if let (Some(_), Ok(lexemes)) = (library_body(text), lex(text)) {
        let Span { start, end } = lexemes[0].span;
        alone.replace_range(start..end, "space  ");
    }
    alone
}

/// Where a library's content begins, after `library NAME`.
fn library_body(text: &str) -> Option<usize> {
    let lexemes = lex(text).ok()?;
    match (&lexemes.first()?.token, lexemes.get(1)) {
        (Token::Ident(word), Some(name)) if word == "library" => match name.token {
            Token::Ident(_) => Some(name.span.end),
            _ => None,
        },
        _ => None,
    }
}
