//! The predictor's commands as a user types them: a device measured elsewhere,
//! from the choice of networks to predictions, and what wrong input says.

use bespoke::space::Space;

use crate::documents;
use crate::shell::{self, printed, refuses};

const SPACE: &str = "search-spaces/quickstart.space";

/// What an imagined device takes: arithmetic, traffic and an overhead.
fn device_ms(space: &Space, genotype: &str) -> f64 {
    let architecture = space.parse_genotype(genotype).unwrap();
    let costs = space.network(&architecture).unwrap().costs();
    0.3 + 2e-6 * costs.macs as f64 + 4e-6 * costs.peak_activation_bytes as f64
}

/// Fills in the second column of what `--choose` printed.
fn filled(space: &Space, template: &str, value: impl Fn(f64) -> f64) -> String {
    let mut lines = template.lines();
    let mut text = format!("{}\n", lines.next().unwrap());
    for line in lines {
        let genotype = line.strip_suffix(",\"\"").or(line.strip_suffix(','));
        let genotype = genotype.unwrap_or_else(|| panic!("{line}"));
        let plain = genotype.trim_matches('"');
        text += &format!("{genotype},{}\n", value(device_ms(space, plain)));
    }
    text
}

/// A place with measurements of an imagined Pi.
fn workplace() -> (tempfile::TempDir, Space) {
    let dir = shell::workplace();
    let path = dir.path();
    let space = Space::load(&path.join(SPACE)).unwrap();
    let write = |name: &str, text: &str| std::fs::write(path.join(name), text).unwrap();
    let template = printed(
        path,
        &format!("bespoke calibrate pi5 --space {SPACE} -n 12 --choose"),
    );
    assert_eq!(template.lines().count(), 13);
    assert!(template.starts_with("genotype,latency_ms\n"));
    write("pi5.csv", &filled(&space, &template, |ms| ms));
    let energy = filled(&space, &template, |ms| 3.0 * ms + 1.0);
    write("energy.csv", &energy.replace("latency_ms", "energy_mj"));
    let memory = filled(&space, &template, |ms| 1e6 * ms);
    write("memory.csv", &memory.replace("latency_ms", "memory_bytes"));
    let genotypes = printed(
        path,
        &format!("bespoke space sample {SPACE} -n 30 --seed 9"),
    );
    write("genotypes.txt", &genotypes);
    let more: String = genotypes
        .lines()
        .map(|g| format!("\"{g}\",{}\n", device_ms(&space, g)))
        .collect();
    write("more.csv", &format!("genotype,latency_ms\n{more}{more}"));
    (dir, space)
}

#[test]
fn a_device_measured_elsewhere_is_calibrated_predicted_and_judged() {
    let (dir, space) = workplace();
    let dir = dir.path();
    let said = printed(
        dir,
        &format!("bespoke calibrate pi5 --space {SPACE} --measurements pi5.csv --out pi5.json"),
    );
    assert!(said.contains("pi5: 12 measurements"), "{said}");
    assert!(
        said.contains("5 more measurements: expected error"),
        "{said}"
    );

    let line = format!("bespoke predict --calibration pi5.json --space {SPACE} @genotypes.txt");
    let json = printed(dir, &format!("{line} --json"));
    assert_eq!(json.lines().count(), 30);
    let mut close = 0;
    for line in json.lines() {
        let p: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&p["unit"], &p["device"]), (&"ms".into(), &"pi5".into()));
        let truth = device_ms(&space, p["genotype"].as_str().unwrap());
        let value = p["value"].as_f64().unwrap();
        assert!(p["low"].as_f64().unwrap() < value && value < p["high"].as_f64().unwrap());
        close += usize::from((value / truth - 1.0).abs() < 0.2);
    }
    assert!(close >= 24, "{close} of 30 within 20 %");
    assert!(printed(dir, &line).contains("90 % interval"));

    // Every network stands twice in the file: the ceiling is told.
    let said = printed(
        dir,
        &format!(
            "bespoke predictor eval --calibration pi5.json --space {SPACE} --measurements more.csv"
        ),
    );
    for word in [
        "Spearman 0.9",
        "Kendall",
        "within 10 %",
        "covers",
        "ceiling: repeats of",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let said = printed(
        dir,
        &format!("bespoke predictor eval --space {SPACE} --measurements more.csv -n 8 --sets 2"),
    );
    assert!(
        said.contains("mean of 2 sets of 8 random references"),
        "{said}"
    );
    let said = printed(
        dir,
        &format!("bespoke calibrate pi5 --space {SPACE} --measurements pi5.csv -n 8 --json"),
    );
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(json["measured"].as_array().unwrap().len(), 8);
    assert_eq!(json["unseen"]["networks"], 4);
    assert_eq!(json["gain"]["more"], 5);
}

