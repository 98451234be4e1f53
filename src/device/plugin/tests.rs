//! Plugins that misbehave: each way of failing ends as a typed error with its
//! cause, and the next network is measured all the same.

use std::path::Path;
use std::time::{Duration, Instant};

use super::conformance::{Outcome, check};
use super::*;
use crate::device::{
    Deployable, Engine, Limits, LocalProbe, Probe, ProbeError, Protocol, RunOptions, Session,
};
use crate::network::{Conv, Network, NodeId, Op, Shape};

/// The scripted plugin in this mode; `None`, with a word, without Python.
fn faulty(mode: &str, timeout: Duration) -> Option<CommandLine> {
    let python = std::process::Command::new("python3").arg("-V").output();
    if !python.is_ok_and(|o| o.status.success()) {
        use std::io::Write;
        writeln!(
            std::io::stderr(),
            "\n*** SKIPPED: there is no python3, so no faulty plugin was tried. ***\n"
        )
        .expect("standard error is writable");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/faulty_plugin.py");
    let mut line = CommandLine::new(&["python3", script.to_str().unwrap(), mode]);
    line.timeout = timeout;
    Some(line)
}

fn model() -> Deployable {
    let mut net = Network::new(Shape::image(2, 4, 4));
    let conv = Op::Conv(Conv::same(3, 3, 1));
    net.push(conv, &[NodeId(0)]).unwrap();
    Deployable::untrained("model", net, 0).unwrap()
}

const LONG: Duration = Duration::from_secs(30);

/// Starts, loads and runs once.
fn tried(line: CommandLine) -> Result<Vec<f64>, ProbeError> {
    let engine = PluginEngine::start(line, Limits::default())?;
    let mut session = engine.open(&model(), &RunOptions::default())?;
    session.samples_ms(1)
}

fn failure(error: ProbeError) -> PluginFailure {
    match error {
        ProbeError::Plugin { failure, .. } => failure,
        other => panic!("{other}"),
    }
}

#[test]
fn each_way_of_failing_has_its_error() {
    use PluginFailure as F;
    let missing = CommandLine::new(&["/no/such/program"]);
    assert!(matches!(
        failure(tried(missing).unwrap_err()),
        F::Start { .. }
    ));
    let Some(_) = faulty("", LONG) else { return };
    let of = |mode: &str| tried(faulty(mode, LONG).unwrap()).unwrap_err();
    let F::Exited { status, stderr } = failure(of("exits")) else {
        panic!("it should have exited");
    };
    assert_eq!(status, "exit status: 3");
    assert_eq!(stderr, "the board is not plugged in");
    insta::assert_snapshot!(of("crashes"), @r"
    plugin `faulty` failed while it ran a network: it ended early (exit status: 4); its standard error ends with:
    Segmentation fault, almost
    ");
    insta::assert_snapshot!(of("another-version"), @"plugin `faulty` failed while it was greeted: it speaks version 99 of the protocol, and this program version 1");
    insta::assert_snapshot!(of("prints-a-nan"), @r#"plugin `faulty` failed while it ran a network: it printed `{"id": 2, "ok": {"samples_ms": [NaN]}}`, which is not a JSON object of the protocol (JSON has no NaN); anything else belongs on standard error"#);
    assert!(
        matches!(failure(of("greets-with-a-banner")), F::NotJson { line, .. } if line.starts_with("Loading"))
    );
    assert!(
        matches!(failure(of("prints-rubbish")), F::NotJson { line, .. } if line == "[debug] running")
    );
    assert!(matches!(failure(of("floods")), F::TooLong { .. }));
    assert!(matches!(
        failure(of("answers-another")),
        F::OutOfStep { ours: 2, theirs: 3 }
    ));
    assert!(matches!(failure(of("answers-nothing")), F::Answer { .. }));
    insta::assert_snapshot!(of("miscounts"), @"plugin `faulty` failed while it ran a network: its answer is not what was asked for: `samples_ms` has 2 times for 1 runs");
}

#[test]
fn what_a_plugin_says_of_a_network_keeps_its_kind() {
    let Some(_) = faulty("", LONG) else { return };
    let of = |mode: &str| tried(faulty(mode, LONG).unwrap()).unwrap_err();
    insta::assert_snapshot!(of("lacks-an-operator"), @"engine `faulty` does not support the operator GroupNorm; measure with another engine, or leave it out of the space");
    insta::assert_snapshot!(of("limits"), @"engine `faulty`: the network exceeds the device's limits: 600 KiB of activations, but the device has 512 KiB");
    insta::assert_snapshot!(of("fails-to-run"), @"engine `faulty` failed while running the network: out of scratch memory");
}

#[test]
fn impossible_latencies_are_refused() {
    let Some(_) = faulty("", LONG) else { return };
    for (mode, reason) in [
        ("null", "not a finite number"),
        ("negative", "not positive"),
        ("zero", "not positive"),
        ("absurd", "longer than their answer did"),
    ] {
        let error = tried(faulty(mode, LONG).unwrap()).unwrap_err();
        assert!(
            matches!(error, ProbeError::BadSample { .. }),
            "{mode}: {error}"
        );
        assert!(error.to_string().contains(reason), "{mode}: {error}");
    }
    assert_eq!(tried(faulty("", LONG).unwrap()).unwrap(), [2.0]);
}

#[test]
fn a_plugin_that_hangs_is_ended_with_its_children_and_started_again() {
    let Some(line) = faulty("hangs-after-a-load", LONG) else {
        return;
    };
    let engine = PluginEngine::start(line, Limits::default()).unwrap();
    let first = engine.process_id().unwrap();
    engine.plugin().set_timeout(Duration::from_secs(1));
    let error = engine.open(&model(), &RunOptions::default()).unwrap_err();
    assert!(matches!(failure(error), PluginFailure::TimedOut { seconds, .. } if seconds == 1.0));
    engine.plugin().set_timeout(LONG);
    assert!(engine.plugin().process_id().is_none());
    #[cfg(target_os = "linux")]
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|l| l.strip_prefix("PPid:"));
        assert_ne!(parent.map(str::trim), Some(first.to_string().as_str()));
    }
    // The first load of every process hangs: a second process does so too, but
    // it is a second one.
    assert_ne!(engine.process_id(), Some(first));
}

#[test]
fn a_session_does_not_outlive_its_process() {
    let Some(line) = faulty("crashes", LONG) else {
        return;
    };
    let engine = PluginEngine::start(line, Limits::default()).unwrap();
    let options = RunOptions::default();
    let mut one = engine.open(&model(), &options).unwrap();
    let mut other = engine.open(&model(), &options).unwrap();
    assert!(matches!(
        failure(one.run().unwrap_err()),
        PluginFailure::Exited { .. }
    ));
    insta::assert_snapshot!(other.run().unwrap_err(), @"engine `faulty` failed while running the network: its process has ended since it loaded the network");
    // A new process does not know the old sessions.
    let _third = engine.open(&model(), &options).unwrap();
    assert!(matches!(other.run(), Err(ProbeError::Run { .. })));
}

#[test]
fn a_simulated_device_may_take_longer_than_any_budget() {
    let Some(line) = faulty("simulates", LONG) else {
        return;
    };
    let engine = PluginEngine::start(line, Limits::default()).unwrap();
    let mut probe = LocalProbe::new(Box::new(engine), RunOptions::default());
    let start = Instant::now();
    let measurement = probe.measure(&model(), &Protocol::quick()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(measurement.simulated && measurement.drift.is_none());
    assert_eq!(measurement.median_ms(), 5_000.0);
    assert_eq!((measurement.memory, measurement.energy_mj), (None, None));
}

#[test]
fn conformance_says_what_is_wrong() {
    let failed = |mode: &str| -> Option<String> {
        let report = check(&faulty(mode, LONG)?, Limits::default());
        let check = report
            .checks
            .into_iter()
            .find(|c| c.outcome == Outcome::Failed);
        Some(check.map_or("nothing".into(), |c| format!("{}: {}", c.name, c.detail)))
    };
    let Some(units) = failed("seconds") else {
        return;
    };
    assert!(units.starts_with("milliseconds: "), "{units}");
    assert!(
        units.contains("give milliseconds, take the time around each run"),
        "{units}"
    );
    // It runs everything in the same time, and takes anything for a model.
    let same = failed("").unwrap();
    assert!(same.starts_with("two networks: "), "{same}");
    let start = failed("exits").unwrap();
    assert!(start.contains("the board is not plugged in"), "{start}");
}
