//! What a run survives: a writer killed in mid-append, readers beside a
//! writer, several processes that create one database at once, and places
//! that cannot be written. Parts play in child processes: this test program
//! started again, with the part's name in an environment variable.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bespoke::store::{Asked, Evaluated, Event, RunHeader, RunId, Store, StoreError, worker_name};

#[cfg(unix)]
#[path = "store_reliability/server.rs"]
mod server;

const PART: &str = "BESPOKE_TEST_PART";
const DATABASE: &str = "BESPOKE_TEST_DATABASE";

fn header() -> RunHeader {
    RunHeader {
        name: "reliable".into(),
        experiment: serde_json::json!({"budget": 1000}),
        space_text: "space s".into(),
        space_hash: "ab".into(),
        seed: 7,
        bespoke_version: "0.1.0".into(),
        git_commit: None,
        dataset_name: "mnist".into(),
        dataset_hash: "cd".into(),
        device: "this machine".into(),
        engine: "burn-flex".into(),
    }
}

fn note(number: usize) -> Event {
    Event::Note {
        text: format!("note {number} {}", "x".repeat(500)),
    }
}

/// Starts a part of this program on a database.
fn child(program: &Path, part: &str, database: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--exact", "plays_its_part", "--nocapture"])
        .env(PART, part)
        .env(DATABASE, database)
        .stdout(Stdio::piped());
    command
}

fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// The child's side; a plain run of the tests has no part to play here.
#[test]
fn plays_its_part() {
    let Ok(part) = std::env::var(PART) else {
        return;
    };
    let database = std::env::var(DATABASE).unwrap();
    match part.as_str() {
        "append" => {
            let store = Store::open(database).unwrap();
            let run = store.create_run(&header()).unwrap();
            println!("\nrun {run}");
            for number in 0.. {
                let seq = store.append(&run, &note(number)).unwrap();
                println!("recorded {seq}");
            }
        }
        "create" => {
            let store = Store::open(database).unwrap();
            println!("\nrun {}", store.create_run(&header()).unwrap());
        }
        // Takes what nobody has, until every candidate has an outcome.
        "work" => {
            let store = Store::open(database).unwrap();
            let run = store.find_run("latest").unwrap();
            let name = worker_name();
            loop {
                let leased = store.lease_next(&run, &name, Duration::from_millis(500));
                match leased.unwrap() {
                    Some(leased) => {
                        println!("\ntook {}", leased.asked.candidate);
                        std::thread::sleep(Duration::from_millis(5));
                        match store.answer(&run, &outcome(&leased.asked)) {
                            Ok(_) | Err(StoreError::Answered { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    None if store.summary(&run).unwrap().evaluated == CANDIDATES => break,
                    None => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        }
        // Takes a candidate and is busy with it for ever, renewing nothing.
        "hang" => {
            let store = Store::open(database).unwrap();
            let run = store.find_run("latest").unwrap();
            // A name from which nothing can be told, as of another machine.
            let leased = store.lease_next(&run, "elsewhere", Duration::from_millis(500));
            println!("\ntook {}", leased.unwrap().unwrap().asked.candidate);
            std::thread::sleep(Duration::from_secs(600));
        }
        "write" => println!("\nsaid {}", Store::open(database).err().unwrap()),
        "read" => {
            let store = Store::open_read_only(database).unwrap();
            let events = store.events(&store.find_run("latest").unwrap()).unwrap();
            println!("\nread {}", events.len());
        }
        other => panic!("no part is called {other}"),
    }
}

const CANDIDATES: u64 = 40;

fn asked(candidate: u64) -> Event {
    Event::Asked(Asked {
        candidate,
        generation: 0,
        genotype: format!("g={candidate}"),
        network_hash: format!("{candidate:032x}"),
        fidelity: 1.0,
    })
}

/// What any worker finds of a candidate.
fn outcome(asked: &Asked) -> Event {
    let value = 1.0 / (asked.candidate + 2) as f64;
    Event::Evaluated(Evaluated {
        candidate: asked.candidate,
        generation: asked.generation,
        genotype: asked.genotype.clone(),
        network_hash: asked.network_hash.clone(),
        accuracy: value,
        fidelity: asked.fidelity,
        curve: serde_json::Value::Null,
        latency_ms: 10.0 * value,
        latency_low_ms: 9.0 * value,
        latency_high_ms: 11.0 * value,
        predictions: Default::default(),
        macs: 1000,
        params: 10,
        peak_activation_bytes: 100,
        seconds: 0.005,
    })
}

/// Several processes share a run, and some of them die: each candidate has one
/// outcome in the end.
fn is_shared_by_processes(database: &Path) {
    let store = Store::open(database).unwrap();
    let run = store.create_run(&header()).unwrap();
    let all: Vec<Event> = (0..CANDIDATES).map(asked).collect();
    store.append_all(&run, &all).unwrap();
    let start = |part: &str| child(&this_program(), part, database).spawn().unwrap();
    // Two that die with a candidate in hand; of one, another machine only sees
    // that its lease ends.
    for part in ["hang", "work"] {
        let mut dying = start(part);
        let mut lines = BufReader::new(dying.stdout.take().unwrap()).lines();
        expect(&mut lines, "took ");
        dying.kill().unwrap();
        dying.wait().unwrap();
    }
    let workers: Vec<Child> = (0..3).map(|_| start("work")).collect();
    for mut worker in workers {
        let mut lines = BufReader::new(worker.stdout.take().unwrap()).lines();
        lines.by_ref().for_each(drop);
        assert!(worker.wait().unwrap().success());
    }
    let events = store.events(&run).unwrap();
    let mut evaluated: Vec<u64> = events
        .iter()
        .filter(|e| matches!(e.event, Event::Evaluated(_)))
        .filter_map(|e| e.event.candidate())
        .collect();
    evaluated.sort_unstable();
    assert_eq!(evaluated, (0..CANDIDATES).collect::<Vec<_>>());
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
}

#[test]
fn workers_share_a_run_in_a_file_and_survive_each_other() {
    let dir = tempfile::tempdir().unwrap();
    is_shared_by_processes(&dir.path().join("bespoke.db"));
}

#[cfg(unix)]
#[test]
fn workers_share_a_run_on_a_server_and_survive_each_other() {
    if let Some(server) = server::Server::start() {
        is_shared_by_processes(&server.url("postgres"));
    }
}

/// A small file system of its own, which is really full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_nothing_recorded_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("small");
    std::fs::create_dir(&place).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=600k", "tmpfs"])
        .arg(&place)
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("\n*** SKIPPED: a small file system cannot be mounted here ***\n");
        return;
    }
    let filled = std::panic::catch_unwind(|| {
        let database = place.join("bespoke.db");
        let store = Store::open(&database).unwrap();
        let run = store.create_run(&header()).unwrap();
        let mut kept = 0;
        let error = loop {
            match store.append(&run, &note(kept)) {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
        assert!(kept > 20);
        let intact = |store: &Store| {
            let events = store.events(&run).unwrap();
            assert_eq!(events.len(), kept + 1);
            assert_eq!(events[kept].event, note(kept - 1));
        };
        intact(&store);
        drop(store);
        intact(&Store::open_read_only(&database).unwrap());
        // With space again, it goes on where it was.
        let more = Command::new("mount")
            .args(["-o", "remount,size=4m"])
            .arg(&place)
            .status();
        assert!(more.unwrap().success());
        let store = Store::open(&database).unwrap();
        assert_eq!(store.append(&run, &note(kept)).unwrap(), kept as u64 + 2);
        store.verify().unwrap();
    });
    let unmounted = Command::new("umount").arg(&place).status();
    assert!(unmounted.unwrap().success());
    if let Err(panic) = filled {
        std::panic::resume_unwind(panic);
    }
}

/// Waits for a line that starts with `word`, and returns the rest of it.
fn expect(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> String {
    loop {
        let line = lines.next().expect("the child said it").unwrap();
        if let Some(rest) = line.strip_prefix(word) {
            return rest.trim().to_owned();
        }
    }
}

fn output(mut child: Child, word: &str) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let rest = expect(&mut lines, word);
    // Read to the end, so that the child can end.
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
    rest
}

#[test]
fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("bespoke.db");
    let mut kept: Vec<(RunId, usize)> = Vec::new();
    for round in 0..20u64 {
        let mut child = child(&this_program(), "append", &database).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let id = expect(&mut lines, "run ");
        let first = expect(&mut lines, "recorded ");
        assert_eq!(first, "2");
        // Moments spread over the length of an append and over many of them.
        std::thread::sleep(Duration::from_micros(round * round * 173));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("recorded ")?.parse().ok())
            .max()
            .unwrap_or(2);

        let store = Store::open(&database).unwrap();
        let run = store.find_run(&id).unwrap();
        let events = store.events(&run).unwrap();
        // One more may be on disk that the child had no time to report.
        assert!(
            events.len() == acknowledged || events.len() == acknowledged + 1,
            "{acknowledged} acknowledged, {} kept",
            events.len()
        );
        for (number, recorded) in events[1..].iter().enumerate() {
            assert_eq!(recorded.event, note(number));
        }
        assert_eq!(store.state(&run).unwrap().status_word(), "interrupted?");
        store.verify().unwrap();
        kept.push((run, events.len()));
    }
    // Later rounds did not touch earlier runs.
    let store = Store::open_read_only(&database).unwrap();
    for (run, count) in kept {
        assert_eq!(store.events(&run).unwrap().len(), count);
    }
}

#[test]
fn readers_see_growing_prefixes_while_writers_write() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("bespoke.db");
    let store = Store::open(&database).unwrap();
    let run = store.create_run(&header()).unwrap();
    const WRITERS: usize = 4;
    const EACH: usize = 60;
    let writing = std::sync::atomic::AtomicUsize::new(WRITERS);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, run, writing) = (&store, &run, &writing);
            scope.spawn(move || {
                for number in 0..EACH {
                    store.append(run, &note(writer * EACH + number)).unwrap();
                }
                writing.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
        for reader in 0..2 {
            let (store, run, writing, database) = (&store, &run, &writing, &database);
            scope.spawn(move || {
                // One shares the writers' store, one is as another process.
                let own = (reader == 1).then(|| Store::open_read_only(database).unwrap());
                let store = own.as_ref().unwrap_or(store);
                let mut seen = 0;
                while writing.load(std::sync::atomic::Ordering::SeqCst) > 0 {
                    let events = store.events(run).unwrap();
                    assert!(events.len() >= seen);
                    assert!(events.iter().zip(1..).all(|(e, seq)| e.seq == seq));
                    seen = events.len();
                    assert_eq!(store.state(run).unwrap().status_word(), "running");
                }
            });
        }
    });
    let notes: std::collections::BTreeSet<String> =
        store.state(&run).unwrap().notes.into_iter().collect();
    assert_eq!(notes.len(), WRITERS * EACH);
}

#[test]
fn processes_that_create_a_database_together_all_succeed() {
    for _ in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("runs/bespoke.db");
        let children: Vec<Child> = (0..4)
            .map(|_| child(&this_program(), "create", &database).spawn().unwrap())
            .collect();
        let ids: Vec<String> = children.into_iter().map(|c| output(c, "run ")).collect();
        let store = Store::open_read_only(&database).unwrap();
        for id in ids {
            assert_eq!(
                store.events(&store.find_run(&id).unwrap()).unwrap().len(),
                1
            );
        }
    }
}

/// Permissions do not bind the superuser, so that the child plays as nobody,
/// from a copy of this program that nobody may start.
#[cfg(unix)]
#[test]
fn places_that_cannot_be_written_are_named_and_can_be_read() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let dir = tempfile::tempdir().unwrap();
    let allow = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(dir.path(), 0o755);
    let program = dir.path().join("program");
    std::fs::copy(this_program(), &program).unwrap();
    allow(&program, 0o755);
    let home = dir.path().join("runs");
    let database = home.join("bespoke.db");
    {
        let store = Store::open(&database).unwrap();
        let run = store.create_run(&header()).unwrap();
        store.append(&run, &note(0)).unwrap();
    }
    allow(&database, 0o444);
    allow(&home, 0o555);
    let play = |part: &str, database: &Path, word: &str| {
        let mut command = child(&program, part, database);
        let is_root = std::fs::metadata("/proc/self")
            .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
        if is_root {
            command.uid(65534).gid(65534);
        }
        output(command.spawn().unwrap(), word)
    };
    let before = std::fs::read(&database).unwrap();
    let said = play("write", &database, "said ");
    assert!(
        said.starts_with("cannot write") && said.contains("bespoke.db"),
        "{said}"
    );
    // A new database there, and one in a directory that would have to be made.
    let said = play("write", &home.join("new.db"), "said ");
    assert!(said.starts_with("cannot"), "{said}");
    let said = play("write", &home.join("deep/new.db"), "said ");
    assert!(said.starts_with("cannot write"), "{said}");
    assert_eq!(play("read", &database, "read "), "2");
    // A writable file does not help where its log cannot be made.
    allow(&database, 0o666);
    let said = play("write", &database, "said ");
    assert!(said.starts_with("cannot"), "{said}");
    assert_eq!(std::fs::read(&database).unwrap(), before);
    allow(&home, 0o755);
}

#[test]
fn appending_is_quick() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("bespoke.db");
    let store = Store::open(&database).unwrap();
    let run = store.create_run(&header()).unwrap();
    let mut times: Vec<Duration> = (0..300)
        .map(|number| {
            let start = Instant::now();
            store.append(&run, &note(number)).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    let (median, slow) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    eprintln!("append: median {median:?}, 99th percentile {slow:?}");
    // Generous, for slow disks and busy machines; usual is a millisecond.
    assert!(median < Duration::from_millis(100), "median {median:?}");
}

#[test]
fn a_store_open_for_reading_refuses_to_record() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("bespoke.db");
    let run = Store::open(&database)
        .unwrap()
        .create_run(&header())
        .unwrap();
    let reader = Store::open_read_only(&database).unwrap();
    let error = reader.append(&run, &note(0)).unwrap_err();
    assert!(
        matches!(error, StoreError::OpenedReadOnly { .. }),
        "{error}"
    );
}
