//! What can happen in a run, as plain data. An event is written once, as JSON,
//! and never changed; a new kind is one variant here and one line in the
//! replay. Kinds that this version does not know (a newer one wrote them) are
//! kept as they are, so that an old program can still read and export the run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Writer;
use crate::strategy::{Constraint, Metric};

/// Something that happened in a run.
///
/// `genotype` is the architecture's canonical text; `network_hash` the hash of
/// the network it builds. Accuracies are fractions (0 to 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The first event of every run.
    Started {
        writer: Writer,
    },
    /// How many architectures the space holds, in decimal digits.
    SpaceCounted {
        architectures: String,
    },
    Measured(Measured),
    /// A predictor was fitted to this device: its calibration and how well it
    /// predicted architectures it had not seen.
    Calibrated {
        payload: Value,
    },
    /// The strategy asked for a candidate to be evaluated.
    Asked(Asked),
    Evaluated(Evaluated),
    /// A candidate could not be evaluated.
    Failed {
        candidate: u64,
        genotype: String,
        cause: String,
    },
    Trained(Trained),
    Artefact(Artefact),
    Note {
        text: String,
    },
    Warning {
        text: String,
    },
    /// The run was stopped on purpose (Ctrl-C, a limit) and can be resumed.
    Interrupted {
        cause: String,
    },
    Resumed {
        writer: Writer,
    },
    Finished {
        reason: String,
    },
    /// The run ended in an error; it can be resumed once that is mended.
    Aborted {
        cause: String,
    },
    /// A kind, or a form of a known kind, that this version cannot read.
    #[serde(skip)]
    Unknown(Value),
}

/// Why an architecture was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To calibrate the predictor.
    Reference,
    /// To test the predictor on what it has not seen.
    Heldout,
    /// To put a measured latency beside a front member's prediction.
    Front,
    /// By hand.
    Manual,
}

impl Purpose {
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Reference => "reference",
            Purpose::Heldout => "heldout",
            Purpose::Front => "front",
            Purpose::Manual => "manual",
        }
    }
}

/// A latency measured on the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub genotype: String,
    pub network_hash: String,
    pub purpose: Purpose,
    /// The inference engine that ran it.
    pub engine: String,
    pub median_ms: f64,
    /// Bounds of the median's 95 % confidence interval.
    pub ci95_ms: [f64; 2],
    /// Everything the probe said, raw samples included.
    pub measurement: Value,
}

/// A candidate the strategy wants evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub candidate: u64,
    pub generation: u64,
    pub genotype: String,
    pub network_hash: String,
    /// See [`Evaluated::fidelity`].
    #[serde(default = "full", skip_serializing_if = "is_full")]
    pub fidelity: f64,
}

/// What a candidate turned out to be worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    pub candidate: u64,
    pub generation: u64,
    pub genotype: String,
    pub network_hash: String,
    /// On validation data, after the search's short training.
    pub accuracy: f64,
    /// Share of a full evaluation's training that it got, above 0 and at most 1.
    #[serde(default = "full", skip_serializing_if = "is_full")]
    pub fidelity: f64,
    /// The training curve.
    pub curve: Value,
    /// Predicted, with the bounds of the prediction interval.
    pub latency_ms: f64,
    pub latency_low_ms: f64,
    pub latency_high_ms: f64,
    /// Predictions beside the run's own latency, by metric (`latency_ms@flex`):
    /// value, low and high end of the interval.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub predictions: BTreeMap<String, [f64; 3]>,
    /// Multiply-accumulates for one sample.
    pub macs: u64,
    pub params: u64,
    pub peak_activation_bytes: u64,
    /// Wall time the evaluation took.
    pub seconds: f64,
}

pub(super) fn full() -> f64 {
    1.0
}

fn is_full(fidelity: &f64) -> bool {
    *fidelity == full()
}

impl Evaluated {
    /// Its figure of a metric, where it has one.
    pub fn value(&self, metric: &Metric) -> Option<f64> {
        match metric {
            Metric::Accuracy => Some(self.accuracy),
            Metric::Latency { device: None } => Some(self.latency_ms),
            Metric::Latency { .. } | Metric::Energy { .. } => {
                Some(self.predictions.get(&metric.to_string())?[0])
            }
            Metric::Memory => Some(self.peak_activation_bytes as f64),
            Metric::Macs => Some(self.macs as f64),
            Metric::Params => Some(self.params as f64),
        }
    }

    /// Whether it keeps limits, as far as its figures are known.
    pub fn keeps(&self, limits: &[Constraint]) -> bool {
        limits.iter().all(|limit| {
            let value = self.value(&limit.metric);
            value.is_none_or(|value| limit.violation(value) == 0.0)
        })
    }

    /// The latency predicted on an engine, with its interval; `None` is the
    /// run's own.
    pub fn latency_on(&self, engine: Option<&str>) -> Option<[f64; 3]> {
        let Some(engine) = engine else {
            return Some([self.latency_ms, self.latency_low_ms, self.latency_high_ms]);
        };
        let metric = Metric::Latency {
            device: Some(engine.to_owned()),
        };
        self.predictions.get(&metric.to_string()).copied()
    }
}

