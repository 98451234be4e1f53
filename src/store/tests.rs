//! The store through its public face: what is recorded comes back, whatever
//! the numbers, and every unusable database is refused with a remedy and left
//! as it was.

use std::path::Path;

use miette::Diagnostic;
use proptest::prelude::*;
use serde_json::json;

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
    help: nothing was changed. Copy the file, with its -wal and -shm companions, before trying anything; `bespoke runs doctor --db FILE --recover NEW.db` saves what can still be read
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
        let mut connection = sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap();
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
    DIR/newer.db was written by a newer bespoke: its schema is version 7, this program knows versions up to 3
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

/// A database as the first version wrote it, with an event of every kind.
fn of_the_first_version(path: &Path) {
    with_sql(
        path,
        include_str!("../../migrations/0001_runs_and_events.sql"),
    );
    let mut sql = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY,
            description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
            success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
        INSERT INTO runs VALUES (1, 'abcdefgh', 5, 'old', '{}', 'space s', 'ff', '7', '0.1.0',
            NULL, 'mnist', 'ab', 'this machine', 'burn-flex');"
        .to_owned();
    let text = |value: &str| value.replace('\'', "''");
    let migration = super::file::first_checksum();
    let checksum: String = migration.iter().map(|b| format!("{b:02x}")).collect();
    sql += &format!(
        "INSERT INTO _sqlx_migrations VALUES
            (1, 'runs and events', CURRENT_TIMESTAMP, TRUE, x'{checksum}', 0);"
    );
    for (index, event) in every_event().iter().enumerate() {
        let (accuracy, latency) = match event {
            Event::Evaluated(e) => (e.accuracy.to_string(), e.latency_ms.to_string()),
            _ => ("NULL".into(), "NULL".into()),
        };
        let candidate = event.candidate().map_or("NULL".into(), |c| c.to_string());
        sql += &format!(
            "INSERT INTO events (run, seq, at_ms, kind, candidate, accuracy, latency_ms, payload)
             VALUES (1, {}, {}, '{}', {candidate}, {accuracy}, {latency}, '{}');",
            index + 1,
            1000 + index,
            event.kind(),
            text(&event.to_json().to_string())
        );
    }
    with_sql(path, Box::leak(sql.into_boxed_str()));
}

#[test]
fn a_database_of_the_first_version_is_migrated_and_a_copy_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.db");
    of_the_first_version(&path);
    // A reader leaves it as it is, and says what to do.
    let error = Store::open_read_only(&path).err().unwrap();
    insta::assert_snapshot!(
        error.to_string().replace(&dir.path().display().to_string(), "DIR"),
        @"DIR/old.db was written by an older bespoke: its schema is version 1, this program reads version 3"
    );
    let store = Store::open(&path).unwrap();
    let (backup, version) = store.backup().unwrap();
    assert_eq!(
        (version, backup),
        (1, dir.path().join("old.db.v1-backup").as_path())
    );
    let copied = backup.to_owned();
    let run = store.find_run("abcd").unwrap();
    let events = store.events(&run).unwrap();
    let back: Vec<&Event> = events.iter().map(|r| &r.event).collect();
    assert_eq!(back, every_event().iter().collect::<Vec<_>>());
    let summary = store.summary(&run).unwrap();
    assert_eq!(
        (summary.evaluated, summary.failed, summary.measured),
        (1, 1, 4)
    );
    assert_eq!(summary.best_accuracy, Some(0.95));
    assert_eq!(summary.status, Status::Finished);
    // New events go on where the old ones end.
    let next = store
        .append(&run, &Event::Note { text: "x".into() })
        .unwrap();
    assert_eq!(next, every_event().len() as u64 + 1);
    drop(store);
    assert!(Store::open(&path).unwrap().backup().is_none());

    // The copy is a database of the first version still.
    let again = dir.path().join("again.db");
    std::fs::copy(copied, &again).unwrap();
    let store = Store::open(&again).unwrap();
    assert_eq!(store.events(&run).unwrap().len(), every_event().len());
}

