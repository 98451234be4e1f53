//! Networks as the graph baselines see them. Two rounds of message passing can
//! tell two nodes apart only if their neighbourhoods of that depth differ
//! (Weisfeiler and Leman; Xu et al. 2019), so nodes are merged by neighbourhood
//! over the whole table: exactly the same function, at a hundredth of the cost.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxHasher;

use super::tape::{Matrix, Mix};
use crate::network::{Network, Node, Op};

/// Entries of a node's own description.
pub const N_NODE: usize = N_KINDS + 6;
const N_KINDS: usize = 13;

/// A node's neighbourhood one round deeper: its own class, and those of the
/// nodes it reads and of its readers, in order.
type Neighbourhood = (u64, Vec<u64>, Vec<u64>);

/// The distinct nodes and neighbourhoods of one network.
pub struct Motifs {
    nodes: BTreeMap<u64, [f32; N_NODE]>,
    rounds: [BTreeMap<u64, Neighbourhood>; 2],
    counts: BTreeMap<u64, f32>,
}

fn kind(op: &Op) -> usize {
    match op {
        Op::Input => 0,
        Op::Conv(c) if c.groups == 1 => 1,
        Op::Conv(_) => 2,
        Op::Linear { .. } => 3,
        Op::BatchNorm => 4,
        Op::Activation(_) => 5,
        Op::Pool { .. } => 6,
        Op::GlobalPool { .. } => 7,
        Op::Add => 8,
        Op::Mul => 9,
        Op::Concat => 10,
        Op::Zero { .. } => 11,
        _ => 12,
    }
}

fn describe(network: &Network, node: &Node) -> [f32; N_NODE] {
    let mut out = [0.0; N_NODE];
    out[kind(&node.op)] = 1.0;
    let (window, stride) = match node.op {
        Op::Conv(c) => (c.kernel, c.stride),
        Op::Pool { kernel, stride, .. } => (kernel, stride),
        _ => (1, 1),
    };
    let tally = network.tally(node);
    let log = |v: f64| ((1.0 + v).log2() / 10.0) as f32;
    out[N_KINDS..].copy_from_slice(&[
        log(tally.macs as f64),
        log(node.shape.elements() as f64),
        log(node.shape.channels() as f64),
        log(tally.params as f64),
        window as f32 / 3.0,
        stride as f32 / 2.0,
    ]);
    out
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Motifs {
    pub fn of(network: &Network) -> Self {
        let nodes = network.nodes();
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            node.inputs.iter().for_each(|i| readers[i.0].push(index));
        }
        let mut motifs = Motifs {
            nodes: BTreeMap::new(),
            rounds: [BTreeMap::new(), BTreeMap::new()],
            counts: BTreeMap::new(),
        };
        let mut classes: Vec<u64> = nodes
            .iter()
            .map(|node| {
                let description = describe(network, node);
                let class = hash(description.map(f32::to_bits));
                motifs.nodes.insert(class, description);
                class
            })
            .collect();
        for round in &mut motifs.rounds {
            classes = (0..nodes.len())
                .map(|i| {
                    let mut before: Vec<u64> =
                        nodes[i].inputs.iter().map(|j| classes[j.0]).collect();
                    let mut after: Vec<u64> = readers[i].iter().map(|j| classes[*j]).collect();
                    before.sort_unstable();
                    after.sort_unstable();
                    let neighbourhood = (classes[i], before, after);
                    let class = hash(&neighbourhood);
                    round.entry(class).or_insert(neighbourhood);
                    class
                })
                .collect();
        }
        for class in classes {
            *motifs.counts.entry(class).or_insert(0.0) += 1.0;
        }
        motifs
    }
}

/// One round: each class's own previous class, and the means over those it
/// reads and its readers.
#[derive(Clone)]
pub struct Round {
    pub own: Arc<Mix>,
    pub before: Arc<Mix>,
    pub after: Arc<Mix>,
}

/// All networks of a table over shared classes of nodes.
#[derive(Clone)]
pub struct Graphs {
    /// One column a distinct node.
    pub nodes: Matrix,
    pub rounds: [Round; 2],
    /// How often each network holds each class of the last round.
    pub networks: Arc<Mix>,
}

impl Graphs {
    pub fn new(networks: Vec<Motifs>) -> Self {
        let mut nodes = BTreeMap::new();
        let mut rounds = [BTreeMap::new(), BTreeMap::new()];
        let mut counts = Vec::with_capacity(networks.len());
        for motifs in networks {
            nodes.extend(motifs.nodes);
            for (all, own) in rounds.iter_mut().zip(motifs.rounds) {
                all.extend(own);
            }
            counts.push(motifs.counts);
        }
        let number = |keys: Vec<u64>| -> rustc_hash::FxHashMap<u64, u32> {
            keys.into_iter().zip(0..).collect()
        };
        let mut previous = number(nodes.keys().copied().collect());
        let rounds = rounds.map(|round| {
            let mean = |pick: &dyn Fn(&Neighbourhood) -> &[u64]| {
                Arc::new(Mix::new(round.values().map(|n| {
                    let all = pick(n);
                    let weight = 1.0 / all.len().max(1) as f32;
                    all.iter()
                        .map(|c| (previous[c], weight))
                        .collect::<Vec<_>>()
                })))
            };
            let mixes = Round {
                own: mean(&|n| std::slice::from_ref(&n.0)),
                before: mean(&|n| &n.1),
                after: mean(&|n| &n.2),
            };
            previous = number(round.keys().copied().collect());
            mixes
        });
        let readout = counts.iter().map(|c| {
            c.iter()
                .map(|(k, count)| (previous[k], *count))
                .collect::<Vec<_>>()
        });
        Graphs {
            nodes: Matrix::from_iterator(N_NODE, nodes.len(), nodes.values().flatten().copied()),
            rounds,
            networks: Arc::new(Mix::new(readout)),
        }
    }

    /// Only these networks, and the classes they need.
    pub fn pick(&self, rows: &[usize]) -> Graphs {
        let (networks, used) = restrict(&[&self.networks], rows);
        let [first, second] = &self.rounds;
        let (second, used) = restrict(&[&second.own, &second.before, &second.after], &used);
        let (first, used) = restrict(&[&first.own, &first.before, &first.after], &used);
        let round = |mixes: Vec<Arc<Mix>>| Round {
            own: mixes[0].clone(),
            before: mixes[1].clone(),
            after: mixes[2].clone(),
        };
        Graphs {
            nodes: self.nodes.select_columns(&used),
            rounds: [round(first), round(second)],
            networks: networks[0].clone(),
        }
    }
}

/// These columns of the mixes, over only the inputs they use; and those inputs.
fn restrict(mixes: &[&Arc<Mix>], columns: &[usize]) -> (Vec<Arc<Mix>>, Vec<usize>) {
    let mut used: Vec<usize> = mixes
        .iter()
        .flat_map(|m| columns.iter().flat_map(|c| m.column(*c)))
        .map(|(i, _)| *i as usize)
        .collect();
    used.sort_unstable();
    used.dedup();
    let place: rustc_hash::FxHashMap<u32, u32> = used.iter().map(|i| *i as u32).zip(0..).collect();
    let restricted = mixes
        .iter()
        .map(|m| {
            Arc::new(Mix::new(
                columns
                    .iter()
                    .map(|c| m.column(*c).iter().map(|(i, w)| (place[i], *w))),
            ))
        })
        .collect();
    (restricted, used)
}
