//! What the tests that run onnxruntime share: finding Python, writing a case
//! and reading the verdict.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use bespoke::network::Array;

pub const TOLERANCE: f64 = 1e-4;

/// The Python to use: the repository's environment, else the system's.
pub fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    [own, "python3".into()].into_iter().find(|python| {
        Command::new(python)
            .args(["-c", "import numpy, onnxruntime"])
            .output()
            .is_ok_and(|o| o.status.success())
    })
}

/// Says on the real standard error, which the test harness does not swallow,
/// that a check did not happen.
pub fn skip(what: &str) {
    assert!(
        std::env::var_os("BESPOKE_REQUIRE_PYTHON").is_none(),
        "{what}, although BESPOKE_REQUIRE_PYTHON is set"
    );
    writeln!(
        std::io::stderr(),
        "\n*** SKIPPED: {what}. Run scripts/python-env.sh. ***\n"
    )
    .expect("standard error is writable");
}

pub fn write_case(dir: &Path, name: &str, onnx: &[u8], input: &Array, expected: &Array) {
    let raw = |a: &Array| -> Vec<u8> { a.data.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let dims = serde_json::json!({ "input_dims": input.dims, "output_dims": expected.dims });
    std::fs::write(dir.join(format!("{name}.onnx")), onnx).unwrap();
    std::fs::write(dir.join(format!("{name}.input.bin")), raw(input)).unwrap();
    std::fs::write(dir.join(format!("{name}.expected.bin")), raw(expected)).unwrap();
    std::fs::write(dir.join(format!("{name}.json")), dims.to_string()).unwrap();
}

/// Runs every case written to `dir` under onnxruntime, asserts that each is
/// within [`TOLERANCE`] (of its greatest output, where that is above 1), and returns how many there were and the worst.
pub fn check_cases(python: PathBuf, dir: &Path) -> (usize, f64) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/onnx_check.py");
    let run = Command::new(python).arg(script).arg(dir).output().unwrap();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{errors}");
    let reports: Vec<serde_json::Value> = String::from_utf8(run.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut worst = 0.0f64;
    for report in &reports {
        let difference = report["max_abs_diff"].as_f64();
        worst = worst.max(difference.unwrap_or(f64::INFINITY));
        let scale = report["max_abs"].as_f64().map_or(1.0, |m| m.max(1.0));
        assert!(
            difference.is_some_and(|d| d <= TOLERANCE * scale),
            "{report}"
        );
        // A difference means nothing where everything is nearly zero.
        assert!(
            report["max_abs"].as_f64().is_some_and(|m| m > 0.1),
            "{report}"
        );
        if report["checker"].is_null() {
            skip("no onnx package, so onnx.checker did not see the exported models");
            break;
        }
        assert_eq!(report["checker"], "accepted", "{report}");
    }
    (reports.len(), worst)
}
