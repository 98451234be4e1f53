//! Meta-training: known devices become bases of non-negative operator costs,
//! and by holding out one family of training devices at a time, calibrating
//! it like a new device and averaging the evidence, the prior over hypotheses
//! is learned (expectation maximisation of the marginal likelihood). Interval
//! widths are set on these and the validation devices. Deterministic by seed.

use std::path::Path;

use nalgebra::{DMatrix, DVector};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::basis::Basis;
use super::calibrate::Resolution;
use super::features::{Execution, Features, N_COSTS};
use super::nnls::nnls;
use super::posterior::{self, Evidence, HyperPrior, N_HYPOTHESES};
use super::protocol::{family, split};
use super::tables::{LatencyTable, TableError, TableSpace};
use super::{IntervalPrior, Options, Predictor};
use crate::space::codec::CodecError;

/// What meta-training needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    pub seed: u64,
    /// Spaces whose tables are used.
    pub spaces: Vec<TableSpace>,
    /// Reference sets drawn for each training device.
    pub draws: usize,
    /// Measurements in each.
    pub references: usize,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            seed: 0,
            spaces: TableSpace::ALL.to_vec(),
            draws: 12,
            references: 10,
        }
    }
}

/// Why meta-training stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("{path}, architecture {index}: {source}")]
    Architecture {
        path: String,
        index: usize,
        source: CodecError,
    },
    #[error("the {space} table lacks device `{device}`, which the protocol names")]
    Device { space: &'static str, device: String },
}

/// A table with the features of its networks.
pub struct Measured {
    pub table: LatencyTable,
    pub features: Vec<Features>,
}

