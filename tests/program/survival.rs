//! The reliability kit: searches that are killed at random moments and resumed,
//! and searches that several processes share, end as those that were left alone.
//! A plugin with steady latencies stands for the device, so that figures can be
//! compared to the last bit. The long form is run by
//!   BESPOKE_KILLS=200 cargo test --release --test program -- --ignored killed

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::shell::{bespoke, done, err, events, json};

/// A device whose latencies follow from the size of the model alone.
pub fn device(dir: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let plugin = root.join("tests/python/steady_plugin.py");
    let profile = dir.join("steady.toml");
    let text = format!(
        "name = \"steady\"\ndescription = \"for tests\"\n[connection]\nkind = \"command\"\n\
         argv = [\"python3\", \"{}\"]\n",
        plugin.display()
    );
    std::fs::write(&profile, text).unwrap();
    profile
}

/// Few, coarse images, so that a training takes next to nothing and a search is
/// soon killed again: IDX files as MNIST's, with a bright band for each class.
fn dataset(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    for (name, count) in [("train", 200u32), ("t10k", 50)] {
        let mut moments = Moments(u64::from(count));
        let labels: Vec<u8> = (0..count).map(|index| (index % 10) as u8).collect();
        let mut images: Vec<u8> = Vec::new();
        for number in [2051, count, 28, 28] {
            images.extend(number.to_be_bytes());
        }
        for label in &labels {
            images.extend((0..784).map(|pixel| {
                let band = if pixel / 79 == u32::from(*label) {
                    100
                } else {
                    0
                };
                band + (moments.next(Duration::from_nanos(128)).as_nanos() as u8)
            }));
        }
        let header = [2049u32.to_be_bytes(), count.to_be_bytes()].concat();
        let file = |kind: &str| dir.join(format!("{name}-{kind}-ubyte"));
        std::fs::write(file("images-idx3"), images).unwrap();
        std::fs::write(file("labels-idx1"), [header, labels].concat()).unwrap();
    }
}

struct Place {
    dir: tempfile::TempDir,
    device: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let device = device(dir.path());
        dataset(&dir.path().join("data"));
        Place { dir, device }
    }

    fn db(&self, name: &str) -> String {
        let path = self.dir.path().join(format!("{name}.db"));
        path.display().to_string()
    }

    /// The arguments of a new search of few, small trainings.
    fn search(&self, db: &str, seed: u64, evaluations: u32, epochs: u32) -> Vec<String> {
        let toml = self.dir.path().join("e.toml");
        std::fs::write(&toml, "other_engines = []\n").unwrap();
        let (toml, device) = (toml.display(), self.device.display());
        let data = self.dir.path().join("data");
        format!(
            "search {toml} --db {db} --engine {device} --seed {seed} --evaluations {evaluations} \
             --population 6 --window 4 --threads 2 --epochs {epochs} --final-epochs 1 --references 4 \
             --lease 2 --data {}",
            data.display()
        )
        .split_whitespace()
        .map(str::to_owned)
        .collect()
    }
}

