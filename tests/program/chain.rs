//! The program as a user runs it: the whole chain at a tiny size, resuming, and
//! what wrong input says.

use std::path::Path;
use std::process::Command;

use crate::shell::{self, bespoke, err, events, json, out};

#[track_caller]
fn refused(args: &[&str], says: &[&str]) {
    shell::refused(&bespoke(args), says);
}

const TINY: [&str; 14] = [
    "--evaluations",
    "6",
    "--population",
    "3",
    "--train-images",
    "200",
    "--epochs",
    "1",
    "--final-epochs",
    "1",
    "--references",
    "4",
    "--seed",
    "3",
];

#[test]
fn the_whole_chain_runs_is_browsed_and_resumes_without_repeating() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("b.db");
    let db = db.to_str().unwrap();
    let mut args = vec!["search", "runs/quickstart.toml", "--db", db];
    args.extend(TINY);
    let run = bespoke(&args);
    assert!(run.status.success(), "{}", err(&run));
    assert!(err(&run).contains("1944000 architectures"), "{}", err(&run));
    assert!(err(&run).contains("unseen architectures Spearman"));
    assert!(out(&run).contains("measured ms"));

    let list = json(&bespoke(&["runs", "--db", db, "list", "--json"]));
    let id = list[0]["id"].as_str().expect("an id").to_string();
    let front = json(&bespoke(&["runs", "--db", db, "front", &id, "--json"]));
    let front = front.as_array().expect("rows").clone();
    assert!(!front.is_empty());
    assert!(
        front
            .iter()
            .all(|r| r["measured_ms"].as_f64().is_some_and(|m| m > 0.0))
    );
    let csv = bespoke(&["runs", "--db", db, "front", &id, "--csv"]);
    assert_eq!(out(&csv).lines().count(), front.len() + 1);
    assert!(bespoke(&["runs", "--db", db, "show", &id]).status.success());
    let files = dir.path().join(&id);
    for name in ["front.svg", "front-0.onnx", "front-0.safetensors"] {
        assert!(files.join(name).exists(), "{name}");
    }

    // Resumed, it finds everything done: nothing is measured or trained again.
    let count = |events: &[serde_json::Value], kind: &str| {
        events.iter().filter(|e| e["kind"] == kind).count()
    };
    let before = events(db, dir.path());
    assert_eq!(count(&before, "evaluated"), 6);
    let resumed = bespoke(&["search", "--db", db, "--resume", &id]);
    assert!(resumed.status.success(), "{}", err(&resumed));
    let after = events(db, dir.path());
    for kind in ["evaluated", "measured", "trained", "artefact"] {
        assert_eq!(count(&before, kind), count(&after, kind), "{kind}");
    }
    assert_eq!(out(&run), out(&resumed));

    // The same seed asks for the same first generation again.
    let genotypes = |events: &[serde_json::Value]| -> Vec<String> {
        let measured = events.iter().filter(|e| e["kind"] == "measured");
        measured
            .filter(|e| e["purpose"] == "reference")
            .map(|e| e["genotype"].as_str().unwrap().to_string())
            .collect()
    };
    let again = dir.path().join("again.db");
    let again = again.to_str().unwrap();
    args[3] = again;
    assert!(bespoke(&args).status.success());
    assert_eq!(genotypes(&before), genotypes(&events(again, dir.path())));
}

#[cfg(unix)]
#[test]
fn an_interrupted_search_resumes_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("b.db");
    let db = db.to_str().unwrap();
    let mut args = vec!["search", "runs/quickstart.toml", "--db", db];
    args.extend(TINY);
    // Long enough to be stopped in between.
    let images = args.iter().position(|a| *a == "--train-images").unwrap() + 1;
    args[images] = "4000";
    let mut child = Command::new(env!("CARGO_BIN_EXE_bespoke"))
        .args(&args)
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Once a candidate is recorded, press Ctrl-C.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(300);
    while std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let state = bespoke(&["runs", "--db", db, "show", "latest"]);
        if state.status.success()
            && events(db, dir.path())
                .iter()
                .any(|e| e["kind"] == "evaluated")
        {
            break;
        }
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let stopped = events(db, dir.path());
    assert!(stopped.iter().any(|e| e["kind"] == "interrupted"));
    let done = |events: &[serde_json::Value]| -> Vec<String> {
        let evaluated = events.iter().filter(|e| e["kind"] == "evaluated");
        evaluated
            .map(|e| e["genotype"].as_str().unwrap().to_string())
            .collect()
    };
    let early = done(&stopped);
    assert!(!early.is_empty() && early.len() < 6, "{}", early.len());
    let resumed = bespoke(&["search", "--db", db, "--resume", "latest"]);
    assert!(resumed.status.success(), "{}", err(&resumed));
    let late = done(&events(db, dir.path()));
    assert_eq!(late.len(), 6);
    assert_eq!(late[..early.len()], early);
    let distinct: std::collections::HashSet<&String> = late.iter().collect();
    assert_eq!(distinct.len(), 6);
}

#[test]
fn a_gpu_trains_the_candidates_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("b.db");
    // Few operators: software Vulkan takes seconds to compile each.
    let space = dir.path().join("small.space");
    let text = "space small\ninput image 1x28x28\nclasses 10\nnetwork {\n  \
                conv3x3(2 * {1..16}, stride 2) bn relu pool avg global linear(classes)\n}\n";
    std::fs::write(&space, text).unwrap();
    let (db, space) = (db.to_str().unwrap(), space.to_str().unwrap());
    let mut args = vec!["search", "--db", db, "--space", space, "--backend", "wgpu"];
    args.extend(TINY);
    let run = bespoke(&args);
    if err(&run).contains("no GPU answers to wgpu") {
        assert_eq!(run.status.code(), Some(2));
        let loud = "\n*** SKIPPED: no GPU and no software Vulkan (mesa-vulkan-drivers) ***\n";
        std::io::Write::write_all(&mut std::io::stderr(), loud.as_bytes()).unwrap();
        return;
    }
    assert!(run.status.success(), "{}", err(&run));
    assert!(out(&run).contains("measured ms"));
}

