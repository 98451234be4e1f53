//! Measuring architectures and judging a calibration by them: what a recorded
//! search and the commands outside a run have in common. Also how either says
//! what it is doing.

use std::ops::ControlFlow;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::SearchError;
use crate::device::{Deployable, Measurement, Probe, ProbeError, Protocol, measure_many};
use crate::network::Network;
use crate::predict::{Agreement, Calibrated, Predictor, agreement};
use crate::space::{Architecture, Space};

/// Architectures from which references and the first generation are chosen.
const POOL: usize = 300;

/// What a search says while it works; the caller shows it.
pub enum Report<'a> {
    /// A sentence for the user.
    Say(String),
    /// A phase begins, of so many steps.
    Phase {
        name: &'a str,
        steps: usize,
    },
    /// One step of the phase is done; what came of it.
    Step(String),
    PhaseDone,
}

/// Distinct architectures drawn for choosing from, with their networks; the
/// same for the same seed.
pub fn pool(space: &Space, seed: u64) -> Vec<(Architecture, Network)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x706f_6f6c);
    let mut seen = std::collections::HashSet::new();
    (0..POOL)
        .map(|_| space.sample(&mut rng))
        .filter(|architecture| seen.insert(architecture.clone()))
        .map(|architecture| {
            let network = space
                .network(&architecture)
                .expect("an architecture of this space");
            (architecture, network)
        })
        .collect()
}

/// Indices of the networks to calibrate with and of others to test with.
pub fn choose(
    predictor: &Predictor,
    networks: &[&Network],
    (references, heldout): (usize, usize),
    seed: u64,
) -> (Vec<usize>, Vec<usize>) {
    let chosen = predictor.choose_references(networks, references, seed);
    let unseen = (0..networks.len())
        .filter(|i| !chosen.contains(i))
        .take(heldout)
        .collect();
    (chosen, unseen)
}

/// Measures networks on a probe that messages call `engine`, reporting as it goes.
///
/// # Errors
/// When the protocol makes no sense, or `stopped` says so (then the error is
/// [`ProbeError::Stopped`]). A network that cannot be measured has its error in
/// its place.
pub fn survey_on(
    probe: &mut dyn Probe,
    engine: &str,
    models: &[Deployable],
    protocol: &Protocol,
    seed: u64,
    report: &mut dyn FnMut(Report<'_>),
    stopped: &dyn Fn() -> bool,
) -> Result<Vec<Result<Measurement, ProbeError>>, SearchError> {
    report(Report::Phase {
        name: &format!("measuring on {engine}"),
        steps: models.len() * protocol.passes,
    });
    let survey = measure_many(probe, models, protocol, seed, &mut |step| {
        report(Report::Step(match step.result {
            Ok(m) => format!("{:.3} ms", m.median_ms()),
            Err(error) => error.to_string(),
        }));
        match stopped() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    report(Report::PhaseDone);
    let survey = survey.map_err(SearchError::Probe)?;
    if let Some(r) = &survey.repeatability
        && let Some(spearman) = r.spearman
    {
        report(Report::Say(format!(
            "{engine}: two passes over {} networks agree with Spearman {spearman:.3}, median gap {:.1} %",
            models.len(),
            100.0 * r.median_gap
        )));
    }
    Ok(survey.results)
}

/// How well a calibration predicts networks it has not seen, given with their
/// measured latencies in ms.
pub fn held_out(calibrated: &Calibrated, unseen: &[(&Network, f64)]) -> Agreement {
    let predicted: Vec<f64> = unseen
        .iter()
        .map(|(n, _)| calibrated.predict(*n).latency_ms)
        .collect();
    let measured: Vec<f64> = unseen.iter().map(|(_, ms)| *ms).collect();
    agreement(&predicted, &measured)
}
