//! Dense and grouped convolution on `N x H x W x C` arrays by matrix products,
//! for any processor: pixels are gathered into columns a few images at a time,
//! so that they stay in the cache, and multiplied by the filters. A pointwise
//! convolution needs no gathering.

use std::borrow::Cow;

use rayon::prelude::*;

use super::buffer;
use super::conv::Plan;
use super::depthwise::transpose;
use super::gemm::{Matrix, product};

/// Rows of a matrix product handled as one piece of work. Fixed, so that sums
/// over pieces do not depend on the number of threads.
const PIECE_ROWS: usize = 2048;

impl Plan {
    /// Length of one column: what one output pixel of one group sees.
    fn column(&self) -> usize {
        self.window.taps() * self.group_in()
    }

    /// Images handled as one piece of work.
    fn piece_images(&self) -> usize {
        (PIECE_ROWS / self.window.output_pixels().max(1)).max(1)
    }

    /// Whether input pixels are the columns as they lie.
    fn is_direct(&self) -> bool {
        self.window.is_pointwise()
    }

    /// Filters as `[groups][out / groups][taps][in / groups]`.
    fn by_tap<'a>(&self, filters: &'a [f32]) -> Cow<'a, [f32]> {
        let (taps, inputs) = (self.window.taps(), self.group_in());
        if taps == 1 {
            return Cow::Borrowed(filters);
        }
        Cow::Owned(each_transposed(filters, inputs, taps))
    }

    /// The inverse of [`by_tap`](Self::by_tap).
    fn by_input(&self, filters: Vec<f32>) -> Vec<f32> {
        let (taps, inputs) = (self.window.taps(), self.group_in());
        if taps == 1 {
            return filters;
        }
        each_transposed(&filters, taps, inputs)
    }

    /// Visits each run of pixels that lies contiguously both in an image and in
    /// its columns: `visit(offset in image, offset in columns, length)`.
    fn for_runs(&self, group: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let (window, inputs) = (&self.window, self.group_in());
        let first = group * inputs;
        let width = window.input[1];
        let rows = window.inputs_of_outputs(0);
        let columns = window.inputs_of_outputs(1);
        // Neighbouring taps of a row are one run if all channels are gathered.
        let joined = self.groups == 1 && window.dilation == 1;
        for (oy, row_taps) in rows.iter().enumerate() {
            for (ox, column_taps) in columns.iter().enumerate() {
                let base = (oy * window.output[1] + ox) * self.column();
                for &(ky, iy) in row_taps {
                    let mut emit = |kx: usize, ix: usize, pixels: usize| {
                        visit(
                            (iy * width + ix) * self.in_channels + first,
                            base + (ky * window.kernel[1] + kx) * inputs,
                            pixels * inputs,
                        );
                    };
                    match column_taps.first() {
                        Some(&(kx, ix)) if joined => emit(kx, ix, column_taps.len()),
                        _ => column_taps.iter().for_each(|&(kx, ix)| emit(kx, ix, 1)),
                    }
                }
            }
        }
    }

    /// The runs of one group as a list, to be used for every image.
    fn runs(&self, group: usize) -> Vec<[usize; 3]> {
        let mut runs = Vec::new();
        self.for_runs(group, |image, column, length| {
            runs.push([image, column, length]);
        });
        runs
    }

    /// The runs of each group; none where nothing is gathered.
    fn group_runs(&self) -> Vec<Vec<[usize; 3]>> {
        match self.is_direct() {
            true => Vec::new(),
            false => (0..self.groups).map(|group| self.runs(group)).collect(),
        }
    }

    /// A group's columns of several images, one row an output pixel: the images
    /// themselves where nothing is gathered, else gathered into `buffer`.
    fn columns<'a>(
        &self,
        group: usize,
        runs: &[Vec<[usize; 3]>],
        images: &'a [f32],
        rows: usize,
        buffer: &'a mut Vec<f32>,
    ) -> Matrix<'a> {
        let column = self.column();
        if self.is_direct() {
            let data = &images[group * self.group_in()..];
            return Matrix::new(data, rows, column, self.in_channels);
        }
        buffer.resize(rows * column, 0.0);
        self.gather(&runs[group], images, buffer);
        Matrix::new(buffer, rows, column, column)
    }

    /// Gathers the columns of several images.
    fn gather(&self, runs: &[[usize; 3]], images: &[f32], columns: &mut [f32]) {
        let in_len = self.window.input_pixels() * self.in_channels;
        let out_len = self.window.output_pixels() * self.column();
        for (image, columns) in images
            .chunks_exact(in_len)
            .zip(columns.chunks_exact_mut(out_len))
        {
            for &[from, to, length] in runs {
                copy(&image[from..from + length], &mut columns[to..to + length]);
            }
        }
    }

    /// Adds columns back to where they were gathered from.
    fn scatter(&self, runs: &[[usize; 3]], columns: &[f32], images: &mut [f32]) {
        let in_len = self.window.input_pixels() * self.in_channels;
        let out_len = self.window.output_pixels() * self.column();
        for (image, columns) in images
            .chunks_exact_mut(in_len)
            .zip(columns.chunks_exact(out_len))
        {
            for &[to, from, length] in runs {
                for (sum, value) in image[to..to + length]
                    .iter_mut()
                    .zip(&columns[from..from + length])
                {
                    *sum += value;
                }
            }
        }
    }
}

