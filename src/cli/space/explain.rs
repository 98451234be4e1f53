//! `bespoke space explain`: the choices of a space, or what an architecture
//! decides and the network that follows, for people or as JSON.

use serde_json::{Value, json};

use crate::cli::print;
use crate::network::Network;
use crate::report::units::{bytes_text, count_text};
use crate::space::{Architecture, Space};

pub fn space(space: &Space, json: bool) {
    if json {
        print(&format!("{:#}\n", space_json(space)));
        return;
    }
    for choice in space.choices() {
        let options = choice.labels.join(" | ");
        print(&format!("{} = {options}\n", choice.path));
    }
}

fn space_json(space: &Space) -> Value {
    let choices: Vec<Value> = space
        .choices()
        .iter()
        .map(|choice| {
            json!({
                "path": choice.path,
                "kind": choice.kind,
                "options": choice.labels,
                // Several instances take one decision.
                "shared": choice.group.is_some(),
                "place": space.place(choice.span),
            })
        })
        .collect();
    let constraints: Vec<String> = space.constraints().iter().map(|c| c.to_string()).collect();
    let inputs: Vec<String> = space.inputs().iter().map(|s| s.to_string()).collect();
    json!({
        "space": space.name(),
        "hash": space.hash(),
        "architectures": space.count().to_string(),
        "inputs": inputs,
        "constraints": constraints,
        "choices": choices,
    })
}

pub fn architecture(space: &Space, architecture: &Architecture, json: bool) -> miette::Result<()> {
    let network = space.network(architecture)?;
    if json {
        let document = architecture_json(space, architecture, &network);
        print(&format!("{document:#}\n"));
        return Ok(());
    }
    for (choice, option) in architecture.decisions() {
        let choice = &space.choices()[*choice];
        let place = space.place(choice.span);
        let label = &choice.labels[*option];
        print(&format!(
            "{}={label}    # {}:{}: {}\n",
            choice.path, place.file, place.line, place.text
        ));
    }
    print("\n");
    let mut table = comfy_table::Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .force_no_tty();
    table.set_header(["node", "operator", "from", "shape", "MACs", "parameters"]);
    for (index, node) in network.nodes().iter().enumerate() {
        let from: Vec<String> = node.inputs.iter().map(|i| i.0.to_string()).collect();
        let (macs, params) = node_costs(&network, index);
        table.add_row([
            index.to_string(),
            node.op.to_string(),
            from.join(" "),
            node.shape.to_string(),
            macs.to_string(),
            params.to_string(),
        ]);
    }
    print(&format!("{}\n\n", table.trim_fmt()));
    print(&totals(&network));
    Ok(())
}

/// Multiply-accumulates and parameters.
fn node_costs(network: &Network, index: usize) -> (u64, u64) {
    let tally = network.tally(&network.nodes()[index]);
    (tally.macs, tally.params)
}

fn architecture_json(space: &Space, architecture: &Architecture, network: &Network) -> Value {
    let decisions: Vec<Value> = architecture
        .decisions()
        .iter()
        .map(|(choice, option)| {
            let choice = &space.choices()[*choice];
            json!({
                "path": choice.path,
                "option": choice.labels[*option],
                "place": space.place(choice.span),
            })
        })
        .collect();
    let nodes: Vec<Value> = network
        .nodes()
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let from: Vec<usize> = node.inputs.iter().map(|i| i.0).collect();
            let (macs, params) = node_costs(network, index);
            json!({
                "operator": node.op.to_string(),
                "from": from,
                "shape": node.shape.to_string(),
                "macs": macs,
                "params": params,
            })
        })
        .collect();
    json!({
        "genotype": space.genotype(architecture),
        "network_hash": network.hash(),
        "costs": network.costs(),
        "decisions": decisions,
        "nodes": nodes,
    })
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
