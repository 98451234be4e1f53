use super::*;
use crate::store::test_data::{evaluated, every_event, header};
use crate::store::{Event, RunHeader};

fn frame(events: &[crate::store::Event], header: &RunHeader, size: (u16, u16)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("x.db")).unwrap();
    let run = store.create_run(header).unwrap();
    store.append_all(&run, events).unwrap();
    once(&store, &run, size).unwrap()
}

#[test]
fn a_frame_of_80_by_24_tells_what_matters() {
    let mut events = every_event();
    for candidate in 20..60 {
        let x = candidate as f64;
        let accuracy = 0.5 + x / 150.0;
        events.push(Event::Evaluated(evaluated(
            candidate,
            accuracy,
            x * x / 50.0,
        )));
    }
    let mut header = header("my search");
    header.experiment = serde_json::json!({"evaluations": 100});
    let text = frame(&events, &header, SIZE);
    assert_eq!(text.lines().count(), 24);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    for told in [
        "my search",
        "finished: budget spent",
        "best 95.00 %",
        "test 98.95 %",
        "failed 1",
        "41 evaluated of 100",
        "candidate 59: 89.33 % at 69.6 ms",
        "pred ms",
        "q quit",
    ] {
        assert!(text.contains(told), "{told} in\n{text}");
    }
    // Points are drawn in Braille, the front above them.
    assert!(
        text.contains(|c| ('\u{2801}'..='\u{28ff}').contains(&c)),
        "{text}"
    );
    assert!(text.contains('•'), "{text}");
}

#[test]
fn any_size_and_any_name_can_be_shown() {
    let hostile = header("\x1b[2J\x07evil\nname\u{202e}");
    let events = [Event::Note {
        text: "\x1b]0;title\x07 \r\n".into(),
    }];
    for size in [(1, 1), (20, 5), (80, 24), (300, 90)] {
        let text = frame(&events, &hostile, size);
        let is_plain = |c: char| c == '\n' || !c.is_control();
        assert!(text.chars().all(is_plain), "{text:?}");
    }
    assert!(frame(&events, &hostile, SIZE).contains("nothing has been evaluated yet"));
}

#[test]
fn a_missing_run_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("x.db")).unwrap();
    let run = store.create_run(&header("a")).unwrap();
    let other = Store::open(dir.path().join("y.db")).unwrap();
    assert!(matches!(once(&other, &run, SIZE), Err(TopError::Store(_))));
    // The tests' standard output is no terminal, or is not to be taken over.
    if !std::io::stdout().is_terminal() {
        let error = watch(&store, &run, TICK).unwrap_err();
        assert!(error.help().unwrap().to_string().contains("--once"));
    }
}
