//! A run's state as the replay of its events. Replay never fails: an event
//! out of its usual order, or of a kind a newer version wrote, changes what it
//! can and is counted, since a run must stay readable whatever cut it short.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::strategy::{Constraint, Metric};

use super::genotypes::Genotypes;
use super::{
    Artefact, Evaluated, Event, Liveness, Measured, Purpose, Recorded, RunHeader, RunId, Trained,
    Writer,
};

/// What the events say of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No event says that it ended. Its writer may have been killed.
    Running,
    Interrupted,
    Finished,
    /// Ended in an error.
    Failed,
}

impl Status {
    /// The status an event leaves behind, where it changes it.
    pub(super) fn after(kind: &str) -> Option<Self> {
        match kind {
            "started" | "resumed" => Some(Status::Running),
            "interrupted" => Some(Status::Interrupted),
            "finished" => Some(Status::Finished),
            "aborted" => Some(Status::Failed),
            _ => None,
        }
    }

    /// The word to show, given what is known of the run's writer. A question
    /// mark says that it is a conclusion and not a record.
    pub fn word(self, writer: Option<Liveness>) -> &'static str {
        match (self, writer) {
            (Status::Running, Some(Liveness::Gone)) => "interrupted?",
            (Status::Running, Some(Liveness::Unknown)) => "running?",
            (Status::Running, _) => "running",
            (Status::Interrupted, _) => "interrupted",
            (Status::Finished, _) => "finished",
            (Status::Failed, _) => "failed",
        }
    }
}

/// How far a candidate has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Asked for, and not answered yet.
    Pending,
    Evaluated(Box<Evaluated>),
    Failed {
        cause: String,
    },
}

/// One candidate of the search.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub id: u64,
    /// None where a candidate failed without having been asked for.
    pub generation: Option<u64>,
    pub genotype: String,
    pub network_hash: Option<String>,
    /// Share of a full evaluation's training that it was asked for with.
    pub fidelity: f64,
    pub outcome: Outcome,
}

impl Candidate {
    pub fn evaluated(&self) -> Option<&Evaluated> {
        match &self.outcome {
            Outcome::Evaluated(evaluated) => Some(evaluated),
            _ => None,
        }
    }
}

/// A non-dominated candidate with what else is known of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrontMember<'a> {
    pub evaluated: &'a Evaluated,
    /// Predicted on the front's engine, with the ends of the interval.
    pub predicted_ms: [f64; 3],
    /// Measured with the engine that the prediction is for.
    pub measured: Option<&'a Measured>,
    pub trained: Option<&'a Trained>,
}

/// Everything a run's events say.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    pub id: RunId,
    pub header: RunHeader,
    /// Unix time, milliseconds.
    pub created_ms: i64,
    pub last_event_ms: i64,
    /// Number of events replayed.
    pub events: u64,
    pub status: Status,
    /// Why it ended or was interrupted.
    pub reason: Option<String>,
    /// The latest process to record it.
    pub writer: Option<Writer>,
    /// Whether that process lives, where someone has looked.
    pub writer_liveness: Option<Liveness>,
    /// Exact size of the search space, decimal digits.
    pub architectures: Option<String>,
    /// By candidate number.
    pub candidates: BTreeMap<u64, Candidate>,
    /// In the order measured.
    pub measurements: Vec<Measured>,
    /// The latest calibration.
    pub calibration: Option<Value>,
    /// The latest final training by genotype.
    pub trained: BTreeMap<String, Trained>,
    pub artefacts: Vec<Artefact>,
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
    /// Events this version cannot read: how many of each kind.
    pub unknown: BTreeMap<String, u64>,
    by_genotype: Genotypes,
}

impl RunState {
    /// A run in which nothing has happened yet.
    pub fn new(id: RunId, header: RunHeader, created_ms: i64) -> Self {
        RunState {
            id,
            header,
            created_ms,
            last_event_ms: created_ms,
            events: 0,
            status: Status::Running,
            reason: None,
            writer: None,
            writer_liveness: None,
            architectures: None,
            candidates: BTreeMap::new(),
            measurements: Vec::new(),
            calibration: None,
            trained: BTreeMap::new(),
            artefacts: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
            unknown: BTreeMap::new(),
            by_genotype: Genotypes::default(),
        }
    }