impl Measured {
    /// Reads a space's table and computes its features on all cores.
    ///
    /// # Errors
    /// When the table cannot be read, lacks a device of the protocol, or holds
    /// a malformed architecture.
    pub fn read(dir: &Path, space: TableSpace) -> Result<Self, TrainError> {
        let table = LatencyTable::read(dir, space)?;
        let s = split(space);
        for device in s.train.iter().chain(s.validate).chain(s.test) {
            if table.device(device).is_none() {
                return Err(TrainError::Device {
                    space: space.name(),
                    device: device.to_string(),
                });
            }
        }
        let features = table
            .architectures
            .par_iter()
            .enumerate()
            .map(|(index, text)| {
                space
                    .network(text)
                    .map(|n| Features::of(&n))
                    .map_err(|source| TrainError::Architecture {
                        path: space.name().into(),
                        index,
                        source,
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Measured { table, features })
    }

    /// A device's latencies in milliseconds, one an architecture.
    ///
    /// # Panics
    /// When the table has no such device.
    pub fn latencies(&self, device: &str) -> &[f64] {
        let index = self.table.device(device).expect("a device of the table");
        &self.table.latency_ms[index]
    }

    /// The basis of these devices.
    pub fn basis(&self, devices: &[&str]) -> Basis {
        let weights = devices
            .par_iter()
            .map(|d| operator_costs(&self.features, self.latencies(d)))
            .collect();
        let mut low = vec![f64::INFINITY; N_COSTS];
        let mut high = vec![f64::NEG_INFINITY; N_COSTS];
        for f in &self.features {
            for (j, cost) in f.costs.iter().enumerate() {
                low[j] = low[j].min(*cost);
                high[j] = high[j].max(*cost);
            }
        }
        Basis {
            name: self.table.space.name().into(),
            devices: devices.iter().map(|d| d.to_string()).collect(),
            weights,
            range: Some((low, high)),
        }
    }
}

/// Non-negative costs of operators that best explain a device's latencies in
/// relative error. Latencies far below the median (networks that an engine
/// optimised away) count by a tenth of the median. The execution that explains
/// the device better is taken to be its own.
fn operator_costs(features: &[Features], latency_ms: &[f64]) -> Vec<f64> {
    let (written, loss) = costs_on(Execution::Written, features, latency_ms);
    if features.iter().all(|f| f.optimised.is_none()) {
        return written;
    }
    let (optimised, other) = costs_on(Execution::Optimised, features, latency_ms);
    if other < loss { optimised } else { written }
}

/// The costs under one execution, with their mean robust loss.
fn costs_on(execution: Execution, features: &[Features], latency_ms: &[f64]) -> (Vec<f64>, f64) {
    const RIDGE: f64 = 1e-5;
    // Relative error from which on a latency counts for less (Cauchy's loss,
    // by reweighting).
    const OUTLYING: f64 = 0.2;
    const ROBUST_ROUNDS: usize = 4;
    let n = features.len();
    let mut sorted = latency_ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let floor = 0.1 * sorted[n / 2];
    let mut relative = DMatrix::from_fn(n, N_COSTS, |i, j| {
        features[i].on(execution)[j] / latency_ms[i].max(floor)
    });
    let target = DVector::from_fn(n, |i, _| latency_ms[i] / latency_ms[i].max(floor));
    let scale: Vec<f64> = (0..N_COSTS)
        .map(|j| (relative.column(j).norm_squared() / n as f64).sqrt())
        .collect();
    let used: Vec<usize> = (0..N_COSTS).filter(|j| scale[*j] > 1e-12).collect();
    for j in &used {
        relative.column_mut(*j).scale_mut(1.0 / scale[*j]);
    }
    let relative = relative.select_columns(&used);
    let mut trust = DVector::from_element(n, 1.0);
    let mut solution = DVector::zeros(used.len());
    let mut loss = 0.0;
    for _ in 0..ROBUST_ROUNDS {
        let mut rows = relative.clone();
        for (mut row, trust) in rows.row_iter_mut().zip(&trust) {
            row.scale_mut(*trust);
        }
        let gram =
            rows.tr_mul(&relative) / n as f64 + DMatrix::identity(used.len(), used.len()) * RIDGE;
        solution = nnls(&gram, &(rows.tr_mul(&target) / n as f64));
        let residual = &relative * &solution - &target;
        let excess = residual.map(|r| (r / OUTLYING).powi(2));
        loss = excess.map(f64::ln_1p).mean();
        trust = excess.map(|e| 1.0 / (1.0 + e));
    }
    let mut weights = vec![0.0; N_COSTS];
    for (k, j) in used.iter().enumerate() {
        weights[*j] = solution[k] / scale[*j];
    }
    (weights, loss)
}

/// Meta-trains a predictor on tables read before. Never looks at a test
/// device.
pub fn train(measured: &[Measured], options: &TrainOptions) -> Predictor {
    let measured: Vec<&Measured> = measured
        .iter()
        .filter(|m| options.spaces.contains(&m.table.space))
        .collect();
    let mut predictor = Predictor::untrained();
    let known: Vec<Basis> = measured
        .iter()
        .map(|m| m.basis(split(m.table.space).train))
        .collect();
    predictor.prior = learn_prior(&measured, &known, options);
    predictor.bases = known;
    predictor.bases.push(Basis::generic());
    predictor.interval = learn_interval(&predictor, &measured, options);
    predictor
}

/// A device calibrated as if it were new.
struct Episode<'a> {
    measured: &'a Measured,
    device: &'a str,
    /// The basis of its own table, without its family.
    home: Basis,
    /// The other tables' bases, without its family.
    away: Vec<Basis>,
}

fn episodes<'a>(
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
    fn draw(&self, n: usize, seed: u64) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        index::sample(&mut rng, self.measured.features.len(), n).into_vec()
    }

