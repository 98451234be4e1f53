//! FBNet's rows of 22 numbers: the block of each layer, as an index into the
//! nine blocks of the paper's table 2 in their order.

use super::{CodecError, Decisions, Taken};

const BLOCKS: [&str; 9] = [
    "k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip",
];
/// Layers of each stage.
const STAGES: [usize; 7] = [1, 4, 4, 4, 4, 4, 1];

fn paths() -> impl Iterator<Item = String> {
    STAGES.into_iter().enumerate().flat_map(|(stage, layers)| {
        (0..layers).map(move |layer| match layers {
            1 => format!("s{}.layer.op", stage + 1),
            _ => format!("s{}[{layer}].layer.op", stage + 1),
        })
    })
}

pub(super) fn encode(taken: Taken<'_>) -> Result<String, CodecError> {
    let mut numbers = Vec::new();
    for path in paths() {
        let label = taken(&path)?.unwrap_or_default();
        let index = BLOCKS.iter().position(|b| *b == label);
        numbers.push(index.unwrap_or_default().to_string());
    }
    Ok(numbers.join(" "))
}

pub(super) fn decode(text: &str) -> Decisions {
    let numbers: Vec<&str> = text.split_whitespace().collect();
    if numbers.len() != 22 {
        return Err(format!(
            "it has {} numbers where 22 are needed",
            numbers.len()
        ));
    }
    let block = |number: &&str| {
        let index = number.parse::<usize>().ok();
        index
            .and_then(|i| BLOCKS.get(i))
            .map(|b| b.to_string())
            .ok_or_else(|| format!("`{number}` is not a number from 0 to 8"))
    };
    let blocks: Vec<String> = numbers.iter().map(block).collect::<Result<_, _>>()?;
    Ok(paths().zip(blocks).collect())
}
