//! Which candidate has a genotype. The texts are the candidates' own: a copy of
//! each as a key would be a third of the memory of a long run's state, and of
//! the time to build it.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

use super::state::Candidate;

/// Candidate numbers by the hash of their genotypes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Genotypes {
    /// More than one where texts have the same hash.
    by_hash: FxHashMap<u64, SmallVec<[u64; 1]>>,
}

type Candidates = BTreeMap<u64, Candidate>;

impl Genotypes {
    /// The candidate last [put](Self::put) under a genotype that still has it.
    pub fn find<'a>(&self, genotype: &str, candidates: &'a Candidates) -> Option<&'a Candidate> {
        let numbers = self.by_hash.get(&hash(genotype))?;
        let mut having = numbers.iter().filter_map(|number| candidates.get(number));
        having.find(|candidate| candidate.genotype == genotype)
    }

    /// Puts a candidate under its genotype, where none is or in another's place.
    pub fn put(&mut self, genotype: &str, number: u64, replace: bool, candidates: &Candidates) {
        let numbers = self.by_hash.entry(hash(genotype)).or_default();
        let has_it = |number: &u64| {
            candidates
                .get(number)
                .is_some_and(|c| c.genotype == genotype)
        };
        match numbers.iter_mut().find(|number| has_it(number)) {
            Some(present) if replace => *present = number,
            Some(_) => {}
            None => numbers.push(number),
        }
    }
}

fn hash(genotype: &str) -> u64 {
    FxBuildHasher.hash_one(genotype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Outcome;

    fn candidate(id: u64, genotype: &str) -> (u64, Candidate) {
        let candidate = Candidate {
            id,
            generation: None,
            genotype: genotype.into(),
            network_hash: None,
            fidelity: 1.0,
            outcome: Outcome::Pending,
        };
        (id, candidate)
    }

    #[test]
    fn texts_of_one_hash_are_told_apart() {
        let candidates = Candidates::from([candidate(1, "a"), candidate(2, "b")]);
        let mut genotypes = Genotypes::default();
        let both = SmallVec::from_slice(&[1, 2]);
        genotypes.by_hash.insert(hash("a"), both.clone());
        genotypes.by_hash.insert(hash("b"), both);
        assert_eq!(genotypes.find("a", &candidates).unwrap().id, 1);
        assert_eq!(genotypes.find("b", &candidates).unwrap().id, 2);
        assert_eq!(genotypes.find("c", &candidates), None);
        let mut candidates = candidates;
        candidates.extend([candidate(3, "b")]);
        genotypes.put("b", 3, false, &candidates);
        assert_eq!(genotypes.find("b", &candidates).unwrap().id, 2);
        genotypes.put("b", 3, true, &candidates);
        assert_eq!(genotypes.find("b", &candidates).unwrap().id, 3);
        assert_eq!(genotypes.find("a", &candidates).unwrap().id, 1);
    }
}
