//! The learning rate over the steps of a run: a linear warm-up, then a cosine
//! to zero (Loshchilov and Hutter 2017, arXiv 1608.03983).

use std::f64::consts::PI;

/// Learning rate of a step (from 0) of `steps`, for a given peak.
pub(crate) fn learning_rate(step: usize, steps: usize, peak: f64) -> f64 {
    let warm_up = (steps / 10).max(1);
    if step < warm_up {
        return peak * (step + 1) as f64 / warm_up as f64;
    }
    let progress = (step - warm_up) as f64 / (steps - warm_up).max(1) as f64;
    peak * 0.5 * (1.0 + (PI * progress).cos())
}
