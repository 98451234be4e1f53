//! How well inherited accuracies rank architectures: beside the accuracies of the
//! same architectures trained by themselves.

use std::ops::ControlFlow;

use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::train::limited;
use super::{Supernet, SupernetError};
use crate::correlation::spearman;
use crate::data::Dataset;
use crate::evaluate::{TrainConfig, TrainJob, train_many};
use crate::network::Weights;
use crate::space::{Architecture, Space};
use crate::workers::in_parallel;

/// One architecture of a ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    pub genotype: String,
    pub macs: u64,
    pub params: u64,
    /// On validation images, with inherited weights.
    pub inherited: f64,
    /// The same of the network trained by itself, where it was.
    pub alone: Option<f64>,
}

/// Architectures by inherited accuracy, the best first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    pub architectures: Vec<Ranked>,
    /// Rank correlation of inherited with stand-alone accuracy, -1 to 1.
    pub spearman: Option<f64>,
    /// Rank correlation of multiply-accumulates with stand-alone accuracy, to see
    /// what the supernet adds to size.
    pub macs_spearman: Option<f64>,
}

impl Supernet {
    /// Ranks `count` distinct architectures drawn uniformly; trains each by itself,
    /// too, where `alone` says how. `on_done` hears of each part done.
    ///
    /// # Errors
    /// When the data do not fit, or training fails or is stopped by `on_done`.
    #[allow(clippy::too_many_arguments)]
    pub fn rank(
        &self,
        space: &Space,
        dataset: &Dataset,
        count: usize,
        alone: Option<&TrainConfig>,
        threads: usize,
        seed: u64,
        device: &Device,
        on_done: &(dyn Fn() -> ControlFlow<()> + Sync),
    ) -> Result<Ranking, SupernetError> {
        let drawn = draw(space, count, seed);
        let limited = limited(dataset, self.config.train_images);
        let split = limited.as_ref().unwrap_or(&dataset.train);
        let inherited = in_parallel(drawn.len(), threads, |index| {
            let found = self.inherited_accuracy(space, &drawn[index], dataset, split, device);
            match on_done() {
                ControlFlow::Continue(()) => found,
                ControlFlow::Break(()) => Err(SupernetError::Cancelled),
            }
        });
        let inherited = inherited.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut accuracies = vec![None; drawn.len()];
        if let Some(config) = alone {
            let jobs: Vec<TrainJob> = drawn
                .iter()
                .map(|architecture| {
                    let network = space.network(architecture).expect("of this space");
                    TrainJob {
                        init: Weights::random(&network, config.seed),
                        config: TrainConfig {
                            validate_each_epoch: false,
                            ..config.clone()
                        },
                        network,
                    }
                })
                .collect();
            let outcomes = train_many(&jobs, dataset, device, threads, &|_, record| match record
                .epoch
                == config.epochs
            {
                true => on_done(),
                false => ControlFlow::Continue(()),
            });
            for (accuracy, outcome) in accuracies.iter_mut().zip(outcomes) {
                *accuracy = Some(outcome?.validation_accuracy);
            }
        }
        let mut architectures: Vec<Ranked> = drawn
            .iter()
            .zip(inherited)
            .zip(accuracies)
            .map(|((architecture, inherited), alone)| {
                let costs = space.network(architecture).expect("of this space").costs();
                Ranked {
                    genotype: space.genotype(architecture),
                    macs: costs.macs,
                    params: costs.params,
                    inherited,
                    alone,
                }
            })
            .collect();
        architectures.sort_by(|a, b| b.inherited.total_cmp(&a.inherited));
        let column = |of: &dyn Fn(&Ranked) -> f64| architectures.iter().map(of).collect::<Vec<_>>();
        let alone: Option<Vec<f64>> = architectures.iter().map(|r| r.alone).collect();
        let by_inherited = column(&|r| r.inherited);
        let by_macs = column(&|r| r.macs as f64);
        // Fewer than three have no order to speak of.
        let alone = alone.filter(|alone| alone.len() >= 3);
        let beside = |own: &[f64]| alone.as_ref().and_then(|alone| spearman(own, alone));
        let (inherited, macs) = (beside(&by_inherited), beside(&by_macs));
        Ok(Ranking {
            architectures,
            spearman: inherited,
            macs_spearman: macs,
        })
    }
}

/// At most so many distinct architectures.
fn draw(space: &Space, count: usize, seed: u64) -> Vec<Architecture> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn: Vec<Architecture> = Vec::new();
    for _ in 0..count.saturating_mul(20) {
        let next = space.sample(&mut rng);
        if drawn.len() < count && !drawn.contains(&next) {
            drawn.push(next);
        }
    }
    drawn
}