#[test]
fn the_space_tools_answer() {
    let file = "search-spaces/quickstart.space";
    assert_eq!(out(&bespoke(&["space", "count", file])), "1944000\n");
    let fbnet = bespoke(&["space", "check", "search-spaces/fbnet.space"]);
    assert!(out(&fbnet).contains("984770902183611232881 architectures"));
    let sample = bespoke(&["space", "sample", file, "-n", "3", "--seed", "1"]);
    assert_eq!(out(&sample).lines().count(), 3);
    let genotype = out(&sample).lines().next().unwrap().to_string();
    let drawn = bespoke(&["space", "draw", file, &genotype]);
    assert!(out(&drawn).starts_with("<svg") || out(&drawn).contains("<svg"));
    assert!(out(&bespoke(&["space", "explain", file])).contains("s1.body.depth = 1 | 2"));
}

#[test]
fn measure_and_calibrate_answer() {
    let file = "search-spaces/quickstart.space";
    let measured = json(&bespoke(&[
        "measure", file, "-n", "2", "--json", "--engine", "flex",
    ]));
    assert_eq!(measured.as_array().unwrap().len(), 2);
    assert!(measured[0]["samples_ms"].as_array().unwrap().len() >= 6);
    let calibrated = bespoke(&["calibrate", file, "-n", "4", "--heldout", "3"]);
    assert!(
        out(&calibrated).contains("unseen: Spearman"),
        "{}",
        err(&calibrated)
    );
}

#[test]
fn wrong_input_is_explained_with_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let head = "space t\ninput image 1x28x28\nclasses 10\nnetwork {\n";
    let tail = "\n  pool avg global linear(classes) }";
    let unknown = write("a.space", format!("{head}  konv3x3(8){tail}").as_bytes());
    refused(
        &["space", "check", &unknown],
        &["konv3x3", "a.space:5:3", "did you mean `conv3x3`"],
    );
    let misfit = write(
        "b.space",
        format!("{head}  conv3x3({{8, 9}}) conv3x3(16, groups 4){tail}").as_bytes(),
    );
    refused(
        &["space", "check", &misfit],
        &["b.space:5", "for example with out=9"],
    );
    let empty = write("c.space", format!("{head}  conv3x3({{}}){tail}").as_bytes());
    refused(&["space", "check", &empty], &["a choice of nothing"]);
    refused(
        &["space", "check", "nowhere.space"],
        &["nowhere.space", "search-spaces/"],
    );

    let db = dir.path().join("fresh.db");
    let db = db.to_str().unwrap();
    let empty_dir = dir.path().join("no-data");
    std::fs::create_dir(&empty_dir).unwrap();
    let data = empty_dir.to_str().unwrap();
    refused(
        &["search", "--db", db, "--data", data],
        &["data_batch_1.bin", "train-images"],
    );
    assert!(
        !Path::new(db).exists(),
        "nothing is recorded before the input is checked"
    );
    refused(
        &["search", "--db", db, "--max-latency-ms", "-1"],
        &["max_latency_ms", "positive"],
    );
    refused(
        &["search", "--db", db, "--engine", "warp"],
        &["warp", "tract"],
    );
    refused(&["search", "--db", db, "--backend", "abacus"], &["abacus"]);
    let toml = write("e.toml", b"populaton = 3");
    refused(&["search", &toml, "--db", db], &["populaton", "population"]);

    let bench = ["bench", "search", "--accuracy"];
    let nowhere = |more: &[&'static str]| [&bench[..], &["nowhere.csv"], more].concat();
    refused(&nowhere(&[]), &["nowhere.csv"]);
    refused(&nowhere(&["--seeds", "0"]), &["--seeds"]);
    refused(
        &nowhere(&["--strategy", "annealing"]),
        &["annealing", "guided"],
    );
    let other = write("acc.csv", b"architecture,top1\n");
    refused(
        &[&bench[..], &[&other]].concat(),
        &["accuracy_cifar100_percent", "top1"],
    );

    let shipped = std::fs::read("predictors/latency.bespoke").unwrap();
    let mut torn = shipped.clone();
    torn[shipped.len() / 2] ^= 1;
    let torn = write("torn.bespoke", &torn);
    refused(
        &["search", "--db", db, "--predictor", &torn],
        &["torn.bespoke", "damaged"],
    );
    let cut = write("cut.bespoke", &shipped[..shipped.len() / 2]);
    let file = "search-spaces/quickstart.space";
    refused(
        &["calibrate", file, "--predictor", &cut],
        &["cut.bespoke", "damaged"],
    );

    let damaged = write("damaged.db", &[7u8; 4096]);
    refused(&["runs", "--db", &damaged, "list"], &["damaged.db"]);
    assert_eq!(std::fs::read(&damaged).unwrap(), [7u8; 4096]);
    refused(&["search", "--db", &damaged], &["damaged.db"]);
    refused(&["runs", "--db", "absent.db", "list"], &["absent.db"]);
    refused(&["search", "--db", db, "--resume", "zzzz"], &[]);
}
