use super::super::test_data::{evaluated, header, measured};
use super::*;

fn replay(events: Vec<Event>) -> RunState {
    let mut state = RunState::new(RunId("00000000".into()), header("replay"), 1_000);
    for (index, event) in events.into_iter().enumerate() {
        state.apply(Recorded {
            seq: index as u64 + 1,
            at_ms: 2_000 + index as i64,
            event,
        });
    }
    state
}

#[test]
fn the_front_pairs_predictions_with_what_the_device_said() {
    let state = replay(vec![
        Event::Evaluated(evaluated(1, 0.90, 1.0)),
        Event::Evaluated(evaluated(2, 0.95, 2.0)),
        Event::Evaluated(evaluated(3, 0.93, 3.0)), // beaten by 2
        Event::Evaluated(evaluated(4, 0.97, 4.0)),
        Event::Measured(measured("g2", Purpose::Front, 2.2)),
        Event::Measured(measured("g2", Purpose::Manual, 9.9)),
        Event::Measured(measured("g4", Purpose::Reference, 4.4)),
        Event::Measured(Measured {
            engine: "tract".into(),
            ..measured("g1", Purpose::Front, 0.7)
        }),
        Event::Trained(Trained {
            genotype: "g4".into(),
            network_hash: "aa".into(),
            validation_accuracy: 0.98,
            test_accuracy: 0.978,
            curve: Value::Null,
        }),
    ]);
    let front: Vec<_> = state
        .front()
        .iter()
        .map(|m| {
            (
                m.evaluated.candidate,
                m.measured.map(|m| m.median_ms),
                m.trained.map(|t| t.test_accuracy),
            )
        })
        .collect();
    // Another engine's time is not what was predicted.
    assert_eq!(
        front,
        [
            (1, None, None),
            (2, Some(2.2), None),
            (4, Some(4.4), Some(0.978))
        ]
    );
}

#[test]
fn fronts_are_by_the_objectives_the_limits_and_the_engine() {
    let on_pi5 = |candidate, accuracy, ms, pi5: f64, params| {
        Event::Evaluated(Evaluated {
            predictions: [("latency_ms@pi5".to_owned(), [pi5, 0.9 * pi5, 1.1 * pi5])].into(),
            params,
            ..evaluated(candidate, accuracy, ms)
        })
    };
    let events = || {
        vec![
            on_pi5(1, 0.90, 1.0, 9.0, 10),
            on_pi5(2, 0.95, 2.0, 7.0, 30),
            on_pi5(3, 0.94, 3.0, 5.0, 20),
            // Trained for half: its accuracy says nothing beside the others.
            Event::Evaluated(Evaluated {
                fidelity: 0.5,
                ..evaluated(4, 0.99, 0.1)
            }),
        ]
    };
    let ids = |front: Vec<FrontMember<'_>>| -> Vec<u64> {
        front.iter().map(|m| m.evaluated.candidate).collect()
    };
    let mut state = replay(events());
    assert_eq!(ids(state.front()), [1, 2]);
    assert_eq!(ids(state.front_on("pi5")), [3, 2]);
    assert_eq!(state.front_on("pi5")[0].predicted_ms, [5.0, 4.5, 5.5]);
    assert_eq!(ids(state.front_on("npu")), [0u64; 0]);
    state.header.experiment = serde_json::json!({
        "objectives": ["accuracy", "latency_ms", "params"],
        "constraints": ["params >= 15"],
    });
    assert_eq!(ids(state.front()), [2, 3]);
}

#[test]
fn a_genotype_counts_once_with_its_latest_evaluation() {
    let again = Evaluated {
        genotype: "g1".into(),
        ..evaluated(7, 0.91, 1.0)
    };
    let state = replay(vec![
        Event::Evaluated(evaluated(1, 0.99, 1.0)),
        Event::Evaluated(again),
    ]);
    assert_eq!(state.evaluated().count(), 2);
    let front = state.front();
    assert_eq!(front.len(), 1);
    assert_eq!(front[0].evaluated.candidate, 7);
    assert_eq!(state.candidate_of("g1").unwrap().id, 7);
    assert_eq!(state.candidate_of("g2"), None);
}

#[test]
fn statuses_follow_the_events() {
    let resumed = || Event::Resumed {
        writer: Writer::current(),
    };
    let cause = || "Ctrl-C".to_owned();
    let mut events = vec![Event::Interrupted { cause: cause() }];
    let state = replay(events.clone());
    assert_eq!(state.status_word(), "interrupted");
    assert_eq!(state.reason.as_deref(), Some("Ctrl-C"));
    assert_eq!((state.created_ms, state.last_event_ms), (1_000, 2_000));
    events.push(resumed());
    let state = replay(events.clone());
    assert_eq!((state.status_word(), &state.reason), ("running", &None));
    events.push(Event::Aborted { cause: cause() });
    assert_eq!(replay(events.clone()).status, Status::Failed);
    events.extend([
        resumed(),
        Event::Finished {
            reason: "done".into(),
        },
    ]);
    assert_eq!(replay(events).status, Status::Finished);
}

#[test]
fn a_failure_does_not_undo_an_evaluation() {
    let failed = |candidate| Event::Failed {
        candidate,
        genotype: "g1".into(),
        cause: "late".into(),
    };
    let state = replay(vec![
        Event::Evaluated(evaluated(1, 0.9, 1.0)),
        failed(1),
        failed(2),
    ]);
    assert_eq!(state.evaluated().count(), 1);
    let failures: Vec<_> = state.failures().map(|(c, why)| (c.id, why)).collect();
    assert_eq!(failures, [(2, "late")]);
}
