//! The arithmetic of depthwise convolutions on channels-last maps: channels are
//! vector lanes, and a tile of outputs stays in registers while it sums its
//! taps.

use super::vector::{Avx2, Avx512, LANES, Vector};
use super::walk::{Runs, Width};

/// Outputs in a tile.
const TILE: usize = 8;
/// Taps whose sums stay in registers together.
const TAPS: usize = 9;

/// `out[to[p] + c] = sum over taps t of from[starts[p] + runs[t] + c] *
/// weights[t * channels + c]`, for each `p` and each of `from.depth` channels.
///
/// # Panics
/// When something reaches beyond its slice.
pub(super) fn sums(width: Width, from: Runs, weights: &[f32], out: &mut [f32], to: &[usize]) {
    assert_eq!(from.starts.len(), to.len());
    assert_eq!(weights.len(), from.runs.len() * from.depth);
    if to.is_empty() {
        return;
    }
    from.check();
    let end = to.iter().copied().max().unwrap_or(0) + from.depth;
    assert!(end <= out.len(), "outputs within the map");
    // SAFETY: the features were detected, and the assertions above keep all
    // reads and writes within their slices.
    unsafe {
        match width {
            Width::Avx512 => sums_512(from, weights, out.as_mut_ptr(), to),
            Width::Avx2 => sums_2(from, weights, out.as_mut_ptr(), to),
        }
    }
}

#[target_feature(enable = "avx512f")]
unsafe fn sums_512(from: Runs, weights: &[f32], out: *mut f32, to: &[usize]) {
    unsafe { sum_blocks::<Avx512>(from, weights, out, to) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn sums_2(from: Runs, weights: &[f32], out: *mut f32, to: &[usize]) {
    unsafe { sum_blocks::<Avx2>(from, weights, out, to) }
}

#[inline(always)]
unsafe fn sum_blocks<W: Vector>(from: Runs, weights: &[f32], out: *mut f32, to: &[usize]) {
    unsafe {
        let channels = from.depth;
        let mut first = 0;
        while first < channels {
            let out = out.add(first);
            if first + LANES <= channels {
                sum_block::<W, false>(from, weights, out, to, first, LANES);
            } else {
                sum_block::<W, true>(from, weights, out, to, first, channels - first);
            }
            first += LANES;
        }
    }
}

/// A vector, or what there is of it.
#[inline(always)]
unsafe fn load<W: Vector, const PART: bool>(from: *const f32, count: usize) -> W {
    unsafe {
        match PART {
            true => W::load_first(from, count),
            false => W::load(from),
        }
    }
}

#[inline(always)]
unsafe fn sum_block<W: Vector, const PART: bool>(
    from: Runs,
    weights: &[f32],
    out: *mut f32,
    to: &[usize],
    first: usize,
    count: usize,
) {
    unsafe {
        let start = from.from.as_ptr().add(first);
        let weights = weights.as_ptr().add(first);
        let mut at = 0;
        while at < to.len() {
            let pixels = TILE.min(to.len() - at);
            let mut inputs = [start; TILE];
            let mut p = 0;
            while p < TILE {
                // The last tile computes its last output several times.
                inputs[p] = start.add(from.starts[at + p.min(pixels - 1)]);
                p += 1;
            }
            let mut sum = [W::splat(0.0); TILE];
            for (t, run) in from.runs.iter().enumerate() {
                let weight = load::<W, PART>(weights.add(t * from.depth), count);
                let mut p = 0;
                while p < TILE {
                    let x = load::<W, PART>(inputs[p].add(*run), count);
                    sum[p] = sum[p].plus_product(x, weight);
                    p += 1;
                }
            }
            let mut p = 0;
            while p < TILE {
                if p < pixels {
                    sum[p].store_first(out.add(to[at + p]), count);
                }
                p += 1;
            }
            at += TILE;
        }
    }
}

/// `out[t * channels + c] += sum over p of from[starts[p] + runs[t] + c] *
/// by[to[p] + c]`, for each tap `t` and each of `from.depth` channels.
///
/// # Panics
/// When something reaches beyond its slice.
pub(super) fn products(width: Width, from: Runs, by: &[f32], to: &[usize], out: &mut [f32]) {
    assert_eq!(from.starts.len(), to.len());
    assert_eq!(out.len(), from.runs.len() * from.depth);
    if to.is_empty() {
        return;
    }
    from.check();
    let end = to.iter().copied().max().unwrap_or(0) + from.depth;
    assert!(end <= by.len(), "factors within the map");
    // SAFETY: as above.
    unsafe {
        match width {
            Width::Avx512 => products_512(from, by, to, out),
            Width::Avx2 => products_2(from, by, to, out),
        }
    }
}

#[target_feature(enable = "avx512f")]
unsafe fn products_512(from: Runs, by: &[f32], to: &[usize], out: &mut [f32]) {
    unsafe { product_blocks::<Avx512>(from, by, to, out) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn products_2(from: Runs, by: &[f32], to: &[usize], out: &mut [f32]) {
    unsafe { product_blocks::<Avx2>(from, by, to, out) }
}

#[inline(always)]
unsafe fn product_blocks<W: Vector>(from: Runs, by: &[f32], to: &[usize], out: &mut [f32]) {
    unsafe {
        let channels = from.depth;
        let mut first = 0;
        while first < channels {
            let count = LANES.min(channels - first);
            for tap in (0..from.runs.len()).step_by(TAPS) {
                let taps = &from.runs[tap..from.runs.len().min(tap + TAPS)];
                let sums = match count == LANES {
                    true => product_block::<W, false>(from, taps, by, to, first, count),
                    false => product_block::<W, true>(from, taps, by, to, first, count),
                };
                for (t, sum) in sums.iter().take(taps.len()).enumerate() {
                    let mut all = [0.0f32; LANES];
                    sum.store(all.as_mut_ptr());
                    let out = &mut out[(tap + t) * channels + first..][..count];
                    out.iter_mut().zip(all).for_each(|(out, x)| *out += x);
                }
            }
            first += LANES;
        }
    }
}

/// Sums of at most `TAPS` taps; those that are missing repeat the last.
#[inline(always)]
unsafe fn product_block<W: Vector, const PART: bool>(
    from: Runs,
    taps: &[usize],
    by: &[f32],
    to: &[usize],
    first: usize,
    count: usize,
) -> [W; TAPS] {
    unsafe {
        let mut offsets = [0; TAPS];
        let mut t = 0;
        while t < TAPS {
            offsets[t] = taps[t.min(taps.len() - 1)];
            t += 1;
        }
        let (start, by) = (from.from.as_ptr().add(first), by.as_ptr().add(first));
        let mut sum = [W::splat(0.0); TAPS];
        for (pixel, to) in from.starts.iter().zip(to) {
            let factor = load::<W, PART>(by.add(*to), count);
            let x = start.add(*pixel);
            let mut t = 0;
            while t < TAPS {
                let x = load::<W, PART>(x.add(offsets[t]), count);
                sum[t] = sum[t].plus_product(x, factor);
                t += 1;
            }
        }
        sum
    }
}
