//! Errors of the search-space language. Every one names a place in the source
//! and, where there is one, the remedy; `miette` draws the line and the caret.

use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::bundle::Bundle;

/// A half-open range of bytes in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    pub fn to(self, other: Span) -> Span {
        Span::new(self.start.min(other.start), self.end.max(other.end))
    }
}

impl From<Span> for SourceSpan {
    fn from(span: Span) -> SourceSpan {
        (span.start, span.end.saturating_sub(span.start).max(1)).into()
    }
}

/// One thing wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What the caret points at.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    pub fn new(span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Problem {
            span,
            message: message.into(),
            label: label.into(),
            help: None,
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the nearest known name as help, when one is near enough.
    pub fn suggest<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let best = known
            .into_iter()
            .map(|k| (strsim::damerau_levenshtein(name, k), k))
            .min();
        match best {
            Some((distance, near)) if distance <= 1 + name.len() / 4 => {
                self.help(format!("did you mean `{near}`?"))
            }
            _ => self,
        }
    }

    fn report(self, bundle: &Bundle) -> Report {
        let (source, span) = bundle.locate(self.span);
        Report {
            message: self.message,
            label: self.label,
            span: span.into(),
            help: self.help,
            source_text: Arc::new(NamedSource::new(&source.name, source.text.clone())),
        }
    }
}

/// A problem with the source it stands in, ready to be drawn.
#[derive(Debug, Clone, thiserror::Error, Diagnostic)]
#[error("{message}")]
struct Report {
    message: String,
    label: String,
    #[label("{label}")]
    span: SourceSpan,
    #[help]
    help: Option<String>,
    #[source_code]
    source_text: Arc<NamedSource<String>>,
}

/// Why a `.space` file is not a search space: one or more problems.
#[derive(Debug, Clone, thiserror::Error, Diagnostic)]
#[error("{name} is not a valid search space ({count} {noun})")]
pub struct SpaceError {
    name: String,
    count: usize,
    noun: &'static str,
    #[related]
    reports: Vec<Report>,
    #[source_code]
    source_text: Arc<NamedSource<String>>,
    problems: Vec<Problem>,
}

impl SpaceError {
    pub(super) fn new(bundle: &Bundle, problems: Vec<Problem>) -> Self {
        let (source, _) = bundle.locate(Span::default());
        let name = &source.name;
        let source_text = Arc::new(NamedSource::new(name, source.text.clone()));
        SpaceError {
            name: name.to_string(),
            count: problems.len(),
            noun: if problems.len() == 1 {
                "error"
            } else {
                "errors"
            },
            reports: problems.iter().map(|p| p.clone().report(bundle)).collect(),
            source_text,
            problems,
        }
    }

    /// Problems of a single file.
    pub fn in_file(name: &str, text: &str, problems: Vec<Problem>) -> Self {
        Self::new(&Bundle::single(name, text), problems)
    }

    /// The problems, in source order.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}
