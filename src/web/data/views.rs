//! The parts of the page as plain rows.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::report::{Followed, FrontRow, front_rows};
use crate::store::{
    Artefact, Candidate, Evaluated, Outcome, Purpose, RunHeader, RunState, RunSummary, Trained,
};

/// A line of the list of runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRow {
    #[serde(flatten)]
    summary: RunSummary,
    /// The status after a look whether the writer lives.
    word: &'static str,
}

impl From<&RunSummary> for RunRow {
    fn from(summary: &RunSummary) -> Self {
        RunRow {
            word: summary.status_word(),
            summary: summary.clone(),
        }
    }
}

/// A device as the runs know it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceOfRuns {
    pub device: String,
    pub engines: Vec<String>,
    pub runs: usize,
    pub measured: u64,
    pub last_event_ms: i64,
    pub least_latency_ms: Option<f64>,
}

pub(super) fn devices_of(runs: &[RunSummary]) -> Vec<DeviceOfRuns> {
    let mut devices: BTreeMap<&str, DeviceOfRuns> = BTreeMap::new();
    for run in runs {
        let device = devices.entry(&run.device).or_insert_with(|| DeviceOfRuns {
            device: run.device.clone(),
            engines: Vec::new(),
            runs: 0,
            measured: 0,
            last_event_ms: run.last_event_ms,
            least_latency_ms: None,
        });
        if !device.engines.contains(&run.engine) {
            device.engines.push(run.engine.clone());
        }
        device.runs += 1;
        device.measured += run.measured;
        device.last_event_ms = device.last_event_ms.max(run.last_event_ms);
        let least = [device.least_latency_ms, run.least_latency_ms];
        device.least_latency_ms = least.into_iter().flatten().reduce(f64::min);
    }
    devices.into_values().collect()
}

/// How many there are of what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counts {
    pub evaluated: usize,
    pub failed: usize,
    pub pending: usize,
    pub measured: usize,
    pub trained: usize,
    pub events: u64,
    /// A fraction.
    pub best_accuracy: Option<f64>,
    /// Evaluations counted by their fidelity, as the budget counts them.
    pub spent: f64,
}

impl Counts {
    pub fn of(state: &RunState) -> Self {
        let (mut evaluated, mut failed, mut spent) = (0, 0, 0.0);
        let mut best_accuracy: Option<f64> = None;
        for candidate in state.candidates.values() {
            match &candidate.outcome {
                Outcome::Evaluated(e) => {
                    evaluated += 1;
                    spent += e.fidelity;
                    let best = best_accuracy.unwrap_or(e.accuracy);
                    best_accuracy = Some(best.max(e.accuracy));
                }
                Outcome::Failed { .. } => {
                    failed += 1;
                    spent += candidate.fidelity;
                }
                Outcome::Pending => {}
            }
        }
        Counts {
            evaluated,
            failed,
            pending: state.candidates.len() - evaluated - failed,
            measured: state.measurements.len(),
            trained: state.trained.len(),
            events: state.events,
            best_accuracy,
            spent,
        }
    }
}

/// A run at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    pub id: String,
    pub seq: u64,
    pub status: &'static str,
    pub reason: Option<String>,
    /// Unix time, milliseconds.
    pub created_ms: i64,
    pub last_event_ms: i64,
    pub header: RunHeader,
    pub architectures: Option<String>,
    /// Evaluations that the experiment asks for.
    pub budget: Option<f64>,
    pub counts: Counts,
    /// The run's own engine, then the others.
    pub engines: Vec<String>,
    pub objectives: Vec<String>,
    pub constraints: Vec<String>,
    pub max_latency_ms: Option<f64>,
    /// The calibration's figures, without the predictor itself.
    pub calibration: Option<Value>,
    pub front: Vec<FrontRow>,
    pub failures: Vec<Failure>,
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
    pub artefacts: Vec<Artefact>,
    pub unknown: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    pub candidate: u64,
    pub cause: String,
}

