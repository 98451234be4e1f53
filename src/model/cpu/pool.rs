//! Pooling on `N x H x W x C` arrays, with channels as vector lanes. A global
//! pool is one whose window is the whole map.

use rayon::prelude::*;

use super::autodiff::{Input, Kernel, Output};
use super::buffer;
use super::window::Window;
use crate::network::PoolKind;

#[derive(Debug, Clone, Copy)]
pub(super) struct PoolKernel {
    pub kind: PoolKind,
    pub window: Window,
}

impl PoolKernel {
    /// For each output pixel, the input pixels it pools.
    fn windows(&self) -> Vec<Vec<usize>> {
        let width = self.window.input[1];
        let rows = self.window.inputs_of_outputs(0);
        let columns = self.window.inputs_of_outputs(1);
        let seen = |rows: &[(usize, usize)], columns: &[(usize, usize)]| {
            rows.iter()
                .flat_map(|(_, y)| columns.iter().map(move |(_, x)| y * width + x))
                .collect()
        };
        rows.iter()
            .flat_map(|rows| columns.iter().map(|columns| seen(rows, columns)))
            .collect()
    }
}

impl Kernel<1> for PoolKernel {
    fn forward(&self, [x]: [Input<'_>; 1]) -> Output {
        let channels = x.dims[3];
        let out_len = self.window.output_pixels() * channels;
        let windows = self.windows();
        let mut data = buffer::zeroed(x.dims[0] * out_len);
        data.par_chunks_mut(out_len)
            .zip(x.data.par_chunks(self.window.input_pixels() * channels))
            .for_each(|(out, image)| {
                for (out, seen) in out.chunks_exact_mut(channels).zip(&windows) {
                    for (n, from) in seen.iter().enumerate() {
                        let pixel = &image[from * channels..][..channels];
                        match self.kind {
                            _ if n == 0 => out.copy_from_slice(pixel),
                            PoolKind::Avg => {
                                out.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
                            }
                            PoolKind::Max => {
                                for (best, &x) in out.iter_mut().zip(pixel) {
                                    *best = if x > *best || x.is_nan() { x } else { *best };
                                }
                            }
                        }
                    }
                    if self.kind == PoolKind::Avg && !seen.is_empty() {
                        let share = 1.0 / seen.len() as f32;
                        out.iter_mut().for_each(|sum| *sum *= share);
                    }
                }
            });
        let [height, width] = self.window.output;
        Output {
            data,
            dims: vec![x.dims[0], height, width, channels],
        }
    }

    fn backward(
        &self,
        [x]: [Input<'_>; 1],
        output_gradient: &[f32],
        _wanted: [bool; 1],
    ) -> [Option<Vec<f32>>; 1] {
        let channels = x.dims[3];
        let in_len = self.window.input_pixels() * channels;
        let out_len = self.window.output_pixels() * channels;
        let windows = self.windows();
        let mut gradient = buffer::zeroed(x.data.len());
        gradient
            .par_chunks_mut(in_len)
            .zip(output_gradient.par_chunks(out_len))
            .zip(x.data.par_chunks(in_len))
            .for_each(|((gradient, output), image)| {
                for (output, seen) in output.chunks_exact(channels).zip(&windows) {
                    match self.kind {
                        PoolKind::Avg => {
                            let share = 1.0 / seen.len() as f32;
                            for to in seen {
                                let gradient = &mut gradient[to * channels..][..channels];
                                for (sum, g) in gradient.iter_mut().zip(output) {
                                    *sum += g * share;
                                }
                            }
                        }
                        PoolKind::Max => {
                            let from = largest(image, channels, seen);
                            for (c, (g, from)) in output.iter().zip(from).enumerate() {
                                gradient[from * channels + c] += g;
                            }
                        }
                    }
                }
            });
        [Some(gradient)]
    }
}

/// For each channel, the first of the `seen` pixels with the largest value.
fn largest(image: &[f32], channels: usize, seen: &[usize]) -> Vec<usize> {
    let pixel = |at: usize| &image[at * channels..][..channels];
    let mut values = pixel(seen[0]).to_vec();
    let mut places = vec![seen[0]; channels];
    for &at in &seen[1..] {
        for ((value, place), &x) in values.iter_mut().zip(&mut places).zip(pixel(at)) {
            let better = x > *value;
            *value = if better { x } else { *value };
            *place = if better { at } else { *place };
        }
    }
    places
}
