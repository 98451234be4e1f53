//! The search-space language: text to a [`Space`] that is proven to fit,
//! counted exactly, sampled uniformly, mutated and lowered to networks. It
//! knows nothing of training, devices or storage.

mod analyse;
mod architecture;
mod ast;
mod elaborate;
mod error;
mod lexer;
mod ops;
mod parser;
mod step;
mod walk;

pub use architecture::{Architecture, GenotypeError};
pub use error::{Problem, SpaceError, Span};
pub use step::{Choice, ChoiceId, ChoiceKind};

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use num_bigint::BigUint;
use sha2::{Digest, Sha256};

use crate::network::Shape;
use analyse::Analysis;
use elaborate::Program;

/// A checked search space: every architecture in it has fitting shapes.
#[derive(Debug)]
pub struct Space {
    name: String,
    text: String,
    hash: String,
    program: Arc<Program>,
    by_path: HashMap<String, ChoiceId>,
    count: BigUint,
    analysis: Mutex<Analysis>,
}

/// Why a space could not be loaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoadError {
    #[error("cannot read the search space {}: {source}", .path.display())]
    #[diagnostic(help("give the path of a .space file; examples are in search-spaces/"))]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Space(#[from] Box<SpaceError>),
}

impl Space {
    /// Reads and checks a `.space` file.
    ///
    /// # Errors
    /// When the file cannot be read or is not a valid space.
    pub fn load(path: &Path) -> Result<Space, LoadError> {
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Space::parse(&path.display().to_string(), &text)?)
    }

    /// Parses and checks a space; `origin` names the source in errors.
    ///
    /// # Errors
    /// Every problem found, each with its place and a remedy where one is known.
    pub fn parse(origin: &str, text: &str) -> Result<Space, Box<SpaceError>> {
        let fail = |problems| Box::new(SpaceError::new(origin, text, problems));
        let file = parser::parse(text).map_err(fail)?;
        let program = Arc::new(elaborate::elaborate(&file).map_err(fail)?);
        let mut analysis = Analysis::new(program.clone()).map_err(|fault| {
            let blame = architecture::blame(&program, &fault.decisions);
            fail(vec![fault.problem(&program, blame)])
        })?;
        let (Some((_, span)), classes) = (&file.network, &file.classes) else {
            unreachable!("elaboration requires a network")
        };
        if let Some((classes, _)) = classes {
            let wanted = Shape::vector(*classes as usize);
            if let Some(shape) = analysis.output_shapes().iter().find(|s| **s != wanted) {
                let found = format!("a {shape} tensor");
                return Err(fail(vec![architecture::wrong_output(
                    *span, &found, *classes,
                )]));
            }
        }
        let count = analysis.count();
        let by_path = program
            .choices
            .iter()
            .enumerate()
            .map(|(id, c)| (c.path.clone(), id))
            .collect();
        Ok(Space {
            name: file.name.text.clone(),
            text: text.to_string(),
            hash: hash(text),
            program,
            by_path,
            count,
            analysis: Mutex::new(analysis),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The source text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the source's tokens, in hexadecimal: white space and comments
    /// do not change it.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Shape of one input sample.
    pub fn input(&self) -> Shape {
        self.program.input
    }

    /// Every choice point, in program order.
    pub fn choices(&self) -> &[Choice] {
        &self.program.choices
    }

    pub fn choice_by_path(&self, path: &str) -> Option<ChoiceId> {
        self.by_path.get(path).copied()
    }

    /// The number of architectures, exactly: distinct sets of decisions.
    pub fn count(&self) -> &BigUint {
        &self.count
    }

    /// The architecture with this index, `0 <= index < count`.
    ///
    /// # Panics
    /// When the index is not below the count.
    pub fn unrank(&self, index: &BigUint) -> Architecture {
        assert!(*index < self.count, "index {index} of {}", self.count);
        // A poisoned lock only means that another thread panicked while the
        // memo, which is always consistent, was held.
        let mut analysis = self.analysis.lock().unwrap_or_else(|e| e.into_inner());
        Architecture::new(analysis.unrank(index))
    }

    /// Every architecture, by index.
    pub fn enumerate(&self) -> impl Iterator<Item = Architecture> + '_ {
        let mut next = BigUint::default();
        std::iter::from_fn(move || {
            (next < self.count).then(|| {
                let architecture = self.unrank(&next);
                next += 1u8;
                architecture
            })
        })
    }

    fn program(&self) -> &Program {
        &self.program
    }
}

fn hash(text: &str) -> String {
    let mut sha = Sha256::new();
    for lexeme in lexer::lex(text).unwrap_or_default() {
        sha.update(lexeme.token.describe());
        sha.update([0]);
    }
    sha.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