    /// Takes the next event into account.
    pub fn apply(&mut self, recorded: Recorded) {
        self.events += 1;
        self.last_event_ms = recorded.at_ms;
        if let Some(status) = Status::after(recorded.event.kind()) {
            self.status = status;
            self.reason = None;
        }
        match recorded.event {
            Event::Started { writer } | Event::Resumed { writer } => self.writer = Some(writer),
            Event::SpaceCounted { architectures } => self.architectures = Some(architectures),
            Event::Measured(measured) => self.measurements.push(measured),
            Event::Calibrated { payload } => self.calibration = Some(payload),
            Event::Asked(asked) => {
                self.by_genotype
                    .put(&asked.genotype, asked.candidate, false, &self.candidates);
                self.candidates.entry(asked.candidate).or_insert(Candidate {
                    id: asked.candidate,
                    generation: Some(asked.generation),
                    genotype: asked.genotype,
                    network_hash: Some(asked.network_hash),
                    fidelity: asked.fidelity,
                    outcome: Outcome::Pending,
                });
            }
            Event::Evaluated(evaluated) => {
                self.by_genotype.put(
                    &evaluated.genotype,
                    evaluated.candidate,
                    true,
                    &self.candidates,
                );
                match self.candidates.get_mut(&evaluated.candidate) {
                    // As asked: a million texts need not be made again.
                    Some(c)
                        if c.genotype == evaluated.genotype
                            && c.network_hash.as_deref() == Some(&*evaluated.network_hash) =>
                    {
                        c.generation = Some(evaluated.generation);
                        c.fidelity = evaluated.fidelity;
                        c.outcome = Outcome::Evaluated(Box::new(evaluated));
                    }
                    _ => {
                        self.candidates.insert(
                            evaluated.candidate,
                            Candidate {
                                id: evaluated.candidate,
                                generation: Some(evaluated.generation),
                                genotype: evaluated.genotype.clone(),
                                network_hash: Some(evaluated.network_hash.clone()),
                                fidelity: evaluated.fidelity,
                                outcome: Outcome::Evaluated(Box::new(evaluated)),
                            },
                        );
                    }
                }
            }
            Event::Failed {
                candidate,
                genotype,
                cause,
            } => self.fail(candidate, genotype, cause),
            Event::Trained(trained) => {
                self.trained.insert(trained.genotype.clone(), trained);
            }
            Event::Artefact(artefact) => self.artefacts.push(artefact),
            Event::Note { text } => self.notes.push(text),
            Event::Warning { text } => self.warnings.push(text),
            Event::Interrupted { cause } | Event::Aborted { cause } => self.reason = Some(cause),
            Event::Finished { reason } => self.reason = Some(reason),
            Event::Unknown(value) => {
                let kind = Event::Unknown(value).kind().to_owned();
                *self.unknown.entry(kind).or_default() += 1;
            }
        }
    }

    fn fail(&mut self, id: u64, genotype: String, cause: String) {
        self.by_genotype.put(&genotype, id, false, &self.candidates);
        let candidate = self.candidates.entry(id).or_insert(Candidate {
            id,
            generation: None,
            genotype,
            network_hash: None,
            fidelity: 1.0,
            outcome: Outcome::Pending,
        });
        // An evaluation that is already recorded is never lost to a later failure.
        if !matches!(candidate.outcome, Outcome::Evaluated(_)) {
            candidate.outcome = Outcome::Failed { cause };
        }
    }

    /// The candidate with this genotype; the evaluated one where there are more.
    pub fn candidate_of(&self, genotype: &str) -> Option<&Candidate> {
        self.by_genotype.find(genotype, &self.candidates)
    }

    /// Every evaluation, by candidate number.
    pub fn evaluated(&self) -> impl Iterator<Item = &Evaluated> {
        self.candidates.values().filter_map(Candidate::evaluated)
    }

    /// Failed candidates with their causes.
    pub fn failures(&self) -> impl Iterator<Item = (&Candidate, &str)> {
        self.candidates.values().filter_map(|c| match &c.outcome {
            Outcome::Failed { cause } => Some((c, cause.as_str())),
            _ => None,
        })
    }

    /// Measurements of one purpose, in the order made.
    pub fn measured_for(&self, purpose: Purpose) -> impl Iterator<Item = &Measured> {
        self.measurements
            .iter()
            .filter(move |m| m.purpose == purpose)
    }

    /// The latest measurement of a genotype with the run's engine: one made for
    /// the front before any other.
    pub fn measured(&self, genotype: &str) -> Option<&Measured> {
        self.measured_on(None, genotype)
    }

