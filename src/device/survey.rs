//! Measuring a list of networks so that they can be compared. The list is gone
//! through several times, each time in another order: what the device did at
//! some moment then falls on different networks, and what the passes disagree
//! about is the noise of the whole procedure. Networks on which they disagree
//! much are measured again, and all of them where the noise is great.

use std::ops::ControlFlow;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::stats::{median, spearman};
use super::{Deployable, Measurement, Probe, ProbeError, Protocol};

/// One network has just been measured in one pass.
#[derive(Debug)]
pub struct Step<'a> {
    /// Place of the network in the list.
    pub index: usize,
    /// Measurements finished, this one included, of `steps`, which grows when
    /// networks have to be measured again.
    pub step: usize,
    pub steps: usize,
    /// This pass alone.
    pub result: Result<&'a Measurement, &'a ProbeError>,
}

/// How well single passes agree: the noise of one measurement, and so an upper
/// bound on that of the results, which have several behind them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Repeatability {
    /// Spearman's rank correlation between the first pass and the second; `None`
    /// for fewer than three networks.
    pub spearman: Option<f64>,
    /// Median over the networks of |first - second| over their mean.
    pub median_gap: f64,
    /// The greatest of these gaps.
    pub max_gap: f64,
}

/// The networks' measurements, in the order of the list.
#[derive(Debug)]
pub struct Survey {
    /// A network that failed in any pass has its first error.
    pub results: Vec<Result<Measurement, ProbeError>>,
    /// `None` with a single pass or where no network could be measured.
    pub repeatability: Option<Repeatability>,
}

/// Measures every network `protocol.passes` times in orders drawn from `seed`,
/// then again those whose fastest pass no other confirms, and all of them until
/// their standard error is `protocol.target_pass_error`, up to
/// `protocol.max_passes` times. `on_each` is told after each; it may stop the
/// survey.
///
/// # Errors
/// When the protocol makes no sense or `on_each` breaks. A network that fails
/// does not end the survey: its error stands in its place.
pub fn measure_many(
    probe: &mut dyn Probe,
    models: &[Deployable],
    protocol: &Protocol,
    seed: u64,
    on_each: &mut dyn FnMut(Step) -> ControlFlow<()>,
) -> Result<Survey, ProbeError> {
    protocol.check()?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut results: Vec<Option<Result<Measurement, ProbeError>>> =
        models.iter().map(|_| None).collect();
    let mut step = 0;
    for pass in 0..protocol.max_passes {
        let noise = pass_noise(&results);
        let unsettled = |m: &Measurement| {
            noise / (m.counted_ms().len() as f64).sqrt() > protocol.target_pass_error
        };
        let mut order: Vec<usize> = (0..models.len())
            .filter(|index| match &results[*index] {
                None => true,
                Some(Ok(m)) => pass < protocol.passes || m.is_unconfirmed() || unsettled(m),
                // Not worth the time of another pass.
                Some(Err(_)) => false,
            })
            .collect();
        order.shuffle(&mut rng);
        let steps = step + order.len() * protocol.passes.saturating_sub(pass).max(1);
        for index in order {
            step += 1;
            let measured = probe.measure(&models[index], protocol);
            let flow = on_each(Step {
                index,
                step,
                steps,
                result: measured.as_ref(),
            });
            results[index] = Some(match (results[index].take(), measured) {
                (Some(Ok(earlier)), Ok(later)) => earlier.join(later),
                (_, measured) => measured,
            });
            if flow.is_break() {
                return Err(ProbeError::Stopped);
            }
        }
    }
    let results: Vec<_> = results
        .into_iter()
        .map(|r| r.expect("at least one pass measures every network"))
        .collect();
    let repeatability = repeatability(&results);
    Ok(Survey {
        results,
        repeatability,
    })
}

/// Standard deviation of a single pass over a network, as a fraction of its
/// latency: from the median gap between two passes in a row, over all networks, for
/// two or three passes of one tell too little and some passes are disturbed.
fn pass_noise(results: &[Option<Result<Measurement, ProbeError>>]) -> f64 {
    let mut gaps = Vec::new();
    for measurement in results.iter().flatten().flatten() {
        for pair in measurement.passes.windows(2) {
            gaps.push(gap(pair[0].median_ms, pair[1].median_ms));
        }
    }
    match gaps.is_empty() {
        true => 0.0,
        // The median of |a - b| for two normal values of deviation one.
        false => median(&gaps) / 0.954,
    }
}

/// |a - b| over their mean.
fn gap(a: f64, b: f64) -> f64 {
    (a - b).abs() / ((a + b) / 2.0)
}

fn repeatability(results: &[Result<Measurement, ProbeError>]) -> Option<Repeatability> {
    let (first, second): (Vec<f64>, Vec<f64>) = results
        .iter()
        .flatten()
        .filter(|m| m.passes.len() > 1)
        .map(|m| (m.passes[0].median_ms, m.passes[1].median_ms))
        .unzip();
    if first.is_empty() {
        return None;
    }
    let pairs = first.iter().zip(&second);
    let gaps: Vec<f64> = pairs.map(|(a, b)| gap(*a, *b)).collect();
    Some(Repeatability {
        spearman: spearman(&first, &second),
        median_gap: median(&gaps),
        max_gap: gaps.iter().copied().fold(0.0, f64::max),
    })
}
