//! The tutorial's commands are run and must print what it says they print.
//! Times differ from run to run and are not compared; a line `...` stands for
//! any number of lines.

use std::path::Path;

use crate::documents::{file_name, listings, root};
use crate::shell;

const TUTORIAL: &str = "docs/tutorial.md";

/// A command, with a long one's lines joined, and what the document prints
/// after it; in `source` as it stands there.
struct Step {
    command: String,
    source: String,
    printed: String,
}

fn steps(console: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for line in console.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                command: command.trim_end_matches('\\').to_string(),
                source: format!("{line}\n"),
                printed: String::new(),
            });
            goes_on = command.ends_with('\\');
            continue;
        }
        let step = steps.last_mut().expect("a console begins with a command");
        if goes_on {
            step.command += line.trim_end_matches('\\');
            step.source += &format!("{line}\n");
            goes_on = line.ends_with('\\');
        } else {
            step.printed += &format!("{line}\n");
        }
    }
    steps
}

/// With times, such as `(1.3 ms)`, and spaces at line ends left out.
fn comparable(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut line = line.trim_end().to_string();
        if line.ends_with(" ms)")
            && let Some(open) = line.rfind('(')
        {
            line.replace_range(open.., "(... ms)");
        }
        lines.push(line);
    }
    lines
}

/// Whether the lines are those printed, where `...` takes any number.
fn agree(printed: &[String], actual: &[String]) -> bool {
    match printed.split_first() {
        None => actual.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=actual.len()).any(|skipped| agree(rest, &actual[skipped..]))
        }
        Some((first, rest)) => actual.first() == Some(first) && agree(rest, &actual[1..]),
    }
}

#[test]
fn the_tutorials_commands_print_what_it_says() {
    let path = root().join(TUTORIAL);
    let update = std::env::var_os("BESPOKE_UPDATE").is_some();
    let mut document = std::fs::read_to_string(&path).unwrap();
    let dir = shell::workplace();
    let (mut commands, mut problems) = (0, String::new());
    for listing in listings(&path) {
        if let Some(name) = file_name(&listing) {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, &listing.text).unwrap();
        }
        if listing.marks.first().is_none_or(|m| m != "console") {
            continue;
        }
        let mut rewritten = String::new();
        for step in steps(&listing.text) {
            let actual = output(dir.path(), &step.command);
            let same = agree(&comparable(&step.printed), &comparable(&actual));
            let kept = if same { &step.printed } else { &actual };
            rewritten += &format!("{}{kept}", step.source);
            if !same {
                problems += &format!("$ {}\n{actual}\n", step.command);
            }
            commands += 1;
        }
        document = document.replace(&listing.text, &rewritten);
    }
    // Pictures in the document are those its commands draw.
    for name in pictures(&document) {
        let drawn = std::fs::read_to_string(dir.path().join(&name)).unwrap();
        let kept = path.with_file_name(&name);
        if update {
            std::fs::write(&kept, &drawn).unwrap();
        } else if std::fs::read_to_string(&kept).ok() != Some(drawn) {
            problems += &format!("{name} is drawn otherwise\n");
        }
    }
    if update {
        std::fs::write(&path, document).unwrap();
        return;
    }
    assert!(
        problems.is_empty(),
        "{TUTORIAL} is stale: run this test with BESPOKE_UPDATE=1. These commands print something \
         else than it says:\n{problems}"
    );
    assert!(commands >= 20, "{commands} commands");
    assert!(!pictures(&document).is_empty());
}

/// The SVG files a document shows.
fn pictures(document: &str) -> Vec<String> {
    let names = document.split("](").skip(1);
    let names = names.filter_map(|rest| rest.split(')').next());
    let names = names.filter(|name| name.ends_with(".svg"));
    names.map(str::to_string).collect()
}

/// What a person sees: the output, or the error of a command that fails.
fn output(dir: &Path, command: &str) -> String {
    let output = shell::run(dir, command);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    let lines = text.lines().map(|l| format!("{}\n", l.trim_end()));
    lines.collect()
}

#[test]
fn output_that_differs_is_seen() {
    let lines = |text: &str| comparable(text);
    let actual = lines("a (1.2 ms)\nb\nc\n");
    assert!(agree(&lines("a (7.0 ms)\nb\nc\n"), &actual));
    assert!(agree(&lines("a (7.0 ms)\n...\n"), &actual));
    assert!(agree(&lines("...\nc\n"), &actual));
    for wrong in ["a (7.0 ms)\nb\n", "b (1.2 ms)\nb\nc\n", "...\nb\n", ""] {
        assert!(!agree(&lines(wrong), &actual), "{wrong}");
    }
    let steps = steps("$ bespoke a \\\n  'b'\nout\n$ bespoke c\n");
    assert_eq!(shell::words(&steps[0].command), ["bespoke", "a", "b"]);
    assert_eq!(
        (steps[0].printed.as_str(), steps[1].printed.as_str()),
        ("out\n", "")
    );
}
