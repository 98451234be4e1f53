//! Pooling on `N x H x W x C` arrays, with channels as vector lanes. A global
//! pool is one whose window is the whole map.

use rayon::prelude::*;

use super::autodiff::{Input, Kernel, Output};
use super::window::Window;
use crate::network::PoolKind;

#[derive(Debug, Clone, Copy)]
pub(super) struct PoolKernel {
    pub kind: PoolKind,
    pub window: Window,
}

impl PoolKernel {
    /// Calls `visit` with each output pixel and the input pixels it pools.
    fn for_windows(&self, mut visit: impl FnMut(usize, &[usize])) {
        let window = &self.window;
        let rows = window.inputs_of_outputs(0);
        let columns = window.inputs_of_outputs(1);
        let mut seen = Vec::new();
        for (oy, rows) in rows.iter().enumerate() {
            for (ox, columns) in columns.iter().enumerate() {
                seen.clear();
                for &(_, y) in rows {
                    seen.extend(columns.iter().map(|&(_, x)| y * window.input[1] + x));
                }
                visit(oy * window.output[1] + ox, &seen);
            }
        }
    }
}

impl Kernel<1> for PoolKernel {
    fn forward(&self, [x]: [Input<'_>; 1]) -> Output {
        let channels = x.dims[3];
        let out_len = self.window.output_pixels() * channels;
        let mut data = vec![0.0; x.dims[0] * out_len];
        data.par_chunks_mut(out_len)
            .zip(x.data.par_chunks(self.window.input_pixels() * channels))
            .for_each(|(out, image)| {
                self.for_windows(|to, seen| {
                    let out = &mut out[to * channels..][..channels];
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
                });
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
        let mut gradient = vec![0.0; x.data.len()];
        gradient
            .par_chunks_mut(in_len)
            .zip(output_gradient.par_chunks(out_len))
            .zip(x.data.par_chunks(in_len))
            .for_each(|((gradient, output), image)| {
                self.for_windows(|from, seen| {
                    let output = &output[from * channels..][..channels];
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
                            for (c, g) in output.iter().enumerate() {
                                let value = |pixel: &usize| image[pixel * channels + c];
                                // The first of equal maxima gets the gradient.
                                let best = seen.iter().copied().reduce(|best, next| {
                                    if value(&next) > value(&best) { next } else { best }
                                });
                                if let Some(best) = best {
                                    gradient[best * channels + c] += g;
                                }
                            }
                        }
                    }
                });
            });
        [Some(gradient)]
    }
}
