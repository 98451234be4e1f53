//! Trains many candidates side by side, each on one thread; results come in the
//! order of the jobs and do not depend on which thread ran what.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;

use super::{EpochRecord, Outcome, TrainConfig, TrainError, train};
use crate::data::Dataset;
use crate::network::{Network, Weights};
use crate::workers::in_parallel;

/// One network to train.
#[derive(Debug, Clone)]
pub struct TrainJob {
    pub network: Network,
    pub init: Weights,
    pub config: TrainConfig,
}

/// Trains every job, `threads` at a time. `on_epoch` is told the job's index.
/// Jobs not yet begun when it breaks are cancelled, too.
pub fn train_many(
    jobs: &[TrainJob],
    dataset: &Dataset,
    device: &Device,
    threads: usize,
    on_epoch: &(dyn Fn(usize, &EpochRecord) -> ControlFlow<()> + Sync),
) -> Vec<Result<Outcome, TrainError>> {
    let cancelled = AtomicBool::new(false);
    in_parallel(jobs.len(), threads, |index| {
        if cancelled.load(Ordering::Relaxed) {
            return Err(TrainError::Cancelled);
        }
        let job = &jobs[index];
        train(
            &job.network,
            &job.init,
            dataset,
            &job.config,
            device,
            &mut |record| {
                let flow = on_epoch(index, record);
                if flow.is_break() {
                    cancelled.store(true, Ordering::Relaxed);
                }
                flow
            },
        )
    })
}
