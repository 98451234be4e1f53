//! NAS-Bench-201's cell strings: the edges into nodes 1, 2 and 3, each with its
//! operator and the node it comes from.

use super::{CodecError, Decisions, Taken};
use crate::space::Space;

/// Official name and label in the space.
const OPERATORS: [(&str, &str); 5] = [
    ("none", "none"),
    ("skip_connect", "skip"),
    ("nor_conv_1x1", "conv1x1"),
    ("nor_conv_3x3", "conv3x3"),
    ("avg_pool_3x3", "avgpool3x3"),
];

/// The edges by target and source; the space numbers them in this order.
const EDGES: [(usize, usize); 6] = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)];

fn path(index: usize) -> String {
    match index {
        0 => "cell.edge.choice".into(),
        i => format!("cell.edge#{}.choice", i + 1),
    }
}

pub(super) fn encode(taken: Taken<'_>) -> Result<String, CodecError> {
    let mut nodes = vec![String::new(); 3];
    for (index, (target, source)) in EDGES.into_iter().enumerate() {
        let label = taken(&path(index))?.unwrap_or_default();
        let official = OPERATORS.iter().find(|(_, l)| *l == label);
        let official = official.map_or(label, |(name, _)| name);
        nodes[target - 1].push_str(&format!("{official}~{source}|"));
    }
    let nodes: Vec<String> = nodes.iter().map(|n| format!("|{n}")).collect();
    Ok(nodes.join("+"))
}

/// Whether a space is this cell, by its choices: six edges of these operators.
pub(super) fn describes(space: &Space) -> bool {
    let edge = |at: usize| {
        let labels = &space.choices()[at].labels;
        space.choices()[at].path == path(at)
            && labels.len() == OPERATORS.len()
            && OPERATORS
                .iter()
                .all(|(_, l)| labels.iter().any(|label| label == l))
    };
    space.choices().len() == EDGES.len() && (0..EDGES.len()).all(edge)
}

/// The cell as the authors compare cells: `Structure.to_unique_str(True)` of
/// their `cell_infers`. A zero, and what reads only the zero of node 1, is `#`;
/// an identity is what it reads; anything else wraps what it reads. A node is
/// the text of its summands, sorted and joined by `+`, and sums among them run
/// on without brackets: `a+(b+c)` may read like `(a+b)+c` or may not, as the
/// sorting falls. So the text is a notion of its own, between graphs compared
/// with nested sums and graphs compared with flat ones.
pub(super) fn unique_text(taken: Taken<'_>) -> Result<String, CodecError> {
    let mut nodes = vec!["0".to_string()];
    let mut summands: Vec<String> = Vec::new();
    for (index, (target, source)) in EDGES.into_iter().enumerate() {
        let from = &nodes[source];
        summands.push(match taken(&path(index))?.unwrap_or_default() {
            "none" => "#".into(),
            _ if from == "#" => "#".into(),
            "skip" => from.clone(),
            label => format!("({from})@{label}"),
        });
        if source + 1 == target {
            summands.sort_unstable();
            nodes.push(summands.join("+"));
            summands.clear();
        }
    }
    Ok(nodes.pop().unwrap_or_default())
}

pub(super) fn decode(text: &str) -> Decisions {
    let nodes: Vec<&str> = text.trim().split('+').collect();
    if nodes.len() != 3 {
        return Err(format!("it has {} nodes where 3 are needed", nodes.len()));
    }
    let mut decisions = Vec::new();
    for (node, part) in nodes.iter().enumerate() {
        let inner = part
            .strip_prefix('|')
            .and_then(|p| p.strip_suffix('|'))
            .ok_or_else(|| format!("`{part}` does not stand between bars"))?;
        let edges: Vec<&str> = inner.split('|').collect();
        if edges.len() != node + 1 {
            let wanted = node + 1;
            return Err(format!(
                "node {wanted} has {} edges, not {wanted}",
                edges.len()
            ));
        }
        for (source, edge) in edges.into_iter().enumerate() {
            let (operator, from) = edge
                .split_once('~')
                .ok_or_else(|| format!("edge `{edge}` lacks `~` and its source"))?;
            if from != source.to_string() {
                return Err(format!("edge `{edge}` should come from node {source}"));
            }
            let known = OPERATORS.iter().find(|(name, _)| *name == operator);
            let (_, label) =
                known.ok_or_else(|| format!("`{operator}` is not one of the five operators"))?;
            decisions.push((path(decisions.len()), label.to_string()));
        }
    }
    Ok(decisions)
}
