//! `bespoke runs` as a user types it: what is exported is read by other programs,
//! what is imported calibrates, what is damaged is told and saved.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::shell::{self, bespoke, done, err, json, refused};

/// A database with a small search in it.
fn searched(dir: &Path) -> String {
    let db = dir.join("b.db").display().to_string();
    let words = format!(
        "search --db {db} --strategy random --evaluations 5 --population 3 --references 4 \
         --train-images 100 --epochs 2 --final-epochs 1 --other-engines flex --seed 3"
    );
    let words: Vec<&str> = words.split_whitespace().collect();
    done(&bespoke(&words));
    db
}

/// A Python that imports these, or a loud word that there is none.
fn python(packages: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let found = [own, "python3".into()].into_iter().find(|python| {
        Command::new(python)
            .args(["-c", &format!("import {packages}")])
            .output()
            .is_ok_and(|o| o.status.success())
    });
    if found.is_none() {
        assert!(std::env::var_os("BESPOKE_REQUIRE_PYTHON").is_none());
        writeln!(
            std::io::stderr(),
            "\n*** SKIPPED: no Python that has {packages}. Run scripts/python-env.sh. ***\n"
        )
        .expect("standard error is writable");
    }
    found
}

#[test]
fn what_is_kept_is_read_by_other_programs_and_compared_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let db = searched(dir.path());
    let runs = |words: &[&str]| bespoke(&[&["runs", "--db", &db], words].concat());
    let shown = json(&runs(&["show", "latest", "--json"]));
    // Where it was started says which commit it is of.
    let commit = shown["header"]["git_commit"].as_str();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["rev-parse", "HEAD"])
        .output();
    if let Some(git) = git.ok().filter(|git| git.status.success()) {
        let head = String::from_utf8(git.stdout).unwrap();
        assert!(
            commit.is_some_and(|c| c.starts_with(head.trim())),
            "{commit:?}"
        );
    }
    let front = json(&runs(&["front", "latest", "--json"]));
    assert_eq!(front, shown["front"]);

    let out = dir.path().join("export");
    done(&runs(&["export", "latest", "--out", out.to_str().unwrap()]));
    if let Some(python) = python("pandas, pyarrow, optuna") {
        let script = root.join("tests/python/read_export.py");
        let seen = Command::new(python).arg(script).arg(&out).output().unwrap();
        let seen = json(&seen);
        assert_eq!(seen["csv_rows"], 5, "{seen}");
        assert_eq!(seen["csv_equals_parquet"], true, "{seen}");
        assert_eq!(
            (&seen["types"]["candidate"], &seen["types"]["accuracy"]),
            (&"int64".into(), &"float64".into())
        );
        assert_eq!(seen["arrow"], "string");
        assert_eq!(seen["best_accuracy"], shown["run"]["best_accuracy"]);
        assert_eq!(seen["measurements"], shown["run"]["measured"]);
        assert_eq!(seen["events"], shown["events"]);
        assert_eq!(seen["study"], shown["run"]["id"]);
        assert_eq!(
            seen["directions"],
            serde_json::json!(["MAXIMIZE", "MINIMIZE"])
        );
        assert_eq!((&seen["complete"], &seen["failed"]), (&5.into(), &0.into()));
        let mut members: Vec<u64> = front
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["candidate"].as_u64().unwrap())
            .collect();
        members.sort_unstable();
        assert_eq!(seen["front"], serde_json::json!(members));
        assert_eq!(seen["curve"], 2);
        assert!(seen["params"].as_object().unwrap().len() > 1, "{seen}");
    }

    // The same for MLflow, twice: a later export takes an earlier one's place.
    let tracked = dir.path().join("ml runs");
    for _ in 0..2 {
        let to = tracked.to_str().unwrap();
        let words = [
            "export", "latest", "--format", "mlflow", "--out", to, "--json",
        ];
        assert!(json(&runs(&words))["files"].as_u64() > Some(100));
    }
    if let Some(python) = python("mlflow, pandas") {
        let script = root.join("tests/python/read_mlflow.py");
        let seen = Command::new(python)
            .arg(script)
            .arg(&tracked)
            .env("MLFLOW_ALLOW_FILE_STORE", "true")
            .output()
            .unwrap();
        let seen = json(&seen);
        let run = &shown["run"];
        let name = format!(
            "{} {}",
            run["name"].as_str().unwrap(),
            run["id"].as_str().unwrap()
        );
        assert_eq!(seen["experiment"], name, "{seen}");
        assert_eq!(
            (&seen["candidates"], &seen["searches"]),
            (&5.into(), &1.into())
        );
        assert_eq!(seen["best_accuracy"], run["best_accuracy"]);
        assert_eq!(seen["front"], front.as_array().unwrap().len());
        assert_eq!(seen["epochs"], serde_json::json!([1, 2]));
        assert_eq!(seen["measured"], front.as_array().unwrap().len());
        assert_eq!(
            seen["artifacts"],
            shown["artefacts"].as_array().unwrap().len()
        );
        assert!(seen["params"].as_u64() > Some(1), "{seen}");
        assert_eq!(seen["statuses"], serde_json::json!(["FINISHED"]));
    }

    let best = json(&runs(&["best", "latest", "--by", "params", "--json"]));
    let params = |row: &Value| row["params"].as_u64().unwrap();
    assert!(
        front
            .as_array()
            .unwrap()
            .iter()
            .all(|row| params(row) >= params(&best[0]))
    );
    let none = runs(&["best", "latest", "--constraint", "latency_ms <= 0.000001"]);
    assert!(done(&none).is_empty() && err(&none).contains("keeps the limits"));
    let csv = done(&runs(&["best", "latest", "-n", "3", "--csv"]));
    assert_eq!(csv.lines().count(), 4);

    let list = |words: &[&str]| json(&runs(&[&["list", "--json"], words].concat()));
    assert_eq!(list(&["--min-accuracy", "0.99999"]), serde_json::json!([]));
    assert_eq!(
        list(&["--engine", "tract", "--days", "1", "--sort", "accuracy"])
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // Imported measurements calibrate as those of a file do.
    let measured = out.join("measurements.csv");
    let csv = std::fs::read_to_string(&measured).unwrap();
    let mut lines = csv.lines();
    let header = lines.next().unwrap().to_owned() + "\n";
    let own: String = lines
        .filter(|l| l.contains(",tract,"))
        .map(|l| format!("{l}\n"))
        .collect();
    std::fs::write(&measured, header + &own).unwrap();
    let space = root.join("search-spaces/quickstart.space");
    let (space, measured) = (space.to_str().unwrap(), measured.to_str().unwrap());
    let imported = json(&runs(&[
        "import",
        measured,
        "--space",
        space,
        "--engine",
        "pi5/tract",
        "--json",
    ]));
    assert_eq!(imported["measurements"], own.lines().count());
    let from = |words: &[&str]| {
        let common = [
            "calibrate",
            "pi5/tract",
            "--space",
            space,
            "-n",
            "4",
            "--json",
        ];
        json(&bespoke(&[&common, words].concat()))
    };
    let run = imported["run"].as_str().unwrap();
    assert_eq!(
        from(&["--run", run, "--db", &db]),
        from(&["--measurements", measured])
    );
    let other = bespoke(&[
        "calibrate",
        "npu",
        "--space",
        space,
        "--run",
        run,
        "--db",
        &db,
    ]);
    refused(&other, &["measured nothing on `npu`", "pi5/tract"]);

    let comparison = json(&runs(&["compare", "quickstart", run, "--json"]));
    assert_eq!(comparison["runs"][1]["front"], 0);
    assert!(comparison["differences"]["engine"].is_array());
    assert!(done(&runs(&["compare", "quickstart", run])).contains("hypervolume"));

    // Nothing is deleted by accident; then the run, and its files.
    let careful = runs(&["delete", "quickstart"]);
    assert!(err(&careful).contains("without --yes"), "{}", err(&careful));
    assert_eq!(list(&[]).as_array().unwrap().len(), 2);
    done(&runs(&["delete", "quickstart", "--yes"]));
    assert_eq!(list(&[]).as_array().unwrap().len(), 1);
    let collected = json(&runs(&["gc", "--older-than", "0", "--json"]));
    assert!(collected["files"].as_u64().unwrap() > 0, "{collected}");
    assert_eq!(json(&runs(&["verify", "--json"]))["whole"], true);
}

