//! `bespoke device`, and device names where engines are named.

use std::path::Path;

use crate::shell::{run, workplace};

fn said(output: &std::process::Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A device whose plugin needs nothing but Python; `None` where there is none.
fn faulty(dir: &Path, name: &str, mode: &str) -> Option<()> {
    let python = std::process::Command::new("python3").arg("-V").output();
    if !python.is_ok_and(|o| o.status.success()) {
        use std::io::Write;
        writeln!(
            std::io::stderr(),
            "\n*** SKIPPED: there is no python3. ***\n"
        )
        .expect("standard error is writable");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/faulty_plugin.py");
    std::fs::create_dir_all(dir.join("devices")).unwrap();
    let toml = format!(
        "name = \"{name}\"\n[connection]\nkind = \"command\"\nargv = [\"python3\", {:?}, {mode:?}]\n",
        script.to_str().unwrap()
    );
    std::fs::write(dir.join(format!("devices/{name}.toml")), toml).unwrap();
    Some(())
}

const SPACE: &str = "search-spaces/quickstart.space";

#[test]
fn a_device_is_made_listed_and_named_where_an_engine_is() {
    let place = workplace();
    let dir = place.path();
    let (out, _) = said(&run(dir, "bespoke device list"));
    assert!(out.contains("tract") && !out.contains("board"), "{out}");
    let Some(()) = faulty(dir, "board", "simulates") else {
        return;
    };
    let (out, err) = said(&run(dir, "bespoke device list"));
    assert!(
        out.contains("board") && out.contains("python3"),
        "{out}{err}"
    );
    let (out, err) = said(&run(dir, "bespoke device show board"));
    assert!(
        out.contains("plugin:      faulty 1, offers ; simulated"),
        "{out}{err}"
    );
    let (out, err) = said(&run(
        dir,
        &format!("bespoke measure {SPACE} -n 3 --engine board --json"),
    ));
    let measured: serde_json::Value =
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
    let measured = measured.as_array().unwrap();
    assert_eq!(measured.len(), 3);
    for one in measured {
        assert_eq!(
            (&one["median_ms"], &one["simulated"]),
            (&5000.0.into(), &true.into())
        );
        assert_eq!(
            (&one["engine"], &one["energy_mj"]),
            (&"faulty".into(), &serde_json::Value::Null)
        );
    }
    let (out, err) = said(&run(
        dir,
        &format!("bespoke measure {SPACE} --repeat -n 3 --engine devices/board.toml"),
    ));
    assert!(
        out.contains("\nboard: 3 architectures measured twice: too few for a ranking"),
        "{out}{err}"
    );

    let made = run(dir, "bespoke device new other");
    assert!(made.status.success(), "{}", said(&made).1);
    for file in [
        "other.toml",
        "plugins/probe_other.py",
        "plugins/bespoke_plugin.py",
    ] {
        assert!(dir.join("devices").join(file).is_file(), "{file}");
    }
    let again = run(dir, "bespoke device new other");
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).1.contains("is already there"));
}

#[test]
fn a_profiles_limits_bind_the_engines_in_the_program() {
    let place = workplace();
    let dir = place.path();
    std::fs::create_dir_all(dir.join("devices")).unwrap();
    let profile = |limits: &str| {
        let head =
            "name = \"small\"\nengines = [\"tract\", \"flex\"]\nconnection.kind = \"local\"\n";
        let text = format!("{head}[limits]\n{limits}\n");
        std::fs::write(dir.join("devices/small.toml"), text).unwrap();
    };
    for (limits, figure) in [
        ("flash_bytes = 1000", "(1000)"),
        ("sram_bytes = 1000\nbits = 8", "(1000)"),
        ("latency_ms = 1e-6", "0.000001"),
    ] {
        profile(limits);
        for engine in ["tract", "flex"] {
            let line = format!("bespoke measure {SPACE} -n 1 --engine small/{engine}");
            let output = run(dir, &line);
            let (_, err) = said(&output);
            assert_eq!(output.status.code(), Some(2), "{limits}: {err}");
            let text = err.replace("\n  │ ", " ");
            let field = limits.split(' ').next().unwrap();
            for word in ["exceeds the device's limits", engine, field, figure] {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
    }
    profile("flash_bytes = 100_000_000\nlatency_ms = 60_000.0");
    let line = format!("bespoke measure {SPACE} -n 1 --engine small");
    let output = run(dir, &line);
    assert!(output.status.success(), "{}", said(&output).1);
}

#[test]
fn what_is_wrong_is_said() {
    let place = workplace();
    let dir = place.path();
    let refused = |line: &str, says: &[&str]| {
        let output = run(dir, line);
        let (out, err) = said(&output);
        assert_eq!(output.status.code(), Some(2), "{line}: {out}{err}");
        // Long lines are wrapped for the terminal.
        let text = format!("{out}{err}").replace("\n  │ ", " ");
        for word in says {
            assert!(text.contains(word), "{line} does not say {word:?}:\n{text}");
        }
        assert!(!err.contains("panicked"), "{err}");
    };
    let Some(()) = faulty(dir, "hasty", "exits") else {
        return;
    };
    faulty(dir, "seconds", "seconds");
    faulty(dir, "old", "another-version");
    refused(
        &format!("bespoke measure {SPACE} --engine nothing"),
        &[
            "there is no device or engine `nothing`",
            "hasty, old, seconds",
        ],
    );
    refused(
        &format!("bespoke measure {SPACE} --engine hasty"),
        &[
            "device `hasty` cannot be reached",
            "the board is not plugged in",
        ],
    );
    refused(
        "bespoke device test seconds",
        &[
            "FAIL milliseconds",
            "give milliseconds",
            "does not keep to the protocol",
        ],
    );
    refused("bespoke device test old", &["FAIL greeting", "version 99"]);
    refused(
        "bespoke device test /no/such/program",
        &["bespoke device list"],
    );
    refused("bespoke device new No!", &["lower-case letters"]);
    refused(
        &format!("bespoke measure {SPACE} --engine tract --threads 3"),
        &["does not support 3 threads"],
    );
    refused(
        &format!("bespoke calibrate nothing --space {SPACE}"),
        &["is no engine of this machine", "--measurements"],
    );
}
