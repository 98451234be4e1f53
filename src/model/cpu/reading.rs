//! What a sliding window reads, as places in memory: a map is copied once with
//! its border of zeros, and every output reads what it sees from there. The
//! gradient of the input is read the same way from the output's gradient, once
//! for each residue of the position by the stride.

use super::buffer::{take, zeroed};
use super::conv::Plan;
use super::walk::Runs;

/// Output pixels handled as one piece of work at least. Fixed, so that sums
/// over pieces do not depend on the number of threads.
const PIECE_PIXELS: usize = 512;

/// A map inside a border of zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Border {
    /// Height and width of the map.
    inner: [usize; 2],
    /// Zeros before the first row and the first column.
    before: [usize; 2],
    /// Height and width with the border.
    outer: [usize; 2],
    channels: usize,
}

impl Border {
    pub fn inner_len(&self) -> usize {
        self.inner[0] * self.inner[1] * self.channels
    }

    pub fn outer_len(&self) -> usize {
        self.outer[0] * self.outer[1] * self.channels
    }

    /// Several maps with their borders; `buffer` is this border's alone.
    pub fn around<'a>(&self, maps: &'a [f32], buffer: &'a mut Vec<f32>) -> &'a [f32] {
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
pub(super) struct Places {
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
pub(super) fn piece_images(plan: &Plan) -> usize {
    PIECE_PIXELS.div_ceil(plan.window.output_pixels().max(1))
}

/// What all outputs read of the input.
pub(super) struct Reading {
    pub border: Border,
    places: Places,
    runs: Vec<usize>,
    depth: usize,
}

impl Reading {
    pub fn new(plan: &Plan) -> Self {
        let (window, channels) = (&plan.window, plan.in_channels);
        let border = Border {
            inner: window.input,
            before: window.padding,
            // As far as the last output reads; a causal window has no zeros at
            // the end.
            outer: [0, 1].map(|axis| {
                let reach = window.dilation * (window.kernel[axis] - 1) + 1;
                let end = (window.output[axis] - 1) * window.stride + reach;
                end.max(window.padding[axis] + window.input[axis])
            }),
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

    /// What is read of the bordered maps of several images; a group's begin at
    /// its first channel.
    pub fn of<'a>(&'a self, maps: &'a [f32], images: usize) -> Runs<'a> {
        Runs {
            from: maps,
            starts: self.places.starts(images),
            runs: &self.runs,
            depth: self.depth,
        }
    }

    /// Where the outputs lie.
    pub fn to(&self, images: usize) -> &[usize] {
        self.places.to(images)
    }
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

/// What all inputs of one residue on both axes read of the output's gradient.
pub(super) struct Class {
    places: Places,
    runs: Vec<usize>,
    depth: usize,
    /// The taps in the order in which they are read.
    pub taps: Vec<usize>,
}

impl Class {
    fn new(plan: &Plan, border: &Border, [rows, columns]: [&Residue; 2]) -> Self {
        let (window, channels) = (&plan.window, plan.out_channels);
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
                let x = columns.taps.iter();
                x.map(move |(_, x)| at(y - low_y, x - low_x))
            });
            (all.collect(), plan.group_out())
        };
        let taps = rows
            .taps
            .iter()
            .flat_map(|(y, _)| columns.taps.iter().map(move |(x, _)| (y, x)))
            .map(|(y, x)| y * window.kernel[1] + x)
            .collect();
        Class {
            places,
            runs,
            depth,
            taps,
        }
    }

    /// What one group reads of the bordered gradient of several images.
    pub fn of<'a>(&'a self, gradient: &'a [f32], images: usize) -> Runs<'a> {
        Runs {
            from: gradient,
            starts: self.places.starts(images),
            runs: &self.runs,
            depth: self.depth,
        }
    }

    /// Where the inputs lie.
    pub fn to(&self, images: usize) -> &[usize] {
        self.places.to(images)
    }
}

/// What all inputs read of the output's gradient.
pub(super) struct Backwards {
    pub border: Border,
    pub classes: Vec<Class>,
    /// Whether every input is read of a tap; those that are not have no gradient.
    pub complete: bool,
}

impl Backwards {
    pub fn new(plan: &Plan) -> Self {
        let window = &plan.window;
        let axes = [0, 1].map(|axis| residues(plan, axis));
        let [(top, height), (left, width)] = [0, 1].map(|i| border_of(&axes[i], window.output[i]));
        let border = Border {
            inner: window.output,
            before: [top, left],
            outer: [height, width],
            channels: plan.out_channels,
        };
        let reached = |residue: &&Residue| !residue.taps.is_empty();
        let classes = axes[0]
            .iter()
            .filter(reached)
            .flat_map(|rows| axes[1].iter().filter(reached).map(move |x| [rows, x]))
            .map(|pair| Class::new(plan, &border, pair))
            .collect();
        Backwards {
            border,
            classes,
            complete: axes.iter().flatten().all(|residue| reached(&residue)),
        }
    }

    /// A buffer for the gradient of the input.
    pub fn buffer(&self, len: usize) -> Vec<f32> {
        match self.complete {
            true => take(len),
            false => zeroed(len),
        }
    }
}
