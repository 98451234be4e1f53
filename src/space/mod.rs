//! The search-space language: text to a [`Space`] that is proven to fit,
//! counted exactly, sampled uniformly, mutated and lowered to networks. It
//! knows nothing of training, devices or storage.

mod analyse;
mod architecture;
mod ast;
mod bundle;
pub mod codec;
mod constraint;
mod draw;
mod elaborate;
mod error;
mod format;
mod lexer;
pub mod mixed;
mod ops;
mod parser;
mod skeleton;
mod step;
mod vary;
mod walk;

pub use architecture::{Architecture, GenotypeError};
pub use bundle::{Loader, Source};
pub use constraint::{Constraint, Metric};
pub use error::{Problem, SpaceError, Span};
pub use format::{check_syntax, format};
pub use step::{Choice, ChoiceId, ChoiceKind};

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use num_bigint::BigUint;
use rustc_hash::FxHasher;
use sha2::{Digest, Sha256};

use crate::network::{Shape, Topologies};
use analyse::Architectures;
use bundle::Bundle;
use elaborate::Program;
use skeleton::Skeleton;

/// A map for keys of our own making, which nobody chooses to collide.
type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FxHasher>>;

/// A checked search space: every architecture in it has fitting shapes.
#[derive(Debug)]
pub struct Space {
    name: String,
    text: String,
    /// Where its parts came from.
    bundle: Bundle,
    hash: String,
    program: Arc<Program>,
    by_path: HashMap<String, ChoiceId>,
    count: BigUint,
    architectures: Architectures,
    /// Its choices alone, where those depend on nothing else.
    skeleton: Option<Skeleton>,
    /// An architecture that keeps to the constraints, where there are any.
    witness: Option<Architecture>,
}

/// How many networks of a space are distinct, by isomorphism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Distinct {
    /// Graphs as written, identities removed and what only reads zeros replaced
    /// by zeros; a sum keeps its zero summands, and a sum in a sum its brackets.
    pub topologies: usize,
    /// Networks left once nothing is computed in vain
    /// ([`Network::simplify`](crate::network::Network::simplify)).
    pub networks: usize,
    /// By the text in which the space's authors compare architectures
    /// ([`Codec::unique_text`](codec::Codec::unique_text)), where they publish
    /// one: 6,466 for NAS-Bench-201 (Dong & Yang 2020).
    pub published: Option<usize>,
}

