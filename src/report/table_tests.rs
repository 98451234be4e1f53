use super::*;
use crate::report::{candidate_columns, front_csv, front_rows_on, measurement_columns, runs_csv};
use crate::store::test_data::{evaluated, every_event, header, measured};
use crate::store::{Event, Trained, Writer};
use crate::store::{Recorded, RunFilter, RunState, Store};

/// A small finished run with everything a report can show.
pub(crate) fn sample() -> RunState {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("x.db")).unwrap();
    let run = store.create_run(&header("quickstart")).unwrap();
    let mut state = store.state(&run).unwrap();
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
    insta::assert_snapshot!(front_table(&front_rows(&sample())), @"
    ────────────────────────────────────────────────────────────────────────────────────────────────────────
     candidate   val. %   test %           predicted ms            measured ms     MACs   params     memory
    ────────────────────────────────────────────────────────────────────────────────────────────────────────
             3    91.23        -   0.482 [0.434, 0.578]   0.500 [0.490, 0.515]   1.00 M   25.0 k   98.0 KiB
             4    97.11        -      1.96 [1.76, 2.35]      4.00 [3.92, 4.12]   1.00 M   25.0 k   98.0 KiB
             6    98.32    98.62      12.5 [11.2, 15.0]      13.1 [12.8, 13.5]   1.00 M   25.0 k   98.0 KiB
    ────────────────────────────────────────────────────────────────────────────────────────────────────────
    ");
}

#[test]
fn the_front_as_csv() {
    insta::assert_snapshot!(front_csv(&front_rows(&sample())), @"
    candidate,genotype,network_hash,accuracy,trained_accuracy,test_accuracy,predicted_ms,predicted_low_ms,predicted_high_ms,measured_ms,measured_low_ms,measured_high_ms,predicted_energy_mj,predicted_energy_low_mj,predicted_energy_high_mj,measured_energy_mj,macs,params,peak_activation_bytes
    3,g3,00000000000000000000000000000003,0.9123,,,0.482,0.4338,0.5783999999999999,0.5,0.49,0.515,,,,,1000003,25000,100352
    4,g4,00000000000000000000000000000004,0.9711,,,1.96,1.764,2.352,4.0,3.92,4.12,,,,,1000004,25000,100352
    6,g6,00000000000000000000000000000006,0.9832,0.9871,0.98625,12.5,11.25,15.0,13.1,12.838,13.493,,,,,1000006,25000,100352
    ");
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
        serde_json::to_value(&rows[0]).unwrap()["test_accuracy"],
        Value::Null
    );
}

#[test]
fn energies_stand_in_the_front_where_there_are_some() {
    let mut state = sample();
    let metered = |mut e: crate::store::Evaluated| {
        e.predictions = [
            ("energy_mj".to_string(), [2.5, 2.0, 3.0]),
            ("energy_mj@flex".to_string(), [7.0, 6.0, 8.0]),
            ("latency_ms@flex".to_string(), [9.0, 8.0, 10.0]),
        ]
        .into();
        e
    };
    let mut measurement = measured("g3", Purpose::Front, 0.51);
    measurement.measurement = serde_json::json!({ "energy_mj": 2.25 });
    for event in [
        Event::Evaluated(metered(evaluated(3, 0.9123, 0.482))),
        Event::Measured(measurement),
    ] {
        state.apply(Recorded {
            seq: 99,
            at_ms: 0,
            event,
        });
    }
    let rows = front_rows(&state);
    assert_eq!(rows[0].predicted_energy_mj, Some(2.5));
    let table = front_table(&rows);
    let line = table
        .lines()
        .find(|l| l.contains("2.50 [2.00, 3.00]"))
        .unwrap();
    assert!(
        table.contains("predicted mJ   measured mJ") && line.contains("2.25"),
        "{table}"
    );
    assert!(front_csv(&rows).contains(",2.5,2.0,3.0,2.25,"));
    // On another engine its own, of which nothing was measured.
    let other = &front_rows_on(&state, "flex")[0];
    assert_eq!(
        (other.predicted_energy_high_mj, other.measured_energy_mj),
        (Some(8.0), None)
    );
    assert!(!front_table(&front_rows(&sample())).contains("mJ"));
}

