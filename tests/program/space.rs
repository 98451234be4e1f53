//! `bespoke space` as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

use crate::shell::{self, done};

fn bespoke(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bespoke"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("space")
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn stdout(arguments: &[&str]) -> String {
    done(&bespoke(arguments))
}

#[track_caller]
fn stderr(arguments: &[&str]) -> String {
    let output = bespoke(arguments);
    assert!(!output.status.success(), "{arguments:?} should fail");
    String::from_utf8(output.stderr).unwrap()
}

const MACRO: &str = "search-spaces/nasbench-macro.space";
const NB201: &str = "search-spaces/nasbench201.space";

#[test]
fn counting_tells_architectures_and_networks() {
    assert_eq!(stdout(&["count", MACRO]), "6561\n");
    let json = stdout(&["count", MACRO, "--distinct", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    // Su et al. 2021: 3,969 once identities are merged.
    assert_eq!(json["distinct"]["networks"], 3969);
    assert_eq!(json["architectures"], "6561");
    assert!(json["distinct"]["published"].is_null());
    // Dong & Yang 2020: 6,466 by the text in which they compare cells; 6,900 and
    // 5,993 are explained in docs/spaces.md.
    let json = stdout(&["count", NB201, "--distinct", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let distinct = serde_json::json!({"topologies": 6900, "networks": 5993, "published": 6466});
    assert_eq!(json["distinct"], distinct);
    assert!(
        stderr(&["count", "search-spaces/fbnet.space", "--distinct"]).contains("up to a million")
    );
    assert!(stdout(&["count", "search-spaces/mcu.space"]).contains("keep to the constraints"));
}

#[test]
fn architectures_are_listed_varied_and_compared() {
    let all = stdout(&["enumerate", MACRO, "--offset", "6559"]);
    assert_eq!(all.lines().count(), 2);
    let two = stdout(&["sample", MACRO, "-n", "2", "--seed", "4"]);
    let [a, b] = two.lines().collect::<Vec<_>>()[..] else {
        panic!("{two}")
    };
    let mutant = stdout(&["mutate", MACRO, a, "--seed", "1"]);
    let differences = stdout(&["diff", MACRO, a, mutant.trim()]);
    assert_eq!(
        differences.matches("layer.choice: ").count(),
        1,
        "{differences}"
    );
    assert!(differences.contains("MACs: "));
    let child = stdout(&["crossover", MACRO, a, b, "--json"]);
    let child: serde_json::Value = serde_json::from_str(&child).unwrap();
    for part in child["genotype"].as_str().unwrap().split(' ') {
        assert!(a.contains(part) || b.contains(part), "{part}");
    }
    assert!(stdout(&["diff", MACRO, a, a]).contains("the networks are the same"));
}

#[test]
fn an_architecture_is_explained_with_its_lines() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cell.txt");
    let cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|";
    std::fs::write(&file, cell).unwrap();
    let file = format!("@{}", file.display());
    let text = stdout(&["explain", NB201, &file, "--format", "nasbench201"]);
    assert!(
        text.contains("cell.edge.choice=conv3x3    # search-spaces/nasbench201.space:9: "),
        "{text}"
    );
    assert!(text.contains("multiply-accumulates"));
    let again = stdout(&[
        "enumerate",
        NB201,
        "--limit",
        "3",
        "--format",
        "nasbench201",
    ]);
    assert!(again.lines().all(|l| l.starts_with('|')));
    let wrong = stderr(&["explain", NB201, "|none~0|", "--format", "nasbench201"]);
    assert!(wrong.contains("where 3 are"), "{wrong}");
    assert!(stderr(&["sample", NB201, "--format", "nb101"]).contains("choose from nasbench201"));
}

#[test]
fn formatting_is_checked_and_done() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.space");
    let path = file.to_str().unwrap();
    std::fs::write(
        &file,
        "space a\ninput image 3x8x8 # x\nnetwork {\nrelu\n}\n",
    )
    .unwrap();
    assert!(stderr(&["fmt", "--check", path]).contains("not in the standard layout"));
    stdout(&["fmt", path]);
    let formatted = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        formatted,
        "space a\ninput image 3x8x8  # x\nnetwork {\n  relu\n}\n"
    );
    stdout(&["fmt", "--check", path]);
    let open = "space a\ninput image 3x8x8\nnetwork {\nconv(3\n}\n";
    for (wrong, says) in [("space a ?", "has no meaning here"), (open, "a.space:5:1")] {
        std::fs::write(&file, wrong).unwrap();
        assert!(stderr(&["fmt", path]).contains(says));
        assert_eq!(std::fs::read_to_string(Path::new(path)).unwrap(), wrong);
    }
}

#[test]
fn every_example_of_the_help_works() {
    let dir = shell::workplace();
    let help = stdout(&["--help"]);
    let commands = help.lines().skip_while(|l| *l != "Commands:").skip(1);
    let commands = commands.take_while(|l| l.starts_with("  "));
    let mut examples = 0;
    for command in commands {
        let command = command.split_whitespace().next().unwrap();
        if command == "help" {
            continue;
        }
        let help = stdout(&[command, "--help"]);
        let lines = help
            .split_once("Examples:\n")
            .map(|(_, e)| e.replace("\\\n", " "));
        let lines = lines.unwrap_or_else(|| panic!("`space {command} --help` has no examples"));
        for line in lines.lines().filter(|l| !l.trim().is_empty()) {
            let wanted = format!("bespoke space {command} ");
            assert!(line.trim_start().starts_with(&wanted), "{line}");
            let output = shell::run(dir.path(), line);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {errors}");
            examples += 1;
        }
    }
    assert!(examples >= 15, "{examples} examples");
    assert!(dir.path().join("nasbench201.svg").exists());
}

#[test]
fn what_is_explained_and_compared_is_also_given_as_json() {
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&stdout(arguments)).unwrap()
    };
    let space = json(&["explain", "search-spaces/mcu.space", "--json"]);
    assert_eq!(space["constraints"].as_array().unwrap().len(), 2);
    assert_eq!(space["inputs"].as_array().unwrap().len(), 8);
    let first = &space["choices"][0];
    assert_eq!(first["path"], "resolution");
    assert_eq!(first["kind"], "resolution");
    assert_eq!(first["place"]["file"], "search-spaces/mcu.space");
    let line = first["place"]["line"].as_u64().unwrap() as usize;
    let text = std::fs::read_to_string("search-spaces/mcu.space").unwrap();
    assert_eq!(first["place"]["text"], text.lines().nth(line - 1).unwrap());

    let two = stdout(&["sample", MACRO, "-n", "2", "--seed", "4"]);
    let [a, b] = two.lines().collect::<Vec<_>>()[..] else {
        panic!("{two}")
    };
    let explained = json(&["explain", MACRO, a, "--json"]);
    assert_eq!(explained["genotype"], a);
    assert_eq!(explained["decisions"].as_array().unwrap().len(), 8);
    let nodes = explained["nodes"].as_array().unwrap();
    let macs: u64 = nodes.iter().map(|n| n["macs"].as_u64().unwrap()).sum();
    assert_eq!(explained["costs"]["macs"], macs);
    let compared = json(&["diff", MACRO, a, b, "--json"]);
    assert_eq!(compared["a"]["network_hash"], explained["network_hash"]);
    assert_eq!(compared["same_network"], false);
    let differ = a
        .split(' ')
        .zip(b.split(' '))
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!(compared["decisions"].as_array().unwrap().len(), differ);
    assert_eq!(json(&["diff", MACRO, a, a, "--json"])["same_network"], true);
}

