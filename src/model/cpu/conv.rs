//! Dense and grouped convolution on `N x H x W x C` arrays, without gathering
//! where the processor has the vectors for it, else through columns; a linear
//! layer is one on a 1x1 map. Depthwise convolutions have their own file.

use super::activation::{activate, with_curve};
use super::autodiff::{Input, Kernel, Output};
use super::buffer;
#[cfg(target_arch = "x86_64")]
use super::direct;
use super::gathered;
#[cfg(target_arch = "x86_64")]
use super::walk::Width;
use super::window::Window;
use crate::network::Activation;

/// A convolution of filters `[out, in / groups, taps]`, the second input.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConvKernel {
    pub window: Window,
    pub out_channels: usize,
    pub groups: usize,
    /// Applied to the output; only where no gradient is wanted.
    pub activation: Option<Activation>,
}

/// Sizes of one call.
pub(super) struct Plan {
    pub window: Window,
    pub images: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub groups: usize,
}

impl Plan {
    pub fn new(kernel: &ConvKernel, input_dims: &[usize]) -> Self {
        Plan {
            window: kernel.window,
            images: input_dims[0],
            in_channels: input_dims[3],
            out_channels: kernel.out_channels,
            groups: kernel.groups,
        }
    }

    pub fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }

    pub fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }
}

impl Kernel<2> for ConvKernel {
    fn forward(&self, [x, filters]: [Input<'_>; 2]) -> Output {
        self.run(x, filters.data, None)
    }

    fn backward(
        &self,
        [x, filters]: [Input<'_>; 2],
        output_gradient: &[f32],
        wanted: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        let plan = Plan::new(self, x.dims);
        #[cfg(target_arch = "x86_64")]
        if let Some(width) = Width::detect() {
            return [
                wanted[0]
                    .then(|| direct::input_gradient(&plan, width, filters.data, output_gradient)),
                wanted[1].then(|| direct::filter_gradient(&plan, width, x.data, output_gradient)),
            ];
        }
        [
            wanted[0].then(|| gathered::input_gradient(&plan, filters.data, output_gradient)),
            wanted[1].then(|| gathered::filter_gradient(&plan, x.data, output_gradient)),
        ]
    }
}

impl ConvKernel {
    /// Convolves, adds a bias and activates.
    pub fn run(&self, x: Input<'_>, filters: &[f32], bias: Option<&[f32]>) -> Output {
        let plan = Plan::new(self, x.dims);
        let out_len = plan.window.output_pixels() * plan.out_channels;
        let mut data = buffer::take(plan.images * out_len);
        let finish = |out: &mut [f32]| {
            if let Some(bias) = bias {
                for row in out.chunks_exact_mut(plan.out_channels) {
                    row.iter_mut()
                        .zip(bias)
                        .for_each(|(out, bias)| *out += bias);
                }
            }
            if self.activation.is_some() {
                with_curve!(self.activation, activate(out));
            }
        };
        convolve(&plan, x.data, filters, &mut data, finish);
        let [height, width] = plan.window.output;
        Output {
            data,
            dims: vec![plan.images, height, width, plan.out_channels],
        }
    }
}

/// Convolves into `out`; `finish` sees each piece of it while it is in the cache.
fn convolve(
    plan: &Plan,
    x: &[f32],
    filters: &[f32],
    out: &mut [f32],
    finish: impl Fn(&mut [f32]) + Sync,
) {
    #[cfg(target_arch = "x86_64")]
    if let Some(width) = Width::detect() {
        return direct::forward(plan, width, x, filters, out, finish);
    }
    gathered::forward(plan, x, filters, out, finish);
}
