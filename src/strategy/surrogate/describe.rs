//! A network as a vector that a surrogate model can compare: how much of which
//! operators, how deep and how branched, and which operators follow which
//! (Weisfeiler-Lehman labels, as in NAS-BOWL, Ru et al. 2021). Made from the
//! simplified graph alone, so any space has it, and architectures that compute
//! the same are described alike.

use crate::network::{Network, Node, Op, PoolKind};

/// Kinds of operators told apart; norms and activations are not among them.
const KINDS: usize = 15;
/// Labels of each round are counted in so many buckets.
const BUCKETS: usize = 24;
/// Costs and shape of the graph, before the counts.
const SCALARS: usize = 7;
/// Length of a description.
pub const DESCRIPTION: usize = SCALARS + KINDS + 2 * BUCKETS;

/// Describes a network, best a simplified one ([`crate::space::Space::network`]
/// gives these). Counts and costs are natural logarithms, since a tenth more
/// matters about as much in small networks as in large ones.
pub fn describe(network: &Network) -> Vec<f64> {
    let costs = network.costs();
    let graph = Graph::of(network);
    let ln = |value: f64| value.ln_1p();
    let mut out = Vec::with_capacity(DESCRIPTION);
    out.extend([
        ln(costs.macs as f64),
        ln(costs.params as f64),
        ln(costs.peak_activation_bytes as f64),
        ln(graph.longest as f64),
        ln(graph.shortest as f64),
        graph.ln_paths,
        ln(graph.reach),
    ]);
    out.extend(graph.counts.iter().map(|c| ln(*c as f64)));
    out.extend(graph.first.iter().map(|c| ln(*c as f64)));
    out.extend(graph.second.iter().map(|c| ln(*c as f64)));
    out
}

/// The kind of an operator, or `None` for those that only dress another.
fn kind(network: &Network, node: &Node) -> Option<usize> {
    let channels = |node: &Node| {
        let first = node.inputs.first();
        first.map_or(0, |input| network.shape(*input).channels())
    };
    let convolution = |kernel: usize, groups: usize| match (kernel, groups) {
        (1, 1) => 0,
        (2..=3, 1) => 1,
        (_, 1) => 2,
        (0..=3, g) if g == channels(node) => 3,
        (_, g) if g == channels(node) => 4,
        _ => 5,
    };
    Some(match node.op {
        Op::Conv(conv) => convolution(conv.kernel, conv.groups),
        Op::Conv1d(conv) => convolution(conv.kernel, conv.groups),
        Op::Linear { .. } => 6,
        Op::Pool {
            kind: PoolKind::Avg,
            ..
        } => 7,
        Op::Pool { .. } => 8,
        Op::GlobalPool { .. } => 9,
        Op::Add => 10,
        Op::Mul => 11,
        Op::Concat => 12,
        Op::Attention(_) | Op::RelativeAttention(..) | Op::LinearAttention { .. } => 13,
        Op::StateSpace(_) => 14,
        _ => return None,
    })
}

/// What a walk over the nodes finds out.
struct Graph {
    counts: [usize; KINDS],
    first: [usize; BUCKETS],
    second: [usize; BUCKETS],
    /// Convolutions and linear layers on the longest and the shortest way from
    /// input to output.
    longest: usize,
    shortest: usize,
    /// Logarithm of the number of ways.
    ln_paths: f64,
    /// How far an output sees at most, in pixels or positions of the input.
    reach: f64,
}

/// What is known of a node's value.
#[derive(Clone, Copy)]
struct Value {
    kind: u64,
    label: u64,
    longest: usize,
    shortest: usize,
    ln_paths: f64,
    reach: f64,
    /// Pixels of the input from one position to the next.
    step: f64,
}

impl Graph {
    fn of(network: &Network) -> Self {
        let mut graph = Graph {
            counts: [0; KINDS],
            first: [0; BUCKETS],
            second: [0; BUCKETS],
            longest: 0,
            shortest: 0,
            ln_paths: 0.0,
            reach: 1.0,
        };
        let mut values: Vec<Value> = Vec::with_capacity(network.nodes().len());
        for node in network.nodes() {
            let inputs: Vec<Value> = node.inputs.iter().map(|i| values[i.0]).collect();
            let value = graph.value(network, node, &inputs);
            values.push(value);
        }
        let end = values[network.output().0];
        graph.longest = end.longest;
        graph.shortest = end.shortest;
        graph.ln_paths = end.ln_paths;
        graph.reach = end.reach;
        graph
    }

