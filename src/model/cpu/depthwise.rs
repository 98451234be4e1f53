//! Depthwise convolution on `N x H x W x C` arrays: each channel has one
//! filter, so channels are the vector lanes and nothing is gathered. Forward
//! and the gradient of the input are the same loop with the roles of input and
//! output pixels exchanged.

// One index into several fixed-size pieces is what compiles to vector code.
#![allow(clippy::needless_range_loop)]

use multiversion::multiversion;
use rayon::prelude::*;

use super::activation::{activate, with_curve};
use super::autodiff::{Input, Kernel, Output};
use super::buffer;
#[cfg(target_arch = "x86_64")]
use super::conv::Plan;
#[cfg(target_arch = "x86_64")]
use super::tiled;
#[cfg(target_arch = "x86_64")]
use super::walk::Width;
use super::window::{Window, for_channels};
use crate::network::Activation;

/// Images handled as one piece of work; fixed, so that sums over pieces do not
/// depend on the number of threads.
const PIECE_IMAGES: usize = 8;

/// A convolution with as many groups as input and output channels; the second
/// input are filters `[C, 1, taps]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct DepthwiseKernel {
    pub window: Window,
    /// Applied to the output; only where no gradient is wanted.
    pub activation: Option<Activation>,
}

impl DepthwiseKernel {
    /// Convolves, adds a bias and activates.
    pub fn run(&self, x: Input<'_>, filters: &[f32], bias: Option<&[f32]>) -> Output {
        let window = self.window;
        let channels = x.dims[3];
        let out_len = window.output_pixels() * channels;
        let mut data = buffer::take(x.dims[0] * out_len);
        let finish = |out: &mut [f32]| {
            if let Some(bias) = bias {
                for row in out.chunks_exact_mut(channels) {
                    row.iter_mut()
                        .zip(bias)
                        .for_each(|(out, bias)| *out += bias);
                }
            }
            if self.activation.is_some() {
                with_curve!(self.activation, activate(out));
            }
        };
        self.convolve(x, filters, &mut data, finish);
        let [height, width] = window.output;
        Output {
            data,
            dims: vec![x.dims[0], height, width, channels],
        }
    }

    /// Convolves into `out`; `finish` sees each piece of it while it is in the
    /// cache.
    fn convolve(
        &self,
        x: Input<'_>,
        filters: &[f32],
        out: &mut [f32],
        finish: impl Fn(&mut [f32]) + Sync,
    ) {
        #[cfg(target_arch = "x86_64")]
        if let Some(width) = Width::detect() {
            return tiled::forward(&self.plan(x), width, x.data, filters, out, finish);
        }
        self.convolve_anywhere(x, filters, out, finish);
    }

    /// [`convolve`](Self::convolve) on any processor.
    pub fn convolve_anywhere(
        &self,
        x: Input<'_>,
        filters: &[f32],
        out: &mut [f32],
        finish: impl Fn(&mut [f32]) + Sync,
    ) {
        let window = self.window;
        let channels = x.dims[3];
        let filters = transpose(filters, channels, window.taps());
        let link = Link {
            rows: window.inputs_of_outputs(0),
            columns: window.inputs_of_outputs(1),
            width: window.input[1],
            kernel: window.kernel[1],
        };
        out.par_chunks_mut(window.output_pixels() * channels)
            .zip(x.data.par_chunks(window.input_pixels() * channels))
            .for_each(|(out, image)| {
                weighted_sums(&link, channels, &filters, image, out);
                finish(out);
            });
    }

    /// The same convolution as one of many groups.
    #[cfg(target_arch = "x86_64")]
    pub fn plan(&self, x: Input<'_>) -> Plan {
        Plan {
            window: self.window,
            images: x.dims[0],
            in_channels: x.dims[3],
            out_channels: x.dims[3],
            groups: x.dims[3],
        }
    }
}

