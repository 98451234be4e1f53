//! Sixteen 32-bit floats that processors with AVX2 or AVX-512 handle as one or
//! two registers. The compiler does not keep a tile of sums in registers by
//! itself, so the innermost loops are written on these.

#![allow(unsafe_op_in_unsafe_fn)]

use std::arch::x86_64::*;

/// Numbers in a [`Vector`].
pub(super) const LANES: usize = 16;

/// # Safety
/// Every function needs the processor's feature that the type is named after;
/// `load` and `store` need `LANES` numbers behind the pointer.
pub(super) trait Vector: Copy {
    /// How many of the processor's registers there are, by those of one value.
    const REGISTERS: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The first `count` numbers, the others zero; at most `LANES`.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    /// Stores the first `count` numbers, at most `LANES`.
    unsafe fn store_first(self, to: *mut f32, count: usize);
    /// `self + a * b`, rounded once.
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;
}

#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512);

#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256, __m256);

/// A bit for each of the first `count` of 16 lanes.
#[inline(always)]
fn first_bits(count: usize) -> u16 {
    ((1u32 << count) - 1) as u16
}

/// Two masks of eight lanes, of which the first `count` are on.
#[inline(always)]
unsafe fn first_lanes(count: usize) -> [__m256i; 2] {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let count = count as i32;
    [
        _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes),
        _mm256_cmpgt_epi32(_mm256_set1_epi32(count - 8), lanes),
    ]
}

impl Vector for Avx512 {
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Avx512(_mm512_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Avx512(_mm512_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        _mm512_storeu_ps(to, self.0)
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        Avx512(_mm512_maskz_loadu_ps(first_bits(count), from))
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        _mm512_mask_storeu_ps(to, first_bits(count), self.0)
    }
    #[inline(always)]
    unsafe fn plus_product(self, a: Self, b: Self) -> Self {
        Avx512(_mm512_fmadd_ps(a.0, b.0, self.0))
    }
}

impl Vector for Avx2 {
    const REGISTERS: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        let value = _mm256_set1_ps(value);
        Avx2(value, value)
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Avx2(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8)))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        _mm256_storeu_ps(to, self.0);
        _mm256_storeu_ps(to.add(8), self.1)
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let [low, high] = first_lanes(count);
        Avx2(
            _mm256_maskload_ps(from, low),
            _mm256_maskload_ps(from.wrapping_add(8), high),
        )
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        let [low, high] = first_lanes(count);
        _mm256_maskstore_ps(to, low, self.0);
        _mm256_maskstore_ps(to.wrapping_add(8), high, self.1)
    }
    #[inline(always)]
    unsafe fn plus_product(self, a: Self, b: Self) -> Self {
        Avx2(
            _mm256_fmadd_ps(a.0, b.0, self.0),
            _mm256_fmadd_ps(a.1, b.1, self.1),
        )
    }
}