    fn value(&mut self, network: &Network, node: &Node, inputs: &[Value]) -> Value {
        let Some(first) = inputs.first() else {
            return Value {
                kind: KINDS as u64,
                label: KINDS as u64,
                longest: 0,
                shortest: 0,
                ln_paths: 0.0,
                reach: 1.0,
                step: 1.0,
            };
        };
        let most = inputs.iter().map(|v| v.ln_paths).fold(0.0, f64::max);
        let paths: f64 = inputs.iter().map(|v| (v.ln_paths - most).exp()).sum();
        let mut value = Value {
            kind: first.kind,
            label: first.label,
            longest: inputs.iter().map(|v| v.longest).max().unwrap_or(0),
            shortest: inputs.iter().map(|v| v.shortest).min().unwrap_or(0),
            ln_paths: most + paths.ln(),
            reach: inputs.iter().map(|v| v.reach).fold(0.0, f64::max),
            step: inputs.iter().map(|v| v.step).fold(0.0, f64::max),
        };
        let Some(kind) = kind(network, node) else {
            return value;
        };
        let (window, stride) = match node.op {
            Op::Conv(conv) => (1 + conv.dilation * (conv.kernel - 1), conv.stride),
            Op::Conv1d(conv) => (1 + conv.dilation * (conv.kernel - 1), conv.stride),
            Op::Pool { kernel, stride, .. } => (kernel, stride),
            _ => (1, 1),
        };
        value.reach += value.step * (window.max(1) - 1) as f64;
        value.step *= stride.max(1) as f64;
        if matches!(node.op, Op::Conv(_) | Op::Conv1d(_) | Op::Linear { .. }) {
            value.longest += 1;
            value.shortest += 1;
        }
        // Sorted, so that the order of summands does not matter.
        let gather = |of: &dyn Fn(&Value) -> u64| {
            let mut all: Vec<u64> = inputs.iter().map(of).collect();
            all.sort_unstable();
            all.into_iter()
                .fold(mix(kind as u64 + 1), |h, v| mix(h ^ v))
        };
        value.kind = kind as u64;
        value.label = gather(&|v| v.kind);
        let second = gather(&|v| v.label);
        self.counts[kind] += 1;
        self.first[(value.label % BUCKETS as u64) as usize] += 1;
        self.second[(second % BUCKETS as u64) as usize] += 1;
        value
    }
}

/// The finaliser of SplitMix64 (Steele et al. 2014), the same everywhere.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Space;

    fn described(text: &str) -> Vec<f64> {
        let text = format!("space t input image 3x8x8 network {{ {text} }}");
        let space = Space::parse("t", &text).unwrap();
        let only = space.enumerate().next().unwrap();
        describe(&space.network(&only).unwrap())
    }

    #[test]
    fn the_order_of_summands_does_not_matter_and_operators_do() {
        let branches = |a: &str, b: &str| {
            described(&format!(
                "a = input -> {a} b = input -> {b} sum = a + b conv3x3(4)"
            ))
        };
        let (conv, pool) = ("conv3x3(3)", "avgpool3x3");
        assert_eq!(branches(conv, pool), branches(pool, conv));
        assert_ne!(branches(conv, pool), branches("conv1x1(3)", pool));
        assert_eq!(branches(conv, pool).len(), DESCRIPTION);
    }

    #[test]
    fn paths_depth_and_reach_are_counted() {
        let d = described("a = input -> conv3x3(3) sum = a + input conv3x3(4, stride 2)");
        let count = |at: usize| (d[at].exp_m1() * 1e6).round() / 1e6;
        // Longest and shortest way, then ways, then reach: 3x3 over 3x3.
        assert_eq!((count(3), count(4)), (2.0, 1.0));
        assert!((d[5] - 2f64.ln()).abs() < 1e-12);
        assert_eq!(count(6), 5.0);
    }
}