#[test]
fn candidates_and_measurements_as_csv() {
    insta::assert_snapshot!(candidate_columns(&sample()).csv(), @"
    candidate,generation,status,genotype,network_hash,accuracy,predicted_ms,predicted_low_ms,predicted_high_ms,macs,params,peak_activation_bytes,seconds,cause,fidelity,latency_ms@pi5,latency_ms@pi5_low,latency_ms@pi5_high
    1,0,pending,g1,aa,,,,,,,,,,0.5,,,
    2,,failed,g2,,,,,,,,,,the loss became NaN in epoch 1,1.0,,,
    3,0,evaluated,g3,00000000000000000000000000000003,0.9123,0.482,0.4338,0.5783999999999999,1000003,25000,100352,3.25,,1.0,5.0,4.5,5.5
    4,0,evaluated,g4,00000000000000000000000000000004,0.9711,1.96,1.764,2.352,1000004,25000,100352,3.25,,1.0,5.0,4.5,5.5
    5,0,evaluated,g5,00000000000000000000000000000005,0.9042,1.3,1.1700000000000002,1.56,1000005,25000,100352,3.25,,1.0,5.0,4.5,5.5
    6,0,evaluated,g6,00000000000000000000000000000006,0.9832,12.5,11.25,15.0,1000006,25000,100352,3.25,,1.0,5.0,4.5,5.5
    ");
    insta::assert_snapshot!(measurement_columns(&sample()).csv(), @"
    genotype,network_hash,purpose,engine,latency_ms,ci95_low_ms,ci95_high_ms
    g1,0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f,reference,burn-flex,1.5,1.47,1.545
    g2,0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f,heldout,burn-flex,2.5,2.45,2.575
    g3,0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f,front,burn-flex,0.5,0.49,0.515
    g4,0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f,manual,burn-flex,4.0,3.92,4.12
    g6,0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f,front,burn-flex,13.1,12.838,13.493
    ");
}

#[test]
fn a_run_on_a_screen() {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"run          [0-9a-z]{8}", "run          [id]");
    settings.bind(|| insta::assert_snapshot!(run_summary(&sample()), @r#"
    run          [id]  quickstart
    status       finished: budget of 4 evaluations spent
    time         2026-11-27 09:01 to 2026-11-27 09:04 UTC (3 min 20 s)
    space        5e1f (18446744073709551616000 architectures)
    seed         18446744073709551615
    data         mnist (ab12)
    device       two-core machine, burn-flex
    version      bespoke 0.1.0, git commit 8223e82
    candidates   4 evaluated, 1 failed, 1 pending
    measured     references 1, held out 1, front 2, by hand 1
    calibration  error.mape 0.0600, spearman 0.9800
    artefact     front-0.onnx (onnx, 12 B)
    failed       candidate 2: the loss became NaN in epoch 1
    note         a note with "quotes", 'more', ünïcode and � lines
    warning      the governor is powersave
    warning      events of kind `distilled` that need a newer bespoke: 1

    ────────────────────────────────────────────────────────────────────────────────────────────────────────
     candidate   val. %   test %           predicted ms            measured ms     MACs   params     memory
    ────────────────────────────────────────────────────────────────────────────────────────────────────────
             3    91.23        -   0.482 [0.434, 0.578]   0.500 [0.490, 0.515]   1.00 M   25.0 k   98.0 KiB
             4    97.11        -      1.96 [1.76, 2.35]      4.00 [3.92, 4.12]   1.00 M   25.0 k   98.0 KiB
             6    98.32    98.62      12.5 [11.2, 15.0]      13.1 [12.8, 13.5]   1.00 M   25.0 k   98.0 KiB
    ────────────────────────────────────────────────────────────────────────────────────────────────────────
    "#));
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
    settings.add_filter(r"(?m)^( ?)[0-9a-z]{8}\b", "${1}xxxxxxxx");
    settings.add_filter("\u{1b}", "<ESC>");
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d", "2026-11-27 09:01");
    settings.bind(|| {
        insta::assert_snapshot!(runs_table(&runs), @"
        ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
         run        name          status         started (UTC)      evaluated   failed   best val. %   least ms   data    device
        ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
         xxxxxxxx   third         interrupted?   2026-11-27 09:01           2        0         97.11      0.482   mnist   two-core machine
         xxxxxxxx   second �[2J   interrupted    2026-11-27 09:01           2        0         97.11      0.482   mnist   two-core machine
         xxxxxxxx   first         finished       2026-11-27 09:01           2        0         97.11      0.482   mnist   two-core machine
        ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
        ");
        insta::assert_snapshot!(runs_csv(&runs), @"
        id,name,status,created_utc,evaluated,failed,measured,best_accuracy,least_predicted_ms,dataset,device,engine
        xxxxxxxx,third,interrupted?,2026-11-27 09:01,2,0,0,0.9711,0.482,mnist,two-core machine,burn-flex
        xxxxxxxx,second <ESC>[2J,interrupted,2026-11-27 09:01,2,0,0,0.9711,0.482,mnist,two-core machine,burn-flex
        xxxxxxxx,first,finished,2026-11-27 09:01,2,0,0,0.9711,0.482,mnist,two-core machine,burn-flex
        ");
    });
}
