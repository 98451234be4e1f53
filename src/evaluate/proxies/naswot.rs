//! NASWOT (Mellor et al. 2021, arXiv 2006.04647v3): a network of ReLUs is linear
//! in the region of its input where the same units are on, so samples with
//! different codes of units on and off are told apart. The score is the logarithm
//! of the determinant of the kernel `units - Hamming distance` of the batch's
//! codes.
//!
//! The paper's networks have ReLUs alone. Here a unit of any activation is on
//! where its input is positive, which for ReLUs is the same.

use burn::module::Module;
use burn::tensor::Tensor;
use nalgebra::DMatrix;

use super::{Proxy, ProxyError, Task};
use crate::model::{Model, Watch};
use crate::network::{Activation, Network, NodeId, Op, Weights};

pub(super) const NASWOT: Proxy = Proxy {
    name: "naswot",
    about: "how differently samples switch activations on and off",
    paper: "Mellor et al. 2021, arXiv 2006.04647",
    score,
};

fn score(task: &Task) -> Result<f64, ProxyError> {
    let nodes = task.network.nodes();
    if !nodes.iter().any(|n| matches!(n.op, Op::Activation(_))) {
        let reason = "it counts activations, and there are none".to_string();
        return Err(ProxyError::Unsupported(reason));
    }
    let weights = Weights::random(task.network, task.seed);
    let model = Model::new(task.network, &weights, &task.device)?.no_grad();
    let mut codes = Codes {
        network: task.network,
        kernel: Kernel::new(task.batch.len()),
        finite: true,
    };
    model.forward_watched(task.samples(), &mut codes);
    match codes.finite {
        true => codes.kernel.log_determinant(),
        false => Err(ProxyError::NotFinite(f64::NAN)),
    }
}

/// Collects codes while a batch passes.
struct Codes<'a> {
    network: &'a Network,
    kernel: Kernel,
    finite: bool,
}

impl Watch for Codes<'_> {
    fn after(&mut self, node: NodeId, value: Tensor<4>) -> Tensor<4> {
        let Op::Activation(activation) = self.network.node(node).op else {
            return value;
        };
        // What the activation makes of zero.
        let threshold = match activation {
            Activation::Sigmoid | Activation::HardSigmoid => 0.5,
            _ => 0.0,
        };
        let values: Vec<f32> = value
            .clone()
            .detach()
            .into_data()
            .try_into_vec()
            .expect("activations are f32");
        self.finite &= values.iter().all(|x| x.is_finite());
        self.kernel.add(&values, threshold);
        value
    }
}

/// For each pair of samples, how many units are alike.
struct Kernel {
    samples: usize,
    alike: Vec<u64>,
    units: u64,
}

impl Kernel {
    fn new(samples: usize) -> Self {
        Kernel {
            samples,
            alike: vec![0; samples * samples],
            units: 0,
        }
    }

    /// Adds units, sample by sample.
    fn add(&mut self, values: &[f32], threshold: f32) {
        let units = values.len() / self.samples;
        let words = units.div_ceil(64);
        let bits: Vec<u64> = values
            .chunks_exact(units)
            .flat_map(|row| row.chunks(64))
            .map(|chunk| {
                let on = chunk.iter().enumerate();
                on.fold(0, |word, (i, x)| word | u64::from(*x > threshold) << i)
            })
            .collect();
        let code = |i: usize| &bits[i * words..(i + 1) * words];
        for i in 0..self.samples {
            for j in 0..=i {
                let pairs = code(i).iter().zip(code(j));
                let apart: u64 = pairs.map(|(a, b)| u64::from((a ^ b).count_ones())).sum();
                self.alike[i * self.samples + j] += units as u64 - apart;
            }
        }
        self.units += units as u64;
    }

    /// `ln |det K|`, by the pivots of elimination: the determinant itself would
    /// overflow.
    fn log_determinant(&self) -> Result<f64, ProxyError> {
        let n = self.samples;
        let matrix = DMatrix::from_fn(n, n, |i, j| self.alike[i.max(j) * n + i.min(j)] as f64);
        let upper = matrix.lu().u();
        let mut total = 0.0;
        for pivot in upper.diagonal().iter() {
            // Entries are whole numbers up to `units`; less is rounding of zero.
            if pivot.abs() <= 1e-10 * self.units as f64 {
                let reason =
                    "samples have equal codes, or there are fewer activations than samples";
                return Err(ProxyError::Degenerate(reason));
            }
            total += pivot.abs().ln();
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_units_alike() {
        // Codes 101 and 110: two of three units differ.
        let mut kernel = Kernel::new(2);
        kernel.add(&[1.0, -1.0, 2.0, 3.0, 0.5, -0.1], 0.0);
        assert_eq!((kernel.units, &kernel.alike[..]), (3, &[3, 0, 1, 3][..]));
        let found = kernel.log_determinant().unwrap();
        assert!((found - 8f64.ln()).abs() < 1e-12, "{found}");
        // 70 more units, all alike, pass the border of a word.
        kernel.add(&[1.0; 140], 0.0);
        assert_eq!(kernel.alike[2], 71);
        let expected = (73f64 * 73.0 - 71.0 * 71.0).ln();
        assert!((kernel.log_determinant().unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn equal_codes_are_refused() {
        let mut kernel = Kernel::new(3);
        kernel.add(&[1.0, -1.0, -1.0, 1.0, 1.0, -1.0], 0.0);
        let error = kernel.log_determinant().unwrap_err();
        assert!(matches!(error, ProxyError::Degenerate(_)), "{error}");
    }
}
