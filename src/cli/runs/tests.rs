use clap::Parser;

use super::*;
use crate::store::test_data::{evaluated, every_event, header};
use crate::store::{Event, RunId};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

struct World {
    dir: tempfile::TempDir,
    run: RunId,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("x.db")).unwrap();
        let run = store.create_run(&header("quickstart")).unwrap();
        store.append_all(&run, &every_event()).unwrap();
        let slow = Event::Evaluated(evaluated(9, 0.99, 20.0));
        store.append(&run, &slow).unwrap();
        store
            .put_artefact(&run, "../best.onnx", "onnx", b"model")
            .unwrap();
        World { dir, run }
    }

    fn try_call(&self, words: &[&str]) -> miette::Result<String> {
        let db = self.dir.path().join("x.db").display().to_string();
        let words = ["bespoke-runs"]
            .iter()
            .chain(words)
            .copied()
            .chain(["--db", &db]);
        let args = Cli::try_parse_from(words).unwrap().args;
        let mut out = Vec::new();
        execute(args, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn call(&self, words: &[&str]) -> String {
        self.try_call(words).unwrap()
    }

    fn json(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.call(words)).unwrap()
    }
}

#[test]
fn list_show_and_front_agree_in_every_form() {
    let world = World::new();
    let id = world.run.as_str();
    assert!(world.call(&["list"]).contains(id));
    assert_eq!(world.json(&["list", "--json"])[0]["id"], id);
    assert_eq!(world.json(&["list", "--json"])[0]["status"], "finished");
    assert!(
        world
            .call(&["list", "--csv"])
            .lines()
            .nth(1)
            .unwrap()
            .starts_with(id)
    );
    assert_eq!(world.call(&["list", "--status", "failed"]), "");
    assert_eq!(
        world.json(&["list", "--json", "--name", "nothing"]),
        json!([])
    );

    let shown = world.json(&["show", "latest", "--json"]);
    assert_eq!(shown["front"].as_array().unwrap().len(), 2);
    assert_eq!(shown["unknown_events"], json!({"distilled": 1}));
    assert!(world.call(&["show", &id[..4]]).contains("budget spent"));

    assert_eq!(
        world.json(&["front", "quickstart", "--json"]),
        shown["front"]
    );
    assert_eq!(world.call(&["front", id, "--csv"]).lines().count(), 3);
    let fast = world.json(&["front", id, "--json", "--max-latency-ms", "5"]);
    assert_eq!(fast.as_array().unwrap().len(), 1);
}

#[test]
fn a_plot_is_written_beside_the_table() {
    let world = World::new();
    let path = world.dir.path().join("front.svg");
    let text = world.call(&["front", "latest", "--plot", &path.display().to_string()]);
    assert!(text.contains("predicted ms"));
    assert!(std::fs::read_to_string(path).unwrap().starts_with("<svg"));
    let nowhere = world.dir.path().join("no/such/front.svg");
    let error = world
        .try_call(&["front", "latest", "--plot", &nowhere.display().to_string()])
        .unwrap_err();
    assert!(
        error.to_string().contains("cannot write the plot"),
        "{error}"
    );
}

#[test]
fn an_export_holds_everything() {
    let world = World::new();
    let out = world.dir.path().join("exported");
    let exported = || world.call(&["export", "latest", "--out", &out.display().to_string()]);
    assert_eq!(exported(), "");
    assert_eq!(exported(), "", "again over the first");
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let lines: Vec<serde_json::Value> = read("events.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Started, the list of all kinds, one evaluation, one artefact.
    assert_eq!(lines.len(), every_event().len() + 3);
    assert!(lines.iter().zip(1..).all(|(line, seq)| line["seq"] == seq));
    assert_eq!(lines[0]["kind"], "started");
    assert!(
        lines
            .iter()
            .any(|l| l["kind"] == "distilled" && l["teacher"] == 3)
    );
    let samples = &lines[2]["measurement"]["samples_ms"];
    assert_eq!(samples.as_array().unwrap().len(), 2);
    assert_eq!(read("candidates.csv").lines().count(), 4);
    assert_eq!(read("measurements.csv").lines().count(), 5);
    assert_eq!(read("front.csv"), world.call(&["front", "latest", "--csv"]));
    assert!(read("front.svg").starts_with("<svg"));
    assert!(read("run.json").contains("space quickstart"));
    assert_eq!(read("artefacts/_best.onnx"), "model");
}

#[test]
fn unknown_runs_and_missing_databases_come_with_help() {
    let world = World::new();
    let error = world.try_call(&["show", "zzzz"]).unwrap_err();
    assert!(error.help().unwrap().to_string().contains("runs list"));
    std::fs::remove_file(world.dir.path().join("x.db")).unwrap();
    let error = world.try_call(&["list"]).unwrap_err();
    assert!(
        error.to_string().starts_with("there is no database at"),
        "{error}"
    );
    assert!(error.help().unwrap().to_string().contains("--db"));
}

/// A pipe whose reader has gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let world = World::new();
    let db = world.dir.path().join("x.db").display().to_string();
    let args = Cli::try_parse_from(["bespoke-runs", "list", "--db", &db])
        .unwrap()
        .args;
    let error = execute(args, &mut Closed).unwrap_err();
    assert!(error.is::<Unread>(), "{error}");
}
