//! Evaluates many candidates side by side. A small network leaves most of a
//! many-threaded operator's time to overhead, so each candidate gets one thread
//! of its own; results come in the order of the jobs and do not depend on which
//! thread ran what.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Device;

use super::{EpochRecord, Outcome, TrainConfig, TrainError, train};
use crate::data::Dataset;
use crate::network::{Network, Weights};

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
    let cancelled = std::sync::atomic::AtomicBool::new(false);
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

/// Calls `work` with each index below `count`, on `threads` threads (at least
/// one), each in a rayon pool of its own single thread. Results are in order.
///
/// # Panics
/// When `work` panics, once the other threads are done.
pub fn in_parallel<R: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = (0..count).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                let run = |index: usize| match &pool {
                    Ok(pool) => pool.install(|| work(index)),
                    // Without a pool of its own it is slower, not wrong.
                    Err(_) => work(index),
                };
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = run(index);
                    *results[index].lock().expect("written once") = Some(result);
                }
            });
        }
    });
    results
        .into_iter()
        .map(|slot| {
            let result = slot.into_inner().expect("no writer panicked");
            result.expect("every index was handed out")
        })
        .collect()
}
