//! What there is to know of a space and of its architectures.

use std::path::Path;

use miette::miette;

use crate::cli::print;
use crate::network::{Costs, Network};
use crate::report::units::{bytes_text, count_text};
use crate::space::{Architecture, Space};

/// Spaces up to this size are enumerated to count distinct networks.
const ENUMERABLE: u64 = 1_000_000;

pub fn check(file: &Path, json: bool) -> miette::Result<()> {
    let start = std::time::Instant::now();
    let space = Space::load(file)?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let name = file.display();
    print(&match json {
        true => format!(
            "{}\n",
            serde_json::json!({
                "file": name.to_string(),
                "space": space.name(),
                "hash": space.hash(),
                "architectures": space.count().to_string(),
                "choices": space.choices().len(),
                "milliseconds": ms,
            })
        ),
        false => format!(
            "{name}: {} fits, {} architectures, {} choices ({ms:.1} ms)\n",
            space.name(),
            space.count(),
            space.choices().len(),
        ),
    });
    Ok(())
}

pub fn count(space: &Space, distinct: bool, json: bool) -> miette::Result<()> {
    let found = match distinct {
        true => Some(space.distinct(ENUMERABLE).ok_or_else(|| {
            miette!(
                help = "distinct networks are counted one by one, up to a million",
                "the space has {} architectures",
                space.count()
            )
        })?),
        false => None,
    };
    if json {
        let constraints: Vec<String> = space.constraints().iter().map(|c| c.to_string()).collect();
        let line = serde_json::json!({
            "architectures": space.count().to_string(),
            "distinct": found,
            "constraints": constraints,
        });
        print(&format!("{line}\n"));
        return Ok(());
    }
    print(&format!("{}\n", space.count()));
    if let Some(found) = found {
        print(&format!(
            "{} distinct topologies, {} distinct networks once nothing is computed in vain\n",
            found.topologies, found.networks
        ));
        if let Some(published) = found.published {
            print(&format!(
                "{published} distinct by the text in which the authors compare architectures\n"
            ));
        }
    }
    if !space.constraints().is_empty() {
        const DRAWS: usize = 1_000;
        let kept = space.admitted(DRAWS, &mut super::vary::rng(0));
        print(&format!(
            "of {DRAWS} drawn, {kept} keep to the constraints; only those are given out\n"
        ));
    }
    Ok(())
}

pub fn choices(space: &Space) {
    for choice in space.choices() {
        let options = choice.labels.join(" | ");
        print(&format!("{} = {options}\n", choice.path));
    }
}

/// The line of the source a byte stands on, from 1, and its text.
fn line_of(space: &Space, at: usize) -> (usize, &str) {
    let text = space.text();
    let before = &text[..at.min(text.len())];
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    (number, line.trim())
}

pub fn architecture(space: &Space, architecture: &Architecture) -> miette::Result<()> {
    let network = space.network(architecture)?;
    for (choice, option) in architecture.decisions() {
        let choice = &space.choices()[*choice];
        let (number, line) = line_of(space, choice.span.start);
        let label = &choice.labels[*option];
        print(&format!(
            "{}={label}    # line {number}: {line}\n",
            choice.path
        ));
    }
    print("\n");
    let mut table = comfy_table::Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .force_no_tty();
    table.set_header(["node", "operator", "from", "shape", "MACs", "parameters"]);
    for (index, node) in network.nodes().iter().enumerate() {
        let inputs = network.input_shapes(node);
        let from: Vec<String> = node.inputs.iter().map(|i| i.0.to_string()).collect();
        let (macs, params) = match inputs.is_empty() {
            true => (0, 0),
            false => (node.op.macs(&inputs, node.shape), node.op.params(&inputs)),
        };
        table.add_row([
            index.to_string(),
            node.op.to_string(),
            from.join(" "),
            node.shape.to_string(),
            macs.to_string(),
            params.to_string(),
        ]);
    }
    print(&format!("{table}\n\n"));
    print(&totals(&network));
    Ok(())
}

fn totals(network: &Network) -> String {
    let costs = network.costs();
    format!(
        "{} multiply-accumulates, {} parameters ({}), {} of activations at the peak\nnetwork {}\n",
        count_text(costs.macs),
        count_text(costs.params),
        bytes_text(costs.weight_bytes),
        bytes_text(costs.peak_activation_bytes),
        network.hash(),
    )
}

pub fn difference(space: &Space, a: &Architecture, b: &Architecture) -> miette::Result<()> {
    for (id, choice) in space.choices().iter().enumerate() {
        let label = |x: &Architecture| x.option(id).map(|o| choice.labels[o].as_str());
        let line = match (label(a), label(b)) {
            (Some(a), Some(b)) if a != b => format!("{}: {a} -> {b}\n", choice.path),
            (Some(a), None) => format!("{}: {a} -> not met\n", choice.path),
            (None, Some(b)) => format!("{}: not met -> {b}\n", choice.path),
            _ => continue,
        };
        print(&line);
    }
    let (first, second) = (space.network(a)?, space.network(b)?);
    if first.hash() == second.hash() {
        print("the networks are the same\n");
    }
    let (x, y) = (first.costs(), second.costs());
    type Part = (&'static str, fn(&Costs) -> u64);
    const PARTS: [Part; 4] = [
        ("MACs", |c| c.macs),
        ("parameters", |c| c.params),
        ("weight bytes", |c| c.weight_bytes),
        ("peak activation bytes", |c| c.peak_activation_bytes),
    ];
    for (name, of) in PARTS {
        let (x, y) = (of(&x), of(&y));
        let change = 100.0 * (y as f64 - x as f64) / x.max(1) as f64;
        print(&format!("{name}: {x} -> {y} ({change:+.1} %)\n"));
    }
    Ok(())
}