/// Failures told one by one; more are only counted.
const MOST_FAILURES: usize = 100;

impl Overview {
    pub fn of(followed: &Followed) -> Self {
        let state = &followed.state;
        let experiment = &state.header.experiment;
        let mut engines = vec![state.header.engine.clone()];
        engines.extend(state.other_engines());
        Overview {
            id: state.id.to_string(),
            seq: followed.seq,
            status: state.status_word(),
            reason: state.reason.clone(),
            created_ms: state.created_ms,
            last_event_ms: state.last_event_ms,
            header: state.header.clone(),
            architectures: state.architectures.clone(),
            budget: experiment["evaluations"].as_f64(),
            counts: Counts::of(state),
            engines,
            objectives: state.objectives().iter().map(|m| m.to_string()).collect(),
            constraints: state.constraints().iter().map(|c| c.to_string()).collect(),
            max_latency_ms: experiment["max_latency_ms"].as_f64(),
            calibration: state.calibration.as_ref().map(figures),
            front: front_rows(state),
            failures: state
                .failures()
                .take(MOST_FAILURES)
                .map(|(candidate, cause)| Failure {
                    candidate: candidate.id,
                    cause: cause.to_owned(),
                })
                .collect(),
            notes: state.notes.clone(),
            warnings: state.warnings.clone(),
            artefacts: state.artefacts.clone(),
            unknown: state.unknown.clone(),
        }
    }
}

/// What a calibration says of itself: the engine and how well it predicted.
fn figures(calibration: &Value) -> Value {
    let mut kept = serde_json::Map::new();
    for name in ["engine", "heldout", "leave_one_out"] {
        if let Some(value) = calibration.get(name) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    kept.into()
}

/// A measured latency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    pub engine: String,
    pub purpose: &'static str,
    pub median_ms: f64,
    /// Ends of the 95 % confidence interval.
    pub low_ms: f64,
    pub high_ms: f64,
    /// Samples behind it, where the record tells.
    pub samples: Option<usize>,
}

/// All about a candidate.
#[derive(Debug, Clone, Serialize)]
pub struct CandidateView {
    pub candidate: u64,
    pub generation: Option<u64>,
    pub status: &'static str,
    pub cause: Option<String>,
    pub genotype: String,
    pub network_hash: Option<String>,
    pub fidelity: f64,
    pub evaluated: Option<Evaluated>,
    pub trained: Option<Trained>,
    pub measured: Vec<Measurement>,
}

impl CandidateView {
    pub fn of(state: &RunState, id: u64) -> Option<Self> {
        let candidate: &Candidate = state.candidates.get(&id)?;
        let (status, cause) = match &candidate.outcome {
            Outcome::Pending => ("pending", None),
            Outcome::Evaluated(_) => ("evaluated", None),
            Outcome::Failed { cause } => ("failed", Some(cause.clone())),
        };
        let mine = state.measurements.iter();
        let mine = mine.filter(|m| m.genotype == candidate.genotype);
        Some(CandidateView {
            candidate: id,
            generation: candidate.generation,
            status,
            cause,
            genotype: candidate.genotype.clone(),
            network_hash: candidate.network_hash.clone(),
            fidelity: candidate.fidelity,
            evaluated: candidate.evaluated().cloned(),
            trained: state.trained.get(&candidate.genotype).cloned(),
            measured: mine
                .map(|m| Measurement {
                    engine: m.engine.clone(),
                    purpose: m.purpose.name(),
                    median_ms: m.median_ms,
                    low_ms: m.ci95_ms[0],
                    high_ms: m.ci95_ms[1],
                    samples: m.measurement["samples_ms"].as_array().map(Vec::len),
                })
                .collect(),
        })
    }
}

