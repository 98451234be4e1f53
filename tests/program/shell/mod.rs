//! Command lines as a user types them, in a place with the shipped spaces.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the program with these arguments, without colours.
pub fn bespoke(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bespoke"))
        .args(args)
        .env("NO_COLOR", "1")
        .output()
        .expect("the program runs")
}

pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command that succeeds prints.
#[track_caller]
pub fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    String::from_utf8(output.stdout.clone()).expect("text on stdout")
}

/// The JSON that a command that succeeds prints.
#[track_caller]
pub fn json(output: &Output) -> Value {
    serde_json::from_str(&done(output)).expect("JSON on stdout")
}

/// Ends with exit code 2 and says all of this on stderr, however its lines are
/// wrapped.
#[track_caller]
pub fn refused(output: &Output, says: &[&str]) {
    let said = err(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let unwrapped = said.replace('\u{2502}', " ");
    let unwrapped: Vec<&str> = unwrapped.split_whitespace().collect();
    let unwrapped = unwrapped.join(" ");
    for words in says {
        assert!(
            said.contains(words) || unwrapped.contains(words),
            "does not say {words:?}:\n{said}"
        );
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// The events of a database's latest run, exported into `dir`.
pub fn events(db: &str, dir: &Path) -> Vec<Value> {
    let to = dir.join("export");
    let to = to.to_str().unwrap();
    done(&bespoke(&[
        "runs", "--db", db, "export", "latest", "--out", to,
    ]));
    std::fs::read_to_string(Path::new(to).join("events.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The arguments of a command line as a shell splits them: at spaces, outside
/// single quotes.
pub fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.last_mut().unwrap().push_str(part);
            continue;
        }
        for (at, word) in part.split(' ').enumerate() {
            if at > 0 {
                words.push(String::new());
            }
            words.last_mut().unwrap().push_str(word);
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

/// A directory with a copy of `search-spaces/`, for commands that write.
pub fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["search-spaces", "search-spaces/lib"] {
        std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let to = dir.path().join(folder).join(path.file_name().unwrap());
                std::fs::copy(&path, to).unwrap();
            }
        }
    }
    dir
}

/// Runs a line that begins with `bespoke`, without colours.
pub fn run(dir: &Path, line: &str) -> Output {
    let words = words(line);
    assert_eq!(words[0], "bespoke", "{line}");
    Command::new(env!("CARGO_BIN_EXE_bespoke"))
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .env("TERM", "xterm")
        .env("LANG", "C.UTF-8")
        .args(&words[1..])
        .output()
        .unwrap()
}

/// What a line that succeeds prints.
#[track_caller]
pub fn printed(dir: &Path, line: &str) -> String {
    done(&run(dir, line))
}

/// A line that is [`refused`].
#[track_caller]
pub fn refuses(dir: &Path, line: &str, says: &[&str]) {
    refused(&run(dir, line), says);
}
