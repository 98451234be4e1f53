//! The average of all hypotheses: the mean of all, the variance of the most
//! probable few.

use super::hypotheses::{Candidate, Grams};
use super::{
    Evidence, FittedLens, Hypothesis, KEPT_HYPOTHESES, N_HYPOTHESES, Posterior, SPEED_VARIANCE,
};
use crate::predict::basis::N_GROUPS;

pub(super) fn average(
    mut lenses: Vec<FittedLens>,
    candidates: Vec<Candidate>,
    lens_bases: &[usize],
    seen: &Evidence,
) -> (Posterior, Vec<Vec<f64>>) {
    let weights: Vec<f64> = candidates.iter().map(|c| c.weight).collect();
    let mut cells = vec![vec![0.0; N_HYPOTHESES]; lens_bases.last().map_or(0, |b| b + 1)];
    for (candidate, weight) in candidates.iter().zip(&weights) {
        let fitted = &mut lenses[candidate.lens];
        cells[lens_bases[candidate.lens]][candidate.cell] += weight;
        fitted.weight += weight;
        if *weight < 1e-7 {
            continue;
        }
        fitted.intercept += weight * SPEED_VARIANCE * candidate.alpha.sum();
        let devices = fitted.lens.device_range();
        for (reference, alpha) in fitted.references.iter().zip(&candidate.alpha) {
            for (d, slot) in fitted.coefficients.iter_mut().enumerate() {
                let scale = if d < N_GROUPS {
                    candidate.scales.groups
                } else if devices.contains(&d) {
                    candidate.scales.devices
                } else {
                    candidate.scales.shares
                };
                *slot += weight * scale * alpha * reference[d];
            }
        }
    }
    for fitted in &mut lenses {
        fitted.intercept += fitted.weight * fitted.offset;
        for g in 0..N_GROUPS {
            fitted.coefficients[g] -= fitted.weight * fitted.theta[g];
        }
        fitted.intercept -= fitted.lens.centred(&fitted.coefficients);
    }
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|i, j| weights[*j].total_cmp(&weights[*i]));
    order.truncate(KEPT_HYPOTHESES);
    let kept_weight: f64 = order.iter().map(|i| weights[*i]).sum();
    // Lenses without weight only cost time.
    let keep: Vec<bool> = (0..lenses.len())
        .map(|l| lenses[l].weight > 1e-3 || order.iter().any(|i| candidates[*i].lens == l))
        .collect();
    let mut new_index = vec![0; lenses.len()];
    let mut kept = Vec::new();
    for (index, fitted) in lenses.into_iter().enumerate() {
        new_index[index] = kept.len();
        if keep[index] {
            kept.push(fitted);
        }
    }
    let lens_weight: f64 = kept.iter().map(|l| l.weight).sum();
    for fitted in &mut kept {
        fitted.weight /= lens_weight;
        fitted.intercept /= lens_weight;
        fitted
            .coefficients
            .iter_mut()
            .for_each(|c| *c /= lens_weight);
    }
    let hypotheses = order
        .into_iter()
        .filter_map(|i| {
            let candidate = &candidates[i];
            let lens = new_index[candidate.lens];
            let grams = Grams::new(&kept[lens].lens, &kept[lens].references);
            let inverse = grams
                .covariance(&candidate.scales, seen)
                .cholesky()?
                .inverse();
            Some(Hypothesis {
                lens,
                weight: weights[i] / kept_weight,
                scales: candidate.scales,
                alpha: candidate.alpha.iter().copied().collect(),
                inverse: inverse.iter().copied().collect(),
            })
        })
        .collect();
    (
        Posterior {
            lenses: kept,
            hypotheses,
        },
        cells,
    )
}