/// The second version had the same tables, and curves with their names.
#[test]
fn a_database_of_the_second_version_reads_as_it_is_and_is_migrated_by_writers() {
    let (_dir, store) = temporary();
    let path = store.path().to_owned();
    let run = store.create_run(&header("second")).unwrap();
    let epoch = |number: u32| {
        json!({"epoch": number, "train_loss": 0.5, "train_accuracy": 0.25,
               "validation_accuracy": null, "seconds": 1.5})
    };
    let mut curved = evaluated(1, 0.9, 2.0);
    curved.curve = json!([epoch(1), epoch(2)]);
    let event = Event::Evaluated(curved.clone());
    store.append(&run, &event).unwrap();
    drop(store);
    let mut deflated = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
    std::io::Write::write_all(&mut deflated, curved.curve.to_string().as_bytes()).unwrap();
    let deflated = deflated.finish().unwrap();
    let hex: String = deflated.iter().map(|b| format!("{b:02x}")).collect();
    let sql = format!(
        "DELETE FROM _sqlx_migrations WHERE version = 3;
         DROP TRIGGER events_are_append_only;
         UPDATE events SET packed = x'{hex}' WHERE kind = 'evaluated';"
    );
    with_sql(&path, Box::leak(sql.into_boxed_str()));

    let reader = Store::open_read_only(&path).unwrap();
    assert_eq!(reader.events(&run).unwrap()[1].event, event);
    let writer = Store::open(&path).unwrap();
    let (backup, version) = writer.backup().unwrap();
    assert!(version == 2 && backup.ends_with("bespoke.db.v2-backup"));
    writer.append(&run, &event).unwrap();
    let events = reader.events(&run).unwrap();
    assert_eq!([&events[1].event, &events[2].event], [&event, &event]);
    assert_eq!(writer.state(&run).unwrap().evaluated().count(), 1);
}

#[test]
fn an_evaluation_is_stored_once_and_read_whole() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("shared")).unwrap();
    let ask = |candidate: u64, genotype: &str| {
        Event::Asked(Asked {
            candidate,
            generation: 0,
            genotype: genotype.into(),
            network_hash: format!("{candidate:032x}"),
            fidelity: 1.0,
        })
    };
    let mut long = evaluated(1, 0.9, 2.0);
    long.curve = (0..50)
        .map(|i| json!({"epoch": i, "loss": 1.0 / (i + 3) as f64}))
        .collect();
    let events = [
        ask(1, "g1"),
        Event::Evaluated(long.clone()),
        // Another architecture than was asked for, and one that nobody asked for.
        ask(2, "other"),
        Event::Evaluated(evaluated(2, 0.8, 1.0)),
        Event::Evaluated(evaluated(3, 0.7, 0.5)),
        // Evaluated a second time.
        Event::Evaluated(long),
    ];
    store.append_all(&run, &events).unwrap();
    let back = store.events(&run).unwrap();
    assert_eq!(
        back[1..].iter().map(|r| &r.event).collect::<Vec<_>>(),
        events.iter().collect::<Vec<_>>()
    );
    // A follower that comes late sees the same.
    let mut late = Vec::new();
    store.for_each_event(&run, 2, |r| late.push(r)).unwrap();
    assert_eq!(late, back[2..]);
    let rows: Vec<(i64, i64)> = store
        .read(async |connection| {
            sqlx::query_as(
                "SELECT seq, CAST(length(payload) + COALESCE(length(packed), 0) AS BIGINT)
                 FROM events WHERE asked IS NOT NULL ORDER BY seq",
            )
            .fetch_all(connection)
            .await
        })
        .unwrap();
    assert_eq!(rows.iter().map(|r| r.0).collect::<Vec<_>>(), [3, 7]);
    let text = back[2].event.to_json().to_string();
    assert!(
        rows[0].1 < text.len() as i64 / 2,
        "{} of {}",
        rows[0].1,
        text.len()
    );

    let figures = store.state_in(&run, Detail::Figures).unwrap();
    let whole = store.state(&run).unwrap();
    assert_eq!(figures.front().len(), whole.front().len());
    for (a, b) in figures.evaluated().zip(whole.evaluated()) {
        assert_eq!(a.genotype, b.genotype);
        assert_eq!(a.accuracy.to_bits(), b.accuracy.to_bits());
    }
    assert_eq!(
        whole.candidates[&1]
            .evaluated()
            .unwrap()
            .curve
            .as_array()
            .unwrap()
            .len(),
        50
    );
    assert!(figures.candidates[&1].evaluated().unwrap().curve.is_null());
}