impl Kernel<2> for DepthwiseKernel {
    fn forward(&self, [x, filters]: [Input<'_>; 2]) -> Output {
        self.run(x, filters.data, None)
    }

    fn backward(
        &self,
        [x, filters]: [Input<'_>; 2],
        output_gradient: &[f32],
        wanted: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        #[cfg(target_arch = "x86_64")]
        if let Some(width) = Width::detect() {
            let plan = self.plan(x);
            return [
                wanted[0]
                    .then(|| tiled::input_gradient(&plan, width, filters.data, output_gradient)),
                wanted[1].then(|| tiled::filter_gradient(&plan, width, x.data, output_gradient)),
            ];
        }
        self.gradients_anywhere([x, filters], output_gradient, wanted)
    }
}

impl DepthwiseKernel {
    /// Gradients of input and filters on any processor.
    pub fn gradients_anywhere(
        &self,
        [x, filters]: [Input<'_>; 2],
        output_gradient: &[f32],
        wanted: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        let window = self.window;
        let channels = x.dims[3];
        let (in_len, out_len) = (
            window.input_pixels() * channels,
            window.output_pixels() * channels,
        );
        let input = || {
            let filters = transpose(filters.data, channels, window.taps());
            let link = Link {
                rows: window.outputs_of_inputs(0),
                columns: window.outputs_of_inputs(1),
                width: window.output[1],
                kernel: window.kernel[1],
            };
            let mut gradient = buffer::take(x.data.len());
            gradient
                .par_chunks_mut(in_len)
                .zip(output_gradient.par_chunks(out_len))
                .for_each(|(input, output)| {
                    weighted_sums(&link, channels, &filters, output, input);
                });
            gradient
        };
        let filter = || {
            let (rows, columns) = (window.pairs_of_taps(0), window.pairs_of_taps(1));
            let widths = [window.output[1], window.input[1]];
            let partial: Vec<Vec<f32>> = output_gradient
                .par_chunks(PIECE_IMAGES * out_len)
                .zip(x.data.par_chunks(PIECE_IMAGES * in_len))
                .map(|(outputs, inputs)| {
                    let mut sum = vec![0.0; window.taps() * channels];
                    for (output, input) in outputs
                        .chunks_exact(out_len)
                        .zip(inputs.chunks_exact(in_len))
                    {
                        correlate(&rows, &columns, widths, channels, output, input, &mut sum);
                    }
                    sum
                })
                .collect();
            let sum = super::sum_in_order(partial, window.taps() * channels);
            transpose(&sum, window.taps(), channels)
        };
        [wanted[0].then(input), wanted[1].then(filter)]
    }
}

/// A `rows x columns` matrix, transposed.
pub(super) fn transpose(from: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut to = vec![0.0; from.len()];
    for row in 0..rows {
        for column in 0..columns {
            to[column * rows + row] = from[row * columns + column];
        }
    }
    to
}

/// Which source pixels each destination pixel sums, by axis.
struct Link {
    /// For each destination row, `(tap, source row)`.
    rows: Vec<Vec<(usize, usize)>>,
    /// For each destination column, `(tap, source column)`.
    columns: Vec<Vec<(usize, usize)>>,
    /// Width of the source map.
    width: usize,
    /// Width of the kernel.
    kernel: usize,
}

/// Each destination pixel becomes the sum of its source pixels, weighted by
/// `filters` (`[taps][C]`).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn weighted_sums(link: &Link, channels: usize, filters: &[f32], from: &[f32], to: &mut [f32]) {
    let mut pixels = to.chunks_exact_mut(channels);
    for rows in &link.rows {
        for columns in &link.columns {
            let to = pixels.next().expect("one chunk for each pixel");
            for_channels!(channels, |at, LANES| {
                let mut sum = [0.0f32; LANES];
                for &(ky, y) in rows {
                    for &(kx, x) in columns {
                        let from = &from[(y * link.width + x) * channels + at..][..LANES];
                        let filter = &filters[(ky * link.kernel + kx) * channels + at..][..LANES];
                        for lane in 0..LANES {
                            sum[lane] += from[lane] * filter[lane];
                        }
                    }
                }
                to[at..at + LANES].copy_from_slice(&sum);
            });
        }
    }
}

/// Adds to `sum` (`[taps][C]`) the products of output and input pixels that
/// each tap joins. `widths` are those of the output and the input map.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn correlate(
    rows: &[Vec<(usize, usize)>],
    columns: &[Vec<(usize, usize)>],
    widths: [usize; 2],
    channels: usize,
    output: &[f32],
    input: &[f32],
    sum: &mut [f32],
) {
    let kernel = columns.len();
    for_channels!(channels, |at, LANES| {
        for (ky, rows) in rows.iter().enumerate() {
            for (kx, columns) in columns.iter().enumerate() {
                let mut tap = [0.0f32; LANES];
                for &(oy, iy) in rows {
                    for &(ox, ix) in columns {
                        let output = &output[(oy * widths[0] + ox) * channels + at..][..LANES];
                        let input = &input[(iy * widths[1] + ix) * channels + at..][..LANES];
                        for lane in 0..LANES {
                            tap[lane] += output[lane] * input[lane];
                        }
                    }
                }
                let sum = &mut sum[(ky * kernel + kx) * channels + at..][..LANES];
                for lane in 0..LANES {
                    sum[lane] += tap[lane];
                }
            }
        }
    });
}
