//! The web page in a real browser: Chromium driven by `check.mjs` (playwright and
//! axe-core, installed by scripts/web-env.sh), against a server in this process.
//!
//! To look at the page while working on it:
//! `cargo test --release --no-default-features --features runs --test web -- --ignored --nocapture serve`

mod world;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bespoke::store::{Event, RunId, Store};
use bespoke::web::{DeviceHealth, DeviceSource, Options, Server, Token, report_html};
use serde_json::{Value, json};

use world::{HOSTILE, LARGE, Maker, World, fill};

const TOKEN: &str = "a-token-for-the-tests";
/// Evaluations that come while the browser looks.
const COMING: u64 = 15;
/// What the script must have checked, so that it cannot leave anything out.
const CHECKS: [&str; 13] = [
    "pages load without console errors",
    "the front shows as many points as the database",
    "live updates arrive",
    "ten thousand candidates",
    "accessible in light, dark and on a phone",
    "nothing is wider than a phone",
    "hostile names do not run",
    "the keyboard is enough",
    "points can be picked and brushed",
    "costs can be chosen",
    "notes need the token",
    "runs and devices can be compared",
    "a report opens from a file",
];

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web")
}

fn chromium() -> PathBuf {
    std::env::var_os("CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from)
}

/// What is missing to drive a browser, if anything is.
fn missing() -> Option<&'static str> {
    let node = Command::new("node").arg("--version").output();
    if !node.is_ok_and(|o| o.status.success()) {
        return Some("there is no node");
    }
    if !chromium().exists() {
        return Some("there is no Chromium at /usr/bin/chromium or $CHROMIUM");
    }
    let modules = ["playwright-core", "axe-core"];
    let installed = |name: &&str| here().join("node_modules").join(name).exists();
    (!modules.iter().all(installed)).then_some("playwright-core and axe-core are not installed")
}

fn devices() -> DeviceSource {
    let pi5 = DeviceHealth {
        name: "pi5".into(),
        state: "measuring".into(),
        agent: "0.1.0".into(),
        engines: vec!["tract".into()],
        queued: 3,
        measured: 128,
        failed: 2,
        silent_s: Some(1.5),
        cpu: Some("Raspberry Pi 5 Model B Rev 1.0".into()),
        architecture: Some("aarch64".into()),
        cores: Some(4),
        memory_bytes: Some(8 << 30),
        os: Some("Debian GNU/Linux 12".into()),
        governor: Some("ondemand".into()),
        temperature_c: Some(83.0),
        load_1min: Some(0.4),
    };
    let away = DeviceHealth {
        name: HOSTILE.into(),
        state: "away".into(),
        silent_s: Some(7300.0),
        ..DeviceHealth::default()
    };
    DeviceSource::new(move || std::future::ready(Ok(vec![pi5.clone(), away.clone()])))
}

/// A server of a new database; the directory lives as long as its owner.
struct Site {
    directory: tempfile::TempDir,
    world: World,
    base: String,
    _runtime: tokio::runtime::Runtime,
}

impl Site {
    fn new(bind: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("web.db")).unwrap();
        let world = fill(&store);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let options = Options {
            bind: bind.into(),
            token: Some(Token::new(TOKEN).unwrap()),
            devices: Some(devices()),
            ..Options::default()
        };
        let server = runtime.block_on(Server::start(store, options)).unwrap();
        let base = format!("http://{}", server.address());
        runtime.spawn(server.run(std::future::pending()));
        Site {
            directory,
            world,
            base,
            _runtime: runtime,
        }
    }

    fn store(&self) -> Store {
        Store::open(self.directory.path().join("web.db")).unwrap()
    }
}

/// Evaluations as a search records them, then its end.
fn go_on(store: &Store, run: &RunId) {
    let mut maker = Maker::new(99);
    for n in 0..COMING {
        let event = Event::Evaluated(maker.evaluated(21 + n));
        store.append(run, &event).unwrap();
        std::thread::sleep(Duration::from_millis(60));
    }
    let reason = "told live".into();
    store.append(run, &Event::Finished { reason }).unwrap();
}

#[test]
fn the_page_in_a_browser() {
    if let Some(missing) = missing() {
        writeln!(
            std::io::stderr(),
            "\n*** SKIPPED: {missing}; the web page is not tested in a browser. \
             Run scripts/web-env.sh. ***\n"
        )
        .unwrap();
        return;
    }
    let site = Site::new("127.0.0.1:0");
    let store = site.store();
    let report = |run: &RunId, name: &str| {
        let path = site.directory.path().join(name);
        let html = report_html(site.store(), run).unwrap();
        std::fs::write(&path, html).unwrap();
        format!("file://{}", path.display())
    };
    let expected = |run: &RunId| {
        let state = store.state(run).unwrap();
        json!({
            "candidates": state.evaluated().count(),
            "front": state.front_on(&state.header.engine).len(),
        })
    };
    let world = &site.world;
    let task = json!({
        "base": site.base,
        "chromium": chromium(),
        "token": TOKEN,
        "hostile_text": HOSTILE,
        "coming": COMING,
        "large": LARGE,
        "runs": {
            "demo": world.demo, "other": world.other, "large": world.large,
            "hostile": world.hostile, "live": world.live,
        },
        "expected": {"demo": expected(&world.demo), "large": expected(&world.large)},
        "report": report(&world.demo, "report.html"),
        "hostile_report": report(&world.hostile, "hostile.html"),
        "shots": std::env::var("BESPOKE_SCREENSHOTS").ok(),
    });
    let mut script = Command::new("node")
        .arg(here().join("check.mjs"))
        .arg(task.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut found = BTreeMap::new();
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["ready"] == "live" {
            go_on(&store, &world.live);
        } else if let Some(figures) = line.get("figures") {
            writeln!(std::io::stderr(), "{figures}").unwrap();
        } else {
            let name = line["check"].as_str().unwrap().to_owned();
            found.insert(name, line["problems"].clone());
        }
    }
    assert!(script.wait().unwrap().success(), "the script ended early");
    let checked: Vec<&str> = found.keys().map(String::as_str).collect();
    let mut wanted = CHECKS.to_vec();
    wanted.sort_unstable();
    assert_eq!(checked, wanted);
    found.retain(|_, problems| *problems != json!([]));
    assert!(found.is_empty(), "{found:#?}");
}

/// Serves a made-up database until the process is ended.
#[test]
#[ignore = "serves the page to look at"]
fn serve() {
    let bind = std::env::var("BESPOKE_BIND").unwrap_or_else(|_| "127.0.0.1:7312".into());
    let site = Site::new(&bind);
    writeln!(
        std::io::stderr(),
        "{} with the token {TOKEN}; the run that goes on: {}",
        site.base,
        site.world.live
    )
    .unwrap();
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}
