//! Once-for-all's rows: kernels and expansions of all twenty blocks a network
//! could have, the depth of each stage, and the resolution. A stage of depth d
//! uses the first d of its four kernels and expansions.

use serde::{Deserialize, Serialize};

use super::{CodecError, Decisions, Taken};

const STAGES: usize = 5;
const DEEPEST: usize = 4;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    ks: Vec<usize>,
    e: Vec<usize>,
    d: Vec<usize>,
    r: usize,
}

fn block(stage: usize, block: usize, what: &str) -> String {
    format!("s{}[{block}].mb.{what}", stage + 1)
}

/// Blocks that a network does not use are written with kernel and expansion 3.
pub(super) fn encode(taken: Taken<'_>) -> Result<String, CodecError> {
    let number = |path: &str| -> Result<Option<usize>, CodecError> {
        Ok(taken(path)?.and_then(|label| label.parse().ok()))
    };
    let mut row = Row {
        ks: Vec::new(),
        e: Vec::new(),
        d: Vec::new(),
        r: number("resolution")?.unwrap_or_default(),
    };
    for stage in 0..STAGES {
        let depth = number(&format!("s{}.depth", stage + 1))?;
        row.d.push(depth.unwrap_or_default());
        for at in 0..DEEPEST {
            row.ks
                .push(number(&block(stage, at, "kernel"))?.unwrap_or(3));
            row.e
                .push(number(&block(stage, at, "expand"))?.unwrap_or(3));
        }
    }
    Ok(serde_json::to_string(&row).expect("numbers alone"))
}

pub(super) fn decode(text: &str) -> Decisions {
    let row: Row = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let blocks = STAGES * DEEPEST;
    if row.ks.len() != blocks || row.e.len() != blocks || row.d.len() != STAGES {
        return Err(format!(
            "it needs {blocks} kernels, {blocks} expansions and {STAGES} depths"
        ));
    }
    let mut decisions = vec![("resolution".to_string(), row.r.to_string())];
    for (stage, depth) in row.d.iter().enumerate() {
        if !(2..=DEEPEST).contains(depth) {
            return Err(format!("a depth of {depth} is not one of 2 to {DEEPEST}"));
        }
        decisions.push((format!("s{}.depth", stage + 1), depth.to_string()));
        for at in 0..*depth {
            let index = stage * DEEPEST + at;
            for (what, list) in [("kernel", &row.ks), ("expand", &row.e)] {
                decisions.push((block(stage, at, what), list[index].to_string()));
            }
        }
    }
    Ok(decisions)
}
