//! Convolutions a few images at a time, on all cores, so that what one piece of
//! work reads and writes stays in the cache. What is done with a piece is told by
//! the caller; pieces are of a fixed size, so that sums over them do not depend
//! on the number of threads.

use rayon::prelude::*;

use super::conv::Plan;
use super::reading::{Backwards, Reading, piece_images};

/// Sums of the filters' gradient that are added in the end.
const PARTIAL_SUMS: usize = 8;

/// Writes `out`: `piece(maps in their border, images, out)` each of its pieces.
pub(super) fn forward(
    plan: &Plan,
    reading: &Reading,
    x: &[f32],
    out: &mut [f32],
    piece: impl Fn(&[f32], usize, &mut [f32]) + Sync,
) {
    let images = piece_images(plan);
    let out_len = plan.window.output_pixels() * plan.out_channels;
    out.par_chunks_mut(images * out_len)
        .zip(x.par_chunks(images * reading.border.inner_len()))
        .for_each_init(Vec::new, |buffer, (out, maps)| {
            let images = out.len() / out_len;
            piece(reading.border.around(maps, buffer), images, out);
        });
}

/// A sum of `len` numbers over all pieces: `piece(maps in their border, images,
/// gradient of the output, sum)` adds one's part.
pub(super) fn filter_gradient(
    plan: &Plan,
    reading: &Reading,
    x: &[f32],
    output_gradient: &[f32],
    len: usize,
    piece: impl Fn(&[f32], usize, &[f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    let images = piece_images(plan);
    let out_len = plan.window.output_pixels() * plan.out_channels;
    let in_len = reading.border.inner_len();
    let part = plan.images.div_ceil(PARTIAL_SUMS).next_multiple_of(images);
    let partial: Vec<Vec<f32>> = output_gradient
        .par_chunks(part * out_len)
        .zip(x.par_chunks(part * in_len))
        .map(|(gradient, maps)| {
            let mut sum = vec![0.0; len];
            let mut buffer = Vec::new();
            for (gradient, maps) in gradient
                .chunks(images * out_len)
                .zip(maps.chunks(images * in_len))
            {
                let images = gradient.len() / out_len;
                let maps = reading.border.around(maps, &mut buffer);
                piece(maps, images, gradient, &mut sum);
            }
            sum
        })
        .collect();
    super::sum_in_order(partial, len)
}

/// The gradient of the input: `piece(gradient of the output in its border,
/// images, gradient of the input)` writes each of its pieces.
pub(super) fn input_gradient(
    plan: &Plan,
    reading: &Backwards,
    output_gradient: &[f32],
    piece: impl Fn(&[f32], usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let images = piece_images(plan);
    let in_len = plan.window.input_pixels() * plan.in_channels;
    let mut data = reading.buffer(plan.images * in_len);
    data.par_chunks_mut(images * in_len)
        .zip(output_gradient.par_chunks(images * reading.border.inner_len()))
        .for_each_init(Vec::new, |buffer, (data, gradient)| {
            let images = data.len() / in_len;
            piece(reading.border.around(gradient, buffer), images, data);
        });
    data
}
