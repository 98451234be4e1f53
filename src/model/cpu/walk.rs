//! The arithmetic of dense convolutions on channels-last maps: sums of products
//! of short runs of numbers that lie anywhere in a slice with a packed matrix,
//! and the outer products that are its gradient. Nothing is gathered into
//! columns; a tile of outputs stays in vector registers from the first product
//! to the last.

use super::vector::{Avx2, Avx512, LANES, Vector};

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
    fn blocks(self, columns: usize) -> impl Iterator<Item = (usize, usize)> {
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

/// A matrix `[rows][columns]` in blocks of columns, each block `[rows][block's
/// columns]`, the last filled up with zeros to whole vectors.
pub(super) struct Packed {
    data: Vec<f32>,
    rows: usize,
    columns: usize,
    width: Width,
}

impl Packed {
    /// `matrix[r][c] = numbers[rows[r] + c * stride]`.
    pub fn new(
        width: Width,
        numbers: &[f32],
        rows: &[usize],
        columns: usize,
        stride: usize,
    ) -> Self {
        let mut data = vec![0.0; rows.len() * columns.div_ceil(LANES) * LANES];
        for (first, vectors) in width.blocks(columns) {
            let wide = vectors * LANES;
            let block = &mut data[rows.len() * first..][..rows.len() * wide];
            let count = wide.min(columns - first);
            for (row, to) in rows.iter().zip(block.chunks_exact_mut(wide)) {
                let row = &numbers[row + first * stride..];
                for (to, from) in to[..count].iter_mut().zip(row.iter().step_by(stride)) {
                    *to = *from;
                }
            }
        }
        Packed {
            data,
            rows: rows.len(),
            columns,
            width,
        }
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
    fn check(&self) {
        let most = |values: &[usize]| values.iter().copied().max().unwrap_or(0);
        let end = most(self.starts) + most(self.runs) + self.depth;
        assert!(end <= self.from.len(), "runs within the map");
    }
}

/// `out[to[p] + n] = sum over r and k of from[starts[p] + runs[r] + k] *
/// matrix[r * depth + k][n]`, for each `p` and each column `n`.
///
/// # Panics
/// When something reaches beyond its slice.
pub(super) fn sums(from: Runs, matrix: &Packed, out: &mut [f32], to: &[usize]) {
    assert_eq!(matrix.rows, from.runs.len() * from.depth);
    assert_eq!(from.starts.len(), to.len());
    if to.is_empty() {
        return;
    }
    from.check();
    let end = to.iter().copied().max().unwrap_or(0) + matrix.columns;
    assert!(end <= out.len(), "outputs within the map");
    for (first, vectors) in matrix.width.blocks(matrix.columns) {
        let wide = vectors * LANES;
        let block = &matrix.data[matrix.rows * first..][..matrix.rows * wide];
        let columns = wide.min(matrix.columns - first);
        let place = Place {
            out: out.as_mut_ptr(),
            to,
            first,
            columns,
        };
        // SAFETY: the features were detected, and the assertions above keep all
        // reads and writes within their slices.
        unsafe {
            match (matrix.width, vectors) {
                (Width::Avx512, 1) => sums_512::<8, 1>(from, block, place),
                (Width::Avx512, 2) => sums_512::<8, 2>(from, block, place),
                (Width::Avx512, 3) => sums_512::<8, 3>(from, block, place),
                (Width::Avx512, _) => sums_512::<6, 4>(from, block, place),
                (Width::Avx2, _) => sums_2::<6, 1>(from, block, place),
            }
        }
    }
}

/// Where a block of outputs goes.
struct Place<'a> {
    out: *mut f32,
    to: &'a [usize],
    first: usize,
    columns: usize,
}

#[target_feature(enable = "avx512f")]
unsafe fn sums_512<const P: usize, const V: usize>(from: Runs, block: &[f32], place: Place) {
    unsafe { sums_block::<Avx512, P, V>(from, block, place) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn sums_2<const P: usize, const V: usize>(from: Runs, block: &[f32], place: Place) {
    unsafe { sums_block::<Avx2, P, V>(from, block, place) }
}

#[inline(always)]
unsafe fn sums_block<W: Vector, const P: usize, const V: usize>(
    from: Runs,
    block: &[f32],
    place: Place,
) {
    unsafe {
        let pixels = from.starts.len();
        let mut at = 0;
        while at < pixels {
            let count = P.min(pixels - at);
            let mut bases = [from.from.as_ptr(); P];
            let mut p = 0;
            while p < P {
                // The last tile computes its last output several times.
                bases[p] = bases[p].add(from.starts[at + p.min(count - 1)]);
                p += 1;
            }
            let mut sum = [[W::splat(0.0); V]; P];
            let mut row = block.as_ptr();
            for &run in from.runs {
                let mut inputs = bases;
                let mut p = 0;
                while p < P {
                    inputs[p] = inputs[p].add(run);
                    p += 1;
                }
                for k in 0..from.depth {
                    let mut columns = [W::splat(0.0); V];
                    let mut v = 0;
                    while v < V {
                        columns[v] = W::load(row.add(v * LANES));
                        v += 1;
                    }
                    let mut p = 0;
                    while p < P {
                        let x = W::splat(*inputs[p].add(k));
                        let mut v = 0;
                        while v < V {
                            sum[p][v] = sum[p][v].plus_product(x, columns[v]);
                            v += 1;
                        }
                        p += 1;
                    }
                    row = row.add(V * LANES);
                }
            }
            let mut p = 0;
            while p < P {
                if p < count {
                    let out = place.out.add(place.to[at + p] + place.first);
                    put(sum[p], out, place.columns);
                }
                p += 1;
            }
            at += P;
        }
    }
}

/// Writes the first `columns` numbers of several vectors.
#[inline(always)]
unsafe fn put<W: Vector, const V: usize>(values: [W; V], out: *mut f32, columns: usize) {
    unsafe {
        let mut v = 0;
        while v < V {
            let left = columns - (v * LANES).min(columns);
            if left >= LANES {
                values[v].store(out.add(v * LANES));
            } else {
                let mut rest = [0.0f32; LANES];
                values[v].store(rest.as_mut_ptr());
                std::ptr::copy_nonoverlapping(rest.as_ptr(), out.add(v * LANES), left);
            }
            v += 1;
        }
    }
}

/// `out[r * depth + k][n] += sum over p of from[starts[p] + runs[r] + k] *
/// by[to[p] + n]`, for each column `n` of `columns`; `out` is row-major.
///
/// # Panics
/// When something reaches beyond its slice.
pub(super) fn outer_products(
    width: Width,
    from: Runs,
    by: &[f32],
    to: &[usize],
    columns: usize,
    out: &mut [f32],
) {
    assert_eq!(from.starts.len(), to.len());
    assert!(from.runs.len() * from.depth * columns <= out.len());
    if to.is_empty() {
        return;
    }
    from.check();
    let end = to.iter().copied().max().unwrap_or(0) + columns;
    assert!(end <= by.len(), "factors within the map");
    // The last vector of a row would reach into the next row, and beyond the
    // slice at the end: what is left is copied to where it has room.
    let whole = columns / LANES * LANES;
    let rest: Vec<f32>;
    let rest_to: Vec<usize>;
    for (first, vectors) in width.blocks(whole).filter(|(_, vectors)| *vectors > 0) {
        let factors = Factors { by, to, first };
        outer_block(width, vectors, from, factors, columns, vectors * LANES, out);
    }
    if whole < columns {
        let left = columns - whole;
        let mut copied = vec![0.0; to.len() * LANES];
        for (copied, at) in copied.chunks_exact_mut(LANES).zip(to) {
            copied[..left].copy_from_slice(&by[at + whole..at + columns]);
        }
        rest = copied;
        rest_to = (0..to.len()).map(|p| p * LANES).collect();
        let factors = Factors {
            by: &rest,
            to: &rest_to,
            first: 0,
        };
        outer_block(width, 1, from, factors, columns, left, &mut out[whole..]);
    }
}

/// The second factors of outer products: columns from `first` on.
#[derive(Clone, Copy)]
struct Factors<'a> {
    by: &'a [f32],
    to: &'a [usize],
    first: usize,
}

/// One block of columns; `out` begins at its first column where that is not
/// `factors.first`.
fn outer_block(
    width: Width,
    vectors: usize,
    from: Runs,
    factors: Factors,
    stride: usize,
    columns: usize,
    out: &mut [f32],
) {
    let target = Target {
        out: &mut out[factors.first..],
        stride,
        columns,
    };
    // SAFETY: the features were detected, and the caller has checked that all
    // reads are within their slices; writes are checked.
    unsafe {
        match (width, vectors) {
            (Width::Avx512, 1) => outer_512::<1>(from, factors, target),
            (Width::Avx512, 2) => outer_512::<2>(from, factors, target),
            (Width::Avx512, 3) => outer_512::<3>(from, factors, target),
            (Width::Avx512, _) => outer_512::<4>(from, factors, target),
            (Width::Avx2, _) => outer_2::<1>(from, factors, target),
        }
    }
}

/// Where a block of outer products is added.
struct Target<'a> {
    out: &'a mut [f32],
    stride: usize,
    columns: usize,
}

#[target_feature(enable = "avx512f")]
unsafe fn outer_512<const V: usize>(from: Runs, factors: Factors, target: Target) {
    unsafe { outer_tiles::<Avx512, V>(from, factors, target) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn outer_2<const V: usize>(from: Runs, factors: Factors, target: Target) {
    unsafe { outer_tiles::<Avx2, V>(from, factors, target) }
}

#[inline(always)]
unsafe fn outer_tiles<W: Vector, const V: usize>(from: Runs, factors: Factors, mut target: Target) {
    // As many sums as hide the latency of an addition and fit in registers.
    unsafe {
        match from.depth {
            16.. if V == 1 && W::REGISTERS > 16 => {
                outer_rows::<W, 16, V>(from, factors, &mut target)
            }
            8.. if V < 4 && W::REGISTERS > 16 => outer_rows::<W, 8, V>(from, factors, &mut target),
            6.. => outer_rows::<W, 6, V>(from, factors, &mut target),
            3.. => outer_rows::<W, 3, V>(from, factors, &mut target),
            _ => outer_rows::<W, 1, V>(from, factors, &mut target),
        }
    }
}

/// All rows in tiles of `R`; needs runs of that depth at least.
#[inline(always)]
unsafe fn outer_rows<W: Vector, const R: usize, const V: usize>(
    from: Runs,
    factors: Factors,
    target: &mut Target,
) {
    unsafe {
        for (r, run) in from.runs.iter().enumerate() {
            let mut k = 0;
            while k < from.depth {
                // The last tile of a run overlaps the one before; only what is
                // new of it is added.
                let new = R.min(from.depth - k);
                let base = from.from.as_ptr().add(run + k + new - R);
                let tile = outer_tile::<W, R, V>(base, from.starts, factors);
                for (n, values) in tile[R - new..].iter().enumerate() {
                    let row = (r * from.depth + k + n) * target.stride;
                    add(*values, &mut target.out[row..][..target.columns]);
                }
                k += new;
            }
        }
    }
}

#[inline(always)]
unsafe fn outer_tile<W: Vector, const R: usize, const V: usize>(
    base: *const f32,
    starts: &[usize],
    factors: Factors,
) -> [[W; V]; R] {
    unsafe {
        let by = factors.by.as_ptr().add(factors.first);
        let mut sum = [[W::splat(0.0); V]; R];
        for (start, to) in starts.iter().zip(factors.to) {
            let (x, by) = (base.add(*start), by.add(*to));
            let mut columns = [W::splat(0.0); V];
            let mut v = 0;
            while v < V {
                columns[v] = W::load(by.add(v * LANES));
                v += 1;
            }
            let mut r = 0;
            while r < R {
                let x = W::splat(*x.add(r));
                let mut v = 0;
                while v < V {
                    sum[r][v] = sum[r][v].plus_product(x, columns[v]);
                    v += 1;
                }
                r += 1;
            }
        }
        sum
    }
}

/// Adds the first numbers of several vectors.
#[inline(always)]
unsafe fn add<W: Vector, const V: usize>(values: [W; V], out: &mut [f32]) {
    unsafe {
        for (values, out) in values.iter().zip(out.chunks_mut(LANES)) {
            let mut all = [0.0f32; LANES];
            values.store(all.as_mut_ptr());
            out.iter_mut().zip(all).for_each(|(sum, x)| *sum += x);
        }
    }
}
