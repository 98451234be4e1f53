//! Whether this machine has the memory that a network takes, asked before its
//! tensors are made: an allocation that fails ends the process without a word.

use std::sync::OnceLock;

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::network::Network;

/// More than this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it takes about {} of memory, but this machine has {}; choose a smaller network, or bound \
     `memory` and `flash` with `require` in its space",
    gib(*needed),
    gib(*available)
)]
pub struct TooLarge {
    pub needed: u64,
    pub available: u64,
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

/// Whether the network can run on so many samples at a time.
///
/// # Errors
/// When it takes more than the machine's memory.
pub fn fits(network: &Network, samples: u64) -> Result<(), TooLarge> {
    compare(network.bytes_to_run(samples))
}

/// Whether the network can be trained with batches of so many samples.
///
/// # Errors
/// When it takes more than the machine's memory.
pub fn fits_training(network: &Network, samples: u64) -> Result<(), TooLarge> {
    compare(network.bytes_to_train(samples))
}

fn compare(needed: u64) -> Result<(), TooLarge> {
    static AVAILABLE: OnceLock<u64> = OnceLock::new();
    let available = *AVAILABLE.get_or_init(|| {
        let memory = MemoryRefreshKind::nothing().with_ram();
        let system = System::new_with_specifics(RefreshKind::nothing().with_memory(memory));
        system.total_memory()
    });
    // Where the system does not tell, nothing is refused.
    match available > 0 && needed > available {
        true => Err(TooLarge { needed, available }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NodeId, Op, Shape};

    #[test]
    fn a_network_beyond_any_machine_is_refused_before_it_is_made() {
        let linear = |out_features| {
            let mut net = Network::new(Shape::vector(1 << 16));
            let linear = Op::Linear {
                out_features,
                bias: false,
            };
            net.push(linear, &[NodeId(0)]).unwrap();
            net
        };
        let small = linear(8);
        assert_eq!(
            (fits(&small, 1), fits_training(&small, 8)),
            (Ok(()), Ok(()))
        );
        // 2^35 weights: 256 GiB with the engine's copy, 512 GiB in training.
        let large = linear(1 << 19);
        let needed = large.bytes_to_run(1);
        assert!(needed >= 1 << 38 && large.bytes_to_train(1) >= 1 << 39);
        let told = TooLarge {
            needed,
            available: 8 << 30,
        };
        insta::assert_snapshot!(told, @"it takes about 256.0 GiB of memory, but this machine has 8.0 GiB; choose a smaller network, or bound `memory` and `flash` with `require` in its space");
        if let Err(error) = fits_training(&large, 1) {
            assert!(error.available < error.needed);
        }
    }
}
