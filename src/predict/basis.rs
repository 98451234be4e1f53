//! Known devices as non-negative operator costs: a latency is the weighted sum
//! of a network's costs ([`Features::costs`](super::features::Features)). A
//! basis holds the devices measured on one table; the generic basis holds
//! idealised devices (compute-, bandwidth- and launch-bound) that know any
//! operator and so carry the predictor to spaces no table covers.

use serde::{Deserialize, Serialize};

use super::features::{Features, N_COSTS, cost_names};
use super::lens::dot;

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

/// The bases that may explain these networks, the generic one (the last of
/// `all`) last: those of tables that have such networks; where none has, the
/// known devices of all tables pooled.
pub(super) fn relevant(all: &[Basis], networks: &[&Features]) -> Vec<Basis> {
    let Some((generic, tables)) = all.split_last() else {
        return Vec::new();
    };
    let knows = |b: &&Basis| networks.iter().all(|f| b.covers(&f.costs));
    let mut found: Vec<Basis> = tables.iter().filter(knows).cloned().collect();
    if found.is_empty() {
        found.extend(pool(tables, generic));
    }
    found.push(generic.clone());
    found
}

/// All known devices as one basis that knows every operator: what a device's own
/// table lacks is taken from the devices of the other tables (from the idealised
/// ones where no table has it), scaled to agree on what both have. `None` where
/// no device is known.
pub(super) fn pool(tables: &[Basis], generic: &Basis) -> Option<Basis> {
    // What a typical network of each table costs; without a device, nothing.
    let tables: Vec<(&Basis, Vec<f64>)> = tables
        .iter()
        .filter(|b| !b.devices.is_empty())
        .filter_map(|b| {
            let (low, high) = b.range.as_ref()?;
            let typical = low.iter().zip(high).map(|(l, h)| 0.5 * (l + h));
            Some((b, typical.collect()))
        })
        .collect();
    let ideal = super::lens::mean_of(&generic.weights);
    let mut pooled = Basis {
        name: "pooled".into(),
        devices: Vec::new(),
        weights: Vec::new(),
        range: None,
    };
    for (basis, typical) in &tables {
        for (device, own) in basis.devices.iter().zip(&basis.weights) {
            let mut sums = vec![0.0; N_COSTS];
            let mut donors = vec![0.0; N_COSTS];
            for (other, its_typical) in &tables {
                for weights in other.weights.iter().filter(|_| other.name != basis.name) {
                    let usage: Vec<f64> = typical
                        .iter()
                        .zip(its_typical)
                        .map(|(a, b)| (a * b).sqrt())
                        .collect();
                    let ratio = dot(own, &usage) / dot(weights, &usage).max(1e-12);
                    for j in (0..N_COSTS).filter(|j| its_typical[*j] > 0.0) {
                        sums[j] += ratio * weights[j];
                        donors[j] += 1.0;
                    }
                }
            }
            let ratio = dot(own, typical) / dot(&ideal, typical).max(1e-12);
            let weights = (0..N_COSTS)
                .map(|j| match (typical[j] > 0.0, donors[j] > 0.0) {
                    (true, _) => own[j],
                    (false, true) => sums[j] / donors[j],
                    (false, false) => ratio * ideal[j],
                })
                .collect();
            pooled.devices.push(format!("{device} ({})", basis.name));
            pooled.weights.push(weights);
        }
    }
    (!pooled.devices.is_empty()).then_some(pooled)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::Predictor;
    use crate::predict::tests::small_networks;

    #[test]
    fn known_devices_are_pooled_for_networks_no_table_has() {
        let all = Predictor::shipped().bases();
        let network = Features::of(&small_networks(1, 0)[0]);
        let found = relevant(all, &[&network]);
        let [pooled, generic] = &found[..] else {
            panic!("{} bases", found.len());
        };
        assert_eq!(generic, all.last().unwrap());
        let known: usize = all
            .iter()
            .filter(|b| b.range.is_some())
            .map(|b| b.devices.len())
            .sum();
        assert_eq!(pooled.devices.len(), known);
        // NAS-Bench-201 has no depthwise convolution; its own costs are kept.
        let depthwise = cost_names()
            .iter()
            .position(|n| n == "depthwise.count")
            .unwrap();
        let own = &all
            .iter()
            .find(|b| b.name == "nasbench201")
            .unwrap()
            .weights[0];
        let filled = &pooled.weights[0];
        assert_eq!(own[depthwise], 0.0);
        assert!(pooled.weights.iter().map(|w| w[depthwise]).sum::<f64>() > 0.0);
        assert!(own.iter().zip(filled).all(|(a, b)| *a == 0.0 || a == b));
        // Where a table has such networks, it speaks.
        let cell = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|";
        let cell = crate::predict::tables::TableSpace::NasBench201
            .network(cell)
            .unwrap();
        let names: Vec<String> = relevant(all, &[&Features::of(&cell)])
            .into_iter()
            .map(|b| b.name)
            .collect();
        assert_eq!(names, ["nasbench201", "generic"]);
    }
}
