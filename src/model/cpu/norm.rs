//! Batch normalisation in training (Ioffe and Szegedy 2015) on arrays whose
//! last dimension is channels, with the activation that follows it applied in
//! the same pass over memory.

// One index into several fixed-size pieces is what compiles to vector code.
#![allow(clippy::needless_range_loop)]

use multiversion::multiversion;
use rayon::prelude::*;

use super::activation::{Curve, with_curve};
use super::autodiff::{Input, Kernel, Output};
use super::buffer;
use super::window::for_channels;
use crate::network::Activation;

/// Rows handled as one piece of work; fixed, so that sums over pieces do not
/// depend on the number of threads.
const PIECE_ROWS: usize = 512;

/// Mean and biased variance by channel.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
}

/// Moments over all dimensions but the last.
pub(super) fn moments(x: Input<'_>) -> Moments {
    let channels = x.dims[x.dims.len() - 1];
    let rows = x.data.len() / channels;
    // Sums of deviations from one sample lose far less to rounding than sums
    // of plain squares.
    let pivot = &x.data[..channels];
    let partial: Vec<Vec<f32>> = x
        .data
        .par_chunks(PIECE_ROWS * channels)
        .map(|rows| {
            let mut sums = vec![0.0; 2 * channels];
            sum_deviations(channels, pivot, rows, &mut sums);
            sums
        })
        .collect();
    let mut sums = vec![0.0f64; 2 * channels];
    for piece in partial {
        sums.iter_mut()
            .zip(piece)
            .for_each(|(sum, p)| *sum += p as f64);
    }
    let (mean, variance) = (0..channels)
        .map(|c| {
            let shift = sums[c] / rows as f64;
            let variance = sums[channels + c] / rows as f64 - shift * shift;
            // `max` would hide the NaN of a diverged run.
            let variance = if variance < 0.0 { 0.0 } else { variance };
            ((pivot[c] as f64 + shift) as f32, variance as f32)
        })
        .unzip();
    Moments { mean, variance }
}

/// `act(gamma (x - mean) / sqrt(variance + epsilon) + beta)` with the moments
/// of the batch; inputs are `x`, `gamma` and `beta`. The backward pass lets
/// gradients flow through the moments, too.
#[derive(Debug, Clone)]
pub(super) struct NormKernel {
    pub mean: Vec<f32>,
    /// `1 / sqrt(variance + epsilon)`.
    pub inverse_deviation: Vec<f32>,
    pub activation: Option<Activation>,
}

impl NormKernel {
    /// Normalisation as `scale x + shift` by channel.
    fn affine(&self, gamma: &[f32], beta: &[f32]) -> Affine {
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&self.inverse_deviation)
            .map(|(gamma, inverse)| gamma * inverse)
            .collect();
        let shift = (0..scale.len())
            .map(|c| beta[c] - self.mean[c] * scale[c])
            .collect();
        Affine { scale, shift }
    }
}

/// `scale x + shift` by channel.
struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// Rows of few channels are handled several at a time, as so many numbers.
const TILE: usize = 64;

impl Affine {
    /// The same for several rows at once.
    fn tiled(&self) -> Affine {
        let rows = TILE.div_ceil(self.scale.len());
        Affine {
            scale: self.scale.repeat(rows),
            shift: self.shift.repeat(rows),
        }
    }
}

