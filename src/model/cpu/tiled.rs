//! Depthwise convolution on `N x H x W x C` arrays with a tile of outputs in
//! registers: see [`reading`](super::reading) for what is read and
//! [`channelwise`](super::channelwise) for the arithmetic.

use super::channelwise::{products, sums};
use super::conv::Plan;
use super::depthwise::transpose;
use super::pieces;
use super::reading::{Backwards, Reading};
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
    pieces::forward(plan, &reading, x, out, |maps, images, out| {
        let from = all_channels(reading.of(maps, images), plan);
        sums(width, from, &weights, out, reading.to(images));
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
    let add = |maps: &[f32], images: usize, gradient: &[f32], sum: &mut [f32]| {
        let from = all_channels(reading.of(maps, images), plan);
        products(width, from, gradient, reading.to(images), sum);
    };
    let sum = pieces::filter_gradient(plan, &reading, x, output_gradient, len, add);
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
    pieces::input_gradient(plan, &reading, output_gradient, |gradient, images, data| {
        for (class, weights) in reading.classes.iter().zip(&of_classes) {
            let from = all_channels(class.of(gradient, images), plan);
            sums(width, from, weights, data, class.to(images));
        }
    })
}
