//! The server as a browser, and as an attacker, sees it: plain HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::store::test_data::{evaluated, every_event, header};
use crate::store::{Event, RunHeader, RunId, Store};

const TOKEN: &str = "a-token-of-the-tests";
const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\"'";

struct World {
    directory: tempfile::TempDir,
    run: RunId,
    address: String,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

impl World {
    async fn new(options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let (run, store) = tokio::task::spawn_blocking(move || {
            let store = Store::open(&path).unwrap();
            let space = RunHeader {
                name: HOSTILE.into(),
                space_text: include_str!("../../search-spaces/quickstart.space").into(),
                ..header("")
            };
            let run = store.create_run(&space).unwrap();
            store.append_all(&run, &every_event()).unwrap();
            (run, store)
        })
        .await
        .unwrap();
        let options = Options {
            bind: "127.0.0.1:0".into(),
            ..options
        };
        let server = Server::start(store, options).await.unwrap();
        let address = server.address().to_string();
        tokio::spawn(server.run(std::future::pending()));
        World {
            directory,
            run,
            address,
        }
    }

    async fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        let read = stream.read_to_end(&mut text);
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("the server ends the connection")
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    async fn request(&self, line: &str, heads: &[&str], body: &str) -> Answer {
        let heads: String = heads.iter().map(|head| format!("{head}\r\n")).collect();
        let length = body.len();
        self.send(&format!(
            "{line} HTTP/1.1\r\n{heads}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
        .await
    }

    async fn get(&self, path: &str) -> Answer {
        let host = format!("Host: {}", self.address);
        self.request(&format!("GET {path}"), &[&host], "").await
    }

    async fn note(&self, heads: &[&str], body: &str) -> Answer {
        let host = format!("Host: {}", self.address);
        let mut all = vec![host.as_str()];
        all.extend(heads);
        let line = format!("POST /api/runs/{}/notes", self.run);
        self.request(&line, &all, body).await
    }

    /// The notes that the database holds beside the test data's own.
    async fn notes(&self) -> Vec<String> {
        let overview = self.get("/api/runs/latest").await.json();
        let notes = overview["notes"].as_array().unwrap()[1..].iter();
        notes.map(|n| n.as_str().unwrap().to_owned()).collect()
    }
}

fn with_token() -> Options {
    Options {
        token: Some(Token::new(TOKEN).unwrap()),
        ..Options::default()
    }
}

#[tokio::test]
async fn every_part_of_a_run_is_answered() {
    let world = World::new(Options::default()).await;
    let run = world.run.as_str();
    let list = world.get("/api/runs").await.json();
    assert_eq!(list[0]["name"], HOSTILE);
    assert_eq!(list[0]["word"], "finished");
    for typed in [run, &run[..5], "latest"] {
        let overview = world.get(&format!("/api/runs/{typed}")).await.json();
        assert_eq!(overview["id"], run);
        assert_eq!(overview["counts"]["evaluated"], 1);
        assert!(overview["calibration"].get("calibration").is_none());
    }
    let columns = world.get("/api/runs/latest/columns").await.json();
    assert_eq!(columns["columns"]["candidate"], json!([1]));
    for part in ["pairs", "courses", "lines"] {
        let answer = world.get(&format!("/api/runs/latest/{part}")).await;
        assert!(answer.json().is_array(), "{part}");
        assert!(answer.head.contains("content-type: application/json"));
    }
    let candidate = world.get("/api/runs/latest/candidates/1").await.json();
    assert_eq!(candidate["genotype"], "g1");
    let session = world.get("/api/session").await.json();
    assert_eq!(session["writable"], false);
    let devices = world.get("/api/devices").await.json();
    assert_eq!(devices["elsewhere"], Value::Null);
    assert_eq!(devices["of_runs"][0]["device"], "two-core machine");
}

#[tokio::test]
async fn networks_are_drawn_from_the_runs_own_space() {
    let world = World::new(Options::default()).await;
    let path = world.directory.path().join("x.db");
    let run = world.run.clone();
    tokio::task::spawn_blocking(move || {
        let store = Store::open(path).unwrap();
        let text = store.header(&run).unwrap().0.space_text;
        let space = crate::space::Space::parse("s", &text).unwrap();
        let architecture = space.enumerate().next().unwrap();
        let mut drawn = evaluated(5, 0.9, 1.0);
        drawn.genotype = space.genotype(&architecture);
        store.append(&run, &Event::Evaluated(drawn)).unwrap();
    })
    .await
    .unwrap();
    let answer = world.get("/api/runs/latest/candidates/5/network.svg").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: image/svg+xml"));
    assert!(answer.body.starts_with("<svg") && answer.body.contains("conv"));
    let wrong = world.get("/api/runs/latest/candidates/1/network.svg").await;
    assert_eq!(wrong.status, 422, "{}", wrong.body);
}

#[tokio::test]
async fn what_does_not_exist_is_told_with_help() {
    let world = World::new(Options::default()).await;
    for (path, status, told) in [
        ("/api/runs/zzzzzzzz", 404, "runs list"),
        ("/api/runs/latest/candidates/77", 404, "no candidate 77"),
        ("/api/runs/latest/candidates/-1", 400, "number"),
        ("/api/runs/latest/candidates/9e9", 400, "number"),
        ("/api/runs/latest/candidates/x/network.svg", 400, "number"),
        ("/api/runs/%ff/columns", 400, ""),
        ("/api/runs/..%2f..%2fetc%2fpasswd", 404, "no run is called"),
        ("/assets/..%2fmod.rs", 404, "asset"),
        ("/assets/../Cargo.toml", 404, ""),
        ("/api/runs/latest/events?after=many", 400, ""),
        ("/nothing", 404, "address"),
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(told), "{path}: {}", answer.body);
    }
    let post = world
        .request("POST /api/runs", &["Host: localhost"], "{}")
        .await;
    assert_eq!(post.status, 405);
    let garbage = world.send("\x16\x03\x01\r\n\r\n").await;
    assert_eq!(garbage.status, 400);
}

#[tokio::test]
async fn every_answer_is_marked_as_safe() {
    let world = World::new(Options::default()).await;
    for path in ["/", "/assets/app.js", "/api/runs", "/nothing"] {
        let head = world.get(path).await.head;
        for mark in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(head.contains(mark), "{path}: {mark} in {head}");
        }
        assert!(!head.contains("unsafe") && !head.contains("access-control"));
    }
    // Nothing is inline, so that the policy can forbid it.
    let page = world.get("/").await.body;
    assert!(!page.contains(" on") || !page.contains("onclick="));
    assert!(!page.contains("<style") && !page.contains("style="));
    for script in page.split("<script").skip(1) {
        assert!(script.contains("src=\"/assets/") && script.contains("></script>"));
    }
}

#[tokio::test]
async fn other_names_of_this_address_are_refused() {
    let world = World::new(Options {
        hosts: vec!["nas.lan".into()],
        ..Options::default()
    })
    .await;
    for (host, status) in [
        ("Host: localhost", 200),
        ("Host: 127.0.0.1:7312", 200),
        ("Host: [::1]:7312", 200),
        ("Host: nas.lan:7312", 200),
        ("Host: evil.example", 421),
        ("Host: localhost.evil.example:7312", 421),
        ("X-Nothing: x", 421),
    ] {
        for path in ["GET /", "GET /api/runs"] {
            let answer = world.request(path, &[host], "").await;
            // HTTP itself wants a host: hyper lets its absence through to us.
            assert_eq!(answer.status, status, "{host}: {}", answer.body);
            assert!(answer.head.contains("x-frame-options"));
        }
    }
}

#[tokio::test]
async fn only_who_shows_the_token_may_write() {
    let world = World::new(with_token()).await;
    let good = format!("Authorization: Bearer {TOKEN}");
    let body = json!({"text": HOSTILE}).to_string();
    for wrong in [
        vec![],
        vec!["Authorization: Bearer a-token-of-the-test"],
        vec!["Authorization: Basic YTpi"],
        vec!["Cookie: token=a-token-of-the-tests"],
    ] {
        assert_eq!(world.note(&wrong, &body).await.status, 401, "{wrong:?}");
    }
    let elsewhere = [good.as_str(), "Origin: https://evil.example"];
    assert_eq!(world.note(&elsewhere, &body).await.status, 403);
    let null = [good.as_str(), "Origin: null"];
    assert_eq!(world.note(&null, &body).await.status, 403);
    assert!(world.notes().await.is_empty(), "nothing was written");

    let origin = format!("Origin: http://{}", world.address);
    assert_eq!(world.note(&[&good, &origin], &body).await.status, 201);
    assert_eq!(world.note(&[&good], &body).await.status, 201);
    assert_eq!(world.notes().await, [HOSTILE, HOSTILE]);
    for bad in ["", "{}", "{\"text\":3}", "{\"text\":\"  \"}", "[1]"] {
        assert_eq!(world.note(&[&good], bad).await.status, 400, "{bad}");
    }
    let long = json!({"text": "x".repeat(4001)}).to_string();
    assert_eq!(world.note(&[&good], &long).await.status, 400);
    let huge = json!({"text": "x".repeat(100_000)}).to_string();
    assert_eq!(world.note(&[&good], &huge).await.status, 413);
    assert_eq!(world.notes().await.len(), 2);

    let session = world
        .request("GET /api/session", &["Host: localhost", &good], "")
        .await;
    assert_eq!(session.json()["unlocked"], true);
    assert_eq!(world.get("/api/session").await.json()["unlocked"], false);
}

#[tokio::test]
async fn without_a_token_nobody_may_write() {
    let world = World::new(Options::default()).await;
    let heads = ["Authorization: Bearer a-token-of-the-tests"];
    let answer = world.note(&heads, r#"{"text": "hello"}"#).await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("--token"));
    assert!(world.notes().await.is_empty());
}

#[tokio::test]
async fn assets_are_sent_once() {
    let world = World::new(Options::default()).await;
    for (name, _) in assets::ASSETS {
        let answer = world.get(&format!("/assets/{name}")).await;
        assert_eq!(answer.status, 200, "{name}");
        let tag = answer.head.split("etag: ").nth(1).unwrap();
        let seen = format!("If-None-Match: {}", tag.lines().next().unwrap());
        let line = format!("GET /assets/{name}");
        let again = world.request(&line, &["Host: localhost", &seen], "").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{name}");
    }
}

/// Reads a stream of events until `enough`.
async fn listen(world: &World, after: u64, enough: impl Fn(&str) -> bool) -> String {
    let mut stream = TcpStream::connect(&world.address).await.unwrap();
    let request = format!(
        "GET /api/runs/latest/events?after={after} HTTP/1.1\r\nHost: {}\r\n\r\n",
        world.address
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut part = [0; 4096];
    while !enough(&text) {
        let read = stream.read(&mut part);
        let read = tokio::time::timeout(Duration::from_secs(20), read).await;
        let n = read.expect("an event comes").unwrap();
        assert!(n > 0, "the stream ended: {text}");
        text.push_str(&String::from_utf8_lossy(&part[..n]));
    }
    text
}

#[tokio::test]
async fn a_follower_is_told_what_comes() {
    let world = World::new(with_token()).await;
    let seq = world.get("/api/runs/latest").await.json()["seq"]
        .as_u64()
        .unwrap();
    let all = listen(&world, 0, |text| text.contains("\n\n")).await;
    assert!(
        all.to_lowercase()
            .contains("content-type: text/event-stream")
    );
    assert!(all.contains(&format!("id: {seq}")), "{all}");

    let good = format!("Authorization: Bearer {TOKEN}");
    let news = listen(&world, seq, |text| text.contains("told live"));
    let heads = [good.as_str()];
    let write = world.note(&heads, r#"{"text": "told live"}"#);
    let (news, written) = tokio::join!(news, write);
    assert_eq!(written.status, 201);
    assert!(news.contains("event: news"), "{news}");
    assert!(
        !news.contains("quotes"),
        "nothing that was known before: {news}"
    );
}

#[tokio::test]
async fn devices_elsewhere_are_told_or_why_not() {
    let device = DeviceHealth {
        name: "pi5".into(),
        state: "idle".into(),
        temperature_c: Some(71.5),
        ..DeviceHealth::default()
    };
    let known = DeviceSource::new(move || std::future::ready(Ok(vec![device.clone()])));
    let options = |devices| Options {
        devices: Some(devices),
        ..Options::default()
    };
    let world = World::new(options(known)).await;
    let devices = world.get("/api/devices").await.json();
    assert_eq!(devices["elsewhere"][0]["temperature_c"], 71.5);
    let silent = DeviceSource::new(|| std::future::ready(Err("start it".to_owned())));
    let world = World::new(options(silent)).await;
    assert_eq!(
        world.get("/api/devices").await.json()["problem"],
        "start it"
    );
}

#[tokio::test]
async fn a_taken_address_is_told() {
    let world = World::new(Options::default()).await;
    let path = world.directory.path().join("x.db");
    let store = tokio::task::spawn_blocking(|| Store::open(path).unwrap());
    let options = Options {
        bind: world.address.clone(),
        ..Options::default()
    };
    let error = Server::start(store.await.unwrap(), options).await.err();
    let help = miette::Diagnostic::help(&error.unwrap())
        .unwrap()
        .to_string();
    assert!(help.contains("--bind"));
}

#[tokio::test]
async fn a_report_is_one_file_that_holds_the_run() {
    let world = World::new(Options::default()).await;
    let path = world.directory.path().join("x.db");
    let run = world.run.clone();
    let html = tokio::task::spawn_blocking(move || {
        report_html(Store::open_read_only(path).unwrap(), &run).unwrap()
    })
    .await
    .unwrap();
    // Three scripts: the data, the library, the modules; none from the data.
    assert_eq!(html.matches("<script").count(), 3);
    assert!(!html.contains("<img src=x"));
    let data = html.split("id=\"report-data\">").nth(1).unwrap();
    let data: Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    let answers = data["answers"].as_object().unwrap();
    let id = data["run"].as_str().unwrap();
    assert_eq!(answers[&format!("runs/{id}")]["header"]["name"], HOSTILE);
    for part in ["/columns", "/pairs", "/courses", "/lines", "/candidates/1"] {
        assert!(answers.contains_key(&format!("runs/{id}{part}")), "{part}");
    }
}
