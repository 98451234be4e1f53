//! Runs as a user looks at them: in a browser, on a terminal and as a file; and
//! what packages carry beside the program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bespoke::store::{Evaluated, Event, RunHeader, Store};
use serde_json::{Value, json};

use crate::shell::{bespoke, done, err, refused};

#[cfg(unix)]
#[path = "../store_reliability/server.rs"]
mod server;

/// A database file with a run called `looked at`.
fn database(dir: &Path) -> String {
    let path = dir.join("x.db");
    record(&path);
    path.display().to_string()
}

/// Records a run called `looked at`.
fn record(db: &Path) {
    let store = Store::open(db).unwrap();
    let run = store
        .create_run(&RunHeader {
            name: "looked at".into(),
            experiment: json!({"evaluations": 4}),
            space_text: "space s".into(),
            space_hash: "ab".into(),
            seed: 7,
            bespoke_version: "0.1.0".into(),
            git_commit: None,
            dataset_name: "mnist".into(),
            dataset_hash: "cd".into(),
            device: "this machine".into(),
            engine: "tract".into(),
        })
        .unwrap();
    for candidate in 1..=3u32 {
        store.append(&run, &evaluated(candidate)).unwrap();
    }
}

fn evaluated(candidate: u32) -> Event {
    let ms = f64::from(candidate);
    Event::Evaluated(Evaluated {
        candidate: candidate.into(),
        generation: 0,
        genotype: format!("g={candidate}"),
        network_hash: "ef".into(),
        accuracy: 0.8 + 0.05 * ms,
        fidelity: 1.0,
        curve: json!([]),
        latency_ms: ms,
        latency_low_ms: 0.9 * ms,
        latency_high_ms: 1.1 * ms,
        predictions: [].into(),
        macs: 1000,
        params: 100,
        peak_activation_bytes: 4096,
        seconds: 1.0,
    })
}

#[test]
fn a_frame_a_report_and_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path());
    let frame = done(&bespoke(&["top", "latest", "--once", "--db", &db]));
    assert_eq!(frame.lines().count(), 24);
    assert!(frame.contains("looked at") && frame.contains("3 evaluated of 4"));
    refused(&bespoke(&["top", "--db", &db]), &["no terminal", "--once"]);
    refused(&bespoke(&["top", "zzzz", "--db", &db]), &["runs list"]);

    let out = dir.path().join("front.html");
    let to = out.to_str().unwrap();
    let written = bespoke(&["report", "looked at", "--db", &db, "--out", to]);
    done(&written);
    assert!(err(&written).contains("front.html"));
    let html = std::fs::read_to_string(&out).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("g=3"));
    let piped = done(&bespoke(&["report", "latest", "--db", &db, "--out", "-"]));
    assert_eq!(piped, html);
    let nowhere = ["report", "latest", "--db", &db, "--out", "/no/such/place"];
    refused(&bespoke(&nowhere), &["cannot write the report"]);
    refused(
        &bespoke(&["report", "zzzz", "--db", &db]),
        &["no run is called"],
    );
}

/// The status line and body of an answer.
fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// `bespoke web` on a free port, ended with this.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(db: &str, admin: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bespoke"))
            .args(["web", "--bind", "127.0.0.1:0", "--db", db, "--coordinator"])
            .arg(admin)
            .env_remove("BESPOKE_WEB_TOKEN")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let address = line.strip_prefix("http://").unwrap().trim_end_matches('/');
        Served {
            child,
            address: address.to_owned(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_page_is_served_and_reads_only() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path());
    let served = Served::start(&db, &dir.path().join("none/admin.json"));
    let address = served.address.as_str();
    let (status, page) = get(address, "/");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(page.contains("/assets/app.js"));
    let json = |path| -> Value { serde_json::from_str(&get(address, path).1).unwrap() };
    assert_eq!(json("/api/runs")[0]["name"], "looked at");
    assert_eq!(json("/api/session")["writable"], false);
    let problem = json("/api/devices")["problem"].to_string();
    assert!(problem.contains("bespoke serve"), "{problem}");
    drop(served);

    let short = ["web", "--db", &db, "--token", "short"];
    refused(&bespoke(&short), &["at least 16", "openssl rand"]);
    let missing = dir.path().join("no.db");
    let missing = ["web", "--db", missing.to_str().unwrap()];
    refused(&bespoke(&missing), &["there is no database"]);
    let nowhere = ["web", "--db", &db, "--bind", "256.0.0.1:1"];
    refused(&bespoke(&nowhere), &["cannot listen", "--bind"]);
}

