//! Dense and grouped convolution on `N x H x W x C` arrays without gathering:
//! a map is copied once with its border of zeros, and every output reads what
//! it sees from there. The gradient of the input is a convolution of the
//! output's gradient with the filters turned round, one for each residue of the
//! position by the stride.

use rayon::prelude::*;

use super::buffer::{take, zeroed};
use super::conv::Plan;
use super::walk::{Packed, Runs, Width, outer_products, sums};

/// Output pixels handled as one piece of work at least. Fixed, so that sums
/// over pieces do not depend on the number of threads.
const PIECE_PIXELS: usize = 512;
/// Sums of the filters' gradient that are added in the end.
const PARTIAL_SUMS: usize = 8;

/// A map inside a border of zeros.
#[derive(Debug, Clone, Copy)]
struct Border {
    /// Height and width of the map.
    inner: [usize; 2],
    /// Zeros before the first row and the first column.
    before: [usize; 2],
    /// Height and width with the border.
    outer: [usize; 2],
    channels: usize,
}

impl Border {
    fn inner_len(&self) -> usize {
        self.inner[0] * self.inner[1] * self.channels
    }

    fn outer_len(&self) -> usize {
        self.outer[0] * self.outer[1] * self.channels
    }

    /// Several maps with their borders; `buffer` is this border's alone.
    fn around<'a>(&self, maps: &'a [f32], buffer: &'a mut Vec<f32>) -> &'a [f32] {
        if self.inner == self.outer {
            return maps;
        }
        let count = maps.len() / self.inner_len();
        // What was copied before is copied over, and the border stays zero.
        buffer.resize(buffer.len().max(count * self.outer_len()), 0.0);
        let row = self.inner[1] * self.channels;
        let outer_row = self.outer[1] * self.channels;
        let first = self.before[0] * outer_row + self.before[1] * self.channels;
        for (map, outer) in maps
            .chunks_exact(self.inner_len())
            .zip(buffer.chunks_exact_mut(self.outer_len()))
        {
            for (from, to) in map
                .chunks_exact(row)
                .zip(outer[first..].chunks_mut(outer_row))
            {
                to[..row].copy_from_slice(from);
            }
        }
        &buffer[..count * self.outer_len()]
    }
}

/// For each image and each of some places in it: where an output's reading
/// starts in the bordered maps, and where the output lies.
struct Places {
    starts: Vec<usize>,
    to: Vec<usize>,
    each: usize,
}

impl Places {
    fn new(images: usize, from_len: usize, to_len: usize, one: &[(usize, usize)]) -> Self {
        let shifted = |len: usize, pick: fn(&(usize, usize)) -> usize| {
            (0..images)
                .flat_map(|image| one.iter().map(move |place| image * len + pick(place)))
                .collect()
        };
        Places {
            starts: shifted(from_len, |place| place.0),
            to: shifted(to_len, |place| place.1),
            each: one.len(),
        }
    }

    fn starts(&self, images: usize) -> &[usize] {
        &self.starts[..images * self.each]
    }

    fn to(&self, images: usize) -> &[usize] {
        &self.to[..images * self.each]
    }
}

/// Images handled as one piece of work.
fn piece_images(plan: &Plan) -> usize {
    PIECE_PIXELS.div_ceil(plan.window.output_pixels().max(1))
}

/// What all outputs read of the input.
struct Reading {
    border: Border,
    places: Places,
    runs: Vec<usize>,
    depth: usize,
}

