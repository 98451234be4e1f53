//! Known devices calibrated as if they were new: without their own family.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::Measured;
use crate::predict::basis::{self, Basis};
use crate::predict::features::Features;
use crate::predict::posterior::{self, Evidence, HyperPrior};
use crate::predict::protocol::family;
use crate::predict::resolution::Resolution;
use crate::predict::tables::TableSpace;

/// A device calibrated as if it were new.
pub(super) struct Episode<'a> {
    pub measured: &'a Measured,
    pub device: &'a str,
    /// The basis of its own table, without its family.
    pub home: Basis,
    /// The other tables' bases, without its family.
    pub away: Vec<Basis>,
}

pub(super) fn episodes<'a>(
    measured: &[&'a Measured],
    known: &[Basis],
    devices: impl Fn(TableSpace) -> &'static [&'static str],
) -> Vec<Episode<'a>> {
    let without = |space: TableSpace, device: &str| {
        known
            .iter()
            .find(|b| b.name == space.name())
            .expect("a basis of every table")
            .retain(|d| family(d) != family(device))
    };
    measured
        .iter()
        .map(|m| m.table.space)
        .zip(measured)
        .flat_map(|(space, m)| devices(space).iter().map(move |d| (space, *m, *d)))
        .map(|(space, m, device)| Episode {
            measured: m,
            device,
            home: without(space, device),
            away: measured
                .iter()
                .map(|other| other.table.space)
                .filter(|other| *other != space)
                .map(|other| without(other, device))
                .collect(),
        })
        .collect()
}

impl Episode<'_> {
    /// Rows drawn without replacement.
    pub fn draw(&self, n: usize, seed: u64) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        index::sample(&mut rng, self.measured.features.len(), n).into_vec()
    }

    /// Adds the posterior weights of the hypotheses, normalised over `bases`,
    /// given these reference rows.
    pub fn count(&self, bases: &[Basis], prior: &HyperPrior, rows: &[usize], counts: &mut [f64]) {
        let latency = self.measured.latencies(self.device);
        let features: Vec<&Features> = rows.iter().map(|i| &self.measured.features[*i]).collect();
        let log_latency: Vec<f64> = rows.iter().map(|i| latency[*i].ln()).collect();
        let rounding = Resolution::of(&log_latency).variances(&log_latency);
        let fit = posterior::fit(
            &basis::relevant(bases, &features),
            prior,
            &Evidence {
                features: &features,
                log_latency: &log_latency,
                noise_factor: &vec![1.0; rows.len()],
                rounding: &rounding,
            },
        );
        for row in &fit.cells {
            for (slot, weight) in counts.iter_mut().zip(row) {
                *slot += weight;
            }
        }
    }
}
