//! Peak memories, each of a process of its own: of training one path, and of a
//! search whose choices have more and more options.

use std::collections::BTreeMap;
use std::process::Command;

use burn::tensor::Device;
use miette::{IntoDiagnostic, WrapErr};
use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::space::mixed::{MixedNetwork, Picked};
use crate::space::{ChoiceId, Space};
use crate::supernet::{Batch, Descent, SharedWeights, Wanted, pass};

/// Options of every choice in turn.
const OPTIONS: [usize; 3] = [2, 4, 8];
const BATCH: usize = 64;
const STEPS: usize = 3;

/// Six inverted residuals as in ProxylessNAS, the widest option first.
fn space(options: usize) -> Space {
    let all = [
        (7, 6),
        (5, 6),
        (3, 6),
        (7, 5),
        (5, 5),
        (3, 5),
        (7, 4),
        (5, 4),
    ];
    let alternatives: Vec<String> = all[..options]
        .iter()
        .map(|(k, e)| format!("k{k}e{e} => mb({k}, {e})"))
        .collect();
    let text = format!(
        "space memory input image 1x28x28 classes 10
        block mb(kernel, expand) {{ conv1x1(in * expand) bn relu depthwise(kernel) bn relu
            conv1x1(in) bn residual }}
        block layer {{ choose {{ {} }} }}
        network {{ conv3x3(16) bn relu stage s {{ repeat 6 {{ layer }} }} pool avg global
            linear(classes) }}",
        alternatives.join(" | ")
    );
    Space::parse("memory", &text).expect("a fixed space")
}

/// What a process measured of itself, in bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    /// Resident before the first step.
    before: u64,
    peak: u64,
}

#[derive(Debug, Serialize)]
struct Row {
    what: String,
    /// Peak over what was resident before, in bytes.
    peak: u64,
    /// Of training one path of the widest options.
    ratio: f64,
}

pub fn run(json: bool) -> miette::Result<()> {
    let measure = |what: &str| -> miette::Result<u64> {
        let program = std::env::current_exe().into_diagnostic()?;
        let output = Command::new(program)
            .args(["bench", "differentiable", "--memory-of", what])
            .output()
            .into_diagnostic()?;
        let measured: Measured = serde_json::from_slice(&output.stdout)
            .into_diagnostic()
            .wrap_err_with(|| String::from_utf8_lossy(&output.stderr).to_string())?;
        Ok(measured.peak.saturating_sub(measured.before))
    };
    let path = measure("path 2")?;
    let mut rows = vec![Row {
        what: "training one path".into(),
        peak: path,
        ratio: 1.0,
    }];
    for (what, name) in [
        ("weights", "proxyless, weights"),
        ("alphas", "proxyless, architecture"),
        ("mixed", "all options weighed (darts)"),
    ] {
        for options in OPTIONS {
            let peak = measure(&format!("{what} {options}"))?;
            rows.push(Row {
                what: format!("{name}, {options} options"),
                peak,
                ratio: peak as f64 / path as f64,
            });
        }
    }
    if json {
        let text = serde_json::to_string_pretty(&rows).expect("plain data");
        super::super::print(&format!("{text}\n"));
        return Ok(());
    }
    let mut table = comfy_table::Table::new();
    table.set_header(["peak memory of", "MiB", "of one path's"]);
    for row in rows {
        table.add_row([
            row.what,
            format!("{:.1}", row.peak as f64 / f64::from(1 << 20)),
            format!("{:.2}", row.ratio),
        ]);
    }
    super::super::print(&format!("{}\n", table.trim_fmt()));
    Ok(())
}

/// Runs steps of what it is told and prints this process's memory.
pub fn child(what: &str) -> miette::Result<()> {
    let (kind, options) = what.split_once(' ').unwrap_or((what, "2"));
    let space = space(options.parse().into_diagnostic()?);
    let mut paths = |_: ChoiceId, open: &[usize]| match kind {
        "alphas" => Picked::Gated {
            active: 0,
            passive: Some(1),
        },
        "mixed" => Picked::Mixed(open.to_vec()),
        _ => Picked::One(0),
    };
    let mixed: MixedNetwork = space
        .mixed(&mut paths)
        .map_err(|e| miette::Report::new(*e))?;
    let mut weights = SharedWeights::new(0);
    // A search holds the weights of every option.
    let everything = |_: ChoiceId, open: &[usize]| Picked::Mixed(open.to_vec());
    if kind != "path" {
        let whole = space.mixed(&mut everything.clone());
        weights.reserve(&whole.map_err(|e| miette::Report::new(*e))?);
    }
    weights.reserve(&mixed);
    let dataset = Dataset::embedded();
    let gates: BTreeMap<ChoiceId, Vec<f64>> = space
        .choices()
        .iter()
        .enumerate()
        .map(|(choice, known)| {
            let mut gates = vec![0.0; known.labels.len()];
            gates[0] = 1.0;
            (choice, gates)
        })
        .collect();
    let indices: Vec<usize> = (0..BATCH).collect();
    let input = mixed.network.input_shape();
    let batch: Batch =
        crate::supernet::Batches::new(&dataset, 0.0).of(&dataset.train, &indices, input, None);
    let wanted = match kind {
        "alphas" => Wanted::Gates,
        _ => Wanted::Weights,
    };
    let before = status("VmRSS:")?;
    for _ in 0..STEPS {
        let own = weights.slice(&mixed);
        let passed = pass(&mixed, &own, &batch, &gates, wanted, &Device::flex());
        let passed = passed.into_diagnostic()?;
        if wanted == Wanted::Weights {
            weights.accumulate(&mixed, &passed.weights, 1.0);
            weights.update(&Descent {
                learning_rate: 0.01,
                momentum: 0.9,
                weight_decay: 0.0,
                clip: 5.0,
            });
        }
    }
    let measured = Measured {
        before,
        peak: status("VmHWM:")?,
    };
    let text = serde_json::to_string(&measured).expect("plain data");
    super::super::print(&text);
    Ok(())
}

/// A line of this process's status, in bytes.
fn status(field: &str) -> miette::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")
        .into_diagnostic()
        .wrap_err("peak memory is read from /proc, which this system does not have")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes
        .and_then(|kb| kb.trim().parse().ok())
        .ok_or_else(|| miette::miette!("/proc/self/status has no {field}"))?;
    Ok(kilobytes * 1024)
}
