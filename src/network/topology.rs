//! Counts networks that differ by isomorphism. Structurally equal values get
//! equal numbers (hash-consing), so that two networks are alike where their
//! outputs' numbers are; the order of summands does not matter.

use std::collections::{BTreeSet, HashMap};

use super::{Network, Op, Precision, Shape};

type Key = (Op, Shape, Precision, Vec<u32>);

/// A set of networks up to isomorphism.
#[derive(Debug, Default)]
pub struct Topologies {
    numbers: HashMap<Key, u32>,
    outputs: BTreeSet<u32>,
}

impl Topologies {
    /// Adds a network; whether it was new.
    ///
    /// An operator of zeros alone counts as zeros, whatever it is; a sum with
    /// zeros among its summands stays such a sum.
    pub fn add(&mut self, network: &Network) -> bool {
        let mut values: Vec<u32> = Vec::with_capacity(network.nodes().len());
        let mut zero: Vec<bool> = Vec::with_capacity(network.nodes().len());
        for node in network.nodes() {
            let zeros = matches!(node.op, Op::Zero { .. })
                || matches!(node.inputs.as_slice(), [only] if zero[only.0]);
            let key = match zeros {
                true => (
                    Op::Zero { stride: 1 },
                    node.shape,
                    node.precision,
                    Vec::new(),
                ),
                false => {
                    let mut inputs: Vec<u32> = node.inputs.iter().map(|i| values[i.0]).collect();
                    if node.op == Op::Add {
                        inputs.sort_unstable();
                    }
                    (node.op, node.shape, node.precision, inputs)
                }
            };
            let next = self.numbers.len() as u32;
            values.push(*self.numbers.entry(key).or_insert(next));
            zero.push(zeros);
        }
        self.outputs.insert(values[network.output().0])
    }

    pub fn count(&self) -> usize {
        self.outputs.len()
    }
}
