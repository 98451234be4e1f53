//! The same checks as on a file, on a real server.

use super::test_data::{evaluated, every_event, header};
use super::*;

#[path = "../../tests/store_reliability/server.rs"]
mod server;

fn asked(candidate: u64) -> Event {
    Event::Asked(Asked {
        candidate,
        generation: 0,
        genotype: format!("g{candidate}"),
        network_hash: format!("{candidate:032x}"),
        fidelity: 1.0,
    })
}

#[test]
fn a_server_keeps_runs_as_a_file_does() {
    let Some(server) = server::Server::start() else {
        return;
    };
    let url = server.url("postgres");
    let missing = Store::open_read_only(&url).err().unwrap();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
    // Several that make the schema at the same time.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| drop(Store::open(&url).unwrap()));
        }
    });
    let store = Store::open(&url).unwrap();
    assert_eq!(store.path().to_str(), Some("postgres://localhost/postgres"));

    // Every kind of event, by append and together, and to the last bit.
    let run = store.create_run(&header("all kinds")).unwrap();
    let wanted = every_event();
    for (index, event) in wanted.iter().enumerate() {
        assert_eq!(store.append(&run, event).unwrap(), index as u64 + 2);
    }
    let numbers: Vec<Event> = (1..200u64)
        .map(|i| f64::from_bits(0x3fe0_0000_0000_0000 + i * 0x0000_0123_4567_89ab))
        .zip(100..)
        .map(|(value, id)| Event::Evaluated(evaluated(id, value, 3.0 * value)))
        .collect();
    store.append_all(&run, &numbers).unwrap();
    let reader = Store::open_read_only(&url).unwrap();
    let events = reader.events(&run).unwrap();
    let back: Vec<&Event> = events[1..].iter().map(|r| &r.event).collect();
    assert_eq!(back, wanted.iter().chain(&numbers).collect::<Vec<_>>());
    assert_eq!(reader.header(&run).unwrap().0, header("all kinds"));
    let refused = reader.append(&run, &wanted[0]).unwrap_err();
    assert!(
        matches!(refused, StoreError::OpenedReadOnly { .. }),
        "{refused}"
    );
    let by_sql =
        reader.read(async |connection| sqlx::query("DELETE FROM events").execute(connection).await);
    assert!(
        matches!(by_sql, Err(StoreError::ReadOnly { .. })),
        "{by_sql:?}"
    );
    let changed = store.write(async |connection| {
        sqlx::query("UPDATE events SET payload = '{}'")
            .execute(connection)
            .await
    });
    assert!(changed.unwrap_err().to_string().contains("append-only"));

    // The list, and the front with and without what was put down.
    let line = reader.summary(&run).unwrap();
    assert_eq!((line.evaluated, line.failed, line.measured), (200, 1, 4));
    assert_eq!(line.status_word(), "finished");
    let ids = |state: &RunState| -> Vec<u64> {
        state
            .front()
            .iter()
            .map(|m| m.evaluated.candidate)
            .collect()
    };
    let whole = ids(&reader.state(&run).unwrap());
    assert_eq!(ids(&reader.front_state(&run).unwrap()), whole);
    store.put_front_down(&run).unwrap();
    store.put_front_down(&run).unwrap();
    assert_eq!(ids(&reader.front_state(&run).unwrap()), whole);

    // Artefacts are on the server.
    let artefact = store
        .put_artefact(&run, "a.onnx", "onnx", b"model")
        .unwrap();
    assert_eq!(reader.read_artefact(&artefact).unwrap(), b"model");
    let other = store.create_run(&header("other")).unwrap();
    store
        .put_artefact(&other, "b.onnx", "onnx", b"another")
        .unwrap();
    store
        .append(&other, &Event::Finished { reason: "x".into() })
        .unwrap();
    store.delete_run(&other).unwrap();
    assert_eq!(store.collect(Duration::ZERO).unwrap().files, 1);
    assert!(matches!(
        store.state(&other),
        Err(StoreError::UnknownRun { .. })
    ));

    // Leases and outcomes, from several at once: each candidate once.
    let shared = store.create_run(&header("shared")).unwrap();
    store
        .append_all(&shared, &(0..60).map(asked).collect::<Vec<_>>())
        .unwrap();
    let long = Duration::from_secs(600);
    assert_eq!(
        store.lease(&shared, 59, "z", Duration::ZERO).unwrap(),
        Lease::Granted
    );
    assert_eq!(store.lease(&shared, 58, "z", long).unwrap(), Lease::Granted);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (url, shared) = (&url, &shared);
            scope.spawn(move || {
                let store = Store::open(url).unwrap();
                let name = format!("worker {worker}");
                while let Some(leased) = store.lease_next(shared, &name, long).unwrap() {
                    let id = leased.asked.candidate;
                    assert_eq!(leased.was_abandoned, id == 59);
                    let outcome = Event::Evaluated(evaluated(id, 0.5, 1.0));
                    store.answer(shared, &outcome).unwrap();
                    let again = store.answer(shared, &outcome).unwrap_err();
                    assert!(matches!(again, StoreError::Answered { .. }), "{again}");
                }
            });
        }
    });
    let state = store.state(&shared).unwrap();
    let pending: Vec<u64> = state
        .candidates
        .values()
        .filter(|c| c.evaluated().is_none())
        .map(|c| c.id)
        .collect();
    assert_eq!(pending, [58], "it is still on lease");
    assert_eq!(state.events, 1 + 60 + 59);
    assert_eq!(store.summary(&shared).unwrap().evaluated, 59);
    let events = store.events(&shared).unwrap();
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));

    // A reader whose connection was ended has another one after that.
    server.end_connections("postgres");
    let ended = reader.summary(&shared).unwrap_err();
    assert!(matches!(ended, StoreError::Unreachable { .. }), "{ended}");
    assert_eq!(reader.summary(&shared).unwrap().evaluated, 59);
    let store = Store::open(&url).unwrap();

    // A newer schema is refused, and a server that is not there is named.
    store
        .write(async |connection| {
            sqlx::raw_sql("INSERT INTO _sqlx_migrations VALUES (9, 'x', now(), TRUE, '', 0)")
                .execute(connection)
                .await
        })
        .unwrap();
    let newer = Store::open(&url).err().unwrap();
    assert!(newer.to_string().contains("schema is version 9"), "{newer}");
    let absent = Store::open(server.url("nothing")).err().unwrap();
    assert!(matches!(absent, StoreError::Unreachable { .. }), "{absent}");
    drop(server);
    let gone = Store::open(&url).err().unwrap();
    assert!(
        gone.to_string()
            .starts_with("cannot reach postgres://localhost/postgres"),
        "{gone}"
    );
}
