//! What the innermost loops of convolutions are told: which vectors to use, and
//! where the numbers lie.

use super::vector::LANES;

/// The widest vectors that this processor has and the kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Avx512,
    Avx2,
}

impl Width {
    /// `None` where there is neither.
    pub fn detect() -> Option<Self> {
        if is_x86_feature_detected!("avx512f") {
            Some(Width::Avx512)
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            Some(Width::Avx2)
        } else {
            None
        }
    }

    /// Vectors across a tile at most.
    fn vectors(self) -> usize {
        match self {
            Width::Avx512 => 4,
            Width::Avx2 => 1,
        }
    }

    /// First column and number of vectors of each block of a matrix's columns.
    pub fn blocks(self, columns: usize) -> impl Iterator<Item = (usize, usize)> {
        let vectors = columns.div_ceil(LANES);
        let count = vectors.div_ceil(self.vectors()).max(1);
        // Blocks as equal as can be: 5 vectors are 3 and 2.
        let (size, larger) = (vectors / count, vectors % count);
        let mut first = 0;
        (0..count).map(move |block| {
            let vectors = size + usize::from(block < larger);
            let at = first;
            first += vectors * LANES;
            (at, vectors)
        })
    }
}

/// Where the numbers lie that products are summed of: for output `p`, the runs
/// of `depth` numbers from `starts[p] + runs[r]` on.
#[derive(Clone, Copy)]
pub(super) struct Runs<'a> {
    pub from: &'a [f32],
    pub starts: &'a [usize],
    pub runs: &'a [usize],
    pub depth: usize,
}

impl Runs<'_> {
    /// # Panics
    /// When a run reaches beyond the slice.
    pub fn check(&self) {
        let most = |values: &[usize]| values.iter().copied().max().unwrap_or(0);
        let end = most(self.starts) + most(self.runs) + self.depth;
        assert!(end <= self.from.len(), "runs within the map");
    }
}