#[test]
fn a_doctor_tells_what_is_wrong_and_saves_what_it_can() {
    let place = shell::workplace();
    let space = "search-spaces/quickstart.space";
    let sample = shell::run(
        place.path(),
        &format!("bespoke space sample {space} -n 40 --seed 1"),
    );
    let rows: String = done(&sample)
        .lines()
        .map(|genotype| format!("\"{genotype}\",1.5\n"))
        .collect();
    std::fs::write(
        place.path().join("m.csv"),
        format!("genotype,latency_ms\n{rows}"),
    )
    .unwrap();
    for _ in 0..8 {
        let line = format!("bespoke runs import m.csv --space {space} --engine pi5 --db x.db");
        done(&shell::run(place.path(), &line));
    }
    let well = shell::run(place.path(), "bespoke runs doctor --db x.db");
    assert!(done(&well).contains("it holds 8 runs"), "{}", done(&well));
    let mut bytes = std::fs::read(place.path().join("x.db")).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    std::fs::write(place.path().join("x.db"), &bytes).unwrap();
    let ill = shell::run(place.path(), "bespoke runs list --db x.db");
    refused(&ill, &["x.db is damaged", "bespoke runs doctor"]);
    let ill = shell::run(place.path(), "bespoke runs doctor --db x.db --json");
    let told: Value = serde_json::from_slice(&ill.stdout).unwrap();
    assert_eq!(told["well"], false);
    let saved = shell::run(
        place.path(),
        "bespoke runs doctor --db x.db --recover new.db",
    );
    assert!(err(&saved).contains("saved "), "{}", err(&saved));
    assert_eq!(std::fs::read(place.path().join("x.db")).unwrap(), bytes);
    let list = shell::run(place.path(), "bespoke runs list --db new.db --json");
    assert!(json(&list).as_array().unwrap().len() >= 7);
    done(&shell::run(place.path(), "bespoke runs verify --db new.db"));
}
