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

const IN_A_TERMINAL: &str = "BESPOKE_TEST_IN_A_TERMINAL";

/// What [`a_panic_gives_the_terminal_back`] starts in a terminal.
#[test]
fn panics_at_the_second_frame() {
    if std::env::var_os(IN_A_TERMINAL).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("x.db")).unwrap();
    let run = store.create_run(&header("a")).unwrap();
    let mut frames = 0;
    let draw = |frame: &mut Frame, followed: &Followed, problem: Option<&str>| {
        view::draw(frame, followed, problem);
        frames += 1;
        assert!(frames < 2, "drawn once too often");
    };
    watch_with(draw, &store, &run, TICK).unwrap();
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let script =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/in_a_terminal.py");
    let ran = std::process::Command::new("python3")
        .arg(script)
        .args(["predicted", " "])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "top::tests::panics_at_the_second_frame"])
        .args(["--nocapture", "--test-threads=1"])
        .envs([(IN_A_TERMINAL, "1"), ("TERM", "xterm-256color")])
        .output();
    let Ok(ran) = ran else {
        let said = "\n*** SKIPPED: there is no python3; no panic is seen in a terminal ***\n";
        std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).unwrap();
        return;
    };
    let told: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(
        (&told["code"], &told["restored"]),
        (&101.into(), &true.into()),
        "{told}"
    );
    let written = told["written"].as_str().unwrap();
    let place = |text: &str| {
        written
            .find(text)
            .unwrap_or_else(|| panic!("{text:?} in {told}"))
    };
    // The message stands where it can be read, with the cursor shown.
    let (entered, left, said) = (
        place("\x1b[?1049h"),
        place("\x1b[?1049l"),
        place("too often"),
    );
    assert!(entered < left && left < said, "{told}");
    assert!(
        written.rfind("\x1b[?25h") > written.rfind("\x1b[?25l"),
        "{told}"
    );
}
