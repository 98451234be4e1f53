//! An event as a row and back. What has a column of its own is left out of the
//! payload, what an evaluation shares with its `asked` event is stored there
//! alone, and the bulky part (a training curve, a raw measurement) is deflated.
//! Rows of the first version hold everything in the payload and read the same.

use serde::Deserialize;
use serde_json::Value;

use super::event::full;
use super::pack::pack;
use super::{Asked, Evaluated, Event, Recorded};

/// Ends a line of a [page](super::page).
pub(super) const SEPARATOR: char = '\u{1e}';

/// The columns of an event, but for its place and time.
pub(super) struct Columns {
    pub kind: String,
    pub candidate: Option<i64>,
    pub accuracy: Option<f64>,
    pub latency_ms: Option<f64>,
    pub payload: String,
    pub packed: Option<Vec<u8>>,
}

/// What an evaluation has in common with the event that asked for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Identity {
    pub genotype: String,
    pub network_hash: String,
}

impl Identity {
    pub fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Evaluated(e) => Some(Identity {
                genotype: e.genotype.clone(),
                network_hash: e.network_hash.clone(),
            }),
            _ => None,
        }
    }
}

/// The field that is deflated, of the kinds that have one.
fn bulky(kind: &str) -> Option<&'static str> {
    match kind {
        "evaluated" | "trained" => Some("curve"),
        "measured" => Some("measurement"),
        "calibrated" => Some("payload"),
        _ => None,
    }
}

/// The columns of an event; `shared` says that its identity is stored with the
/// event that asked for it.
pub(super) fn columns(event: &Event, shared: bool) -> std::io::Result<Columns> {
    let (accuracy, latency_ms) = match event {
        Event::Evaluated(e) => (Some(e.accuracy), Some(e.latency_ms)),
        Event::Measured(m) => (None, Some(m.median_ms)),
        Event::Trained(t) => (Some(t.validation_accuracy), None),
        _ => (None, None),
    };
    let kind = event.kind().to_owned();
    let candidate = event.candidate().map(|candidate| candidate as i64);
    let mut body = event.to_json();
    let mut packed = None;
    if let (Value::Object(fields), false) = (&mut body, matches!(event, Event::Unknown(_))) {
        fields.remove("kind");
        if candidate.is_some() {
            fields.remove("candidate");
        }
        if shared {
            fields.remove("genotype");
            fields.remove("network_hash");
        }
        if let Some(field) = bulky(&kind)
            && let Some(value) = fields.get(field)
        {
            packed = pack(value)?;
            if packed.is_some() {
                fields.remove(field);
            }
        }
    }
    let payload = match event {
        Event::Asked(_) => without_names(&body, ASKED),
        Event::Evaluated(_) => without_names(&body, EVALUATED),
        _ => body.to_string(),
    };
    Ok(Columns {
        kind,
        candidate,
        accuracy,
        latency_ms,
        payload,
        packed,
    })
}

/// The fields of [`AskedBody`] and of [`EvaluatedBody`], in their order: a list of
/// values takes half the space of an object, and reads as the same.
const ASKED: &[&str] = &["generation", "genotype", "network_hash", "fidelity"];
const EVALUATED: &[&str] = &[
    "generation",
    "genotype",
    "network_hash",
    "accuracy",
    "fidelity",
    "curve",
    "latency_ms",
    "latency_low_ms",
    "latency_high_ms",
    "predictions",
    "macs",
    "params",
    "peak_activation_bytes",
    "seconds",
];

fn without_names(body: &Value, names: &[&str]) -> String {
    let value = |name: &&str| match (*name, body.get(*name)) {
        (_, Some(value)) => value.clone(),
        ("fidelity", None) => full().into(),
        ("predictions", None) => Value::Object(Default::default()),
        (_, None) => Value::Null,
    };
    Value::Array(names.iter().map(value).collect()).to_string()
}

/// An event read from its row, before what lies elsewhere is put into it.
pub(super) struct Half {
    pub recorded: Recorded,
    /// The seq of the event that holds its identity.
    pub asked: Option<u64>,
}

impl Half {
    /// Puts in the bulky part.
    pub fn put_bulk(&mut self, value: Value) {
        match &mut self.recorded.event {
            Event::Evaluated(e) => e.curve = value,
            Event::Trained(t) => t.curve = value,
            Event::Measured(m) => m.measurement = value,
            Event::Calibrated { payload } => *payload = value,
            // A form that this version cannot read keeps it too.
            Event::Unknown(Value::Object(fields)) => {
                let kind = fields.get("kind").and_then(Value::as_str).unwrap_or("");
                let field = bulky(kind).unwrap_or("packed");
                fields.insert(field.to_owned(), value);
            }
            _ => {}
        }
    }

