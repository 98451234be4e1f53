//! Every way to compute a convolution against the one for any processor: the
//! tests of the model only see the way that this processor takes.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::autodiff::Input;
use super::conv::{ConvKernel, Plan};
use super::depthwise::DepthwiseKernel;
use super::walk::Width;
use super::window::Window;
use super::{direct, gathered, tiled};

/// The ways that this processor has.
fn widths() -> Vec<Width> {
    let mut widths = Vec::new();
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        widths.push(Width::Avx2);
    }
    if is_x86_feature_detected!("avx512f") {
        widths.push(Width::Avx512);
    }
    if widths.len() < 2 {
        eprintln!("*** SKIPPED: this processor has only the vectors {widths:?} ***");
    }
    widths
}

fn random(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let allowed = 2e-4 * (1.0 + b.abs());
        assert!((a - b).abs() <= allowed, "{what}[{i}]: {a} is not {b}");
    }
}

/// Kernel, stride, padding, dilation.
const WINDOWS: [[usize; 4]; 8] = [
    [1, 1, 0, 1],
    [1, 2, 0, 1],
    [3, 1, 1, 1],
    [3, 2, 1, 1],
    [3, 1, 2, 2],
    [5, 2, 2, 1],
    [5, 3, 0, 1],
    [2, 2, 1, 1],
];

fn window([kernel, stride, padding, dilation]: [usize; 4]) -> Window {
    Window::new([9, 11], [kernel; 2], stride, [padding; 2], dilation)
}

/// A buffer that is not zero, as those used again are not.
fn dirty(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

#[test]
fn convolutions_are_the_same_by_every_way() {
    let images = 7;
    for shape in WINDOWS {
        for (inputs, outputs, groups) in
            [(3, 16, 1), (20, 5, 1), (8, 72, 1), (12, 24, 3), (4, 4, 2)]
        {
            let window = window(shape);
            let kernel = ConvKernel {
                window,
                out_channels: outputs,
                groups,
                activation: None,
            };
            let plan = Plan::new(&kernel, &[images, 9, 11, inputs]);
            let x = random(images * 99 * inputs, 1);
            let filters = random(outputs * inputs / groups * window.taps(), 2);
            let out_len = images * window.output_pixels() * outputs;
            let gradient = random(out_len, 3);
            let mut expected = dirty(out_len);
            gathered::forward(&plan, &x, &filters, &mut expected, |_| {});
            for width in widths() {
                let what = format!("{width:?} {shape:?} {inputs} to {outputs} by {groups}");
                let mut out = dirty(out_len);
                direct::forward(&plan, width, &x, &filters, &mut out, |_| {});
                assert_close(&out, &expected, &what);
                assert_close(
                    &direct::input_gradient(&plan, width, &filters, &gradient),
                    &gathered::input_gradient(&plan, &filters, &gradient),
                    &format!("{what}, input"),
                );
                assert_close(
                    &direct::filter_gradient(&plan, width, &x, &gradient),
                    &gathered::filter_gradient(&plan, &x, &gradient),
                    &format!("{what}, filters"),
                );
            }
        }
    }
}

#[test]
fn depthwise_convolutions_are_the_same_by_every_way() {
    let images = 7;
    for shape in WINDOWS {
        for channels in [2, 16, 43] {
            let window = window(shape);
            let kernel = DepthwiseKernel {
                window,
                activation: None,
            };
            let data = random(images * 99 * channels, 1);
            let x = Input {
                data: &data,
                dims: &[images, 9, 11, channels],
            };
            let plan = kernel.plan(x);
            let filters = random(channels * window.taps(), 2);
            let out_len = images * window.output_pixels() * channels;
            let gradient = random(out_len, 3);
            let mut expected = dirty(out_len);
            kernel.convolve_anywhere(x, &filters, &mut expected, |_| {});
            let weights = Input {
                data: &filters,
                dims: &[channels, 1, window.kernel[0], window.kernel[1]],
            };
            let [input, filter] = kernel.gradients_anywhere([x, weights], &gradient, [true; 2]);
            for width in widths() {
                let what = format!("{width:?} {shape:?} {channels}");
                let mut out = dirty(out_len);
                tiled::forward(&plan, width, &data, &filters, &mut out, |_| {});
                assert_close(&out, &expected, &what);
                assert_close(
                    &tiled::input_gradient(&plan, width, &filters, &gradient),
                    input.as_ref().unwrap(),
                    &format!("{what}, input"),
                );
                assert_close(
                    &tiled::filter_gradient(&plan, width, &data, &gradient),
                    filter.as_ref().unwrap(),
                    &format!("{what}, filters"),
                );
            }
        }
    }
}