    /// Adds the posterior weights of the hypotheses, normalised over `bases`,
    /// given these reference rows.
    fn count(&self, bases: &[Basis], prior: &HyperPrior, rows: &[usize], counts: &mut [f64]) {
        let latency = self.measured.latencies(self.device);
        let features: Vec<&Features> = rows.iter().map(|i| &self.measured.features[*i]).collect();
        let log_latency: Vec<f64> = rows.iter().map(|i| latency[*i].ln()).collect();
        let rounding = Resolution::of(&log_latency).variances(&log_latency);
        let fit = posterior::fit(
            &super::basis::relevant(bases, &features),
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

/// Share of the learned prior spread evenly, so that nothing is impossible.
const PRIOR_SMOOTHING: f64 = 0.1;
const EM_ROUNDS: usize = 3;

fn learn_prior(measured: &[&Measured], known: &[Basis], options: &TrainOptions) -> HyperPrior {
    let episodes = episodes(measured, known, |space| split(space).train);
    let mut prior = HyperPrior::uniform();
    for _ in 0..EM_ROUNDS {
        let counts: Vec<(Vec<f64>, Vec<f64>)> = episodes
            .par_iter()
            .enumerate()
            .map(|(index, episode)| {
                let mut home = vec![0.0; N_HYPOTHESES];
                let mut away = vec![0.0; N_HYPOTHESES];
                let mut strangers = episode.away.clone();
                strangers.push(Basis::generic());
                for draw in 0..options.draws {
                    let seed = options.seed ^ ((index as u64 + 1) << 32) ^ draw as u64;
                    let rows = episode.draw(options.references, seed);
                    episode.count(
                        std::slice::from_ref(&episode.home),
                        &prior,
                        &rows,
                        &mut home,
                    );
                    episode.count(&strangers, &prior, &rows, &mut away);
                }
                (home, away)
            })
            .collect();
        let log_mean = |rows: Vec<&Vec<f64>>| -> Vec<f64> {
            let total: f64 = rows.iter().flat_map(|r| r.iter()).sum();
            let even = PRIOR_SMOOTHING / N_HYPOTHESES as f64;
            (0..N_HYPOTHESES)
                .map(|cell| {
                    let weight = rows.iter().map(|r| r[cell]).sum::<f64>() / total.max(1e-300);
                    ((1.0 - PRIOR_SMOOTHING) * weight + even).ln()
                })
                .collect()
        };
        prior = HyperPrior {
            home: log_mean(counts.iter().map(|c| &c.0).collect()),
            away: log_mean(counts.iter().map(|c| &c.1).collect()),
        };
    }
    prior
}

/// Sets how many deviations hold 90 % of the errors on the validation devices
/// and on the training devices without their families, each counting alike:
/// with their table known, and without it.
fn learn_interval(
    predictor: &Predictor,
    measured: &[&Measured],
    options: &TrainOptions,
) -> IntervalPrior {
    let known = &predictor.bases;
    let mut episodes = episodes(measured, known, |space| split(space).train);
    episodes.extend(self::episodes(measured, known, |space| {
        split(space).validate
    }));
    let z90 = |home: bool| -> Option<f64> {
        let mut errors: Vec<f64> = episodes
            .par_iter()
            .enumerate()
            .flat_map_iter(|(index, episode)| {
                let stranger = Predictor {
                    bases: home
                        .then_some(&episode.home)
                        .into_iter()
                        .chain(&episode.away)
                        .cloned()
                        .chain([Basis::generic()])
                        .collect(),
                    ..predictor.clone()
                };
                standardised_errors(&stranger, episode, index, options)
            })
            .collect();
        errors.sort_by(f64::total_cmp);
        errors.get(errors.len().saturating_sub(1) * 9 / 10).copied()
    };
    let usual = IntervalPrior::default();
    IntervalPrior {
        z90: z90(true).unwrap_or(usual.z90),
        z90_away: z90(false).unwrap_or(usual.z90_away),
        ..usual
    }
}

/// Errors of an episode's predictions in their own standard deviations.
fn standardised_errors(
    stranger: &Predictor,
    episode: &Episode,
    index: usize,
    options: &TrainOptions,
) -> Vec<f64> {
    const JUDGED: usize = 400;
    let latency = episode.measured.latencies(episode.device);
    let features = &episode.measured.features;
    let mut errors = Vec::new();
    for draw in 0..options.draws.div_ceil(3) {
        let seed = options.seed ^ ((index as u64 + 1001) << 32) ^ draw as u64;
        let rows = episode.draw(options.references + JUDGED, seed);
        let (references, judged) = rows.split_at(options.references);
        let pairs: Vec<(&Features, f64)> = references
            .iter()
            .map(|i| (&features[*i], latency[*i]))
            .collect();
        let calibrated = stranger
            .calibrate(&pairs, &Options::default())
            .expect("tables hold positive latencies");
        errors.extend(judged.iter().map(|i| {
            let p = calibrated.predict(&features[*i]);
            (latency[*i].ln() - p.latency_ms.ln()).abs() / p.sd_log
        }));
    }
    errors
}

impl Predictor {
    /// The predictor as if no relative of this device (its GPU at another batch
    /// size, its processor's line) had been known: what a method may be judged
    /// by while it is being chosen, where the test devices must not be looked
    /// at.
    pub fn without_family(&self, device: &str) -> Predictor {
        Predictor {
            bases: self
                .bases
                .iter()
                .map(|b| b.retain(|d| family(d) != family(device)))
                .collect(),
            ..self.clone()
        }
    }
}
