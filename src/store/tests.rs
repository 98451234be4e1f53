//! The store through its public face: what is recorded comes back, whatever
//! the numbers, and every unusable database is refused with a remedy and left
//! as it was.

use std::path::Path;

use miette::Diagnostic;
use proptest::prelude::*;

use super::test_data::{evaluated, every_event, header};
use super::*;

fn temporary() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("deep/er/bespoke.db")).unwrap();
    (dir, store)
}

#[test]
fn every_event_comes_back_as_it_was() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("all kinds")).unwrap();
    let wanted = every_event();
    for (index, event) in wanted.iter().enumerate() {
        assert_eq!(store.append(&run, event).unwrap(), index as u64 + 2);
    }
    // A second connection, opened for reading, sees the same.
    let reader = Store::open_read_only(store.path()).unwrap();
    let events = reader.events(&run).unwrap();
    assert!(matches!(events[0].event, Event::Started { .. }));
    let back: Vec<&Event> = events[1..].iter().map(|r| &r.event).collect();
    assert_eq!(back, wanted.iter().collect::<Vec<_>>());
    assert!(events.windows(2).all(|w| w[0].seq + 1 == w[1].seq));
    assert!(events.windows(2).all(|w| w[0].at_ms <= w[1].at_ms));
    assert_eq!(reader.header(&run).unwrap().0, header("all kinds"));
    reader.verify().unwrap_err(); // The artefact of the list has no file.
}

#[test]
fn every_kind_is_in_the_list_above() {
    let kinds: std::collections::BTreeSet<String> = every_event()
        .iter()
        .map(|event| event.kind().to_owned())
        .collect();
    // `started` is recorded by creating a run; `distilled` stands for unknown.
    assert_eq!(kinds.len(), 15, "{kinds:?}");
}

#[test]
fn numbers_come_back_to_the_last_bit() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("bits")).unwrap();
    // Halves of the last place are where decimal readers go wrong.
    let values: Vec<f64> = (1..2000u64)
        .map(|i| f64::from_bits(0x3fe0_0000_0000_0000 + i * 0x0000_0123_4567_89ab))
        .collect();
    let events: Vec<Event> = values
        .iter()
        .enumerate()
        .map(|(i, v)| Event::Evaluated(evaluated(i as u64, *v, 3.0 * v)))
        .collect();
    store.append_all(&run, &events).unwrap();
    let state = store.state(&run).unwrap();
    for (evaluated, value) in state.evaluated().zip(&values) {
        assert_eq!(evaluated.accuracy.to_bits(), value.to_bits());
        assert_eq!(evaluated.latency_ms.to_bits(), (3.0 * value).to_bits());
    }
}

#[test]
fn numbers_that_json_lacks_are_refused_before_they_are_written() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("nan")).unwrap();
    let event = Event::Evaluated(evaluated(1, f64::NAN, 1.0));
    let error = store.append(&run, &event).unwrap_err();
    insta::assert_snapshot!(error, @"the event `evaluated` cannot be recorded as it could not be read back: invalid type: null, expected f64");
    let batch = [Event::Note { text: "x".into() }, event];
    store.append_all(&run, &batch).unwrap_err();
    assert_eq!(store.events(&run).unwrap().len(), 1);
}

#[test]
fn events_cannot_be_changed_even_with_sql() {
    let (_dir, store) = temporary();
    store.create_run(&header("fixed")).unwrap();
    let error = store
        .write(async |connection| {
            sqlx::query("UPDATE events SET payload = '{}'")
                .execute(connection)
                .await
        })
        .unwrap_err();
    assert!(error.to_string().contains("append-only"), "{error}");
}