#[test]
fn more_than_one_page_of_events_comes_in_order() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("long")).unwrap();
    let notes: Vec<Event> = (0..20_000)
        .map(|i| Event::Note {
            text: i.to_string(),
        })
        .collect();
    store.append_all(&run, &notes).unwrap();
    let mut seen = Vec::new();
    let last = store.for_each_event(&run, 1, |r| seen.push(r)).unwrap();
    assert_eq!(last, 20_001);
    assert_eq!(seen.len(), notes.len());
    assert!(
        seen.iter()
            .zip(&notes)
            .zip(2..)
            .all(|((r, n), seq)| r.event == *n && r.seq == seq)
    );
    assert_eq!(
        store
            .for_each_event(&run, last, |_| panic!("nothing is new"))
            .unwrap(),
        last
    );
}

#[test]
fn a_candidate_is_leased_to_one_and_answered_once() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("leases")).unwrap();
    let asked: Vec<Event> = (0..3)
        .map(|candidate| {
            Event::Asked(Asked {
                candidate,
                generation: 0,
                genotype: format!("g{candidate}"),
                network_hash: format!("{candidate:032x}"),
                fidelity: 1.0,
            })
        })
        .collect();
    store.append_all(&run, &asked).unwrap();
    let (long, none) = (Duration::from_secs(600), Duration::ZERO);
    let next = |worker: &str, time| {
        let leased = store.lease_next(&run, worker, time).unwrap();
        leased.map(|l| (l.asked.candidate, l.was_abandoned))
    };
    assert_eq!(store.lease(&run, 1, "a", long).unwrap(), Lease::Granted);
    assert_eq!(
        store.lease(&run, 1, "a", long).unwrap(),
        Lease::Granted,
        "renewed"
    );
    assert_eq!(store.lease(&run, 1, "b", long).unwrap(), Lease::Held);
    assert_eq!(next("b", long), Some((0, false)));
    assert_eq!(next("b", none), Some((2, false)));
    // Its lease has ended at once, so that another takes it over.
    std::thread::sleep(Duration::from_millis(3));
    assert_eq!(next("c", long), Some((2, true)));
    assert_eq!(next("c", long), None);
    assert_eq!(store.release(&run, "a").unwrap(), 1);
    assert_eq!(next("c", long), Some((1, false)));
    assert_eq!(store.renew(&run, "c", long).unwrap(), 2);

    // The first outcome counts, whoever has the lease.
    store
        .answer(&run, &Event::Evaluated(evaluated(1, 0.9, 1.0)))
        .unwrap();
    let before = store.events(&run).unwrap().len();
    let late = store
        .answer(&run, &Event::Evaluated(evaluated(1, 0.1, 9.0)))
        .unwrap_err();
    insta::assert_snapshot!(
        late.to_string().replace(run.as_str(), "RUN"),
        @"candidate 1 of run RUN has an outcome already"
    );
    assert_eq!(store.events(&run).unwrap().len(), before);
    assert_eq!(store.lease(&run, 1, "b", long).unwrap(), Lease::Answered);
    let failed = Event::Failed {
        candidate: 0,
        genotype: "g0".into(),
        cause: "NaN".into(),
    };
    store.answer(&run, &failed).unwrap();
    match store.outcome(&run, 1).unwrap() {
        Some(Outcome::Evaluated(e)) => assert_eq!((e.accuracy, &*e.genotype), (0.9, "g1")),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        store.outcome(&run, 0).unwrap(),
        Some(Outcome::Failed {
            cause: "NaN".into()
        })
    );
    assert_eq!(store.outcome(&run, 2).unwrap(), Some(Outcome::Pending));
    assert_eq!(store.outcome(&run, 7).unwrap(), None);
    // Appended without having been asked for, as one process alone may.
    store
        .append(&run, &Event::Evaluated(evaluated(8, 0.5, 1.0)))
        .unwrap();
    assert_eq!(store.append(&run, &asked[0]).unwrap(), before as u64 + 3);
}

