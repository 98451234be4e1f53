//! A candidate's network as a picture: the space is in the run, the decisions
//! are in the candidate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::network::draw;
use crate::space::Space;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DrawingError {
    #[error("the run's space cannot be read by this version: {0}")]
    Space(String),
    #[error("the candidate's genotype does not belong to the run's space: {0}")]
    Genotype(String),
    #[error("the picture would be too large: the network has {0} operators")]
    TooLarge(usize),
}

/// Larger networks make pictures that nobody can look at.
const MOST_OPERATORS: usize = 4000;
/// Checked spaces kept in memory.
const KEPT_SPACES: usize = 8;

/// Spaces that were read before, by hash and text.
#[derive(Default)]
pub(super) struct Spaces {
    known: Mutex<HashMap<String, Arc<Space>>>,
}

impl Spaces {
    pub fn draw(&self, hash: &str, text: &str, genotype: &str) -> Result<String, DrawingError> {
        let space = self.space(hash, text)?;
        let wrong = |e: crate::space::GenotypeError| DrawingError::Genotype(e.to_string());
        let architecture = space.parse_genotype(genotype).map_err(wrong)?;
        let network = space.network(&architecture).map_err(wrong)?;
        match network.nodes().len() {
            n if n > MOST_OPERATORS => Err(DrawingError::TooLarge(n)),
            _ => Ok(draw::svg(&network)),
        }
    }

    fn space(&self, hash: &str, text: &str) -> Result<Arc<Space>, DrawingError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(space) = known().get(hash).filter(|space| space.text() == text) {
            return Ok(space.clone());
        }
        let space = Space::parse("the run's space", text)
            .map_err(|e| DrawingError::Space(e.to_string()))?;
        let space = Arc::new(space);
        let mut known = known();
        if known.len() >= KEPT_SPACES {
            known.clear();
        }
        known.insert(hash.to_owned(), space.clone());
        Ok(space)
    }
}