    /// Puts in the identity.
    pub fn put_identity(&mut self, identity: Identity) {
        if let Event::Evaluated(e) = &mut self.recorded.event {
            e.genotype = identity.genotype;
            e.network_hash = identity.network_hash;
        }
    }
}

/// Reads one line: `seq at_ms candidate asked packed LENGTH kind+payload`, where
/// LENGTH counts the kind's characters, `packed` says whether the bulky part lies
/// elsewhere, and what is absent is empty.
pub(super) fn parse_line(line: &str) -> Result<Half, String> {
    let mut parts = line.splitn(7, ' ');
    let mut next = || parts.next().ok_or("an event's columns are incomplete");
    let number = |text: &str| text.parse::<i64>().map_err(|e| format!("{text:?}: {e}"));
    let seq = number(next()?)? as u64;
    let at_ms = number(next()?)?;
    let candidate = match next()? {
        "" => None,
        text => Some(number(text)? as u64),
    };
    let asked = match next()? {
        "" => None,
        text => Some(number(text)? as u64),
    };
    let is_packed = !next()?.is_empty();
    let length = number(next()?)? as usize;
    let rest = next()?;
    let split = rest.char_indices().nth(length).map_or(rest.len(), |c| c.0);
    let (kind, payload) = rest.split_at(split);
    let event = event(kind, candidate, payload, (asked.is_some(), is_packed))
        .map_err(|e| format!("event {seq} is not JSON: {e}"))?;
    Ok(Half {
        recorded: Recorded { seq, at_ms, event },
        asked,
    })
}

/// The fields of an `asked` payload.
#[derive(Deserialize)]
struct AskedBody {
    generation: u64,
    genotype: String,
    network_hash: String,
    #[serde(default = "full")]
    fidelity: f64,
}

/// The fields of an `evaluated` payload. A million of them are read at a time,
/// which the general way through [`Value`] is too slow for.
#[derive(Deserialize)]
struct EvaluatedBody {
    generation: u64,
    genotype: Option<String>,
    network_hash: Option<String>,
    accuracy: f64,
    #[serde(default = "full")]
    fidelity: f64,
    #[serde(default)]
    curve: Value,
    latency_ms: f64,
    latency_low_ms: f64,
    latency_high_ms: f64,
    #[serde(default)]
    predictions: std::collections::BTreeMap<String, [f64; 3]>,
    macs: u64,
    params: u64,
    peak_activation_bytes: u64,
    seconds: f64,
}

fn event(
    kind: &str,
    candidate: Option<u64>,
    payload: &str,
    (is_shared, is_packed): (bool, bool),
) -> Result<Event, serde_json::Error> {
    match (kind, candidate) {
        ("asked", Some(candidate)) => {
            if let Ok(body) = serde_json::from_str::<AskedBody>(payload) {
                return Ok(Event::Asked(Asked {
                    candidate,
                    generation: body.generation,
                    genotype: body.genotype,
                    network_hash: body.network_hash,
                    fidelity: body.fidelity,
                }));
            }
        }
        ("evaluated", Some(candidate)) => {
            if let Ok(body) = serde_json::from_str::<EvaluatedBody>(payload)
                && (is_shared || (body.genotype.is_some() && body.network_hash.is_some()))
            {
                return Ok(Event::Evaluated(Evaluated {
                    candidate,
                    generation: body.generation,
                    genotype: body.genotype.unwrap_or_default(),
                    network_hash: body.network_hash.unwrap_or_default(),
                    accuracy: body.accuracy,
                    fidelity: body.fidelity,
                    curve: body.curve,
                    latency_ms: body.latency_ms,
                    latency_low_ms: body.latency_low_ms,
                    latency_high_ms: body.latency_high_ms,
                    predictions: body.predictions,
                    macs: body.macs,
                    params: body.params,
                    peak_activation_bytes: body.peak_activation_bytes,
                    seconds: body.seconds,
                }));
            }
        }
        _ => {}
    }
    let mut value: Value = serde_json::from_str(payload)?;
    if let Value::Object(fields) = &mut value {
        fields.entry("kind").or_insert_with(|| kind.into());
        if let Some(candidate) = candidate {
            fields.entry("candidate").or_insert(candidate.into());
        }
        // Its place is taken until the bulky part is put in.
        if let (true, Some(field)) = (is_packed, bulky(kind)) {
            fields.entry(field).or_insert(Value::Null);
        }
    }
    Ok(Event::from_json(value))
}

/// Genotype and hash of an `asked` payload.
pub(super) fn identity(payload: &str) -> Option<Identity> {
    let body: AskedBody = serde_json::from_str(payload).ok()?;
    Some(Identity {
        genotype: body.genotype,
        network_hash: body.network_hash,
    })
}