#[test]
fn leases_of_processes_that_are_gone_end_at_once() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("gone")).unwrap();
    let asked = every_event()
        .into_iter()
        .find(|e| matches!(e, Event::Asked(_)));
    store.append(&run, &asked.unwrap()).unwrap();
    let long = Duration::from_secs(600);
    let gone = serde_json::to_string(&Writer {
        start_ticks: 1,
        ..Writer::current()
    })
    .unwrap();
    assert_eq!(store.lease(&run, 1, &gone, long).unwrap(), Lease::Granted);
    assert_eq!(store.lease(&run, 1, "me", long).unwrap(), Lease::Held);
    assert_eq!(store.end_leases_of_the_gone(&run).unwrap(), 1);
    assert_eq!(store.lease(&run, 1, "me", long).unwrap(), Lease::Granted);
    // Of one elsewhere, and of this process, nothing is known to have ended.
    assert_eq!(store.end_leases_of_the_gone(&run).unwrap(), 0);
    assert_ne!(worker_name(), gone);
}

#[test]
fn a_run_is_deleted_with_its_files_and_others_stay() {
    let (_dir, store) = temporary();
    let runs = ["a", "b"].map(|name| store.create_run(&header(name)).unwrap());
    store
        .put_artefact(&runs[0], "a", "onnx", b"only a's")
        .unwrap();
    for run in &runs {
        store.put_artefact(run, "both", "onnx", b"shared").unwrap();
    }
    // This process writes it and is alive.
    let refused = store.delete_run(&runs[0]).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    store
        .append(&runs[0], &Event::Finished { reason: "x".into() })
        .unwrap();
    store.delete_run(&runs[0]).unwrap();
    assert!(matches!(
        store.state(&runs[0]),
        Err(StoreError::UnknownRun { .. })
    ));
    let note = Event::Note { text: "x".into() };
    let late = store.append(&runs[0], &note).unwrap_err();
    assert!(matches!(late, StoreError::UnknownRun { .. }), "{late}");
    assert_eq!(
        store.collect(Duration::from_secs(3600)).unwrap().files,
        0,
        "too young"
    );
    std::fs::write(store.directory().join("artefacts/notes.txt"), "the user's").unwrap();
    let collected = store.collect(Duration::ZERO).unwrap();
    assert_eq!((collected.files, collected.bytes), (1, 8));
    assert_eq!(store.collect(Duration::ZERO).unwrap().files, 0);
    store.verify().unwrap();
    assert_eq!(store.state(&runs[1]).unwrap().artefacts.len(), 1);
}