impl Reading {
    fn new(plan: &Plan) -> Self {
        let (window, channels) = (&plan.window, plan.in_channels);
        let border = Border {
            inner: window.input,
            before: window.padding,
            outer: [0, 1].map(|axis| window.input[axis] + 2 * window.padding[axis]),
            channels,
        };
        let width = border.outer[1];
        let one: Vec<(usize, usize)> = (0..window.output_pixels())
            .map(|pixel| {
                let [y, x] = [pixel / window.output[1], pixel % window.output[1]];
                let start = (y * width + x) * window.stride * channels;
                (start, pixel * plan.out_channels)
            })
            .collect();
        let out_len = window.output_pixels() * plan.out_channels;
        let places = Places::new(piece_images(plan), border.outer_len(), out_len, &one);
        let at = |y: usize, x: usize| (y * width + x) * window.dilation * channels;
        // Neighbouring taps of a row are one run if all channels are read.
        let joined = plan.groups == 1 && window.dilation == 1;
        let (runs, depth) = if joined {
            let runs = (0..window.kernel[0]).map(|y| at(y, 0)).collect();
            (runs, window.kernel[1] * channels)
        } else {
            let taps =
                (0..window.taps()).map(|tap| [tap / window.kernel[1], tap % window.kernel[1]]);
            (taps.map(|[y, x]| at(y, x)).collect(), plan.group_in())
        };
        Reading {
            border,
            places,
            runs,
            depth,
        }
    }

    fn of<'a>(&'a self, maps: &'a [f32], group: usize, plan: &Plan, images: usize) -> Runs<'a> {
        Runs {
            from: &maps[group * plan.group_in()..],
            starts: self.places.starts(images),
            runs: &self.runs,
            depth: self.depth,
        }
    }
}

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
                let from = reading.of(maps, group, plan, images);
                let out = &mut out[group * plan.group_out()..];
                sums(from, matrix, out, reading.places.to(images));
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
                    let from = reading.of(maps, group, plan, images);
                    let by = &gradient[group * group_out..];
                    outer_products(width, from, by, reading.places.to(images), group_out, sum);
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

/// Along one axis, the input positions of one residue by the stride, and the
/// taps that reach them.
struct Residue {
    first: usize,
    count: usize,
    /// Each tap, and the output position it comes from for the first input
    /// position, in ascending order of the latter.
    taps: Vec<(usize, isize)>,
}

fn residues(plan: &Plan, axis: usize) -> Vec<Residue> {
    let window = &plan.window;
    let (size, stride) = (window.input[axis], window.stride);
    (0..stride.min(size))
        .map(|first| {
            let reach = |tap: &usize| {
                (first + window.padding[axis]) as isize - (tap * window.dilation) as isize
            };
            Residue {
                first,
                count: (size - first).div_ceil(stride),
                taps: (0..window.kernel[axis])
                    .rev()
                    .filter(|tap| reach(tap).rem_euclid(stride as isize) == 0)
                    .map(|tap| (tap, reach(&tap).div_euclid(stride as isize)))
                    .collect(),
            }
        })
        .collect()
}

/// Zeros before and length in all, so that every reading along an axis is inside.
fn border_of(residues: &[Residue], outputs: usize) -> (usize, usize) {
    let reach = |residue: &Residue| {
        let first = residue.taps.first().map(|(_, at)| *at);
        let last = residue.taps.last().map(|(_, at)| *at);
        first.zip(last.map(|at| at + residue.count as isize))
    };
    let reaches: Vec<(isize, isize)> = residues.iter().filter_map(reach).collect();
    let low = reaches
        .iter()
        .map(|(low, _)| *low)
        .min()
        .unwrap_or(0)
        .min(0);
    let high = reaches.iter().map(|(_, high)| *high).max().unwrap_or(0);
    let before = low.unsigned_abs();
    (before, before + (high.max(0) as usize).max(outputs))
}

/// The inputs of one residue on both axes.
struct Class {
    places: Places,
    runs: Vec<usize>,
    depth: usize,
    /// For each group.
    matrices: Vec<Packed>,
}

