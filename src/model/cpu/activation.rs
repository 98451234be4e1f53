//! Element-wise non-linearities and their derivatives, and the kernel that
//! applies one. Normalisation and convolution reuse them to activate what they
//! have just computed while it is still in the cache.

use multiversion::multiversion;
use rayon::prelude::*;

use super::autodiff::{Input, Kernel, Output};
use super::buffer;
use crate::network::Activation;

/// Elements handled as one piece of work.
const PIECE: usize = 1 << 15;

/// A non-linearity as a type, so that loops over it compile to vector code.
pub(super) trait Curve {
    fn value(x: f32) -> f32;
    fn slope(x: f32) -> f32;
}

macro_rules! curve {
    ($name:ident, |$x:ident| $value:expr, $slope:expr) => {
        pub(super) struct $name;
        impl Curve for $name {
            #[inline(always)]
            fn value($x: f32) -> f32 {
                $value
            }
            #[inline(always)]
            fn slope($x: f32) -> f32 {
                $slope
            }
        }
    };
}

#[inline(always)]
fn step(inside: bool) -> f32 {
    if inside { 1.0 } else { 0.0 }
}

// `if` rather than `max`, as `max` would turn the NaN of a diverged training
// run into a healthy-looking zero.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `e^x` to within a few units in the last place, without branches or calls,
/// so that it vectorises. Cody-Waite reduction to `|r| <= ln(2) / 2` and the
/// minimax polynomial of the Cephes library (Moshier 1992).
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = clamp(x, -87.0, 88.0);
    // Adding and taking away 1.5 * 2^23 rounds to a whole number.
    let powers = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    let r = x - powers * 0.693_359_4 + powers * 2.121_944_4e-4;
    let p = 1.987_569_2e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let value = p * r * r + r + 1.0;
    // A NaN casts to 0 here and stays NaN in `value`.
    value * f32::from_bits(((powers as i32 + 127) << 23) as u32)
}

#[inline(always)]
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Cumulative distribution of the standard normal law.
#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    0.5 * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

curve!(Identity, |x| x, {
    let _ = x;
    1.0
});
curve!(Relu, |x| if x < 0.0 { 0.0 } else { x }, step(x > 0.0));
curve!(Relu6, |x| clamp(x, 0.0, 6.0), step(x > 0.0 && x < 6.0));
curve!(
    HardSwish,
    |x| x * clamp(x + 3.0, 0.0, 6.0) / 6.0,
    clamp(x + 3.0, 0.0, 6.0) / 6.0 + step(x > -3.0 && x < 3.0) * x / 6.0
);
curve!(
    HardSigmoid,
    |x| clamp(x + 3.0, 0.0, 6.0) / 6.0,
    step(x > -3.0 && x < 3.0) / 6.0
);
curve!(Sigmoid, |x| logistic(x), {
    let y = logistic(x);
    y * (1.0 - y)
});
curve!(Swish, |x| x * logistic(x), {
    let y = logistic(x);
    y + x * y * (1.0 - y)
});
curve!(Gelu, |x| x * normal_cdf(x), {
    let density = exp(-0.5 * x * x) * 0.398_942_3;
    normal_cdf(x) + x * density
});
curve!(Tanh, |x| 2.0 * logistic(2.0 * x) - 1.0, {
    let y = 2.0 * logistic(2.0 * x) - 1.0;
    1.0 - y * y
});

/// Calls `$function::<Curve>($arguments)` for the curve of an activation.
macro_rules! with_curve {
    ($activation:expr, $function:ident($($argument:expr),* $(,)?)) => {{
        use crate::model::cpu::activation as curves;
        use crate::network::Activation;
        match $activation {
            None => $function::<curves::Identity>($($argument),*),
            Some(Activation::Relu) => $function::<curves::Relu>($($argument),*),
            Some(Activation::Relu6) => $function::<curves::Relu6>($($argument),*),
            Some(Activation::HardSwish) => $function::<curves::HardSwish>($($argument),*),
            Some(Activation::HardSigmoid) => $function::<curves::HardSigmoid>($($argument),*),
            Some(Activation::Sigmoid) => $function::<curves::Sigmoid>($($argument),*),
            Some(Activation::Swish) => $function::<curves::Swish>($($argument),*),
            Some(Activation::Gelu) => $function::<curves::Gelu>($($argument),*),
            Some(Activation::Tanh) => $function::<curves::Tanh>($($argument),*),
        }
    }};
}
pub(super) use with_curve;

/// `x = curve(x)` in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
pub(super) fn activate<A: Curve>(values: &mut [f32]) {
    for value in values {
        *value = A::value(*value);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn activated<A: Curve>(inputs: &[f32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(inputs) {
        *out = A::value(x);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn scaled_by_slope<A: Curve>(inputs: &[f32], gradient: &[f32], out: &mut [f32]) {
    for ((out, &x), gradient) in out.iter_mut().zip(inputs).zip(gradient) {
        *out = gradient * A::slope(x);
    }
}

/// Applies one activation to every element.
#[derive(Debug, Clone, Copy)]
pub(super) struct ActivationKernel(pub Activation);

impl Kernel<1> for ActivationKernel {
    fn forward(&self, [x]: [Input<'_>; 1]) -> Output {
        let mut data = buffer::take(x.data.len());
        data.par_chunks_mut(PIECE)
            .zip(x.data.par_chunks(PIECE))
            .for_each(|(out, x)| with_curve!(Some(self.0), activated(x, out)));
        Output {
            data,
            dims: x.dims.to_vec(),
        }
    }

    fn backward(
        &self,
        [x]: [Input<'_>; 1],
        output_gradient: &[f32],
        _wanted: [bool; 1],
    ) -> [Option<Vec<f32>>; 1] {
        let mut gradient = buffer::take(x.data.len());
        gradient
            .par_chunks_mut(PIECE)
            .zip(x.data.par_chunks(PIECE))
            .zip(output_gradient.par_chunks(PIECE))
            .for_each(|((out, x), gradient)| {
                with_curve!(Some(self.0), scaled_by_slope(x, gradient, out))
            });
        [Some(gradient)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_rounding() {
        for i in -8700..=8700 {
            let x = i as f32 / 100.0;
            let expected = (x as f64).exp();
            let error = (exp(x) as f64 - expected).abs() / expected;
            assert!(error < 3e-7, "e^{x} is off by {error:e} of its size");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(-1e30) < 1e-37 && exp(f32::INFINITY) > 1e38);
    }

    #[test]
    fn no_curve_hides_a_nan() {
        for (name, activation) in Activation::ALL {
            let mut values = [f32::NAN];
            with_curve!(Some(activation), activate(&mut values));
            assert!(values[0].is_nan(), "{name}");
        }
    }
}
