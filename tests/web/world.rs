//! A database as searches leave it, made in a second: a finished run of the
//! quickstart space with all there can be in one, another seed of it, a run of
//! ten thousand candidates, one whose every text is hostile, and one that is
//! still going on.

use bespoke::network::Network;
use bespoke::space::Space;
use bespoke::store::{
    Asked, Evaluated, Event, Measured, Purpose, RunHeader, RunId, Store, Trained,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

pub const SPACE: &str = include_str!("../../search-spaces/quickstart.space");
/// Runs if it is ever taken for markup.
pub const HOSTILE: &str =
    "\"'><img src=x onerror=window.pwned=1></script><script>window.pwned=1</script><!--";
pub const LARGE: u64 = 10_000;

pub struct World {
    pub demo: RunId,
    pub other: RunId,
    pub large: RunId,
    pub hostile: RunId,
    pub live: RunId,
}

pub fn header(name: &str, seed: u64, evaluations: u64) -> RunHeader {
    RunHeader {
        name: name.into(),
        experiment: json!({
            "name": name, "seed": seed, "evaluations": evaluations, "strategy": "nsga2",
            "engine": "tract", "other_engines": ["pi5/tract"], "max_latency_ms": 0.4,
        }),
        space_text: SPACE.into(),
        space_hash: "5e1f0c2a9b7d44e1".into(),
        seed,
        bespoke_version: env!("CARGO_PKG_VERSION").into(),
        git_commit: Some("8223e82".into()),
        dataset_name: "Fashion-MNIST (embedded part)".into(),
        dataset_hash: "ab12cd34ef56".into(),
        device: "workstation".into(),
        engine: "tract".into(),
    }
}

/// Networks of the space, and figures made up for them that hang together.
pub struct Maker {
    space: Space,
    rng: ChaCha8Rng,
}

impl Maker {
    pub fn new(seed: u64) -> Self {
        Maker {
            space: Space::parse("quickstart", SPACE).unwrap(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    fn noise(&mut self, width: f64) -> f64 {
        width * (self.rng.random::<f64>() + self.rng.random::<f64>() - 1.0)
    }

    /// An architecture drawn uniformly.
    fn network(&mut self) -> (String, Network) {
        let architecture = self.space.sample(&mut self.rng);
        let network = self.space.network(&architecture).unwrap();
        (self.space.genotype(&architecture), network)
    }

    fn curve(&mut self, accuracy: f64, epochs: usize) -> Value {
        let epoch = |n: usize| {
            let share = 1.0 - (-3.0 * n as f64 / epochs as f64).exp();
            let noise = self.noise(0.01);
            json!({
                "epoch": n, "train_loss": 2.3 - 1.9 * share + noise,
                "train_accuracy": 0.1 + (accuracy - 0.08) * share + noise,
                "validation_accuracy": 0.1 + (accuracy - 0.1) * share, "seconds": 0.8,
            })
        };
        (1..=epochs).map(epoch).collect()
    }

    pub fn evaluated(&mut self, candidate: u64) -> Evaluated {
        let (genotype, network) = self.network();
        let costs = network.costs();
        let macs = costs.macs as f64;
        let latency_ms = 0.03 + 1.6e-7 * macs * (1.0 + self.noise(0.3)).abs();
        let accuracy = (0.79 + 0.045 * (macs / 2e5).ln() + self.noise(0.03)).clamp(0.5, 0.95);
        let elsewhere = 4.1 * latency_ms * (1.0 + self.noise(0.2));
        Evaluated {
            candidate,
            generation: candidate / 12,
            genotype,
            network_hash: network.hash().to_string(),
            accuracy: (accuracy * 1e4).round() / 1e4,
            fidelity: 1.0,
            curve: self.curve(accuracy, 4),
            latency_ms,
            latency_low_ms: 0.85 * latency_ms,
            latency_high_ms: 1.2 * latency_ms,
            predictions: [(
                "latency_ms@pi5/tract".to_owned(),
                [elsewhere, 0.8 * elsewhere, 1.3 * elsewhere],
            )]
            .into(),
            macs: costs.macs,
            params: costs.params,
            peak_activation_bytes: costs.peak_activation_bytes,
            seconds: 3.0 + self.noise(1.0),
        }
    }

    fn measured(&mut self, e: &Evaluated, engine: &str, purpose: Purpose) -> Event {
        let predicted = match engine {
            "tract" => e.latency_ms,
            _ => e.predictions["latency_ms@pi5/tract"][0],
        };
        let median_ms = predicted * (1.0 + self.noise(0.15));
        Event::Measured(Measured {
            genotype: e.genotype.clone(),
            network_hash: e.network_hash.clone(),
            purpose,
            engine: engine.into(),
            median_ms,
            ci95_ms: [0.98 * median_ms, 1.03 * median_ms],
            measurement: json!({"samples_ms": vec![median_ms; 40]}),
        })
    }
}

/// A finished run: calibrated, searched, its front measured and trained.
fn finished(store: &Store, name: &str, seed: u64, evaluations: u64) -> RunId {
    let mut maker = Maker::new(seed);
    let run = store.create_run(&header(name, seed, evaluations)).unwrap();
    let left_out: Vec<Value> = (1..=10)
        .map(|n| {
            let measured = 0.05 * f64::from(n);
            let predicted = measured * (1.0 + maker.noise(0.2));
            json!({"measured_ms": measured, "predicted": {"latency_ms": predicted,
                "low_ms": 0.85 * predicted, "high_ms": 1.2 * predicted, "sd_log": 0.1}})
        })
        .collect();
    let mut events = vec![
        Event::SpaceCounted {
            architectures: "1259712".into(),
        },
        Event::Calibrated {
            payload: json!({
                "engine": "tract",
                "heldout": {"spearman": 0.9, "kendall": 0.8, "mape": 0.065,
                            "median_ape": 0.05, "within_10_percent": 0.8},
                "calibration": {"left_out": left_out},
            }),
        },
        Event::Warning {
            text: "tract: the frequency governor is powersave, latencies vary".into(),
        },
    ];
    for candidate in 1..=evaluations {
        let e = maker.evaluated(candidate);
        if candidate % 23 == 0 {
            events.push(Event::Failed {
                candidate,
                genotype: e.genotype,
                cause: "the loss became NaN in epoch 2".into(),
            });
            continue;
        }
        events.push(Event::Evaluated(e));
    }
    store.append_all(&run, &events).unwrap();
    let state = store.state(&run).unwrap();
    let mut events = Vec::new();
    for member in state.front() {
        let e = member.evaluated;
        for engine in ["tract", "pi5/tract"] {
            events.push(maker.measured(e, engine, Purpose::Front));
        }
        let better = (e.accuracy + 0.02).min(0.97);
        events.push(Event::Trained(Trained {
            genotype: e.genotype.clone(),
            network_hash: e.network_hash.clone(),
            validation_accuracy: better,
            test_accuracy: better - 0.008,
            curve: maker.curve(better, 12),
        }));
    }
    events.push(Event::Note {
        text: "Second try, with the governor set to performance.".into(),
    });
    events.push(Event::Finished {
        reason: "budget spent".into(),
    });
    store.append_all(&run, &events).unwrap();
    run
}

/// Many candidates with made-up networks: what the page draws, not what it draws of.
fn large(store: &Store) -> RunId {
    let mut maker = Maker::new(7);
    let run = store.create_run(&header("ten thousand", 7, LARGE)).unwrap();
    let plain = maker.evaluated(0);
    let events: Vec<Event> = (1..=LARGE)
        .map(|candidate| {
            let latency_ms = 0.05 * (1.0 + maker.rng.random::<f64>()).powi(6);
            let accuracy = 0.7 + 0.06 * (latency_ms * 20.0).ln() + maker.noise(0.08);
            Event::Evaluated(Evaluated {
                candidate,
                generation: candidate / 100,
                genotype: format!("made-up={candidate}"),
                accuracy: (accuracy * 1e4).round() / 1e4,
                latency_ms,
                latency_low_ms: 0.9 * latency_ms,
                latency_high_ms: 1.1 * latency_ms,
                macs: (1e7 * latency_ms) as u64,
                ..plain.clone()
            })
        })
        .collect();
    store.append_all(&run, &events).unwrap();
    run
}

fn hostile(store: &Store) -> RunId {
    let text = || HOSTILE.to_owned();
    let run = store
        .create_run(&RunHeader {
            name: text(),
            experiment: json!({"evaluations": 3, HOSTILE: HOSTILE, "other_engines": [HOSTILE]}),
            space_text: text(),
            space_hash: text(),
            bespoke_version: text(),
            git_commit: Some(text()),
            dataset_name: text(),
            dataset_hash: text(),
            device: text(),
            engine: text(),
            ..header("", 0, 3)
        })
        .unwrap();
    let mut maker = Maker::new(3);
    let evil = Evaluated {
        genotype: text(),
        network_hash: text(),
        predictions: [(format!("latency_ms@{HOSTILE}"), [1.0, 0.9, 1.1])].into(),
        curve: json!([{ "epoch": 1, "train_loss": 1.0, "validation_accuracy": HOSTILE }]),
        ..maker.evaluated(1)
    };
    let events = [
        Event::Evaluated(evil.clone()),
        Event::Measured(Measured {
            genotype: text(),
            network_hash: text(),
            purpose: Purpose::Front,
            engine: text(),
            median_ms: 1.0,
            ci95_ms: [0.9, 1.1],
            measurement: json!({"engine": HOSTILE}),
        }),
        Event::Failed {
            candidate: 2,
            genotype: text(),
            cause: text(),
        },
        Event::Note { text: text() },
        Event::Warning { text: text() },
        Event::Unknown(json!({"kind": HOSTILE})),
        Event::Interrupted { cause: text() },
    ];
    store.append_all(&run, &events).unwrap();
    store.put_artefact(&run, HOSTILE, HOSTILE, b"x").unwrap();
    run
}

/// A run that this process records, as far as it has come.
fn live(store: &Store) -> RunId {
    let mut maker = Maker::new(11);
    let run = store.create_run(&header("going on", 11, 100)).unwrap();
    let events: Vec<Event> = (1..=20)
        .flat_map(|candidate| {
            let e = maker.evaluated(candidate);
            let asked = Asked {
                candidate,
                generation: e.generation,
                genotype: e.genotype.clone(),
                network_hash: e.network_hash.clone(),
                fidelity: 1.0,
            };
            [Event::Asked(asked), Event::Evaluated(e)]
        })
        .collect();
    store.append_all(&run, &events).unwrap();
    run
}

pub fn fill(store: &Store) -> World {
    World {
        large: large(store),
        hostile: hostile(store),
        other: finished(store, "quickstart, another seed", 2, 60),
        demo: finished(store, "quickstart", 1, 120),
        live: live(store),
    }
}
