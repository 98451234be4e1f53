//! Command lines as a user types them, in a place with the shipped spaces.

use std::path::Path;
use std::process::{Command, Output};

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