/// The final, longer training of a member of the front.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    pub genotype: String,
    pub network_hash: String,
    pub validation_accuracy: f64,
    pub test_accuracy: f64,
    pub curve: Value,
}

/// A file the run made, kept under the hash of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// The name to give it on export, such as `front-0.onnx`.
    pub name: String,
    /// What it is, such as `onnx`.
    #[serde(rename = "type")]
    pub kind: String,
    pub sha256: String,
    pub bytes: u64,
    /// Relative to the database's directory.
    pub path: String,
}

/// An event with its place in the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// 1, 2, 3, ... within the run.
    pub seq: u64,
    /// Unix time, milliseconds.
    pub at_ms: i64,
    pub event: Event,
}

impl Event {
    /// The kind's name in the database and in exports.
    pub fn kind(&self) -> &str {
        match self {
            Event::Started { .. } => "started",
            Event::SpaceCounted { .. } => "space_counted",
            Event::Measured(_) => "measured",
            Event::Calibrated { .. } => "calibrated",
            Event::Asked(_) => "asked",
            Event::Evaluated(_) => "evaluated",
            Event::Failed { .. } => "failed",
            Event::Trained(_) => "trained",
            Event::Artefact(_) => "artefact",
            Event::Note { .. } => "note",
            Event::Warning { .. } => "warning",
            Event::Interrupted { .. } => "interrupted",
            Event::Resumed { .. } => "resumed",
            Event::Finished { .. } => "finished",
            Event::Aborted { .. } => "aborted",
            Event::Unknown(value) => value["kind"].as_str().unwrap_or("unknown"),
        }
    }

    /// The candidate the event is about, if any.
    pub fn candidate(&self) -> Option<u64> {
        match self {
            Event::Asked(asked) => Some(asked.candidate),
            Event::Evaluated(evaluated) => Some(evaluated.candidate),
            Event::Failed { candidate, .. } => Some(*candidate),
            _ => None,
        }
    }

    /// The whole event as JSON, its kind under `kind`.
    pub fn to_json(&self) -> Value {
        match self {
            Event::Unknown(value) => value.clone(),
            known => serde_json::to_value(known).expect("plain data"),
        }
    }

    /// Reads what [`to_json`](Self::to_json) wrote, in this or a newer version.
    pub fn from_json(value: Value) -> Self {
        Event::deserialize(&value).unwrap_or(Event::Unknown(value))
    }

    /// Whether every number it must hold is finite: JSON has no others, so an
    /// event with one could be written but not read. Returns what is wrong.
    pub(super) fn unreadable(&self) -> Option<String> {
        let value = self.to_json();
        match self {
            Event::Unknown(_) => {
                let kind = value["kind"].as_str();
                kind.is_none_or(|kind| kind.chars().any(char::is_control))
                    .then(|| "an event needs a plain text under `kind`".to_owned())
            }
            _ => Event::deserialize(&value).err().map(|e| e.to_string()),
        }
    }
}

impl Recorded {
    /// One line of an export: the event with its `seq` and `at_ms`.
    pub fn to_json(&self) -> Value {
        let mut line = serde_json::Map::new();
        line.insert("seq".to_owned(), self.seq.into());
        line.insert("at_ms".to_owned(), self.at_ms.into());
        match self.event.to_json() {
            Value::Object(fields) => line.extend(fields),
            other => {
                line.insert("payload".to_owned(), other);
            }
        }
        Value::Object(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_newer_kind_is_kept_whole() {
        let newer = json!({"kind": "distilled", "teacher": 3, "deep": {"a": [1, null]}});
        let event = Event::from_json(newer.clone());
        assert_eq!(event, Event::Unknown(newer.clone()));
        assert_eq!(event.kind(), "distilled");
        assert_eq!(event.to_json(), newer);
    }

    #[test]
    fn fields_added_by_a_newer_version_do_not_hide_an_event() {
        let event = Event::from_json(json!({"kind": "note", "text": "hi", "author": "newer"}));
        assert_eq!(event, Event::Note { text: "hi".into() });
    }

    #[test]
    fn a_known_kind_in_a_form_we_cannot_read_is_kept_too() {
        let changed = json!({"kind": "note", "text": ["now", "a", "list"]});
        assert_eq!(Event::from_json(changed.clone()), Event::Unknown(changed));
    }

    #[test]
    fn kinds_and_tags_agree() {
        let event = Event::SpaceCounted {
            architectures: "12".into(),
        };
        assert_eq!(event.to_json()["kind"], event.kind());
        let artefact = Event::Artefact(Artefact {
            name: "a.onnx".into(),
            kind: "onnx".into(),
            sha256: "00".into(),
            bytes: 1,
            path: "artefacts/00".into(),
        });
        assert_eq!(
            serde_json::to_string(&artefact).unwrap(),
            r#"{"kind":"artefact","name":"a.onnx","type":"onnx","sha256":"00","bytes":1,"path":"artefacts/00"}"#
        );
        assert_eq!(Event::from_json(artefact.to_json()), artefact);
    }
}