#[test]
fn a_full_database_says_so_and_keeps_what_it_has() {
    let (_dir, store) = temporary();
    let run = store.create_run(&header("full")).unwrap();
    store
        .write(async |connection| {
            let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
                .fetch_one(&mut *connection)
                .await?;
            let limit = format!("PRAGMA max_page_count = {}", pages + 4);
            sqlx::raw_sql(sqlx::AssertSqlSafe(limit))
                .execute(connection)
                .await
        })
        .unwrap();
    let note = Event::Note {
        text: "x".repeat(3000),
    };
    let mut kept = 1;
    let error = loop {
        match store.append(&run, &note) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert!(error.to_string().ends_with("is full"), "{error}");
    assert_eq!(store.events(&run).unwrap().len(), kept);
    store
        .write(async |connection| {
            sqlx::raw_sql("PRAGMA max_page_count = 1000000")
                .execute(connection)
                .await
        })
        .unwrap();
    assert_eq!(store.append(&run, &note).unwrap(), kept as u64 + 1);
    store.verify().unwrap();
}

#[test]
fn a_doctor_explains_and_saves_what_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let runs: Vec<RunId> = {
        let store = Store::open(&path).unwrap();
        let runs = (0..3).map(|i| {
            let run = store.create_run(&header(&format!("run {i}"))).unwrap();
            for candidate in 0..200 {
                let asked = Event::Asked(Asked {
                    candidate,
                    generation: 0,
                    genotype: format!("g{candidate}"),
                    network_hash: format!("{candidate:032x}"),
                    fidelity: 1.0,
                });
                let answer = Event::Evaluated(evaluated(candidate, 0.5, 1.0));
                store.append_all(&run, &[asked, answer]).unwrap();
            }
            store
                .append(&run, &Event::Finished { reason: "x".into() })
                .unwrap();
            run
        });
        runs.collect()
    };
    assert!(diagnose(&path).is_well(), "{:?}", diagnose(&path));
    let whole = std::fs::read(&path).unwrap();
    let save = |bytes: &[u8], name: &str| {
        let torn = dir.path().join(format!("{name}.db"));
        std::fs::write(&torn, bytes).unwrap();
        let diagnosis = diagnose(&torn);
        assert!(!diagnosis.is_well(), "{name}");
        let remedy = diagnosis.findings[0].remedy.as_deref().unwrap();
        assert!(remedy.contains("doctor"), "{remedy}");
        let to = dir.path().join(format!("{name}-saved.db"));
        let recovered = recover(&torn, &to);
        assert_eq!(
            std::fs::read(&torn).unwrap(),
            bytes,
            "the damaged file is left as it was"
        );
        recovered.map(|recovered| (recovered, Store::open(&to).unwrap()))
    };
    // A page in the middle.
    let mut torn = whole.clone();
    let middle = torn.len() / 2 / 4096 * 4096;
    torn[middle..middle + 4096].fill(0x5a);
    let (recovered, saved) = save(&torn, "page").unwrap();
    assert_eq!(
        (recovered.runs, recovered.headless),
        (3, 0),
        "{recovered:?}"
    );
    assert!(recovered.lost <= 60, "{recovered:?}");
    assert!(
        recovered.events + recovered.lost >= 3 * 402 - 60,
        "{recovered:?}"
    );
    saved.verify().unwrap();
    let before = Store::open(&path).unwrap();
    for run in &runs {
        let (now, then) = (saved.events(run).unwrap(), before.events(run).unwrap());
        assert!(now.len() > 300 && now.iter().all(|event| then.contains(event)));
    }
    drop(before);
    // Cut short: what lies behind the cut is lost, the rest is there.
    let (recovered, saved) = save(&whole[..whole.len() * 3 / 4 / 4096 * 4096], "cut").unwrap();
    assert!(recovered.events > 400, "{recovered:?}");
    saved.verify().unwrap();
    // Nothing can be saved of what is no database.
    let error = save(b"these are not the bytes of a database", "notes")
        .err()
        .unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let error = recover(&path, &path).unwrap_err();
    assert!(error.to_string().contains("cannot recover into"), "{error}");
}

#[test]
fn the_front_of_a_long_run_is_that_of_all_its_events() {
    let (_dir, store) = temporary();
    let mut header = header("fronts");
    header.experiment =
        json!({"objectives": ["accuracy", "latency_ms", "macs"], "other_engines": ["pi5"]});
    let run = store.create_run(&header).unwrap();
    use rand::{Rng, RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut checked = 0;
    for round in 0..12 {
        let events: Vec<Event> = (0..(1 + rng.next_u32() % 120))
            .map(|_| {
                let candidate = u64::from(rng.next_u32() % 2000);
                let mut e = evaluated(candidate, rng.random(), rng.random());
                e.macs = u64::from(rng.next_u32() % 50);
                e.predictions
                    .insert("latency_ms@pi5".into(), [rng.random(), 0.0, 9.0]);
                // Some are evaluated again, some briefly only.
                if rng.next_u32() % 40 == 0 {
                    e.genotype = format!("g{}", rng.next_u32() % 2000);
                }
                if round > 6 && rng.next_u32() % 4 == 0 {
                    e.fidelity = 0.5;
                }
                Event::Evaluated(e)
            })
            .collect();
        store.append_all(&run, &events).unwrap();
        if round % 3 == 1 {
            store.put_front_down(&run).unwrap();
        }
        let (thin, whole) = (store.front_state(&run).unwrap(), store.state(&run).unwrap());
        let ids = |front: Vec<FrontMember<'_>>| -> Vec<u64> {
            front.iter().map(|m| m.evaluated.candidate).collect()
        };
        assert_eq!(ids(thin.front()), ids(whole.front()), "round {round}");
        for engine in ["burn-flex", "pi5"] {
            assert_eq!(
                ids(thin.front_on(engine)),
                ids(whole.front_on(engine)),
                "{engine}"
            );
        }
        assert_eq!(thin.events, whole.events);
        checked += usize::from(thin.candidates.len() < whole.candidates.len());
    }
    assert!(checked >= 3, "the fronts were read from what was put down");
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