impl Class {
    fn new(
        plan: &Plan,
        width: Width,
        border: &Border,
        filters: &[f32],
        [rows, columns]: [&Residue; 2],
    ) -> Self {
        let (window, channels) = (&plan.window, plan.out_channels);
        let (group_in, group_out, taps) = (plan.group_in(), plan.group_out(), window.taps());
        let [(_, low_y), (_, low_x)] = [rows.taps[0], columns.taps[0]];
        let at = |y: isize, x: isize| (y * border.outer[1] as isize + x) as usize * channels;
        let [top, left] = border.before.map(|before| before as isize);
        let one: Vec<(usize, usize)> = (0..rows.count)
            .flat_map(|j| (0..columns.count).map(move |i| (j, i)))
            .map(|(j, i)| {
                let start = at(j as isize + top + low_y, i as isize + left + low_x);
                let y = rows.first + j * window.stride;
                let x = columns.first + i * window.stride;
                (start, (y * window.input[1] + x) * plan.in_channels)
            })
            .collect();
        let in_len = window.input_pixels() * plan.in_channels;
        let places = Places::new(piece_images(plan), border.outer_len(), in_len, &one);
        let neighbours = columns
            .taps
            .windows(2)
            .all(|pair| pair[1].1 == pair[0].1 + 1);
        let (runs, depth) = if plan.groups == 1 && neighbours {
            let runs = rows.taps.iter().map(|(_, y)| at(y - low_y, 0)).collect();
            (runs, columns.taps.len() * channels)
        } else {
            let all = rows.taps.iter().flat_map(|(_, y)| {
                columns
                    .taps
                    .iter()
                    .map(move |(_, x)| at(y - low_y, x - low_x))
            });
            (all.collect(), group_out)
        };
        let matrices = (0..plan.groups)
            .map(|group| {
                let first = group * group_out * group_in * taps;
                let places: Vec<usize> = rows
                    .taps
                    .iter()
                    .flat_map(|(y, _)| columns.taps.iter().map(move |(x, _)| (y, x)))
                    .map(|(y, x)| first + y * window.kernel[1] + x)
                    .flat_map(|tap| (0..group_out).map(move |out| tap + out * group_in * taps))
                    .collect();
                Packed::new(width, filters, &places, group_in, taps)
            })
            .collect();
        Class {
            places,
            runs,
            depth,
            matrices,
        }
    }
}

/// Gradient of the input.
pub(super) fn input_gradient(
    plan: &Plan,
    width: Width,
    filters: &[f32],
    output_gradient: &[f32],
) -> Vec<f32> {
    let window = &plan.window;
    let axes = [0, 1].map(|axis| residues(plan, axis));
    let [(top, height), (left, wide)] = [0, 1].map(|i| border_of(&axes[i], window.output[i]));
    let border = Border {
        inner: window.output,
        before: [top, left],
        outer: [height, wide],
        channels: plan.out_channels,
    };
    let reached = |residue: &&Residue| !residue.taps.is_empty();
    let classes: Vec<Class> = axes[0]
        .iter()
        .filter(reached)
        .flat_map(|rows| axes[1].iter().filter(reached).map(move |x| [rows, x]))
        .map(|pair| Class::new(plan, width, &border, filters, pair))
        .collect();
    let piece = piece_images(plan);
    let in_len = window.input_pixels() * plan.in_channels;
    // Inputs that no tap reaches are zero.
    let all_reached = axes.iter().flatten().all(|residue| reached(&residue));
    let buffer = if all_reached { take } else { zeroed };
    let mut data = buffer(plan.images * in_len);
    data.par_chunks_mut(piece * in_len)
        .zip(output_gradient.par_chunks(piece * border.inner_len()))
        .for_each_init(Vec::new, |buffer, (images, gradient)| {
            let count = images.len() / in_len;
            let gradient = border.around(gradient, buffer);
            for class in &classes {
                for (group, matrix) in class.matrices.iter().enumerate() {
                    let from = Runs {
                        from: &gradient[group * plan.group_out()..],
                        starts: class.places.starts(count),
                        runs: &class.runs,
                        depth: class.depth,
                    };
                    let images = &mut images[group * plan.group_in()..];
                    sums(from, matrix, images, class.places.to(count));
                }
            }
        });
    data
}