#[test]
fn runs_are_found_by_prefix_name_and_latest() {
    let (_dir, store) = temporary();
    let empty = store.find_run("latest").unwrap_err();
    assert!(
        empty.to_string().ends_with("(it holds no run yet)"),
        "{empty}"
    );
    let ids: Vec<RunId> = (0..40)
        .map(|i| store.create_run(&header(&format!("run {i}"))).unwrap())
        .collect();
    for (index, id) in ids.iter().enumerate() {
        assert_eq!(&store.find_run(id.as_str()).unwrap(), id);
        assert_eq!(&store.find_run(&id.as_str().to_uppercase()).unwrap(), id);
        assert_eq!(&store.find_run(&id.as_str()[..7]).unwrap(), id);
        assert_eq!(&store.find_run(&format!("run {index}")).unwrap(), id);
    }
    assert_eq!(&store.find_run("latest").unwrap(), ids.last().unwrap());
    // 40 ids cannot all differ in their first of 32 characters.
    let first = |id: &RunId| id.as_str()[..1].to_owned();
    let shared = ids
        .iter()
        .map(first)
        .find(|c| ids.iter().filter(|id| first(id) == *c).count() > 1)
        .unwrap();
    let error = store.find_run(&shared).unwrap_err();
    assert!(matches!(error, StoreError::AmbiguousRun { .. }), "{error}");

    let mistyped = format!("{}zz", &ids[3].as_str()[..6]);
    match store.find_run(&mistyped).unwrap_err() {
        StoreError::UnknownRun { near, .. } => {
            assert_eq!(near.len(), 5);
            assert_eq!(near[0], format!("{} (run 3)", ids[3]));
        }
        other => panic!("{other}"),
    }
    let missing = RunId("zzzzzzzz".into());
    for error in [
        store
            .append(&missing, &Event::Note { text: "x".into() })
            .map(drop),
        store.events(&missing).map(drop),
        store.state(&missing).map(drop),
    ] {
        assert!(matches!(error, Err(StoreError::UnknownRun { .. })));
    }
}

#[test]
fn the_list_counts_and_filters() {
    let (_dir, store) = temporary();
    let first = store.create_run(&header("Alpha")).unwrap();
    let second = store.create_run(&header("beta")).unwrap();
    let events: Vec<Event> = [(1, 0.90, 1.0), (2, 0.95, 2.0), (2, 0.96, 2.0)]
        .into_iter()
        .map(|(id, accuracy, ms)| Event::Evaluated(evaluated(id, accuracy, ms)))
        .chain([Event::Finished {
            reason: "done".into(),
        }])
        .collect();
    store.append_all(&first, &events).unwrap();

    let all = store.runs(&RunFilter::default()).unwrap();
    assert_eq!(
        all.iter().map(|r| &r.id).collect::<Vec<_>>(),
        [&second, &first]
    );
    let line = &all[1];
    // Evaluating a candidate again does not make two of it.
    assert_eq!((line.evaluated, line.failed, line.measured), (2, 0, 0));
    assert_eq!(line.best_accuracy, Some(0.96));
    assert_eq!(line.least_latency_ms, Some(1.0));
    assert_eq!(
        (line.status_word(), all[0].status_word()),
        ("finished", "running")
    );

    let find = |filter| -> Vec<RunId> {
        let runs = store.runs(&filter).unwrap();
        runs.into_iter().map(|r| r.id).collect()
    };
    let named = RunFilter {
        name: Some("alp".into()),
        ..Default::default()
    };
    assert_eq!(find(named), std::slice::from_ref(&first));
    let finished = RunFilter {
        status: Some(Status::Finished),
        ..Default::default()
    };
    assert_eq!(find(finished), [first]);
    let latest = RunFilter {
        limit: Some(1),
        ..Default::default()
    };
    assert_eq!(find(latest), [second]);
}

