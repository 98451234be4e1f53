//! Known devices as non-negative operator costs: a latency is the weighted sum
//! of a network's costs ([`Features::costs`](super::features::Features)). A
//! basis holds the devices measured on one table; the generic basis holds
//! idealised devices (compute-, bandwidth- and launch-bound) that know any
//! operator and so carry the predictor to spaces no table covers.

use serde::{Deserialize, Serialize};

use super::features::{N_COSTS, cost_names};

/// Number of cost groups a new device may scale as a whole.
pub const N_GROUPS: usize = 7;

/// Names of the groups of [`group_of_costs`].
pub const GROUP_NAMES: [&str; N_GROUPS] = [
    "overhead",
    "launch",
    "dense",
    "pointwise",
    "depthwise",
    "grouped",
    "memory",
];

/// The group of each cost: the run's overhead, kernel launches, the work of
/// each kind of convolution, and the bytes of everything else.
pub fn group_of_costs() -> [usize; N_COSTS] {
    let mut groups = [6; N_COSTS];
    for (group, name) in groups.iter_mut().zip(cost_names()) {
        let (kind, part) = name.split_once('.').unwrap_or((&name, ""));
        *group = match (kind, part) {
            ("network", _) => 0,
            (_, "count") => 1,
            ("dense", _) => 2,
            ("pointwise", _) => 3,
            ("depthwise", _) => 4,
            ("grouped", _) => 5,
            _ => 6,
        };
    }
    groups
}

/// Devices as rows of cost weights, in milliseconds a unit of cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Basis {
    pub name: String,
    pub devices: Vec<String>,
    /// `[device][cost]`, all non-negative.
    pub weights: Vec<Vec<f64>>,
    /// Smallest and largest value of each cost over the networks the devices
    /// were measured on; `None` for the generic basis.
    pub range: Option<(Vec<f64>, Vec<f64>)>,
}

/// Milliseconds of an idealised device.
struct Ideal {
    name: &'static str,
    overhead: f64,
    launch: f64,
    /// A million multiply-accumulates of dense, pointwise, depthwise, grouped.
    mega_macs: [f64; 4],
    /// A million bytes of activations, and of weights.
    mega_bytes: f64,
    mega_weight_bytes: f64,
}

const IDEALS: [Ideal; 4] = [
    Ideal {
        name: "general processor",
        overhead: 0.05,
        launch: 0.01,
        mega_macs: [0.02, 0.02, 0.1, 0.04],
        mega_bytes: 0.1,
        mega_weight_bytes: 0.1,
    },
    Ideal {
        name: "compute-bound",
        overhead: 0.02,
        launch: 0.001,
        mega_macs: [0.02, 0.02, 0.02, 0.02],
        mega_bytes: 0.01,
        mega_weight_bytes: 0.02,
    },
    Ideal {
        name: "bandwidth-bound",
        overhead: 0.02,
        launch: 0.001,
        mega_macs: [0.002, 0.002, 0.004, 0.003],
        mega_bytes: 0.2,
        mega_weight_bytes: 0.2,
    },
    Ideal {
        name: "launch-bound",
        overhead: 0.1,
        launch: 0.05,
        mega_macs: [0.001, 0.001, 0.002, 0.001],
        mega_bytes: 0.01,
        mega_weight_bytes: 0.01,
    },
];

impl Basis {
    /// The idealised devices.
    pub fn generic() -> Self {
        let names = cost_names();
        let weights = IDEALS
            .iter()
            .map(|ideal| names.iter().map(|name| ideal.weight(name)).collect())
            .collect();
        Basis {
            name: "generic".into(),
            devices: IDEALS.iter().map(|i| i.name.to_string()).collect(),
            weights,
            range: None,
        }
    }

    /// The same basis with only these of its devices.
    pub fn retain(&self, kept: impl Fn(&str) -> bool) -> Self {
        let (devices, weights) = self
            .devices
            .iter()
            .zip(&self.weights)
            .filter(|(device, _)| kept(device))
            .map(|(device, weights)| (device.clone(), weights.clone()))
            .unzip();
        Basis {
            name: self.name.clone(),
            devices,
            weights,
            range: self.range.clone(),
        }
    }

    /// Whether a network's costs lie where the basis was measured, give or
    /// take a tenth.
    pub fn covers(&self, costs: &[f64]) -> bool {
        self.range.as_ref().is_some_and(|(low, high)| {
            costs
                .iter()
                .zip(low.iter().zip(high))
                .all(|(c, (l, h))| *c >= 0.9 * l && *c <= 1.1 * h + 1e-9)
        })
    }
}

impl Ideal {
    fn weight(&self, name: &str) -> f64 {
        let (kind, part) = name.split_once('.').unwrap_or((name, ""));
        // These repeat what the kernels' own costs already count.
        if matches!(kind, "path" | "zero" | "input") {
            return 0.0;
        }
        let conv = ["dense", "pointwise", "depthwise", "grouped"]
            .iter()
            .position(|k| *k == kind);
        match (part, conv) {
            _ if kind == "network" => self.overhead,
            ("count", _) => self.launch,
            ("weights", _) => self.mega_weight_bytes,
            ("input" | "output" | "bytes", _) => self.mega_bytes,
            (part, Some(kind)) if part.starts_with("macs") => self.mega_macs[kind],
            _ => 0.0,
        }
    }
}
