//! The plugins that come with bespoke, run for real: each must pass the
//! conformance test, its outputs compared with tract's. Their engines come from
//! PyPI (`scripts/python-env.sh`); one that is not installed is skipped and says
//! so. `BESPOKE_REQUIRE_ENGINES` lists engines that must not be skipped.

use std::io::Write;
use std::path::Path;

use bespoke::device::plugin::CommandLine;
use bespoke::device::plugin::conformance::{Outcome, Report, check};
use bespoke::device::{Catalogue, Limits, Profile};

fn profile(name: &str) -> Profile {
    let devices = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
    Catalogue::of(&[&devices]).find(name).unwrap()
}

/// The template's profile is what `bespoke device new` writes.
fn line(name: &str) -> (CommandLine, Limits) {
    if name == "template" {
        let devices = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
        let mut line = CommandLine::new(&["{python}", "plugins/template.py"]);
        line.working_dir = devices;
        return (line, Limits::default());
    }
    let profile = profile(name);
    (profile.command_line().unwrap(), profile.limits)
}

/// The report on a plugin, unless the Python that runs it lacks these modules.
fn conformance(name: &str, modules: &[&str]) -> Option<Report> {
    let (line, limits) = line(name);
    let installed = std::process::Command::new(&line.words()[0])
        .args(["-c", &format!("import {}", modules.join(", "))])
        .output()
        .is_ok_and(|o| o.status.success());
    if !installed {
        let required = std::env::var("BESPOKE_REQUIRE_ENGINES").unwrap_or_default();
        assert!(
            !required.split(',').any(|engine| engine == name),
            "{name} is in BESPOKE_REQUIRE_ENGINES, but Python lacks {modules:?}"
        );
        writeln!(
            std::io::stderr(),
            "\n*** SKIPPED: Python lacks {modules:?}, so the plugin {name} was not run. \
             Run scripts/python-env.sh. ***\n"
        )
        .expect("standard error is writable");
        return None;
    }
    let report = check(&line, limits);
    for check in &report.checks {
        println!(
            "{name}: {:?}: {}: {}",
            check.outcome, check.name, check.detail
        );
    }
    let failed = report
        .checks
        .iter()
        .filter(|c| c.outcome == Outcome::Failed);
    assert_eq!(failed.count(), 0, "{name}");
    Some(report)
}

fn detail<'a>(report: &'a Report, name: &str) -> &'a str {
    let check = report.checks.iter().find(|c| c.name == name);
    &check.unwrap_or_else(|| panic!("no check {name}")).detail
}

#[test]
fn onnxruntime() {
    if let Some(report) = conformance("onnxruntime", &["onnxruntime"]) {
        assert!(detail(&report, "output").contains("agrees with tract's"));
        assert!(detail(&report, "operators").contains("all that convolutional"));
    }
}

#[test]
fn openvino() {
    if let Some(report) = conformance("openvino", &["openvino"]) {
        assert!(detail(&report, "output").contains("agrees with tract's"));
    }
}

#[test]
fn ncnn() {
    if let Some(report) = conformance("ncnn", &["ncnn", "onnx"]) {
        assert!(detail(&report, "output").contains("agrees with tract's"));
    }
}

#[test]
fn litert() {
    if let Some(report) = conformance("litert", &["ai_edge_litert", "onnx"]) {
        assert!(detail(&report, "output").contains("agrees with tract's"));
    }
}

#[test]
fn template() {
    if let Some(report) = conformance("template", &["onnx"]) {
        assert!(detail(&report, "output").contains("agrees with tract's"));
    }
}

#[test]
fn simulated_microcontrollers_compute_latencies_and_refuse_what_is_too_large() {
    let Some(report) = conformance("mcu-cortex-m7", &["onnx"]) else {
        return;
    };
    let measurement = report.measurement.unwrap();
    assert!(measurement.simulated);
    let facts = measurement.device.cpu_model.unwrap();
    assert_eq!(facts, "cortex-m7 at 216 MHz (simulated)");
    // 24 maps of 16 x 16 are made from 8 while both are live.
    let memory = measurement.memory.unwrap();
    assert_eq!(memory.peak_bytes, (24 + 8) * 16 * 16 + 2 * 2 * 16 * 9);
    let slower = conformance("mcu-cortex-m4", &["onnx"]).unwrap();
    let slower = slower.measurement.unwrap();
    assert!(slower.summary.median_ms > 2.0 * measurement.summary.median_ms);
    assert_eq!(slower.summary.mad_ms, 0.0);

    let profile = profile("mcu-cortex-m7");
    let tiny = Limits {
        sram_bytes: Some(8_192),
        ..profile.limits
    };
    let refused = check(&profile.command_line().unwrap(), tiny);
    let loading = &refused.checks[1];
    assert_eq!(
        (loading.name, &loading.outcome),
        ("loading", &Outcome::Failed)
    );
    let reason = "it needs 8.6 KiB of SRAM, and the device has 8.0 KiB";
    assert!(loading.detail.contains(reason), "{}", loading.detail);
}

/// docs/plugins.md prints the same table.
#[test]
fn the_simulated_microcontroller_is_near_published_boards() {
    let (line, _) = line("mcu-cortex-m4");
    let output = std::process::Command::new(&line.words()[0])
        .arg("plugins/compare_mcu.py")
        .current_dir(&line.working_dir)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    if error.contains("No module named 'onnx'") {
        let loud = "\n*** SKIPPED: Python lacks onnx, so no published boards were compared. ***\n";
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
        return;
    }
    assert!(output.status.success(), "{error}");
    let said = String::from_utf8_lossy(&output.stdout);
    // What MLPerf Tiny says of its networks.
    for macs in ["ResNet-8: 12.50 M", "MobileNetV1: 7.49 M", "DS-CNN: 2.66 M"] {
        assert!(said.contains(macs), "{said}");
    }
    let document = include_str!("../docs/plugins.md");
    let tables = said.split_once("\n\n").unwrap().1.trim();
    assert!(document.contains(tables), "{said}");
}

#[test]
fn torch() {
    if let Some(report) = conformance("torch", &["torch", "onnx2torch"]) {
        assert!(detail(&report, "output").contains("agrees with tract's"));
    }
}