#[test]
fn artefacts_are_kept_once_and_changes_are_noticed() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("files")).unwrap();
    let one = store
        .put_artefact(&run, "a.onnx", "onnx", b"model")
        .unwrap();
    let two = store
        .put_artefact(&run, "b.onnx", "onnx", b"model")
        .unwrap();
    assert_eq!(one.sha256, two.sha256);
    assert_eq!(store.read_artefact(&one).unwrap(), b"model");
    assert_eq!(store.artefact_path(&one), store.directory().join(&one.path));
    let kept = std::fs::read_dir(store.directory().join("artefacts")).unwrap();
    assert_eq!(kept.count(), 1);
    store.verify().unwrap();

    std::fs::write(store.artefact_path(&one), b"changed").unwrap();
    let error = store.verify().unwrap_err();
    assert!(error.to_string().contains("another hash"), "{error}");
    // Making the same file again mends it.
    store
        .put_artefact(&run, "c.onnx", "onnx", b"model")
        .unwrap();
    store.verify().unwrap();

    let hostile = Artefact {
        sha256: "../../../etc/passwd".into(),
        ..one
    };
    assert!(store.artefact_path(&hostile).starts_with(store.directory()));
}

#[test]
fn a_living_writer_keeps_its_run() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("mine")).unwrap();
    store.resume_run(&run).unwrap();
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let start_ticks = stat.split_whitespace().nth(21).unwrap().parse().unwrap();
    let writer = Writer {
        pid: child.id(),
        start_ticks,
        ..Writer::current()
    };
    store.append(&run, &Event::Resumed { writer }).unwrap();
    let refused = store.resume_run(&run).unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    assert_eq!(store.state(&run).unwrap().status_word(), "interrupted?");
    assert_eq!(store.summary(&run).unwrap().status_word(), "interrupted?");
    store.resume_run(&run).unwrap();
    assert_eq!(store.state(&run).unwrap().status_word(), "running");
}

/// The error, its remedy, and a check that the file is as it was.
fn refusal(path: &Path) -> String {
    let before = std::fs::read(path).ok();
    let text = |error: StoreError| {
        let help = error.help().expect("every error has a remedy").to_string();
        format!("{error}\nhelp: {help}")
    };
    let writing = text(Store::open(path).err().expect("a refusal"));
    let reading = text(Store::open_read_only(path).err().expect("a refusal"));
    assert_eq!(writing, reading);
    assert_eq!(std::fs::read(path).ok(), before);
    let directory = path.parent().unwrap().display().to_string();
    writing.replace(&directory, "DIR")
}

#[test]
fn unusable_databases_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");

    std::fs::write(&path, "this is not a database, but somebody's notes").unwrap();
    insta::assert_snapshot!(refusal(&path), @"
    DIR/x.db is damaged: its first bytes are not those of an SQLite database
    help: nothing was changed. Copy the file, with its -wal and -shm companions, before trying anything; `sqlite3 FILE .recover | sqlite3 NEW.db` often saves most of it
    ");

    // Garbage in the middle of a real database.
    std::fs::remove_file(&path).unwrap();
    {
        let store = Store::open(&path).unwrap();
        let run = store.create_run(&header("to be damaged")).unwrap();
        for _ in 0..20 {
            store.append_all(&run, &every_event()).unwrap();
        }
    }
    let whole = std::fs::read(&path).unwrap();
    let mut torn = whole.clone();
    for byte in &mut torn[3 * 4096..6 * 4096] {
        *byte ^= 0x5a;
    }
    std::fs::write(&path, &torn).unwrap();
    let said = refusal(&path);
    assert!(said.starts_with("DIR/x.db is damaged: "), "{said}");

    // Cut short.
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let said = refusal(&path);
    assert!(said.starts_with("DIR/x.db is damaged: "), "{said}");

    // Gone, with its log left behind: SQLite would start afresh and drop it.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(dir.path().join("x.db-wal"), [1; 100]).unwrap();
    let said = refusal(&path);
    assert!(
        said.contains("its write-ahead log still holds 100 bytes"),
        "{said}"
    );
}