/// One matrix of `rows x columns` after another, each transposed.
fn each_transposed(matrices: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let each = matrices.chunks_exact(rows * columns);
    each.flat_map(|m| transpose(m, rows, columns)).collect()
}

/// Short copies inline; a call to `memcpy` costs more than a few floats.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    if from.len() <= 8 {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    } else {
        to.copy_from_slice(from);
    }
}

/// Convolves into `out`; `finish` sees each piece of it while it is in the cache.
pub(super) fn forward(
    plan: &Plan,
    x: &[f32],
    filters: &[f32],
    out: &mut [f32],
    finish: impl Fn(&mut [f32]) + Sync,
) {
    let out_len = plan.window.output_pixels() * plan.out_channels;
    let in_len = plan.window.input_pixels() * plan.in_channels;
    let (group_out, column) = (plan.group_out(), plan.column());
    let piece = plan.piece_images();
    let filters = plan.by_tap(filters);
    let runs = plan.group_runs();
    out.par_chunks_mut(piece * out_len)
        .zip(x.par_chunks(piece * in_len))
        .for_each(|(out, images)| {
            let rows = out.len() / plan.out_channels;
            let mut columns = Vec::new();
            for group in 0..plan.groups {
                let columns = plan.columns(group, &runs, images, rows, &mut columns);
                let filters = &filters[group * group_out * column..];
                let filters = Matrix::new(filters, group_out, column, column);
                product(
                    columns,
                    filters.transposed(),
                    &mut out[group * group_out..],
                    plan.out_channels,
                    false,
                );
            }
            finish(out);
        });
}

/// Gradient of the filters, `[out, in / groups, taps]`.
pub(super) fn filter_gradient(plan: &Plan, x: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let out_len = plan.window.output_pixels() * plan.out_channels;
    let in_len = plan.window.input_pixels() * plan.in_channels;
    let (group_out, column) = (plan.group_out(), plan.column());
    let piece = plan.piece_images();
    let runs = plan.group_runs();
    let partial: Vec<Vec<f32>> = output_gradient
        .par_chunks(piece * out_len)
        .zip(x.par_chunks(piece * in_len))
        .map(|(gradient, images)| {
            let rows = gradient.len() / plan.out_channels;
            let mut sum = vec![0.0; plan.out_channels * column];
            let mut columns = Vec::new();
            for group in 0..plan.groups {
                let columns = plan.columns(group, &runs, images, rows, &mut columns);
                let gradient = &gradient[group * group_out..];
                let gradient = Matrix::new(gradient, rows, group_out, plan.out_channels);
                let sum = &mut sum[group * group_out * column..];
                product(gradient.transposed(), columns, sum, column, false);
            }
            sum
        })
        .collect();
    plan.by_input(super::sum_in_order(partial, plan.out_channels * column))
}

/// Gradient of the input.
pub(super) fn input_gradient(plan: &Plan, filters: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let out_len = plan.window.output_pixels() * plan.out_channels;
    let in_len = plan.window.input_pixels() * plan.in_channels;
    let (group_out, column) = (plan.group_out(), plan.column());
    let piece = plan.piece_images();
    let filters = plan.by_tap(filters);
    let runs = plan.group_runs();
    let mut data = buffer::zeroed(plan.images * in_len);
    data.par_chunks_mut(piece * in_len)
        .zip(output_gradient.par_chunks(piece * out_len))
        .for_each(|(images, gradient)| {
            let rows = gradient.len() / plan.out_channels;
            let mut columns = Vec::new();
            for group in 0..plan.groups {
                let gradient = &gradient[group * group_out..];
                let gradient = Matrix::new(gradient, rows, group_out, plan.out_channels);
                let filters = &filters[group * group_out * column..];
                let filters = Matrix::new(filters, group_out, column, column);
                if plan.is_direct() {
                    let images = &mut images[group * plan.group_in()..];
                    product(gradient, filters, images, plan.in_channels, false);
                } else {
                    columns.resize(rows * column, 0.0);
                    product(gradient, filters, &mut columns, column, false);
                    plan.scatter(&runs[group], &columns, images);
                }
            }
        });
    data
}