impl Kernel<3> for NormKernel {
    fn forward(&self, [x, gamma, beta]: [Input<'_>; 3]) -> Output {
        let channels = gamma.data.len();
        let affine = self.affine(gamma.data, beta.data);
        let affine = affine.tiled();
        let mut data = buffer::take(x.data.len());
        data.par_chunks_mut(PIECE_ROWS * channels)
            .zip(x.data.par_chunks(PIECE_ROWS * channels))
            .for_each(|(out, x)| with_curve!(self.activation, affine_activated(&affine, x, out)));
        Output {
            data,
            dims: x.dims.to_vec(),
        }
    }

    fn backward(
        &self,
        [x, gamma, beta]: [Input<'_>; 3],
        output_gradient: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let channels = gamma.data.len();
        let count = (x.data.len() / channels) as f32;
        let affine = self.affine(gamma.data, beta.data);
        // Sums over rows of the gradient before the activation, plain and times
        // the deviation from the mean.
        let partial: Vec<Vec<f32>> = x
            .data
            .par_chunks(PIECE_ROWS * channels)
            .zip(output_gradient.par_chunks(PIECE_ROWS * channels))
            .map(|(x, gradient)| {
                let mut sums = vec![0.0; 2 * channels];
                let mean = &self.mean;
                with_curve!(
                    self.activation,
                    sum_gradients(&affine, mean, x, gradient, &mut sums)
                );
                sums
            })
            .collect();
        let sums = super::sum_in_order(partial, 2 * channels);
        let (plain, deviated) = sums.split_at(channels);
        let gamma_gradient: Vec<f32> = deviated
            .iter()
            .zip(&self.inverse_deviation)
            .map(|(sum, inverse)| sum * inverse)
            .collect();
        let input = || {
            // dx = scale (dz - mean(dz) - normalised x * mean(dz * normalised x))
            //    = scale dz + slope x + offset
            let slope: Vec<f32> = (0..channels)
                .map(|c| -affine.scale[c] * self.inverse_deviation[c] * gamma_gradient[c] / count)
                .collect();
            let offset: Vec<f32> = (0..channels)
                .map(|c| -affine.scale[c] * plain[c] / count - slope[c] * self.mean[c])
                .collect();
            let correction = Affine {
                scale: slope,
                shift: offset,
            };
            let (affine, correction) = (affine.tiled(), correction.tiled());
            let mut out = buffer::take(x.data.len());
            out.par_chunks_mut(PIECE_ROWS * channels)
                .zip(x.data.par_chunks(PIECE_ROWS * channels))
                .zip(output_gradient.par_chunks(PIECE_ROWS * channels))
                .for_each(|((out, x), gradient)| {
                    with_curve!(
                        self.activation,
                        input_gradient(&affine, &correction, x, gradient, out)
                    )
                });
            out
        };
        [
            wanted[0].then(input),
            wanted[1].then(|| gamma_gradient.clone()),
            wanted[2].then(|| plain.to_vec()),
        ]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn sum_deviations(channels: usize, pivot: &[f32], x: &[f32], sums: &mut [f32]) {
    for_channels!(channels, |at, LANES| {
        let pivot = &pivot[at..at + LANES];
        let mut sum = [0.0f32; LANES];
        let mut squares = [0.0f32; LANES];
        for row in x.chunks_exact(channels) {
            let row = &row[at..at + LANES];
            for lane in 0..LANES {
                let deviation = row[lane] - pivot[lane];
                sum[lane] += deviation;
                squares[lane] += deviation * deviation;
            }
        }
        sums[at..at + LANES].copy_from_slice(&sum);
        sums[channels + at..channels + at + LANES].copy_from_slice(&squares);
    });
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn affine_activated<A: Curve>(affine: &Affine, x: &[f32], out: &mut [f32]) {
    let tile = affine.scale.len();
    for (x, out) in x.chunks(tile).zip(out.chunks_mut(tile)) {
        let coefficients = affine.scale.iter().zip(&affine.shift);
        for ((out, x), (scale, shift)) in out.iter_mut().zip(x).zip(coefficients) {
            *out = A::value(x * scale + shift);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn sum_gradients<A: Curve>(
    affine: &Affine,
    mean: &[f32],
    x: &[f32],
    gradient: &[f32],
    sums: &mut [f32],
) {
    let channels = mean.len();
    for_channels!(channels, |at, LANES| {
        let mean = &mean[at..at + LANES];
        let scale = &affine.scale[at..at + LANES];
        let shift = &affine.shift[at..at + LANES];
        let mut plain = [0.0f32; LANES];
        let mut deviated = [0.0f32; LANES];
        for (x, gradient) in x
            .chunks_exact(channels)
            .zip(gradient.chunks_exact(channels))
        {
            let (x, gradient) = (&x[at..at + LANES], &gradient[at..at + LANES]);
            for lane in 0..LANES {
                let before = gradient[lane] * A::slope(x[lane] * scale[lane] + shift[lane]);
                plain[lane] += before;
                deviated[lane] += before * (x[lane] - mean[lane]);
            }
        }
        sums[at..at + LANES].copy_from_slice(&plain);
        sums[channels + at..channels + at + LANES].copy_from_slice(&deviated);
    });
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn input_gradient<A: Curve>(
    affine: &Affine,
    correction: &Affine,
    x: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) {
    let tile = affine.scale.len();
    for ((x, gradient), out) in x
        .chunks(tile)
        .zip(gradient.chunks(tile))
        .zip(out.chunks_mut(tile))
    {
        let count = out.len();
        let (x, gradient) = (&x[..count], &gradient[..count]);
        let (scale, shift) = (&affine.scale[..count], &affine.shift[..count]);
        let (slope, offset) = (&correction.scale[..count], &correction.shift[..count]);
        for c in 0..count {
            let before = gradient[c] * A::slope(x[c] * scale[c] + shift[c]);
            out[c] = scale[c] * before + slope[c] * x[c] + offset[c];
        }
    }
}
