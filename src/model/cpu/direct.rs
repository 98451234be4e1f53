//! Dense and grouped convolution on `N x H x W x C` arrays without gathering
//! columns: see [`reading`](super::reading) for what is read and
//! [`sums`](super::sums) and [`outer`](super::outer) for the arithmetic.

use rayon::prelude::*;

use super::conv::Plan;
use super::outer::outer_products;
use super::reading::{Backwards, Reading, piece_images};
use super::sums::{Packed, sums};
use super::walk::Width;

/// Sums of the filters' gradient that are added in the end.
pub(super) const PARTIAL_SUMS: usize = 8;

/// Where the weights of one group lie: for each tap and each input channel, of
/// the first output channel.
fn rows_of_filters(plan: &Plan, group: usize) -> Vec<usize> {
    let (taps, inputs) = (plan.window.taps(), plan.group_in());
    let first = group * plan.group_out() * inputs * taps;
    (0..taps)
        .flat_map(|tap| (0..inputs).map(move |input| first + input * taps + tap))
        .collect()
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
    let stride = plan.group_in() * plan.window.taps();
    let matrices: Vec<Packed> = (0..plan.groups)
        .map(|group| {
            let rows = rows_of_filters(plan, group);
            Packed::new(width, filters, &rows, plan.group_out(), stride)
        })
        .collect();
    let piece = piece_images(plan);
    let out_len = plan.window.output_pixels() * plan.out_channels;
    out.par_chunks_mut(piece * out_len)
        .zip(x.par_chunks(piece * reading.border.inner_len()))
        .for_each_init(Vec::new, |buffer, (out, maps)| {
            let images = out.len() / out_len;
            let maps = reading.border.around(maps, buffer);
            for (group, matrix) in matrices.iter().enumerate() {
                let from = reading.of(&maps[group * plan.group_in()..], images);
                let out = &mut out[group * plan.group_out()..];
                sums(from, matrix, out, reading.to(images));
            }
            finish(out);
        });
}

/// Gradient of the filters, `[out, in / groups, taps]`.
pub(super) fn filter_gradient(
    plan: &Plan,
    width: Width,
    x: &[f32],
    output_gradient: &[f32],
) -> Vec<f32> {
    let reading = Reading::new(plan);
    let (group_in, group_out) = (plan.group_in(), plan.group_out());
    let taps = plan.window.taps();
    let len = plan.groups * taps * group_in * group_out;
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
                let maps = reading.border.around(maps, &mut buffer);
                for (group, sum) in sum
                    .chunks_exact_mut(taps * group_in * group_out)
                    .enumerate()
                {
                    let from = reading.of(&maps[group * group_in..], images);
                    let by = &gradient[group * group_out..];
                    outer_products(width, from, by, reading.to(images), group_out, sum);
                }
            }
            sum
        })
        .collect();
    let sum = super::sum_in_order(partial, len);
    let mut gradient = vec![0.0; len];
    for (group, sum) in sum.chunks_exact(taps * group_in * group_out).enumerate() {
        for (row, values) in rows_of_filters(plan, group)
            .iter()
            .zip(sum.chunks_exact(group_out))
        {
            let to = gradient[*row..].iter_mut().step_by(group_in * taps);
            to.zip(values).for_each(|(to, value)| *to = *value);
        }
    }
    gradient
}

/// Gradient of the input.
pub(super) fn input_gradient(
    plan: &Plan,
    width: Width,
    filters: &[f32],
    output_gradient: &[f32],
) -> Vec<f32> {
    let reading = Backwards::new(plan);
    let (group_in, group_out) = (plan.group_in(), plan.group_out());
    let taps = plan.window.taps();
    // For each class, of each group.
    let matrices: Vec<Vec<Packed>> = reading
        .classes
        .iter()
        .map(|class| {
            let of_group = |group: usize| {
                let first = group * group_out * group_in * taps;
                let rows: Vec<usize> = class
                    .taps
                    .iter()
                    .flat_map(|tap| {
                        (0..group_out).map(move |out| first + tap + out * group_in * taps)
                    })
                    .collect();
                Packed::new(width, filters, &rows, group_in, taps)
            };
            (0..plan.groups).map(of_group).collect()
        })
        .collect();
    let piece = piece_images(plan);
    let in_len = plan.window.input_pixels() * plan.in_channels;
    let mut data = reading.buffer(plan.images * in_len);
    data.par_chunks_mut(piece * in_len)
        .zip(output_gradient.par_chunks(piece * reading.border.inner_len()))
        .for_each_init(Vec::new, |buffer, (images, gradient)| {
            let count = images.len() / in_len;
            let gradient = reading.border.around(gradient, buffer);
            for (class, matrices) in reading.classes.iter().zip(&matrices) {
                for (group, matrix) in matrices.iter().enumerate() {
                    let from = class.of(&gradient[group * group_out..], count);
                    sums(
                        from,
                        matrix,
                        &mut images[group * group_in..],
                        class.to(count),
                    );
                }
            }
        });
    data
}