pub fn start(args: &[String]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_bespoke"))
        .args(args)
        .env("NO_COLOR", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a process to end; whether it ended well.
#[track_caller]
pub fn end(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
}

pub fn resume(db: &str) -> Vec<String> {
    let words = ["search", "--resume", "latest", "--lease", "2", "--db", db];
    words.map(str::to_owned).to_vec()
}

/// What must be equal: each evaluation with its figures, and the front.
pub fn result(db: &str, dir: &Path) -> (BTreeMap<u64, Value>, Value) {
    let mut evaluated = BTreeMap::new();
    for event in events(db, dir) {
        if event["kind"] == "evaluated" {
            let id = event["candidate"].as_u64().unwrap();
            let figures = [
                "genotype",
                "accuracy",
                "latency_ms",
                "fidelity",
                "generation",
            ];
            let figures: Value = figures.iter().map(|name| event[*name].clone()).collect();
            let before = evaluated.insert(id, figures);
            assert_eq!(before, None, "candidate {id} was evaluated twice");
        }
    }
    let front = json(&bespoke(&["runs", "--db", db, "front", "latest", "--json"]));
    (evaluated, front)
}

/// How many evaluations a database says its run has; none where there is no run.
fn recorded(db: &str) -> Option<u64> {
    let list = bespoke(&["runs", "--db", db, "list", "--json"]);
    match list.status.success() {
        true => json(&list)[0]["evaluated"].as_u64(),
        false => None,
    }
}

/// Random moments, the same each time: a linear congruential generator.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: Duration) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        below.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// Kills searches at random moments, `kills` times in all, resumes them, and
/// compares each with one that was left alone. A search is killed some `often`
/// times before it ends.
fn survives(kills: usize, evaluations: u32, often: u32) {
    let place = Place::new();
    let (mut killed, mut seed, mut found) = (0, 0, 0);
    let mut moments = Moments(7);
    while killed < kills {
        seed += 1;
        let calm = place.db(&format!("calm-{seed}"));
        let began = Instant::now();
        end(start(&place.search(&calm, seed, evaluations, 1)));
        let whole = began.elapsed();
        let db = place.db(&format!("killed-{seed}"));
        let mut args = place.search(&db, seed, evaluations, 1);
        let mut before = 0;
        loop {
            if killed == kills {
                end(start(&args));
                break;
            }
            let mut child = start(&args);
            let at = Instant::now() + moments.next(2 * whole / often);
            let ended = loop {
                match child.try_wait().unwrap() {
                    Some(status) => break Some(status),
                    None if Instant::now() > at => break None,
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            if ended.is_some() {
                end(child);
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            let now = recorded(&db);
            assert!(
                now.unwrap_or(0) >= before,
                "{before} evaluations became {now:?}"
            );
            // Killed before there was a run, it begins anew.
            args = match now {
                Some(_) => resume(&db),
                None => place.search(&db, seed, evaluations, 1),
            };
            before = now.unwrap_or(0);
            found += before;
        }
        done(&bespoke(&["runs", "--db", &db, "verify"]));
        let (there, here) = (
            result(&calm, place.dir.path()),
            result(&db, place.dir.path()),
        );
        assert_eq!(there.0.len(), evaluations as usize);
        assert_eq!(there, here, "seed {seed}");
    }
    eprintln!(
        "{killed} kills over {seed} searches of {evaluations} evaluations: none lost, none repeated, \
         every front equal to that of a search left alone ({found} evaluations found after kills)"
    );
}

#[test]
fn a_search_that_is_killed_and_resumed_ends_like_one_left_alone() {
    survives(6, 10, 2);
}

#[test]
#[ignore = "takes minutes; BESPOKE_KILLS sets how many"]
fn a_search_that_is_killed_two_hundred_times_ends_like_one_left_alone() {
    let kills = std::env::var("BESPOKE_KILLS");
    survives(kills.map_or(200, |text| text.parse().unwrap()), 40, 3);
}

/// Enough for helpers to come in time.
const EPOCHS: u32 = 4;

#[test]
fn a_search_that_others_help_with_ends_like_one_alone_though_a_helper_dies() {
    let place = Place::new();
    let alone = place.db("alone");
    end(start(&place.search(&alone, 5, 16, EPOCHS)));
    let db = place.db("shared");
    let asks = start(&place.search(&db, 5, 16, EPOCHS));
    let join = |db: &str| {
        let words = [
            "search",
            "--join",
            "latest",
            "--lease",
            "2",
            "--threads",
            "2",
            "--db",
            db,
        ];
        start(&words.map(str::to_owned))
    };
    while recorded(&db).is_none_or(|evaluated| evaluated == 0) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut dying = join(&db);
    let had = dies_at_work(&mut dying, &db);
    let helper = join(&db);
    end(asks);
    end(helper);
    let (there, here) = (
        result(&alone, place.dir.path()),
        result(&db, place.dir.path()),
    );
    assert_eq!(there, here);
    assert!(!had.is_empty(), "the helper died before it had anything");
    assert!(had.iter().all(|candidate| here.0.contains_key(candidate)));
}

/// Kills a helper while it has candidates on lease; which those are.
fn dies_at_work(helper: &mut Child, db: &str) -> Vec<u64> {
    let signal = |name: &str| {
        let pid = helper.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    };
    let mut had = leases(db, helper.id());
    let deadline = Instant::now() + Duration::from_secs(60);
    while had.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
        if !leases(db, helper.id()).is_empty() {
            // Held still, it has what it has.
            signal("-STOP");
            had = leases(db, helper.id());
            if had.is_empty() {
                signal("-CONT");
            }
        }
    }
    helper.kill().unwrap();
    helper.wait().unwrap();
    had
}

/// The candidates that a process has on lease.
fn leases(db: &str, pid: u32) -> Vec<u64> {
    use sqlx::{Connection, Row};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(db)
            .busy_timeout(Duration::from_secs(5));
        let mut connection = sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap();
        let rows =
            sqlx::query("SELECT candidate FROM pending WHERE worker <> '' AND worker->>'pid' = $1")
                .bind(i64::from(pid))
                .fetch_all(&mut connection)
                .await
                .unwrap();
        connection.close().await.unwrap();
        rows.iter()
            .map(|row| row.get::<i64, _>("candidate") as u64)
            .collect()
    })
}
