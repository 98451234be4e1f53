//! Dense and grouped convolution on `N x H x W x C` arrays without gathering
//! columns: see [`reading`](super::reading) for what is read and
//! [`sums`](super::sums) and [`outer`](super::outer) for the arithmetic.

use super::conv::Plan;
use super::outer::outer_products;
use super::pieces;
use super::reading::{Backwards, Reading};
use super::sums::{Packed, sums};
use super::walk::Width;

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
    pieces::forward(plan, &reading, x, out, |maps, images, out| {
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
    let each = taps * group_in * group_out;
    let len = plan.groups * each;
    let add = |maps: &[f32], images: usize, gradient: &[f32], sum: &mut [f32]| {
        for (group, sum) in sum.chunks_exact_mut(each).enumerate() {
            let from = reading.of(&maps[group * group_in..], images);
            let by = &gradient[group * group_out..];
            outer_products(width, from, by, reading.to(images), group_out, sum);
        }
    };
    let sum = pieces::filter_gradient(plan, &reading, x, output_gradient, len, add);
    let mut gradient = vec![0.0; len];
    for (group, sum) in sum.chunks_exact(each).enumerate() {
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
    pieces::input_gradient(plan, &reading, output_gradient, |gradient, images, data| {
        for (class, matrices) in reading.classes.iter().zip(&matrices) {
            for (group, matrix) in matrices.iter().enumerate() {
                let from = class.of(&gradient[group * group_out..], images);
                let data = &mut data[group * group_in..];
                sums(from, matrix, data, class.to(images));
            }
        }
    })
}