/// A frame, a report and the page, live, of a run that is on a server.
#[cfg(unix)]
#[test]
fn a_server_s_runs_are_looked_at_as_a_file_s() {
    let Some(server) = server::Server::start() else {
        return;
    };
    let url = server.url("postgres");
    record(&url);
    let db = url.to_str().unwrap();
    let frame = done(&bespoke(&["top", "latest", "--once", "--db", db]));
    assert!(frame.contains("looked at") && frame.contains("3 evaluated of 4"));
    let html = done(&bespoke(&["report", "latest", "--db", db, "--out", "-"]));
    assert!(html.starts_with("<!doctype html>") && html.contains("g=3"));
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(db, &dir.path().join("none/admin.json"));
    let address = served.address.as_str();
    let json = |path: &str| -> Value { serde_json::from_str(&get(address, path).1).unwrap() };
    let run = json("/api/runs")[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(json(&format!("/api/runs/{run}"))["counts"]["evaluated"], 3);

    // What is recorded meanwhile arrives.
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /api/runs/{run}/events?after=4 HTTP/1.1\r\nHost: {address}\r\n\r\n"
    )
    .unwrap();
    let store = Store::open(&url).unwrap();
    store
        .append(&store.find_run(&run).unwrap(), &evaluated(4))
        .unwrap();
    let mut lines = BufReader::new(stream).lines();
    let told = lines.find(|line| line.as_ref().unwrap().contains("candidate 4"));
    assert!(told.is_some());
    // The server ends every connection, as when it is started again.
    server.end_connections("postgres");
    let _ = get(address, "/api/runs");
    assert_eq!(json("/api/runs")[0]["evaluated"], 4);
}

#[test]
fn top_gives_the_terminal_back() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/in_a_terminal.py");
    for key in ["q", "\x03"] {
        let ran = Command::new("python3")
            .arg(&script)
            .args([
                "looked at",
                key,
                env!("CARGO_BIN_EXE_bespoke"),
                "top",
                "--db",
                &db,
            ])
            .env("TERM", "xterm-256color")
            .output();
        let Ok(ran) = ran else {
            writeln!(
                std::io::stderr(),
                "\n*** SKIPPED: there is no python3; `bespoke top` is not run in a terminal ***\n"
            )
            .unwrap();
            return;
        };
        let told: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        let (code, typed) = (&told["code"], &told["typed"]);
        assert_eq!((code, typed), (&json!(0), &json!(true)), "{told}");
        assert_eq!(told["restored"], true, "{told}");
        let written = told["written"].as_str().unwrap();
        let (entered, left) = ("\x1b[?1049h", "\x1b[?1049l");
        let places = (written.find(entered), written.rfind(left));
        assert!(matches!(places, (Some(a), Some(b)) if a < b), "{told}");
        // Blanks are not written: the cursor moves over them.
        for word in ["evaluated", "predicted", "quit", "\x1b[?25h"] {
            assert!(written.contains(word), "{word}: {told}");
        }
    }
}

#[test]
fn packages_get_completions_and_manual_pages() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = done(&bespoke(&["completions", shell]));
        for word in ["report", "enrol", "quickstart"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
    refused(&bespoke(&["completions", "csh"]), &["bash", "fish"]);
    assert!(done(&bespoke(&["man"])).contains(".TH bespoke 1"));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("man1");
    done(&bespoke(&["man", "--out", out.to_str().unwrap()]));
    for page in ["bespoke.1", "bespoke-web.1", "bespoke-space-count.1"] {
        let text = std::fs::read_to_string(out.join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
}
