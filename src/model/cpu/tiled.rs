//! Depthwise convolution on `N x H x W x C` arrays with a tile of outputs in
//! registers: see [`reading`](super::reading) for what is read and
//! [`channelwise`](super::channelwise) for the arithmetic.

use rayon::prelude::*;

use super::channelwise::{products, sums};
use super::conv::Plan;
use super::depthwise::transpose;
use super::direct::PARTIAL_SUMS;
use super::reading::{Backwards, Reading, piece_images};
use super::walk::{Runs, Width};

/// All channels at once of what one of them reads.
fn all_channels<'a>(one: Runs<'a>, plan: &Plan) -> Runs<'a> {
    Runs {
        depth: plan.in_channels,
        ..one
    }
}

/// Convolves into `out`; `finish` sees each piece of it while it is in the cache.
pub(super) fn forward(
    plan: &Plan,
    width: Width,
    x: &[f32],
    filters: &[f32],
    out: &mut [f32],
    finish: impl Fn(&mut [f32]) + Sync,
) {
    let reading = Reading::new(plan);
    let weights = transpose(filters, plan.in_channels, plan.window.taps());
    let piece = piece_images(plan);
    let out_len = plan.window.output_pixels() * plan.out_channels;
    out.par_chunks_mut(piece * out_len)
        .zip(x.par_chunks(piece * reading.border.inner_len()))
        .for_each_init(Vec::new, |buffer, (out, maps)| {
            let images = out.len() / out_len;
            let from = reading.of(reading.border.around(maps, buffer), images);
            sums(
                width,
                all_channels(from, plan),
                &weights,
                out,
                reading.to(images),
            );
            finish(out);
        });
}

/// Gradient of the filters, `[C, 1, taps]`.
pub(super) fn filter_gradient(
    plan: &Plan,
    width: Width,
    x: &[f32],
    output_gradient: &[f32],
) -> Vec<f32> {
    let reading = Reading::new(plan);
    let len = plan.window.taps() * plan.in_channels;
    let piece = piece_images(plan);
    let out_len = plan.window.output_pixels() * plan.out_channels;
    let in_len = reading.border.inner_len();
    let part = plan.images.div_ceil(PARTIAL_SUMS).next_multiple_of(piece);
    let partial: Vec<Vec<f32>> = output_gradient
        .par_chunks(part * out_len)
        .zip(x.par_chunks(part * in_len))
        .map(|(gradient, maps)| {
            let mut sum = vec![0.0; len];
            let mut buffer = Vec::new();
            for (gradient, maps) in gradient
                .chunks(piece * out_len)
                .zip(maps.chunks(piece * in_len))
            {
                let images = gradient.len() / out_len;
                let from = reading.of(reading.border.around(maps, &mut buffer), images);
                let from = all_channels(from, plan);
                products(width, from, gradient, reading.to(images), &mut sum);
            }
            sum
        })
        .collect();
    let sum = super::sum_in_order(partial, len);
    transpose(&sum, plan.window.taps(), plan.in_channels)
}

/// Gradient of the input.
pub(super) fn input_gradient(
    plan: &Plan,
    width: Width,
    filters: &[f32],
    output_gradient: &[f32],
) -> Vec<f32> {
    let reading = Backwards::new(plan);
    let weights = transpose(filters, plan.in_channels, plan.window.taps());
    let channels = plan.in_channels;
    let of_classes: Vec<Vec<f32>> = reading
        .classes
        .iter()
        .map(|class| {
            let of_tap = |tap: &usize| &weights[tap * channels..][..channels];
            class.taps.iter().flat_map(of_tap).copied().collect()
        })
        .collect();
    let piece = piece_images(plan);
    let in_len = plan.window.input_pixels() * channels;
    let mut data = reading.buffer(plan.images * in_len);
    data.par_chunks_mut(piece * in_len)
        .zip(output_gradient.par_chunks(piece * reading.border.inner_len()))
        .for_each_init(Vec::new, |buffer, (images, gradient)| {
            let count = images.len() / in_len;
            let gradient = reading.border.around(gradient, buffer);
            for (class, weights) in reading.classes.iter().zip(&of_classes) {
                let from = all_channels(class.of(gradient, count), plan);
                sums(width, from, weights, images, class.to(count));
            }
        });
    data
}
