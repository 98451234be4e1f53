//! `bespoke space diff`: two architectures side by side.

use serde_json::{Value, json};

use crate::cli::print;
use crate::network::{Costs, Network};
use crate::space::{Architecture, Space};

/// A choice that the two decide otherwise; none where one does not meet it.
type Difference<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

fn differences<'a>(
    space: &'a Space,
    a: &Architecture,
    b: &Architecture,
) -> impl Iterator<Item = Difference<'a>> {
    let choices = space.choices().iter().enumerate();
    choices.filter_map(move |(id, choice)| {
        let label = |x: &Architecture| x.option(id).map(|o| choice.labels[o].as_str());
        let (a, b) = (label(a), label(b));
        (a != b).then_some((choice.path.as_str(), a, b))
    })
}

pub fn difference(
    space: &Space,
    a: &Architecture,
    b: &Architecture,
    json: bool,
) -> miette::Result<()> {
    let (first, second) = (space.network(a)?, space.network(b)?);
    if json {
        let side = |x: &Architecture, network: &Network| {
            json!({
                "genotype": space.genotype(x),
                "network_hash": network.hash(),
                "costs": network.costs(),
            })
        };
        let decisions: Vec<Value> = differences(space, a, b)
            .map(|(path, a, b)| json!({ "path": path, "a": a, "b": b }))
            .collect();
        let document = json!({
            "a": side(a, &first),
            "b": side(b, &second),
            "decisions": decisions,
            "same_network": first.hash() == second.hash(),
        });
        print(&format!("{document:#}\n"));
        return Ok(());
    }
    for (path, a, b) in differences(space, a, b) {
        let (a, b) = (a.unwrap_or("not met"), b.unwrap_or("not met"));
        print(&format!("{path}: {a} -> {b}\n"));
    }
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
