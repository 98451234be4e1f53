//! Operator-level features of any network, free of the space it came from.
//! Nodes are fused into the kernels an inference engine would launch, and the
//! kernels are summed into a fixed vector of non-negative costs (counts,
//! multiply-accumulates, bytes) by kind. Costs only add up: a network with one
//! kernel more has no smaller entry, which is what makes extrapolation sane.

use serde::{Deserialize, Serialize};

use super::checks::is_constant;
use super::kernels::Fusion;
pub use super::kernels::{Kernel, KernelKind, kernels};
use super::optimise::Executed;
use crate::network::{Network, NodeId, Op};

/// Names of the entries of [`Features::costs`]. Units: counts; millions of
/// multiply-accumulates; millions of bytes; square roots of those. A figure
/// after `macs` is log2 of the output pixels around which it counts: engines
/// reach different speeds on maps of different sizes.
pub fn cost_names() -> Vec<String> {
    let mut names = Vec::with_capacity(N_COSTS);
    for kind in ["dense", "pointwise", "depthwise", "grouped"] {
        names.push(format!("{kind}.count"));
        names.extend(KNOTS.iter().map(|k| format!("{kind}.macs@{k}")));
        for part in [
            "window_outputs",
            "unfolded_inputs",
            "weights",
            "input",
            "output",
            "sqrt_macs",
        ] {
            names.push(format!("{kind}.{part}"));
        }
    }
    names.extend(
        [
            "pool.count",
            "pool.bytes",
            "pool.window_outputs",
            "pool.sqrt_bytes",
            "elementwise.count",
            "elementwise.bytes",
            "elementwise.sqrt_bytes",
            "pointfunction.count",
            "pointfunction.bytes",
            "pointfunction.sqrt_bytes",
            "smooth_activation.bytes",
            "global_pool.count",
            "global_pool.bytes",
            "linear.count",
            "linear.weights",
            "concat.count",
            "concat.bytes",
            "zero.count",
            "zero.bytes",
            "path.count",
            "path.macs",
            "input.bytes",
            "network",
        ]
        .map(str::to_string),
    );
    names
}

/// Centres, in log2 of output pixels, of the hat functions that split
/// multiply-accumulates by map size.
const KNOTS: [f64; 6] = [4.0, 6.0, 8.0, 10.0, 12.0, 14.0];

/// Length of [`Features::costs`].
pub const N_COSTS: usize = NETWORK + 1;

/// Entries of one kind of convolution.
const CONV_STRIDE: usize = 1 + KNOTS.len() + 6;
const POOL: usize = 4 * CONV_STRIDE;
const ELEMENTWISE: usize = POOL + 4;
const POINTFUNCTION: usize = ELEMENTWISE + 3;
const SMOOTH: usize = POINTFUNCTION + 3;
const GLOBAL_POOL: usize = SMOOTH + 1;
const LINEAR: usize = GLOBAL_POOL + 2;
const CONCAT: usize = LINEAR + 2;
const ZERO: usize = CONCAT + 2;
const PATH: usize = ZERO + 2;
const INPUT: usize = PATH + 2;
/// Always 1: what one run costs whatever the network.
const NETWORK: usize = INPUT + 1;
const MEGA: f64 = 1e-6;

/// A network as the predictor sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Summed costs in the order of [`cost_names`], every node executed.
    pub costs: Vec<f64>,
    /// The same where an engine optimises the graph first; `None` where that
    /// changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimised: Option<Vec<f64>>,
}

/// Whether an engine runs a graph as written, or drops what cannot change its
/// output first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    Written,
    Optimised,
}

impl Features {
    /// Features of a network, as written and as a graph optimiser leaves it.
    pub fn of(network: &Network) -> Self {
        let costs = network_costs(network);
        let zeros = network
            .nodes()
            .iter()
            .any(|n| matches!(n.op, Op::Zero { .. }));
        let optimised = zeros.then(|| optimised_costs(network));
        Features { costs, optimised }
    }

    /// The costs on an engine that executes graphs this way.
    pub fn on(&self, execution: Execution) -> &[f64] {
        match (execution, &self.optimised) {
            (Execution::Optimised, Some(costs)) => costs,
            _ => &self.costs,
        }
    }

    /// Whether the output does not depend on the input, so that a graph optimiser
    /// leaves no kernel.
    pub fn is_constant(&self) -> bool {
        let left = self.optimised.as_ref();
        left.is_some_and(|costs| costs[..INPUT].iter().all(|c| *c == 0.0))
    }

    /// Multiply-accumulates, in millions.
    pub fn mega_macs(&self) -> f64 {
        self.kind_macs().iter().sum::<f64>() + self.costs[LINEAR + 1] / 4.0
    }

    /// Multiply-accumulates in millions of dense, pointwise, depthwise and
    /// grouped convolutions.
    pub fn kind_macs(&self) -> [f64; 4] {
        [0, 1, 2, 3].map(|kind| {
            let at = kind * CONV_STRIDE + 1;
            self.costs[at..at + KNOTS.len()].iter().sum()
        })
    }

    /// Bytes read and written by all kernels, weights included, in millions.
    pub fn mega_bytes(&self) -> f64 {
        let c = &self.costs;
        let conv: f64 = (0..4)
            .map(|kind| {
                let at = kind * CONV_STRIDE + 1 + KNOTS.len();
                c[at + 2] + c[at + 3] + c[at + 4]
            })
            .sum();
        conv + [
            POOL + 1,
            ELEMENTWISE + 1,
            POINTFUNCTION + 1,
            GLOBAL_POOL + 1,
        ]
        .iter()
        .chain(&[LINEAR + 1, CONCAT + 1])
        .map(|i| c[*i])
        .sum::<f64>()
    }

