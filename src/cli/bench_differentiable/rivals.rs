//! Networks of equal latency: random ones of the same space, and MobileNetV2 at
//! the width that is as fast.

use miette::IntoDiagnostic;
use serde::Serialize;

use super::Bench;
use crate::device::{Deployable, Protocol};
use crate::network::Network;
use crate::search::{Setup, probe, survey_on};
use crate::space::Space;

/// A found network beside others of its latency.
#[derive(Debug, Serialize)]
pub struct AtLatency {
    /// Measured, in ms.
    pub latency_ms: f64,
    /// Random networks that measure within [`NEAR`] of it.
    pub random: usize,
    /// Their median accuracy.
    pub random_median: Option<f64>,
    pub mobilenet: Option<Scaled>,
}

/// A width-scaled MobileNetV2.
#[derive(Debug, Clone, Serialize)]
pub struct Scaled {
    pub width: f64,
    pub latency_ms: f64,
    pub accuracy: f64,
}

/// How near latencies are taken as equal, as a share.
const NEAR: f64 = 0.1;

/// MobileNetV2 for small images: a stem that keeps the resolution of CIFAR's and
/// halves that of larger ones no further than three times, as is usual there.
fn mobilenet(bench: &Bench, width: f64) -> Option<Network> {
    let (height, columns) = bench.dataset.shape.spatial();
    let text = format!(
        "space mobilenetv2 input image {}x{height}x{columns} classes {}
        block mb(out, stride, expand) {{ if expand != 1 {{ conv1x1(in * expand) bn relu6 }}
            depthwise3x3(stride: stride) bn relu6 conv1x1(out) bn
            residual when stride == 1 and in == out }}
        network {{
            conv3x3(divisible(32 * {width}, 4)) bn relu6
            mb(divisible(16 * {width}, 4), 1, 1)
            stage s2 {{ repeat 2 {{ mb(divisible(24 * {width}, 4), 1, 6) }} }}
            stage s3 {{ repeat 3 {{ mb(divisible(32 * {width}, 4), first 2, 6) }} }}
            stage s4 {{ repeat 4 {{ mb(divisible(64 * {width}, 4), first 2, 6) }} }}
            stage s5 {{ repeat 3 {{ mb(divisible(96 * {width}, 4), 1, 6) }} }}
            stage s6 {{ repeat 3 {{ mb(divisible(160 * {width}, 4), first 2, 6) }} }}
            mb(divisible(320 * {width}, 4), 1, 6)
            conv1x1(divisible(1280 * {width}, 4)) bn relu6
            pool avg global linear(classes)
        }}",
        bench.dataset.shape.channels(),
        bench.dataset.classes.len(),
    );
    let space = Space::parse("mobilenetv2", &text).ok()?;
    space.network(&space.enumerate().next()?).ok()
}

/// Sets every found network beside random ones and a MobileNetV2 of its latency.
pub fn compare(
    bench: &Bench,
    engine: &str,
    random: &[&Network],
    accuracies: &[f64],
    found: &[Network],
) -> miette::Result<Vec<AtLatency>> {
    let widths: Vec<f64> = (1..=14).map(|step| 0.05 * f64::from(step)).collect();
    let scaled: Vec<(f64, Network)> = widths
        .into_iter()
        .filter_map(|width| Some((width, mobilenet(bench, width)?)))
        .collect();
    let all: Vec<&Network> = random
        .iter()
        .copied()
        .chain(found)
        .chain(scaled.iter().map(|s| &s.1))
        .collect();
    let latencies = measured(engine, &all)?;
    let (of_random, rest) = latencies.split_at(random.len());
    let (of_found, of_scaled) = rest.split_at(found.len());
    // Of each found network, the width whose latency is the nearest.
    let nearest: Vec<Option<usize>> = of_found
        .iter()
        .map(|own| {
            let own = (*own)?;
            let off =
                |index: &usize| of_scaled[*index].map_or(f64::INFINITY, |ms| (ms - own).abs());
            (0..scaled.len()).min_by(|a, b| off(a).total_cmp(&off(b)))
        })
        .collect();
    let mut needed: Vec<usize> = nearest.iter().flatten().copied().collect();
    needed.sort_unstable();
    needed.dedup();
    let networks: Vec<&Network> = needed.iter().map(|index| &scaled[*index].1).collect();
    let trained = bench.trained("mobilenet", &networks)?;
    let mut rivals = Vec::new();
    for (own, nearest) in of_found.iter().zip(nearest) {
        let own = own.unwrap_or(f64::NAN);
        let mut near: Vec<f64> = of_random
            .iter()
            .zip(accuracies)
            .filter(|(ms, _)| ms.is_some_and(|ms| (ms / own - 1.0).abs() <= NEAR))
            .map(|(_, accuracy)| *accuracy)
            .collect();
        near.sort_by(f64::total_cmp);
        let mobilenet = nearest.and_then(|index| {
            let place = needed.iter().position(|n| *n == index)?;
            Some(Scaled {
                width: scaled[index].0,
                latency_ms: of_scaled[index]?,
                accuracy: trained[place],
            })
        });
        rivals.push(AtLatency {
            latency_ms: own,
            random: near.len(),
            random_median: middle(&near),
            mobilenet,
        });
    }
    Ok(rivals)
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[half]),
        _ => Some(0.5 * (sorted[half - 1] + sorted[half])),
    }
}

/// Median latencies, in ms; none where a network could not be measured.
fn measured(engine: &str, networks: &[&Network]) -> miette::Result<Vec<Option<f64>>> {
    let models: Vec<Deployable> = networks
        .iter()
        .enumerate()
        .map(|(index, network)| {
            Deployable::untrained(format!("network {index}"), (*network).clone(), 0)
        })
        .collect::<Result<_, _>>()
        .into_diagnostic()?;
    let mut probe = probe(engine, &Setup::default())?;
    let results = survey_on(
        probe.as_mut(),
        engine,
        &models,
        &Protocol::quick(),
        0,
        &mut |_| {},
        &|| false,
    )?;
    Ok(results
        .into_iter()
        .map(|result| result.ok().map(|m| m.median_ms()))
        .collect())
}
