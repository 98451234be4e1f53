//! Zero-cost proxies as a user types them: scores of architectures, the
//! benchmark on a table of accuracies, and what wrong input says.

use crate::shell::{self, printed, refuses};

const SPACE: &str = "search-spaces/quickstart.space";

#[test]
fn architectures_are_scored_by_every_proxy_and_by_those_named() {
    let dir = shell::workplace();
    let dir = dir.path();
    let line = format!("bespoke proxies --space {SPACE} -n 2 --batch-size 8");
    let table = printed(dir, &line);
    for name in ["synflow", "jacob_cov", "naswot", "zen", "snip", "grad_norm"] {
        assert!(table.contains(name), "{table}");
    }
    let all = |line: &str| -> Vec<serde_json::Value> {
        let text = printed(dir, line);
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    };
    let scores = all(&format!("{line} --json"));
    assert_eq!(scores.len(), 2);
    assert_eq!(scores[0]["scores"].as_object().unwrap().len(), 6);
    assert_ne!(scores[0]["scores"], scores[1]["scores"]);

    // The same architectures by name, on one thread, are scored the same.
    let genotype = scores[1]["genotype"].as_str().unwrap();
    let named = all(&format!(
        "bespoke proxies --space {SPACE} '{genotype}' --batch-size 8 --threads 1 \
         --proxy naswot,snip --json"
    ));
    assert_eq!(named.len(), 1);
    let found = named[0]["scores"].as_object().unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found["naswot"], scores[1]["scores"]["naswot"]);
    assert_eq!(found["snip"], scores[1]["scores"]["snip"]);
}

/// Cells of NAS-Bench-201, small ones so that the test is quick: the first is
/// cut off from its input.
const CELLS: [(&str, f64); 4] = [
    (
        "|none~0|+|none~0|none~1|+|none~0|skip_connect~1|skip_connect~2|",
        1.0,
    ),
    (
        "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        20.0,
    ),
    (
        "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        30.0,
    ),
    (
        "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
        60.0,
    ),
];

#[test]
fn the_benchmark_ranks_beside_published_figures() {
    let dir = shell::workplace();
    let dir = dir.path();
    let rows: String = CELLS
        .iter()
        .map(|(cell, accuracy)| format!("{cell},{accuracy}\n"))
        .collect();
    let header = "architecture,accuracy_cifar100_percent\n";
    std::fs::write(dir.join("table.csv"), format!("{header}{rows}")).unwrap();
    let line = "bespoke bench proxies --accuracy table.csv --batch-size 2 \
                --proxy synflow,naswot";
    let json: serde_json::Value =
        serde_json::from_str(&printed(dir, &format!("{line} --json --csv scores.csv"))).unwrap();
    assert_eq!(json["architectures"], 4);
    assert_eq!(json["batch"], "noise");
    let rankings = json["rankings"].as_array().unwrap();
    let of = |name: &str| rankings.iter().find(|r| r["name"] == name).unwrap();
    assert_eq!(of("synflow")["published_spearman"], 0.763);
    assert_eq!(of("synflow")["without_score"], 0);
    // The one cut off has no code, and is the worst in truth.
    assert_eq!(of("naswot")["without_score"], 1);
    assert!(of("naswot")["spearman"].as_f64().unwrap() > 0.0);
    assert!(of("parameters")["kendall"].as_f64().unwrap() > 0.0);
    let scores = std::fs::read_to_string(dir.join("scores.csv")).unwrap();
    assert_eq!(scores.lines().count(), 5, "{scores}");
    assert!(scores.starts_with("architecture,accuracy,synflow,naswot,"));

    refuses(
        dir,
        "bespoke bench proxies --accuracy table.csv --architectures 2",
        &["at least 3"],
    );
    refuses(
        dir,
        "bespoke bench proxies --accuracy table.csv --column accuracy",
        &["has no column `accuracy`"],
    );
    std::fs::write(dir.join("bad.csv"), format!("{header}|conv~0|,5\n")).unwrap();
    let line = "bespoke bench proxies --accuracy bad.csv";
    refuses(dir, line, &["bad.csv, line 2"]);
    refuses(dir, line, &["`|conv~0|` is no nasbench201 architecture"]);
}

#[test]
fn wrong_input_is_explained() {
    let dir = shell::workplace();
    let dir = dir.path();
    for (arguments, says) in [
        ("--proxy magic", "[possible values: synflow, jacob_cov,"),
        ("--batch-size 1", "--batch-size must be at least 2"),
        ("--data nowhere", "nowhere"),
        ("-n 0", "there are no architectures to score"),
        ("nonsense", "the argument"),
    ] {
        let line = format!("bespoke proxies --space {SPACE} {arguments}");
        refuses(dir, &line, &[says]);
    }
}
