//! Searches with other strategies, objectives, limits and several engines, as a
//! user runs them, at a tiny size.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::shell::{self, bespoke, err, events, json};

/// A search of few, small trainings.
fn search(db: &str, args: &[&str]) -> Output {
    let tiny = [
        "--train-images",
        "200",
        "--epochs",
        "2",
        "--final-epochs",
        "1",
        "--references",
        "4",
        "--seed",
        "3",
    ];
    let mut all = vec!["search", "--db", db];
    all.extend(tiny);
    all.extend(args);
    bespoke(&all)
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|e| e["kind"] == kind).collect()
}

#[test]
fn one_set_of_trainings_gives_a_front_for_each_engine_within_the_limits() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("b.db");
    let db = db.to_str().unwrap();
    let args = [
        "--strategy",
        "evolution",
        "--evaluations",
        "6",
        "--population",
        "3",
        "--objectives",
        "accuracy,latency_ms,latency_ms@flex",
        "--other-engines",
        "flex",
        "--constraint",
        "params <= 30k",
    ];
    let run = search(db, &args);
    assert!(run.status.success(), "{}", err(&run));
    let recorded = events(db, dir.path());
    let evaluated = of_kind(&recorded, "evaluated");
    assert_eq!(evaluated.len(), 6);
    for e in &evaluated {
        // Sizes are known before training, so none was spent on one too large.
        assert!(e["params"].as_u64().unwrap() <= 30_000, "{e}");
        let [ms, low, high] = [0, 1, 2].map(|i| {
            let there = &e["predictions"]["latency_ms@flex"];
            there[i].as_f64().expect("a prediction for flex")
        });
        assert!(low <= ms && ms <= high);
    }
    let front = |engine: &str| {
        let args = [
            "runs", "--db", db, "front", "latest", "--json", "--engine", engine,
        ];
        let rows = json(&bespoke(&args));
        rows.as_array().expect("rows").clone()
    };
    let (tract, flex) = (front("tract"), front("flex"));
    for row in tract.iter().chain(&flex) {
        assert!(
            row["measured_ms"].as_f64().is_some_and(|ms| ms > 0.0),
            "{row}"
        );
        assert!(row["test_accuracy"].as_f64().is_some(), "{row}");
    }
    let predicted = |rows: &[Value]| -> Vec<f64> {
        let ms = rows.iter().map(|r| r["predicted_ms"].as_f64().unwrap());
        ms.collect()
    };
    assert_ne!(predicted(&tract), predicted(&flex));
    assert!(predicted(&flex).is_sorted());

    let unknown = bespoke(&["runs", "--db", db, "front", "latest", "--engine", "npu"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(err(&unknown).contains("tract, flex"), "{}", err(&unknown));

    // Resumed, it trains and measures nothing again.
    let resumed = bespoke(&["search", "--db", db, "--resume", "latest"]);
    assert!(resumed.status.success(), "{}", err(&resumed));
    let after = events(db, dir.path());
    for kind in ["evaluated", "measured", "trained", "calibrated"] {
        assert_eq!(
            of_kind(&recorded, kind).len(),
            of_kind(&after, kind).len(),
            "{kind}"
        );
    }
}

#[test]
fn the_best_of_brief_trainings_are_trained_again_and_longer() {
    let dir = tempfile::tempdir().unwrap();
    let toml = dir.path().join("e.toml");
    let text =
        "fidelities = { rule = \"asha\", reduction = 2, least = 0.25 }\nother_engines = []\n";
    std::fs::write(&toml, text).unwrap();
    let db = dir.path().join("b.db");
    let db = db.to_str().unwrap();
    let toml = toml.to_str().unwrap();
    let args = [
        toml,
        "--strategy",
        "random",
        "--evaluations",
        "7",
        "--window",
        "2",
    ];
    let run = search(db, &args);
    assert!(run.status.success(), "{}", err(&run));
    let recorded = events(db, dir.path());
    let fidelity = |e: &Value| e["fidelity"].as_f64().unwrap_or(1.0);
    let evaluated = of_kind(&recorded, "evaluated");
    let spent: f64 = evaluated.iter().map(|e| fidelity(e)).sum();
    assert!(spent <= 7.0 && spent > 6.0, "{spent}");
    let of = |share: f64| -> Vec<&str> {
        let there = evaluated.iter().filter(|e| fidelity(e) == share);
        there.map(|e| e["genotype"].as_str().unwrap()).collect()
    };
    let (brief, full) = (of(0.25), of(1.0));
    assert!(
        brief.len() >= 2 * full.len() && !full.is_empty(),
        "{brief:?} {full:?}"
    );
    assert!(full.iter().all(|genotype| brief.contains(genotype)));
    // Only those with all of the training stand in the front.
    let front = json(&bespoke(&["runs", "--db", db, "front", "latest", "--json"]));
    let front = front.as_array().unwrap();
    assert!(!front.is_empty());
    assert!(
        front
            .iter()
            .all(|row| full.contains(&row["genotype"].as_str().unwrap()))
    );
}

#[test]
fn a_guided_search_takes_proxies_for_a_prior() {
    let dir = tempfile::tempdir().unwrap();
    let space = dir.path().join("few.space");
    let text = "space few\ninput image 1x28x28\nclasses 10\nnetwork {\n  \
                conv3x3({4, 6}, stride 2) bn relu\n  repeat 1..2 { conv3x3({8, 12}, stride 2) bn relu }\n  \
                pool avg global\n  linear(classes)\n}\n";
    std::fs::write(&space, text).unwrap();
    let db = dir.path().join("b.db");
    let db = db.to_str().unwrap();
    let args = [
        "--space",
        space.to_str().unwrap(),
        "--strategy",
        "guided",
        "--proxies",
        "synflow,naswot",
        "--evaluations",
        "12",
    ];
    let run = search(db, &args);
    assert!(run.status.success(), "{}", err(&run));
    // Twelve architectures: all are found, each once.
    let recorded = events(db, dir.path());
    let evaluated = of_kind(&recorded, "evaluated");
    let genotypes: std::collections::BTreeSet<&str> = evaluated
        .iter()
        .map(|e| e["genotype"].as_str().unwrap())
        .collect();
    assert_eq!((evaluated.len(), genotypes.len()), (12, 12));
}

/// A device whose latencies and energies are told by a file's size.
const METER: &str = "
import os
from bespoke_plugin import Plugin, Session, serve

class Meter(Plugin):
    name = 'meter'
    offers = ['energy']
    simulated = True

    def load(self, onnx_path, input, batch, threads):
        return Loaded(os.path.getsize(onnx_path))

class Loaded(Session):
    def __init__(self, size):
        self.size = size

    def samples_ms(self, runs):
        return [1 + self.size / 1e4] * runs

    def energy_mj(self, runs):
        return 5 + self.size / 1e3

serve(Meter())
";

#[test]
fn energy_is_an_objective_where_a_device_has_a_meter() {
    if !Command::new("python3")
        .arg("-c")
        .arg("import numpy")
        .status()
        .is_ok_and(|s| s.success())
    {
        eprintln!("*** SKIPPED: python3 with numpy is absent; no search for energy is run ***");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("meter.py", METER);
    let plugins = std::fs::canonicalize("devices/plugins").unwrap();
    let profile = format!(
        "name = \"meter\"\n[connection]\nkind = \"command\"\nargv = [\"python3\", {:?}]\n\
         env = {{ PYTHONPATH = {plugins:?} }}\n",
        dir.path().join("meter.py")
    );
    write("meter.toml", &profile);
    let db = dir.path().join("b.db");
    let db = db.to_str().unwrap();
    let device = dir.path().join("meter.toml");
    let args = [
        "--engine",
        device.to_str().unwrap(),
        "--evaluations",
        "4",
        "--objectives",
        "accuracy,energy_mj",
        "--constraint",
        "energy_mj <= 300",
    ];
    let run = search(db, &args);
    assert!(run.status.success(), "{}", err(&run));
    let recorded = events(db, dir.path());
    let evaluated = of_kind(&recorded, "evaluated");
    assert_eq!(evaluated.len(), 4);
    // Given by its file, it is recorded by its name.
    let measured = of_kind(&recorded, "measured");
    assert!(!measured.is_empty() && measured.iter().all(|m| m["engine"] == "meter"));
    for e in &evaluated {
        let mj = e["predictions"]["energy_mj"][0]
            .as_f64()
            .expect("an energy");
        assert!(mj > 5.0 && mj <= 300.0, "{e}");
    }
    let front = json(&bespoke(&["runs", "--db", db, "front", "latest", "--json"]));
    assert!(!front.as_array().unwrap().is_empty());

    let without = search(db, &["--objectives", "accuracy,energy_mj"]);
    // Machines that expose their energy have a meter.
    if !without.status.success() {
        assert!(
            err(&without).contains("`tract` measures none"),
            "{}",
            err(&without)
        );
    }
}

#[test]
fn a_space_of_one_architecture_and_no_budget_end_well() {
    let dir = tempfile::tempdir().unwrap();
    let space = dir.path().join("one.space");
    let text = "space one\ninput image 1x28x28\nclasses 10\nnetwork {\n  \
                conv3x3(4, stride 2) bn relu\n  pool avg global\n  linear(classes)\n}\n";
    std::fs::write(&space, text).unwrap();
    let db = dir.path().join("b.db");
    let db = db.to_str().unwrap();
    let one = search(db, &["--space", space.to_str().unwrap()]);
    // The devices known before tell the rest, and it is said how little one
    // measurement tells.
    assert!(one.status.success(), "{}", err(&one));
    for word in ["with 1 of 5 measurements", "every architecture"] {
        assert!(err(&one).contains(word), "{word}: {}", err(&one));
    }
    let front = json(&bespoke(&["runs", "--db", db, "front", "latest", "--json"]));
    assert_eq!(front.as_array().unwrap().len(), 1);

    let none = search(db, &["--evaluations", "0"]);
    assert!(none.status.success(), "{}", err(&none));
    for word in ["no budget", "front is empty", "no network to keep"] {
        assert!(err(&none).contains(word), "{word}: {}", err(&none));
    }
    let list = json(&bespoke(&["runs", "--db", db, "list", "--json"]));
    assert_eq!(list[0]["status"], "finished");
}

#[test]
fn goals_that_make_no_sense_are_refused_before_anything_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("b.db");
    let db = db.to_str().unwrap();
    let refused = |args: &[&str], says: &[&str]| shell::refused(&search(db, args), says);
    refused(&["--strategy", "magic"], &["magic", "nsga2"]);
    refused(&["--objectives", "speed"], &["speed", "accuracy"]);
    refused(
        &["--objectives", "accuracy,latency_ms@pi5"],
        &["pi5", "tract"],
    );
    refused(&["--objectives", "accuracy,accuracy"], &["twice"]);
    refused(&["--constraint", "params < 3"], &["is no limit"]);
    refused(
        &["--constraint", "macs <= 1M", "--constraint", "macs >= 2M"],
        &["contradict"],
    );
    refused(&["--window", "0"], &["window"]);
    refused(&["--fidelities", "some"], &["some", "asha"]);
    refused(
        &["--strategy", "guided", "--proxies", "tarot"],
        &["tarot", "synflow"],
    );
    refused(
        &["--strategy", "nsga2", "--proxies", "synflow"],
        &["proxies", "guided"],
    );
    let no_images = bespoke(&["search", "--db", db, "--train-images", "0"]);
    shell::refused(&no_images, &["train_images"]);
    assert!(!Path::new(db).exists());
}
