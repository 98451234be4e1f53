//! Runs and events for tests of the store and of what reads it.

use serde_json::json;

use super::{Artefact, Asked, Evaluated, Event, Measured, Purpose, RunHeader, Trained, Writer};

pub(crate) fn header(name: &str) -> RunHeader {
    RunHeader {
        name: name.to_owned(),
        experiment: json!({"search": {"budget": 40}, "seed": 7}),
        space_text: "space quickstart\ninput image 1x28x28\n".into(),
        space_hash: "5e1f".into(),
        seed: u64::MAX,
        bespoke_version: "0.1.0".into(),
        git_commit: Some("8223e82".into()),
        dataset_name: "mnist".into(),
        dataset_hash: "ab12".into(),
        device: "two-core machine".into(),
        engine: "burn-flex".into(),
    }
}

pub(crate) fn evaluated(candidate: u64, accuracy: f64, latency_ms: f64) -> Evaluated {
    Evaluated {
        candidate,
        generation: candidate / 10,
        genotype: format!("g{candidate}"),
        network_hash: format!("{candidate:032x}"),
        accuracy,
        fidelity: 1.0,
        predictions: [("latency_ms@pi5".to_owned(), [5.0, 4.5, 5.5])].into(),
        curve: json!([{"epoch": 0, "loss": 1.2}, {"epoch": 1, "loss": 0.7}]),
        latency_ms,
        latency_low_ms: 0.9 * latency_ms,
        latency_high_ms: 1.2 * latency_ms,
        macs: 1_000_000 + candidate,
        params: 25_000,
        peak_activation_bytes: 100_352,
        seconds: 3.25,
    }
}

pub(crate) fn measured(genotype: &str, purpose: Purpose, median_ms: f64) -> Measured {
    Measured {
        genotype: genotype.to_owned(),
        network_hash: "0f".repeat(16),
        purpose,
        engine: "burn-flex".into(),
        median_ms,
        ci95_ms: [0.98 * median_ms, 1.03 * median_ms],
        measurement: json!({"samples_ms": [median_ms, median_ms + 0.25], "warm_up": 5}),
    }
}

/// One event of every kind.
pub(crate) fn every_event() -> Vec<Event> {
    vec![
        Event::SpaceCounted {
            architectures: "18446744073709551616000".into(),
        },
        Event::Measured(measured("g1", Purpose::Reference, 1.5)),
        Event::Measured(measured("g2", Purpose::Heldout, 2.5)),
        Event::Measured(measured("g3", Purpose::Front, 0.5)),
        Event::Measured(measured("g4", Purpose::Manual, 4.0)),
        Event::Calibrated {
            payload: json!({"spearman": 0.98, "error": {"mape": 0.06}}),
        },
        Event::Asked(Asked {
            candidate: 1,
            generation: 0,
            genotype: "g1".into(),
            network_hash: "aa".into(),
            fidelity: 0.5,
        }),
        Event::Evaluated(evaluated(1, 0.95, 1.5)),
        Event::Failed {
            candidate: 2,
            genotype: "g2".into(),
            cause: "the loss became NaN in epoch 1".into(),
        },
        Event::Trained(Trained {
            genotype: "g1".into(),
            network_hash: "aa".into(),
            validation_accuracy: 0.991,
            test_accuracy: 0.9895,
            curve: json!([0.9, 0.95]),
        }),
        Event::Artefact(Artefact {
            name: "front-0.onnx".into(),
            kind: "onnx".into(),
            sha256: "ab".repeat(32),
            bytes: 12,
            path: "artefacts/abab".into(),
        }),
        Event::Note {
            text: "a note with \"quotes\", 'more', ünïcode and \n lines".into(),
        },
        Event::Warning {
            text: "the governor is powersave".into(),
        },
        Event::Interrupted {
            cause: "Ctrl-C".into(),
        },
        Event::Resumed {
            writer: Writer::current(),
        },
        Event::Aborted {
            cause: "the data file vanished".into(),
        },
        Event::Finished {
            reason: "budget spent".into(),
        },
        Event::Unknown(json!({"kind": "distilled", "teacher": 3})),
    ]
}
