use super::*;
use crate::report::{candidates_csv, front_csv, measurements_csv, runs_csv};
use crate::store::test_data::{evaluated, every_event, header, measured};
use crate::store::{Event, Trained, Writer};
use crate::store::{Recorded, RunFilter, RunState, Store};

/// A small finished run with everything a report can show.
pub(crate) fn sample() -> RunState {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("x.db")).unwrap();
    let run = store.create_run(&header("quickstart")).unwrap();
    let mut state = store.state(&run).unwrap();
    let trained = Event::Trained(Trained {
        genotype: "g2".into(),
        network_hash: "aa".into(),
        validation_accuracy: 0.9871,
        test_accuracy: 0.98625,
        curve: Value::Null,
    });
    let events = every_event()
        .into_iter()
        .filter(|event| !matches!(event, Event::Evaluated(_) | Event::Trained(_)))
        .chain([
            Event::Evaluated(evaluated(3, 0.9123, 0.482)),
            Event::Evaluated(evaluated(4, 0.9711, 1.96)),
            Event::Evaluated(evaluated(5, 0.9042, 1.3)),
            Event::Evaluated(evaluated(6, 0.9832, 12.5)),
            Event::Measured(measured("g6", Purpose::Front, 13.1)),
            Event::Trained(Trained {
                genotype: "g6".into(),
                network_hash: "aa".into(),
                validation_accuracy: 0.9871,
                test_accuracy: 0.98625,
                curve: Value::Null,
            }),
            trained,
            Event::Finished {
                reason: "budget of 4 evaluations spent".into(),
            },
        ]);
    for (seq, event) in (2..).zip(events) {
        let at_ms = state.created_ms + 1000 * seq as i64;
        state.apply(Recorded { seq, at_ms, event });
    }
    state.created_ms = 1_795_770_060_000;
    state.last_event_ms = 1_795_770_260_000;
    state
}

#[test]
fn the_front_as_a_table() {
    insta::assert_snapshot!(front_table(&front_rows(&sample())), @"");
}

#[test]
fn the_front_as_csv() {
    insta::assert_snapshot!(front_csv(&front_rows(&sample())), @"");
    assert_eq!(front_csv(&[]).lines().count(), 1);
}

#[test]
fn the_front_as_json() {
    let rows = front_rows(&sample());
    let json = serde_json::to_value(&rows[2]).unwrap();
    assert_eq!(json["candidate"], 6);
    assert_eq!(json["measured_ms"], 13.1);
    assert_eq!(json["test_accuracy"], 0.98625);
    assert_eq!(
        serde_json::to_value(&rows[0]).unwrap()["measured_ms"],
        Value::Null
    );
}

#[test]
fn candidates_and_measurements_as_csv() {
    insta::assert_snapshot!(candidates_csv(&sample()), @"");
    insta::assert_snapshot!(measurements_csv(&sample()), @"");
}

#[test]
fn a_run_on_a_screen() {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"run          [0-9a-z]{8}", "run          [id]");
    settings.bind(|| insta::assert_snapshot!(run_summary(&sample()), @""));
}

#[test]
fn the_list_of_runs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("x.db")).unwrap();
    for (name, events) in [
        (
            "first",
            vec![Event::Finished {
                reason: "done".into(),
            }],
        ),
        // The name tries to clear the screen.
        (
            "second \u{1b}[2J",
            vec![Event::Interrupted {
                cause: "Ctrl-C".into(),
            }],
        ),
        (
            "third",
            vec![Event::Resumed {
                writer: Writer {
                    pid: 1,
                    start_ticks: 1,
                    ..Writer::current()
                },
            }],
        ),
    ] {
        let run = store.create_run(&header(name)).unwrap();
        let results = [(1, 0.9123, 0.482), (2, 0.9711, 1.96)];
        let results = results.map(|(id, a, ms)| Event::Evaluated(evaluated(id, a, ms)));
        store.append_all(&run, &results).unwrap();
        store.append_all(&run, &events).unwrap();
    }
    let runs = store.runs(&RunFilter::default()).unwrap();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"(?m)^( ?)[0-9a-z]{8}\b", "$1xxxxxxxx");
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d", "2026-11-27 09:01");
    settings.bind(|| {
        insta::assert_snapshot!(runs_table(&runs), @"");
        insta::assert_snapshot!(runs_csv(&runs), @"");
    });
}