#[test]
fn decisions_are_counted_by_stage() {
    let file = "search-spaces/ofa-mobilenetv3.space";
    let counted = stdout(&["count", file, "--stages", "--json"]);
    let counted: serde_json::Value = serde_json::from_str(&counted).unwrap();
    let stages = counted["stages"].as_array().unwrap();
    let names: Vec<&str> = stages
        .iter()
        .map(|s| s["stage"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["resolution", "s1", "s2", "s3", "s4", "s5"]);
    // A depth, and a kernel and an expansion in up to four layers.
    assert!(stages[1..].iter().all(|s| s["decisions"] == 9));
    assert_eq!(stages[1]["choices"][1]["path"], "s1.mb.kernel");
    assert_eq!(stages[1]["choices"][1]["decisions"], 4);
    let table = stdout(&["count", file, "--stages"]);
    assert!(
        table.contains("128 | 132 | ... | 224 (25 options)"),
        "{table}"
    );
    let plain = stdout(&["count", file, "--json"]);
    assert!(plain.contains("\"stages\":null"), "{plain}");
}

#[test]
fn the_space_itself_is_drawn_where_no_architecture_is_given() {
    let space = stdout(&["draw", NB201]);
    assert!(space.contains("15,625 architectures"), "{space}");
    let network = stdout(&["draw", NB201, "--seed", "0"]);
    assert!(network.contains("multiply-accumulates"), "{network}");
}