    fn measured_on(&self, engine: Option<&str>, genotype: &str) -> Option<&Measured> {
        let mine = || {
            let engine = engine.unwrap_or(&self.header.engine);
            let all = self.measurements.iter().rev();
            all.filter(move |m| m.genotype == genotype && m.engine == engine)
        };
        mine()
            .find(|m| m.purpose == Purpose::Front)
            .or_else(|| mine().next())
    }

    /// What the run optimises, as its experiment says; accuracy against
    /// latency where it says nothing that can be read.
    pub fn objectives(&self) -> Vec<Metric> {
        self.header
            .experiment
            .get("objectives")
            .and_then(|list| Vec::deserialize(list).ok())
            .filter(|list: &Vec<Metric>| !list.is_empty())
            .unwrap_or_else(|| vec![Metric::Accuracy, Metric::LATENCY])
    }

    /// The engines measured beside the run's own, as its experiment says.
    pub fn other_engines(&self) -> Vec<String> {
        self.header
            .experiment
            .get("other_engines")
            .and_then(|list| Vec::deserialize(list).ok())
            .unwrap_or_default()
    }

    /// The limits of the run's experiment, but for `max_latency_ms`.
    pub fn constraints(&self) -> Vec<Constraint> {
        self.header
            .experiment
            .get("constraints")
            .and_then(|list| Vec::deserialize(list).ok())
            .unwrap_or_default()
    }

    /// The Pareto front of the search by its objectives, among what keeps its
    /// constraints, the fastest first. A genotype that was evaluated more than
    /// once counts with its latest evaluation, and those trained for less than
    /// others do not count.
    pub fn front(&self) -> Vec<FrontMember<'_>> {
        self.front_by(&self.objectives(), None)
    }

    /// The front of greatest accuracy against least latency on one of the
    /// run's engines, the fastest first.
    pub fn front_on(&self, engine: &str) -> Vec<FrontMember<'_>> {
        let device = (engine != self.header.engine).then(|| engine.to_owned());
        let objectives = [
            Metric::Accuracy,
            Metric::Latency {
                device: device.clone(),
            },
        ];
        self.front_by(&objectives, device.as_deref())
    }

    /// The evaluations that are compared with each other: the latest of each
    /// genotype, and of those the ones trained for the greatest share.
    pub fn compared(&self) -> Vec<&Evaluated> {
        let mut latest: Vec<&Evaluated> = self
            .evaluated()
            .filter(|e| {
                let latest = self.candidate_of(&e.genotype);
                latest.is_some_and(|latest| latest.id == e.candidate)
            })
            .collect();
        let most = latest.iter().map(|e| e.fidelity).fold(0.0, f64::max);
        latest.retain(|e| e.fidelity == most);
        latest
    }

    fn front_by(&self, objectives: &[Metric], engine: Option<&str>) -> Vec<FrontMember<'_>> {
        let limits = self.constraints();
        let mut ranked: Vec<(&Evaluated, [f64; 3], Vec<f64>)> = self
            .compared()
            .into_iter()
            .filter(|e| e.keeps(&limits))
            .filter_map(|e| {
                let losses = objectives.iter().map(|m| Some(m.loss(e.value(m)?)));
                let losses = losses.collect::<Option<_>>()?;
                Some((e, e.latency_on(engine)?, losses))
            })
            .collect();
        ranked.sort_by(|a, b| {
            let slower = a.1[0].total_cmp(&b.1[0]);
            slower.then(b.0.accuracy.total_cmp(&a.0.accuracy))
        });
        let points: Vec<&[f64]> = ranked.iter().map(|r| r.2.as_slice()).collect();
        let mut kept = crate::pareto::front_of(&points);
        kept.sort_unstable();
        kept.into_iter()
            .map(|index| {
                let (evaluated, predicted_ms, _) = &ranked[index];
                FrontMember {
                    evaluated,
                    predicted_ms: *predicted_ms,
                    measured: self.measured_on(engine, &evaluated.genotype),
                    trained: self.trained.get(&evaluated.genotype),
                }
            })
            .collect()
    }

    /// An evaluation with what else is known of its architecture, on the run's
    /// own engine.
    pub fn member<'a>(&'a self, evaluated: &'a Evaluated) -> FrontMember<'a> {
        FrontMember {
            evaluated,
            predicted_ms: [
                evaluated.latency_ms,
                evaluated.latency_low_ms,
                evaluated.latency_high_ms,
            ],
            measured: self.measured(&evaluated.genotype),
            trained: self.trained.get(&evaluated.genotype),
        }
    }

    /// The word to show for the run's status; see [`Status::word`].
    pub fn status_word(&self) -> &'static str {
        self.status.word(self.writer_liveness)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
