//! A network as a vector that a surrogate model can compare: how large it is,
//! how deep and how branched, and which operators lie on a way from its input
//! to its output, on average over all ways. Made from the simplified graph
//! alone, so any space has it, and architectures that compute the same are
//! described alike.
//!
//! Averages over ways tell more of accuracy than counts of operators or of
//! Weisfeiler-Lehman labels (as in NAS-BOWL, Ru et al. 2021), since a
//! convolution beside a skip connection is not a convolution after it; that
//! ways matter is what path encodings (White et al. 2021, arXiv 1910.11858)
//! rest on, and averages need no list of ways.

use crate::network::{Network, Node, Op, PoolKind};

/// Kinds of operators told apart; norms and activations are not among them.
const KINDS: usize = 15;
/// Costs and shape of the graph, before the operators.
const SCALARS: usize = 9;
/// Length of a description.
pub const DESCRIPTION: usize = SCALARS + KINDS;

/// Describes a network, best a simplified one ([`crate::space::Space::network`]
/// gives these). Costs are natural logarithms, since a tenth more matters about
/// as much in small networks as in large ones.
pub fn describe(network: &Network) -> Vec<f64> {
    let costs = network.costs();
    let ways = Ways::of(network);
    let ln = |value: f64| value.ln_1p();
    let mut out = Vec::with_capacity(DESCRIPTION);
    out.extend([
        ln(costs.macs as f64),
        ln(costs.params as f64),
        ln(costs.peak_activation_bytes as f64),
        ln(ways.longest as f64),
        ln(ways.shortest as f64),
        ways.ln_count,
        ln(ways.reach),
        ways.depth,
        ways.depth_variance.sqrt(),
    ]);
    out.extend(ways.operators);
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

/// The ways from the input to a node.
#[derive(Clone, Copy)]
struct Ways {
    /// Natural logarithm of their number.
    ln_count: f64,
    /// Operators of each kind on a way, averaged over all.
    operators: [f64; KINDS],
    /// Convolutions and linear layers on a way: average and variance over all,
    /// most and least.
    depth: f64,
    depth_variance: f64,
    longest: usize,
    shortest: usize,
    /// How far a position sees at most, in pixels or positions of the input.
    reach: f64,
    /// Pixels of the input from one position to the next.
    step: f64,
}

impl Ways {
    /// To the output of a network.
    fn of(network: &Network) -> Self {
        let mut to: Vec<Ways> = Vec::with_capacity(network.nodes().len());
        for node in network.nodes() {
            let inputs: Vec<Ways> = node.inputs.iter().map(|i| to[i.0]).collect();
            to.push(Ways::merged(&inputs).through(network, node));
        }
        to[network.output().0]
    }

    /// Where those to several nodes come together; of none, the one way that an
    /// input begins with.
    fn merged(all: &[Ways]) -> Self {
        let mut merged = Ways {
            ln_count: 0.0,
            operators: [0.0; KINDS],
            depth: 0.0,
            depth_variance: 0.0,
            longest: all.iter().map(|w| w.longest).max().unwrap_or(0),
            shortest: all.iter().map(|w| w.shortest).min().unwrap_or(0),
            reach: all.iter().map(|w| w.reach).fold(1.0, f64::max),
            step: all.iter().map(|w| w.step).fold(1.0, f64::max),
        };
        if all.is_empty() {
            return merged;
        }
        // Numbers of ways outgrow floating-point numbers: shares of the most.
        let most = all.iter().map(|w| w.ln_count).fold(0.0, f64::max);
        let total: f64 = all.iter().map(|w| (w.ln_count - most).exp()).sum();
        merged.ln_count = most + total.ln();
        let mut squares = 0.0;
        for ways in all {
            let share = (ways.ln_count - most).exp() / total;
            for (sum, operators) in merged.operators.iter_mut().zip(ways.operators) {
                *sum += share * operators;
            }
            merged.depth += share * ways.depth;
            squares += share * (ways.depth_variance + ways.depth.powi(2));
        }
        merged.depth_variance = (squares - merged.depth.powi(2)).max(0.0);
        merged
    }

    /// Led on through a node.
    fn through(mut self, network: &Network, node: &Node) -> Self {
        let Some(kind) = kind(network, node) else {
            return self;
        };
        let (window, stride) = match node.op {
            Op::Conv(conv) => (1 + conv.dilation * (conv.kernel - 1), conv.stride),
            Op::Conv1d(conv) => (1 + conv.dilation * (conv.kernel - 1), conv.stride),
            Op::Pool { kernel, stride, .. } => (kernel, stride),
            _ => (1, 1),
        };
        self.reach += self.step * (window.max(1) - 1) as f64;
        self.step *= stride.max(1) as f64;
        if matches!(node.op, Op::Conv(_) | Op::Conv1d(_) | Op::Linear { .. }) {
            self.longest += 1;
            self.shortest += 1;
            self.depth += 1.0;
        }
        self.operators[kind] += 1.0;
        self
    }
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
        // Two layers on one way, one on the other.
        assert!((d[7] - 1.5).abs() < 1e-12 && (d[8] - 0.5).abs() < 1e-12);
        // Convolutions of 3x3 on a way, on average.
        assert!((d[SCALARS + 1] - 1.5).abs() < 1e-12);
    }
}
