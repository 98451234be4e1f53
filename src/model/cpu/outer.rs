//! Sums of outer products, which are the gradients of the filters of dense
//! convolutions on channels-last maps: the other half of [`sums`](super::sums).

use super::vector::{Avx2, Avx512, LANES, Vector};
use super::walk::{Runs, Width};

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
    for (first, vectors) in width.blocks(columns) {
        let factors = Factors {
            by,
            to,
            first,
            columns: (vectors * LANES).min(columns - first),
        };
        let target = Target {
            out: &mut out[first..],
            stride: columns,
        };
        // SAFETY: the features were detected, and the assertions above keep all
        // reads within their slices; writes are checked.
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
}

/// The second factors of outer products: so many columns from `first` on.
#[derive(Clone, Copy)]
struct Factors<'a> {
    by: &'a [f32],
    to: &'a [usize],
    first: usize,
    columns: usize,
}

/// Where a block of outer products is added.
struct Target<'a> {
    out: &'a mut [f32],
    stride: usize,
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
                    add(*values, &mut target.out[row..][..factors.columns]);
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
        let last = factors.columns - (V - 1) * LANES;
        let mut sum = [[W::splat(0.0); V]; R];
        for (start, to) in starts.iter().zip(factors.to) {
            let (x, by) = (base.add(*start), by.add(*to));
            let mut columns = [W::splat(0.0); V];
            let mut v = 0;
            while v + 1 < V {
                columns[v] = W::load(by.add(v * LANES));
                v += 1;
            }
            columns[v] = W::load_first(by.add(v * LANES), last);
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