#[test]
fn energy_and_memory_go_the_same_way() {
    let (dir, _) = workplace();
    let dir = dir.path();
    for (quantity, unit) in [("energy", "mJ"), ("memory", "bytes")] {
        printed(
            dir,
            &format!(
                "bespoke calibrate pi5 --space {SPACE} --quantity {quantity} \
                 --measurements {quantity}.csv --out {quantity}.json"
            ),
        );
        let said = printed(
            dir,
            &format!(
                "bespoke predict --calibration {quantity}.json --space {SPACE} @genotypes.txt"
            ),
        );
        assert!(said.contains(&format!("predicted {unit}")), "{said}");
    }
    refuses(
        dir,
        &format!(
            "bespoke predictor eval --calibration energy.json --space {SPACE} --measurements more.csv"
        ),
        &["the calibration is of energy"],
    );
    refuses(
        dir,
        &format!("bespoke calibrate tract --space {SPACE} --quantity energy"),
        &["--measurements", "energy_mj"],
    );
}

#[test]
fn without_measurements_relative_costs_are_told_with_a_warning() {
    let (dir, _) = workplace();
    let dir = dir.path();
    let line = format!("bespoke predict --space {SPACE} @genotypes.txt --json");
    let output = shell::run(dir, &line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(
        errors.contains("warning: nothing was measured on this device"),
        "{errors}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    for (index, line) in text.lines().enumerate() {
        let p: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(p["device"].is_null());
        assert_eq!(p["notes"][0], "nothing was measured on this device");
        assert!(p["high"].as_f64().unwrap() > 4.0 * p["low"].as_f64().unwrap());
        if index == 0 {
            assert_eq!(p["relative"], 1.0);
        }
    }
    let line = format!(
        "bespoke calibrate pi5 --space {SPACE} --measurements pi5.csv -n 0 --out none.json"
    );
    let said = printed(dir, &line);
    assert!(
        said.contains("pi5: 0 measurements") && said.contains("of 12 architectures"),
        "{said}"
    );
    assert!(!said.contains("more measurements"), "{said}");
    let line = format!("bespoke predict --calibration none.json --space {SPACE} @genotypes.txt");
    assert!(printed(dir, &line).contains("relative to the first"));
    let line = format!(
        "bespoke calibrate pi5 --space {SPACE} --measurements energy.csv --quantity energy -n 0"
    );
    refuses(dir, &line, &["nothing is known of a device's energy"]);
}

#[test]
fn wrong_files_are_explained_at_their_place() {
    let (dir, _) = workplace();
    let dir = dir.path();
    let good = std::fs::read_to_string(dir.join("pi5.csv")).unwrap();
    let first = good.lines().nth(1).unwrap();
    let (genotype, _) = first.rsplit_once(',').unwrap();
    let calibrate = |text: &str, says: &[&str]| {
        std::fs::write(dir.join("bad.csv"), text).unwrap();
        let line = format!("bespoke calibrate pi5 --space {SPACE} --measurements bad.csv");
        refuses(dir, &line, says);
    };
    calibrate(
        &good.replacen("latency_ms", "time", 1),
        &["bad.csv", "`latency_ms`", "`time`"],
    );
    for bad in ["nan", "-3", "0", "inf", "1e99", "soon", ""] {
        let text = good.replacen(first, &format!("{genotype},{bad}"), 1);
        calibrate(&text, &["bad.csv", "line 2", "column `latency_ms`"]);
    }
    calibrate(&good.replacen('=', "?", 1), &["bad.csv", "line 2"]);
    calibrate("genotype,latency_ms\n", &["no measurements"]);
    let equal = format!("genotype,latency_ms\n{first}\n{first}\n{first}\n");
    calibrate(&equal, &["only 1 different networks"]);

    // A device that does not see the network, and a slip, are warned of.
    let warned = |text: &str, says: &str| {
        std::fs::write(dir.join("odd.csv"), text).unwrap();
        let line = format!("bespoke calibrate pi5 --space {SPACE} --measurements odd.csv");
        let output = shell::run(dir, &line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        assert!(
            errors.contains("warning: ") && errors.contains(says),
            "{says}: {errors}"
        );
    };
    let constant: String = good
        .lines()
        .skip(1)
        .map(|l| format!("{},5\n", l.rsplit_once(',').unwrap().0))
        .collect();
    warned(
        &format!("genotype,latency_ms\n{constant}"),
        "although the networks differ",
    );
    let outlier = good.replacen(first, &format!("{genotype},900"), 1);
    warned(&outlier, "odd.csv, line 2");
    let two: Vec<&str> = good.lines().take(3).collect();
    warned(&two.join("\n"), "with 2 of 5 measurements");

    let line =
        format!("bespoke calibrate pi5 --space {SPACE} --measurements pi5.csv --out pi5.json");
    printed(dir, &line);
    let model = std::fs::read_to_string(dir.join("pi5.json")).unwrap();
    let predict = |text: &str, says: &[&str]| {
        std::fs::write(dir.join("changed.json"), text).unwrap();
        let line =
            format!("bespoke predict --calibration changed.json --space {SPACE} @genotypes.txt");
        refuses(dir, &line, says);
    };
    predict(
        &model.replacen("\"version\": 3", "\"version\": 9", 1),
        &["changed.json", "version 9"],
    );
    predict(
        &model.replacen("\"pi5\"", "\"pi6\"", 1),
        &["changed.json", "damaged"],
    );
    predict(
        &model[..model.len() / 2],
        &["changed.json", "is no calibration"],
    );
    std::fs::write(dir.join("lines.txt"), "# mine\n\nnonsense\n").unwrap();
    refuses(
        dir,
        &format!("bespoke predict --calibration pi5.json --space {SPACE} @lines.txt"),
        &["lines.txt, line 3"],
    );
    refuses(
        dir,
        &format!("bespoke calibrate pi5 --space {SPACE}"),
        &["`pi5` is no engine of this machine", "--measurements"],
    );
    refuses(dir, "bespoke calibrate tract", &["--space"]);
    refuses(dir, "bespoke predict a=1", &["--space"]);
    std::fs::write(
        dir.join("my.bespoke"),
        "BESPOKEL\u{7}\0\0\0 and more than a header of bytes!",
    )
    .unwrap();
    refuses(
        dir,
        "bespoke predictor show my.bespoke",
        &["my.bespoke", "version 7"],
    );
}

#[test]
fn a_checkpoint_is_shown_with_its_card() {
    let dir = shell::workplace();
    let said = printed(dir.path(), "bespoke predictor show");
    for word in [
        "checkpoint of version",
        "eyeriss",
        "titanx_1",
        "## Figures",
        "## Limits",
    ] {
        assert!(said.contains(word), "{word}");
    }
    let older = printed(dir.path(), "bespoke predict show --json");
    let json: serde_json::Value = serde_json::from_str(&older).unwrap();
    assert_eq!(json["shipped"], true);
    assert_eq!(json["split"].as_array().unwrap().len(), 3);
}

/// Commands in the document whose data the tests do not have.
const ELSEWHERE: &str = "hw-nas-bench-360.csv";

#[test]
fn the_documents_commands_work() {
    let (dir, _) = workplace();
    let mut commands = 0;
    for listing in documents::listings(&documents::root().join("docs/predictor.md")) {
        if listing.marks.first().is_none_or(|m| m != "console") {
            continue;
        }
        let text = listing.text.replace("\\\n", " ");
        for line in text.lines().filter_map(|l| l.strip_prefix("$ ")) {
            if !line.contains(ELSEWHERE) {
                printed(dir.path(), line);
                commands += 1;
            }
        }
    }
    assert!(commands >= 6, "{commands} commands");
}
