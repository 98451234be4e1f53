//! Sliding-window arithmetic shared by convolution and pooling on `N x H x W x
//! C` arrays: sizes, and which taps of a window meet which pixels.

use crate::network::{Conv, Conv1d};

/// A window sliding over a batch of feature maps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Height and width of the input map.
    pub input: [usize; 2],
    /// Height and width of the output map.
    pub output: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: usize,
    /// Zeros before the first row and the first column.
    pub padding: [usize; 2],
    pub dilation: usize,
}

impl Window {
    /// The window of a convolution over an `N x H x W x C` array.
    pub fn of(conv: &Conv, dims: &[usize]) -> Self {
        Window::new(
            [dims[1], dims[2]],
            [conv.kernel; 2],
            conv.stride,
            [conv.padding; 2],
            conv.dilation,
        )
    }

    /// The window of a convolution over positions, which are one row of an
    /// `N x 1 x L x C` array.
    pub fn over_positions(conv: &Conv1d, dims: &[usize]) -> Self {
        Window {
            input: [1, dims[2]],
            output: [1, conv.length(dims[2]).expect("the shape was checked")],
            kernel: [1, conv.kernel],
            stride: conv.stride,
            padding: [0, conv.padding()[0]],
            dilation: conv.dilation,
        }
    }

    pub fn new(
        input: [usize; 2],
        kernel: [usize; 2],
        stride: usize,
        padding: [usize; 2],
        dilation: usize,
    ) -> Self {
        let size = |axis: usize| {
            let reach = dilation * (kernel[axis] - 1) + 1;
            (input[axis] + 2 * padding[axis] - reach) / stride + 1
        };
        Window {
            input,
            output: [size(0), size(1)],
            kernel,
            stride,
            padding,
            dilation,
        }
    }

    pub fn input_pixels(&self) -> usize {
        self.input[0] * self.input[1]
    }

    pub fn output_pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether the window is one pixel that visits each input pixel once.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == 1 && self.padding == [0; 2]
    }

    /// For each output position along an axis, the `(tap, input position)`
    /// pairs inside the map.
    pub fn inputs_of_outputs(&self, axis: usize) -> Vec<Vec<(usize, usize)>> {
        (0..self.output[axis])
            .map(|out| {
                (0..self.kernel[axis])
                    .filter_map(|tap| Some((tap, self.position(axis, out, tap)?)))
                    .collect()
            })
            .collect()
    }

    /// For each input position along an axis, the `(tap, output position)`
    /// pairs that read it.
    pub fn outputs_of_inputs(&self, axis: usize) -> Vec<Vec<(usize, usize)>> {
        let mut found = vec![Vec::new(); self.input[axis]];
        for (tap, pairs) in self.pairs_of_taps(axis).into_iter().enumerate() {
            for (out, position) in pairs {
                found[position].push((tap, out));
            }
        }
        found
    }

    /// For each tap along an axis, the `(output, input)` positions it joins.
    pub fn pairs_of_taps(&self, axis: usize) -> Vec<Vec<(usize, usize)>> {
        (0..self.kernel[axis])
            .map(|tap| {
                (0..self.output[axis])
                    .filter_map(|out| Some((out, self.position(axis, out, tap)?)))
                    .collect()
            })
            .collect()
    }

    fn position(&self, axis: usize, out: usize, tap: usize) -> Option<usize> {
        (out * self.stride + tap * self.dilation)
            .checked_sub(self.padding[axis])
            .filter(|position| *position < self.input[axis])
    }
}

/// Runs a block over channels in pieces of 32, 16, 8 and 1, each with the
/// piece's first channel and its length as a constant, so that the compiler
/// keeps a piece in vector registers.
macro_rules! for_channels {
    ($channels:expr, |$at:ident, $lanes:ident| $body:block) => {{
        let channels: usize = $channels;
        let mut $at = 0;
        while $at + 32 <= channels {
            const $lanes: usize = 32;
            $body
            $at += 32;
        }
        while $at + 16 <= channels {
            const $lanes: usize = 16;
            $body
            $at += 16;
        }
        while $at + 8 <= channels {
            const $lanes: usize = 8;
            $body
            $at += 8;
        }
        while $at < channels {
            const $lanes: usize = 1;
            $body
            $at += 1;
        }
    }};
}
pub(super) use for_channels;