/// A line of a source file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub text: String,
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
    /// Reads and checks a `.space` file with the libraries it imports.
    ///
    /// # Errors
    /// When the file cannot be read or is not a valid space.
    pub fn load(path: &Path) -> Result<Space, LoadError> {
        let read = |path: &Path| std::fs::read_to_string(path);
        let text = read(path).map_err(|source| LoadError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        let mut import = |from: &str, import: &str| {
            let path = Path::new(from).with_file_name("").join(import);
            let text = read(&path)
                .map_err(|error| format!("cannot import {}: {error}", path.display()))?;
            let name = path.display().to_string();
            Ok(Source { name, text })
        };
        Ok(Space::parse_with(
            &path.display().to_string(),
            &text,
            &mut import,
        )?)
    }

    /// Parses and checks a space that imports nothing (or whose imports were
    /// bundled into it, as in [`text`](Self::text)); `origin` names the source
    /// in errors.
    ///
    /// # Errors
    /// Every problem found, each with its place and a remedy where one is known.
    pub fn parse(origin: &str, text: &str) -> Result<Space, Box<SpaceError>> {
        Space::check(Bundle::single(origin, text))
    }

    /// The same, with a function that finds imports: given the importing file's
    /// name and the path as written, the file, or why it cannot be had.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and imports that cannot be had.
    pub fn parse_with(
        origin: &str,
        text: &str,
        import: Loader<'_>,
    ) -> Result<Space, Box<SpaceError>> {
        match Bundle::load(origin, text, import) {
            Ok(bundle) => Space::check(bundle),
            Err((bundle, problems)) => Err(Box::new(SpaceError::new(&bundle, problems))),
        }
    }

    fn check(bundle: Bundle) -> Result<Space, Box<SpaceError>> {
        let text = &bundle.text;
        let fail = |problems| Box::new(SpaceError::new(&bundle, problems));
        let file = parser::parse(text).map_err(fail)?;
        let program = Arc::new(elaborate::elaborate(&file).map_err(fail)?);
        let architectures = analyse::analyse(&program).map_err(|fault| {
            let blame = architecture::blame(&program, &fault.decisions);
            fail(vec![fault.problem(&program, blame)])
        })?;
        let (Some((_, span)), classes) = (&file.network, &file.classes) else {
            unreachable!("elaboration requires a network")
        };
        if let Some((classes, _)) = classes {
            let wanted = Shape::vector(*classes as usize);
            if let Some(shape) = architectures.outputs.iter().find(|s| **s != wanted) {
                let found = format!("a {shape} tensor");
                return Err(fail(vec![architecture::wrong_output(
                    *span, &found, *classes,
                )]));
            }
        }
        let count = architectures.count();
        let by_path = program
            .choices
            .iter()
            .enumerate()
            .map(|(id, c)| (c.path.clone(), id))
            .collect();
        let mut space = Space {
            name: file.name.text.clone(),
            text: text.to_string(),
            bundle: bundle.clone(),
            hash: hash(text),
            program: program.clone(),
            by_path,
            count,
            architectures,
            skeleton: Skeleton::of(&program),
            witness: None,
        };
        space.witness = space.find_witness().map_err(|p| fail(vec![p]))?;
        Ok(space)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The source text, with what it imports: it needs no other file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a choice was written, for people.
    pub fn place(&self, span: Span) -> Place {
        let (source, span) = self.bundle.locate(span);
        let before = &source.text[..span.start.min(source.text.len())];
        let line = before.matches('\n').count();
        Place {
            file: source.name.clone(),
            line: line + 1,
            text: source
                .text
                .lines()
                .nth(line)
                .unwrap_or_default()
                .trim()
                .into(),
        }
    }

    /// SHA-256 of the source's tokens, in hexadecimal: white space and comments
    /// do not change it.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The shapes one input sample may have: several where the space chooses
    /// among resolutions.
    pub fn inputs(&self) -> &[Shape] {
        &self.program.inputs
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
        Architecture::new(self.architectures.unrank(index))
    }

    /// Every architecture that keeps to the constraints, by index.
    pub fn enumerate(&self) -> impl Iterator<Item = Architecture> + '_ {
        self.enumerate_from(BigUint::default())
    }

    /// The same, from an index on.
    pub fn enumerate_from(&self, first: BigUint) -> impl Iterator<Item = Architecture> + '_ {
        let mut next = first;
        std::iter::from_fn(move || {
            (next < self.count).then(|| {
                let architecture = self.unrank(&next);
                next += 1u8;
                architecture
            })
        })
        .filter(|architecture| self.admits(architecture))
    }

    /// The text in one layout, without comments: equal for files that differ in
    /// layout alone, and read back as the same space.
    pub fn canonical(&self) -> String {
        format::canonical(&self.text)
    }

    /// How many architectures differ as networks: none where the space has more
    /// than `limit` architectures.
    pub fn distinct(&self, limit: u64) -> Option<Distinct> {
        if *self.count() > BigUint::from(limit) {
            return None;
        }
        let (mut topologies, mut networks) = (Topologies::default(), Topologies::default());
        let mut texts = BTreeSet::new();
        for architecture in self.enumerate() {
            let Ok(network) = self.unsimplified(&architecture) else {
                unreachable!("enumerated from this space")
            };
            topologies.add(&network);
            networks.add(&network.simplify());
            let known = codec::Codec::ALL.iter();
            texts.extend(known.filter_map(|(_, c)| c.unique_text(self, &architecture)));
        }
        Some(Distinct {
            topologies: topologies.count(),
            networks: networks.count(),
            published: (!texts.is_empty()).then_some(texts.len()),
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
