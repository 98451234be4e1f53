//! Element-wise non-linearities and their derivatives, and the kernel that
//! applies one. Normalisation and convolution reuse them to activate what they
//! have just computed while it is still in the cache.

use multiversion::multiversion;
use rayon::prelude::*;

use super::autodiff::{Input, Kernel, Output};
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

#[inline(always)]
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
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
    let density = (-0.5 * x * x).exp() * 0.398_942_3;
    normal_cdf(x) + x * density
});
curve!(Tanh, |x| x.tanh(), {
    let y = x.tanh();
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
fn scale_by_slope<A: Curve>(inputs: &[f32], gradient: &mut [f32]) {
    for (gradient, &x) in gradient.iter_mut().zip(inputs) {
        *gradient *= A::slope(x);
    }
}

/// Applies one activation to every element.
#[derive(Debug, Clone, Copy)]
pub(super) struct ActivationKernel(pub Activation);

impl Kernel<1> for ActivationKernel {
    fn forward(&self, [x]: [Input<'_>; 1]) -> Output {
        let mut data = x.data.to_vec();
        data.par_chunks_mut(PIECE)
            .for_each(|piece| with_curve!(Some(self.0), activate(piece)));
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
        let mut gradient = output_gradient.to_vec();
        gradient
            .par_chunks_mut(PIECE)
            .zip(x.data.par_chunks(PIECE))
            .for_each(|(gradient, x)| with_curve!(Some(self.0), scale_by_slope(x, gradient)));
        [Some(gradient)]
    }
}
