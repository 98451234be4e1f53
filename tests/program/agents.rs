//! Devices elsewhere as a user has them: a coordinator, an agent enrolled with
//! the printed commands, and measuring, calibrating and searching on it by name.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::shell::{done, json, refused};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bespoke(admin: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bespoke"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .env("BESPOKE_COORDINATOR", admin)
        .output()
        .expect("the program runs")
}

/// A coordinator; the file for its clients.
fn serve(dir: &Path) -> (Running, PathBuf) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bespoke"))
        .args(["serve", "--listen", "127.0.0.1:0", "--state"])
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("coordinator at 127.0.0.1:"), "{first}");
    let second = lines.next().unwrap().unwrap();
    assert!(second.starts_with("certificate SHA-256 "), "{second}");
    (Running(child), dir.join("admin.json"))
}

/// Does what `devices enrol` prints, with a directory of its own.
fn agent(dir: &Path, printed: &str) -> Running {
    let words: Vec<&str> = printed.split_whitespace().filter(|w| *w != "\\").collect();
    let place = words.iter().position(|w| *w == "bespoke-probe").unwrap();
    let [_, verb, address, token] = words[place..place + 4] else {
        panic!("{printed}");
    };
    assert_eq!(verb, "enrol");
    let enrolled = Command::new(env!("CARGO_BIN_EXE_bespoke-probe"))
        .args(["enrol", address, token, "--state"])
        .arg(dir)
        .output()
        .unwrap();
    assert!(done(&enrolled).contains("this device is pi5"));
    let child = Command::new(env!("CARGO_BIN_EXE_bespoke-probe"))
        .args(["run", "--state"])
        .arg(dir)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Running(child)
}

const SPACE: &str = "search-spaces/quickstart.space";

#[test]
fn a_device_elsewhere_is_used_by_name_like_the_one_here() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, admin) = serve(&dir.path().join("coordinator"));
    let run = |arguments: &[&str]| bespoke(&admin, arguments);
    let printed = done(&run(&["devices", "enrol", "pi5"]));
    let _agent = agent(&dir.path().join("agent"), &printed);

    let measure = [
        "measure",
        SPACE,
        "-n",
        "3",
        "--json",
        "--engine",
        "pi5/tract",
    ];
    let measured = run(&measure);
    let measured = json(&measured);
    let list = measured.as_array().unwrap();
    assert_eq!(list.len(), 3);
    for m in list {
        assert_eq!(m["engine"], "tract");
        assert!(m["passes"].as_array().unwrap().len() >= 2);
        assert!(m["samples_ms"].as_array().unwrap().len() >= 40);
    }
    // What was measured is known; a series of its own is measured anew.
    assert_eq!(json(&run(&measure)), measured);
    let mut anew = measure;
    anew[6] = "pi5/tract@again";
    assert_ne!(json(&run(&anew)), measured);

    let devices = json(&run(&["devices", "list", "--json"]));
    assert_eq!(devices[0]["name"], "pi5");
    assert!(devices[0]["measured"].as_u64().unwrap() >= 12);
    let shown = done(&run(&["devices", "show", "pi5"]));
    assert!(
        shown.contains("engines:     tract") && shown.contains("cores:"),
        "{shown}"
    );
    assert!(done(&run(&["devices", "list"])).contains("idle"));

    // What happened can be watched.
    let mut watch = Command::new(env!("CARGO_BIN_EXE_bespoke"))
        .args(["devices", "watch"])
        .env("BESPOKE_COORDINATOR", &admin)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let _watch = Running(watch);
    let mut seen = lines.map_while(Result::ok);
    assert!(seen.any(|line| line.contains("a token was issued for pi5")));
    assert!(seen.any(|line| line.contains("pi5/tract measured")));

    let calibrated = [
        "calibrate",
        "pi5/tract",
        "--space",
        SPACE,
        "-n",
        "4",
        "--heldout",
        "3",
    ];
    assert!(done(&run(&calibrated)).contains("unseen: Spearman"));

    // A search calibrates on it, and measures the front there again.
    let db = dir.path().join("b.db");
    let db = db.to_str().unwrap();
    let mut search = vec!["search", "runs/quickstart.toml", "--db", db];
    search.extend([
        "--engine",
        "pi5/tract",
        "--evaluations",
        "4",
        "--population",
        "2",
    ]);
    search.extend([
        "--train-images",
        "100",
        "--epochs",
        "1",
        "--final-epochs",
        "1",
    ]);
    search.extend(["--references", "4"]);
    assert!(done(&run(&search)).contains("measured ms"));
    let to = dir.path().join("export");
    done(&run(&[
        "runs",
        "--db",
        db,
        "export",
        "latest",
        "--out",
        to.to_str().unwrap(),
    ]));
    let events = std::fs::read_to_string(to.join("events.jsonl")).unwrap();
    let there: Vec<serde_json::Value> = events
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .filter(|e: &serde_json::Value| e["kind"] == "measured" && e["engine"] == "pi5/tract")
        .collect();
    for purpose in ["reference", "heldout", "front"] {
        assert!(there.iter().any(|e| e["purpose"] == purpose), "{purpose}");
    }

    refused(
        &run(&["measure", SPACE, "--engine", "pi6/tract"]),
        &["there is no device `pi6`", "pi5"],
    );
    refused(
        &run(&["measure", SPACE, "--engine", "pi5/ncnn"]),
        &["no engine `ncnn`", "tract"],
    );
    refused(&run(&["devices", "enrol", "pi5"]), &["pi5", "already"]);
    refused(
        &run(&["devices", "enrol", "no/slash"]),
        &["names no device"],
    );
    assert!(done(&run(&["devices", "revoke", "pi5"])).contains("locked out"));
    refused(
        &run(&[
            "measure",
            SPACE,
            "-n",
            "1",
            "--seed",
            "5",
            "--engine",
            "pi5/tract",
        ]),
        &["pi5"],
    );
}

#[test]
fn without_a_coordinator_it_is_said_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("admin.json");
    refused(&bespoke(&nowhere, &["devices", "list"]), &["bespoke serve"]);
    refused(
        &bespoke(&nowhere, &["measure", SPACE, "--engine", "pi5/tract"]),
        &["bespoke serve", "BESPOKE_COORDINATOR"],
    );
    let state = dir.path().join("coordinator");
    let (server, admin) = serve(&state);
    // One coordinator for a directory.
    refused(
        &bespoke(
            &admin,
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--state",
                state.to_str().unwrap(),
            ],
        ),
        &["another coordinator"],
    );
    drop(server);
    refused(
        &bespoke(&admin, &["devices", "list"]),
        &["cannot reach", "bespoke serve"],
    );
}

#[test]
fn the_coordinator_bears_a_small_load() {
    let small = [
        "bench",
        "agents",
        "--agents",
        "8",
        "--measurements",
        "200",
        "--json",
    ];
    let mut arguments = small.to_vec();
    arguments.extend(["--drop-every", "7"]);
    let report = json(&bespoke(Path::new("unused"), &arguments));
    let load = &report["load"];
    assert_eq!(
        (load["right"].as_u64(), load["lost"].as_u64()),
        (Some(200), Some(0))
    );
    assert_eq!(
        (load["doubled"].as_u64(), load["overlapped"].as_u64()),
        (Some(0), Some(0))
    );
    assert!(load["dropped"].as_u64().unwrap() > 0);
}