/// A measurement beside the prediction for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// None for the calibration's own references, which are predicted from the
    /// others, each left out in turn, and for what was held out from it.
    pub candidate: Option<u64>,
    pub engine: String,
    pub purpose: String,
    pub measured_ms: f64,
    /// Ends of the 95 % confidence interval, where it is recorded.
    pub measured_low_ms: Option<f64>,
    pub measured_high_ms: Option<f64>,
    pub predicted_ms: f64,
    /// Ends of the prediction interval.
    pub predicted_low_ms: f64,
    pub predicted_high_ms: f64,
}

pub(super) fn pairs(state: &RunState) -> Vec<Pair> {
    let mut pairs = judged(state);
    let own = &state.header.engine;
    for m in &state.measurements {
        let engine = (m.engine != *own).then_some(m.engine.as_str());
        let candidate = state.candidate_of(&m.genotype);
        let Some(e) = candidate.and_then(Candidate::evaluated) else {
            continue;
        };
        let Some([predicted_ms, low, high]) = e.latency_on(engine) else {
            continue;
        };
        pairs.push(Pair {
            candidate: Some(e.candidate),
            engine: m.engine.clone(),
            purpose: m.purpose.name().to_owned(),
            measured_ms: m.median_ms,
            measured_low_ms: Some(m.ci95_ms[0]),
            measured_high_ms: Some(m.ci95_ms[1]),
            predicted_ms,
            predicted_low_ms: low,
            predicted_high_ms: high,
        });
    }
    pairs
}

/// What the calibration was judged by: its references, each predicted from the
/// others, and architectures held out from it, but for those that were evaluated
/// later and are shown as candidates.
fn judged(state: &RunState) -> Vec<Pair> {
    let Some(calibration) = &state.calibration else {
        return Vec::new();
    };
    let engine = calibration["engine"].as_str();
    let engine = engine.unwrap_or(&state.header.engine);
    let pair = |item: &Value, purpose: &str| {
        let predicted = &item["predicted"];
        Some(Pair {
            candidate: None,
            engine: engine.to_owned(),
            purpose: purpose.into(),
            measured_ms: item["measured_ms"].as_f64()?,
            measured_low_ms: None,
            measured_high_ms: None,
            predicted_ms: predicted["latency_ms"].as_f64()?,
            predicted_low_ms: predicted["low_ms"].as_f64()?,
            predicted_high_ms: predicted["high_ms"].as_f64()?,
        })
    };
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let left_out = list(&calibration["calibration"]["left_out"]);
    let heldout = list(&calibration["heldout_predictions"]);
    let is_candidate = |item: &&Value| {
        let candidate = item["genotype"]
            .as_str()
            .and_then(|g| state.candidate_of(g));
        candidate.and_then(Candidate::evaluated).is_some()
    };
    let left_out = left_out.iter().filter_map(|item| pair(item, "left out"));
    let heldout = heldout.iter().filter(|item| !is_candidate(item));
    let heldout = heldout.filter_map(|item| {
        let mut pair = pair(item, Purpose::Heldout.name())?;
        let mut all = state.measured_for(Purpose::Heldout);
        let measured = all.find(|m| m.engine == engine && item["genotype"] == m.genotype.as_str());
        pair.measured_low_ms = measured.map(|m| m.ci95_ms[0]);
        pair.measured_high_ms = measured.map(|m| m.ci95_ms[1]);
        Some(pair)
    });
    left_out.chain(heldout).collect()
}

/// How a front member's trainings went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Course {
    pub candidate: u64,
    /// The search's short training.
    pub search: Value,
    /// The final training, where there was one.
    pub trained: Option<Value>,
}

/// More lines than this cannot be told apart.
const MOST_COURSES: usize = 60;

pub(super) fn courses(state: &RunState) -> Vec<Course> {
    let front = state.front();
    let members = front.iter().take(MOST_COURSES);
    members
        .map(|member| Course {
            candidate: member.evaluated.candidate,
            search: member.evaluated.curve.clone(),
            trained: member.trained.map(|t| t.curve.clone()),
        })
        .collect()
}
