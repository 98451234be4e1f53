//! The posterior mean of many networks at once. All lenses' weights are rows of
//! one matrix that is multiplied with the networks' costs in single precision;
//! what remains are logarithms and divisions along the batch, which vectorise.
//! Costs that no network of the batch has are left out.

use nalgebra::DMatrix;

use super::Posterior;
use crate::predict::features::{Execution, Features, N_COSTS};
use crate::predict::lens::LogTerm;

/// Networks multiplied at a time: their products stay in the cache.
const CHUNK: usize = 128;

/// How one row of products enters the mean.
enum Role {
    /// Add the row's logarithm, weighted.
    Logarithm(f32),
    /// Add the row over the next one.
    Ratio,
    /// The next row's denominator, with the weight of its own logarithm.
    Total(f32),
}

/// The lenses of one execution as rows of a matrix.
struct Rows {
    roles: Vec<Role>,
    /// `[cost][row]`.
    weights: DMatrix<f32>,
    used: Vec<usize>,
    execution: Execution,
}

impl Posterior {
    /// Posterior means of the log-latencies, in the networks' order; equal to
    /// [`log_mean`](Self::log_mean) but for single precision.
    pub fn log_means(&self, networks: &[&Features]) -> Vec<f64> {
        let constant: f64 = self.lenses.iter().map(|l| l.intercept).sum();
        let rows: Vec<Rows> = [Execution::Written, Execution::Optimised]
            .into_iter()
            .filter_map(|execution| self.rows(execution, networks))
            .collect();
        let mut out = Vec::with_capacity(networks.len());
        let mut sums = [0.0f32; CHUNK];
        for chunk in networks.chunks(CHUNK) {
            let sums = &mut sums[..chunk.len()];
            sums.fill(0.0);
            rows.iter().for_each(|r| r.add(chunk, sums));
            out.extend(sums.iter().map(|s| f64::from(*s) + constant));
        }
        out
    }

    fn rows(&self, execution: Execution, networks: &[&Features]) -> Option<Rows> {
        let mut has = [false; N_COSTS];
        for network in networks {
            for (slot, cost) in has.iter_mut().zip(network.on(execution)) {
                *slot |= *cost != 0.0;
            }
        }
        let used: Vec<usize> = (0..N_COSTS).filter(|j| has[*j]).collect();
        let mut roles = Vec::new();
        let mut columns: Vec<Vec<f64>> = Vec::new();
        for fitted in self.lenses.iter().filter(|l| l.execution == execution) {
            for term in fitted.lens.terms(fitted.weight, &fitted.coefficients) {
                match term {
                    LogTerm::Ratio { above, below, log } => {
                        roles.extend([Role::Ratio, Role::Total(log as f32)]);
                        columns.extend([above, below]);
                    }
                    LogTerm::Logarithm { of, weight } => {
                        roles.push(Role::Logarithm(weight as f32));
                        columns.push(of);
                    }
                }
            }
        }
        (!roles.is_empty()).then(|| Rows {
            weights: DMatrix::from_fn(used.len(), roles.len(), |j, r| columns[r][used[j]] as f32),
            roles,
            used,
            execution,
        })
    }
}

impl Rows {
    fn add(&self, networks: &[&Features], sums: &mut [f32]) {
        let mut costs = DMatrix::<f32>::zeros(networks.len(), self.used.len());
        for (b, network) in networks.iter().enumerate() {
            let own = network.on(self.execution);
            for (k, j) in self.used.iter().enumerate() {
                costs[(b, k)] = own[*j] as f32;
            }
        }
        let products = costs * &self.weights;
        let row = |r: usize| &products.as_slice()[r * networks.len()..(r + 1) * networks.len()];
        for (r, role) in self.roles.iter().enumerate() {
            let values = sums.iter_mut().zip(row(r));
            match role {
                Role::Logarithm(weight) => values.for_each(|(s, v)| *s += weight * log(*v)),
                Role::Total(weight) => values.for_each(|(s, v)| *s += weight * log(*v)),
                Role::Ratio => {
                    let totals = row(r + 1).iter();
                    values.zip(totals).for_each(|((s, v), t)| *s += v / t);
                }
            }
        }
    }
}

/// Natural logarithm of a positive normal number to single precision, without
/// branches so that loops over it vectorise: 2^e · m with m in [√½, √2), and
/// log m = 2 artanh((m - 1) / (m + 1)) as a series.
fn log(value: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let value = value.max(f32::MIN_POSITIVE);
    let bits = value.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = (bits as i32) >> 23;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF_BITS);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let series = 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (0.2 + z * (1.0 / 7.0 + z / 9.0))));
    exponent as f32 * std::f32::consts::LN_2 + series
}

#[cfg(test)]
mod tests {
    use super::log;

    #[test]
    fn the_logarithm_is_right_to_single_precision() {
        let mut value = 1e-30f32;
        while value < 1e30 {
            let exact = f64::from(value).ln();
            let error = (f64::from(log(value)) - exact).abs();
            assert!(error < 3e-7 * exact.abs().max(1.0), "{value}: {error}");
            value *= 1.000_73;
        }
    }
}