    /// Kernels launched.
    pub fn kernels(&self) -> f64 {
        let conv: f64 = (0..4).map(|kind| self.costs[kind * CONV_STRIDE]).sum();
        [
            POOL,
            ELEMENTWISE,
            POINTFUNCTION,
            GLOBAL_POOL,
            LINEAR,
            CONCAT,
        ]
        .iter()
        .map(|i| self.costs[*i])
        .sum::<f64>()
            + conv
    }
}

/// The costs that a graph optimiser leaves: of the kernels it executes.
fn optimised_costs(network: &Network) -> Vec<f64> {
    if is_constant(network) {
        // Not run at all.
        return costs_of(
            network,
            Some(&vec![false; network.nodes().len()]),
            |_, _| (),
        );
    }
    let executed = Executed::of(network);
    costs_of(network, Some(&executed.run), |index, kernel| {
        let node = &network.nodes()[index];
        if let Op::Add = node.op {
            // A sum reads the terms that are computed.
            let bytes = |i: NodeId| network.shape(i).bytes_f32() as f64;
            kernel.input_bytes = executed.terms(node).map(bytes).sum();
        }
    })
}

fn network_costs(network: &Network) -> Vec<f64> {
    costs_of(network, None, |_, _| ())
}

/// Summed costs of the kernels whose nodes are `run` (all without), each as
/// `amended`.
fn costs_of(
    network: &Network,
    run: Option<&Vec<bool>>,
    amended: impl Fn(usize, &mut Kernel),
) -> Vec<f64> {
    let mut costs = vec![0.0; N_COSTS];
    let fused = Fusion::of(network);
    // Longest chain of kernels, and of multiply-accumulates, up to a node.
    let mut path = vec![(0.0f64, 0.0f64); network.nodes().len()];
    for (index, node) in network.nodes().iter().enumerate() {
        if run.is_some_and(|run| !run[index]) {
            continue;
        }
        let mut longest = (0.0f64, 0.0f64);
        for input in &node.inputs {
            longest.0 = longest.0.max(path[input.0].0);
            longest.1 = longest.1.max(path[input.0].1);
        }
        if let Some(mut kernel) = fused.kernel(network, index) {
            amended(index, &mut kernel);
            // A sum of one term is no kernel.
            if !matches!(node.op, Op::Add) || kernel.input_bytes > kernel.output_bytes {
                add_kernel(&mut costs, &kernel);
                longest.0 += 1.0;
                longest.1 += kernel.macs * MEGA;
            }
        }
        path[index] = longest;
    }
    (costs[PATH], costs[PATH + 1]) = path[network.output().0];
    costs[INPUT] = network.input_shape().bytes_f32() as f64 * MEGA;
    costs[NETWORK] = 1.0;
    costs
}

fn add_kernel(costs: &mut [f64], k: &Kernel) {
    let bytes = (k.input_bytes + k.output_bytes) * MEGA;
    let mut add = |at: usize, values: &[f64]| {
        for (slot, value) in costs[at..].iter_mut().zip(values) {
            *slot += value;
        }
    };
    match k.kind {
        KernelKind::Dense | KernelKind::Pointwise | KernelKind::Depthwise | KernelKind::Grouped => {
            let class = match k.kind {
                KernelKind::Dense => 0,
                KernelKind::Pointwise => 1,
                KernelKind::Depthwise => 2,
                _ => 3,
            };
            let macs = k.macs * MEGA;
            let at = class * CONV_STRIDE;
            add(at, &[1.0]);
            let position = (k.out_pixels as f64)
                .log2()
                .clamp(KNOTS[0], KNOTS[KNOTS.len() - 1]);
            let spacing = KNOTS[1] - KNOTS[0];
            let low = (((position - KNOTS[0]) / spacing) as usize).min(KNOTS.len() - 2);
            let high_share = (position - KNOTS[low]) / spacing;
            add(
                at + 1 + low,
                &[macs * (1.0 - high_share), macs * high_share],
            );
            add(
                at + 1 + KNOTS.len(),
                &[
                    k.window_outputs * MEGA,
                    k.unfolded_inputs * MEGA,
                    k.weight_bytes * MEGA,
                    k.input_bytes * MEGA,
                    k.output_bytes * MEGA,
                    macs.sqrt(),
                ],
            );
        }
        KernelKind::Pool => add(POOL, &[1.0, bytes, k.window_outputs * MEGA, bytes.sqrt()]),
        KernelKind::Elementwise => add(ELEMENTWISE, &[1.0, bytes, bytes.sqrt()]),
        KernelKind::Pointfunction => add(POINTFUNCTION, &[1.0, bytes, bytes.sqrt()]),
        KernelKind::GlobalPool => add(GLOBAL_POOL, &[1.0, bytes]),
        KernelKind::Linear => add(LINEAR, &[1.0, k.weight_bytes * MEGA]),
        KernelKind::Concat => add(CONCAT, &[1.0, bytes]),
        KernelKind::Zero => add(ZERO, &[1.0, bytes]),
    }
    if k.smooth_activation {
        add(SMOOTH, &[k.output_bytes * MEGA]);
    }
}