/// Runs SQL on a database file behind the store's back.
fn with_sql(path: &Path, sql: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn foreign_and_newer_databases_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("photos.db");
    with_sql(&foreign, "CREATE TABLE photos (id INTEGER PRIMARY KEY)");
    insta::assert_snapshot!(refusal(&foreign), @"
    DIR/photos.db is an SQLite database, but not one of bespoke's
    help: nothing was changed; give --db the path of another file, existing or new
    ");

    let newer = dir.path().join("newer.db");
    drop(Store::open(&newer).unwrap());
    with_sql(
        &newer,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (7, 'of the future', TRUE, x'00', 0)",
    );
    insta::assert_snapshot!(refusal(&newer), @"
    DIR/newer.db was written by a newer bespoke: its schema is version 7, this program knows versions up to 1
    help: nothing was changed; use the newer bespoke for this database
    ");
}

#[test]
fn a_missing_database_is_only_missed_by_readers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs/bespoke.db");
    let error = Store::open_read_only(&path).err().unwrap();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert!(!path.parent().unwrap().exists());
    Store::open(&path).unwrap();
    Store::open_read_only(&path).unwrap();
    let error = Store::open(dir.path()).err().unwrap();
    assert!(error.to_string().contains("it is a directory"), "{error}");
}

#[test]
fn another_process_that_holds_the_database_is_named_and_then_forgiven() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("waiting")).unwrap();
    let options = Options {
        busy_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let impatient = Store::open_with(store.path(), options).unwrap();
    let note = Event::Note { text: "x".into() };
    let held = store.write(async |connection| {
        let transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let refused = std::thread::scope(|s| {
            let other = s.spawn(|| (impatient.append(&run, &note), impatient.events(&run)));
            other.join().unwrap()
        });
        transaction.rollback().await?;
        Ok(refused)
    });
    let (refused, read) = held.unwrap();
    let error = refused.unwrap_err();
    assert!(error.is_locked(), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("is locked by another process (waited 50 ms)")
    );
    assert_eq!(read.unwrap().len(), 1, "a writer does not keep readers out");
    impatient.append(&run, &note).unwrap();
}

fn any_event() -> impl Strategy<Value = Event> {
    let kinds = every_event();
    let evaluated = (0u64..6, 0.0..1.0, 0.01..9.0, 0u64..4).prop_map(|(id, a, ms, genotype)| {
        let genotype = format!("g{genotype}");
        Event::Evaluated(Evaluated {
            genotype,
            ..evaluated(id, a, ms)
        })
    });
    let failed = (0u64..6, 0u64..4).prop_map(|(candidate, genotype)| Event::Failed {
        candidate,
        genotype: format!("g{genotype}"),
        cause: "out of memory".into(),
    });
    let asked = (0u64..6, 0u64..4).prop_map(|(candidate, genotype)| {
        Event::Asked(Asked {
            candidate,
            generation: 0,
            genotype: format!("g{genotype}"),
            network_hash: "aa".into(),
            fidelity: 1.0,
        })
    });
    prop_oneof![
        3 => prop::sample::select(kinds),
        3 => evaluated,
        1 => failed,
        1 => asked,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_prefix_replays(events in prop::collection::vec(any_event(), 0..40)) {
        let mut state = RunState::new(RunId("00000000".into()), header("prefix"), 0);
        let mut evaluations = 0;
        for (index, event) in events.into_iter().enumerate() {
            let is_evaluation = matches!(event, Event::Evaluated(_));
            state.apply(Recorded { seq: index as u64 + 1, at_ms: index as i64, event });
            prop_assert_eq!(state.events, index as u64 + 1);
            // An evaluation is never lost again.
            let now = state.evaluated().count();
            prop_assert!(now >= evaluations && now <= evaluations + usize::from(is_evaluation));
            evaluations = now;
            let front = state.front();
            prop_assert_eq!(front.is_empty(), evaluations == 0);
            for pair in front.windows(2) {
                let (a, b) = (pair[0].evaluated, pair[1].evaluated);
                let climbs = a.latency_ms < b.latency_ms && a.accuracy < b.accuracy;
                let equals = (a.latency_ms, a.accuracy) == (b.latency_ms, b.accuracy);
                prop_assert!(climbs || equals);
            }
            prop_assert!(!state.status_word().is_empty());
        }
    }
}
