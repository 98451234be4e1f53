//! The arithmetic of dense convolutions on channels-last maps: sums of products
//! of short runs of numbers that lie anywhere in a slice with a packed matrix.
//! Nothing is gathered into columns; a tile of outputs stays in vector registers
//! from the first product to the last.

use super::vector::{Avx2, Avx512, LANES, Vector};
use super::walk::{Runs, Width};

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

/// Writes the first `columns` numbers of several vectors, the last of which
/// holds at least one of them.
#[inline(always)]
unsafe fn put<W: Vector, const V: usize>(values: [W; V], out: *mut f32, columns: usize) {
    unsafe {
        let mut v = 0;
        while v + 1 < V {
            values[v].store(out.add(v * LANES));
            v += 1;
        }
        values[v].store_first(out.add(v * LANES), columns - v * LANES);
    }
}
