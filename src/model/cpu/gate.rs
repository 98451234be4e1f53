//! The product of a feature map and one factor for each channel and image, as
//! in squeeze-and-excitation (Hu et al. 2018), on `N x H x W x C` arrays.

use rayon::prelude::*;

use super::autodiff::{Input, Kernel, Output};
use super::buffer;

/// Inputs are the map `N x H x W x C` and the factors `N x 1 x 1 x C`.
#[derive(Debug, Clone, Copy)]
pub(super) struct GateKernel;

impl Kernel<2> for GateKernel {
    fn forward(&self, [x, factors]: [Input<'_>; 2]) -> Output {
        Output {
            data: scaled(x.dims, x.data, factors.data),
            dims: x.dims.to_vec(),
        }
    }

    fn backward(
        &self,
        [x, factors]: [Input<'_>; 2],
        output_gradient: &[f32],
        wanted: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        let channels = x.dims[3];
        let image = x.dims[1] * x.dims[2] * channels;
        let factor_gradient = || {
            let mut sums = vec![0.0; factors.data.len()];
            sums.par_chunks_mut(channels)
                .zip(x.data.par_chunks(image))
                .zip(output_gradient.par_chunks(image))
                .for_each(|((sums, x), gradient)| {
                    for (x, gradient) in x
                        .chunks_exact(channels)
                        .zip(gradient.chunks_exact(channels))
                    {
                        for ((sum, x), gradient) in sums.iter_mut().zip(x).zip(gradient) {
                            *sum += x * gradient;
                        }
                    }
                });
            sums
        };
        [
            wanted[0].then(|| scaled(x.dims, output_gradient, factors.data)),
            wanted[1].then(factor_gradient),
        ]
    }
}

fn scaled(dims: &[usize], values: &[f32], factors: &[f32]) -> Vec<f32> {
    let channels = dims[3];
    let image = dims[1] * dims[2] * channels;
    let mut out = buffer::take(values.len());
    out.par_chunks_mut(image)
        .zip(values.par_chunks(image))
        .zip(factors.par_chunks(channels))
        .for_each(|((out, values), factors)| {
            for (out, values) in out
                .chunks_exact_mut(channels)
                .zip(values.chunks_exact(channels))
            {
                for ((out, x), factor) in out.iter_mut().zip(values).zip(factors) {
                    *out = x * factor;
                }
            }
        });
    out
}
