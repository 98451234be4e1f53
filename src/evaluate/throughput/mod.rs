//! How fast networks train: the step that [`train`](super::train) repeats, on
//! batches of noise made beforehand, so that reading data is not in the figure.
//! Candidates are timed one after another on all threads, and side by side with
//! one thread each, which is how a search trains them.

mod cases;

use std::sync::Barrier;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use super::TrainConfig;
use super::step::Trainer;
use crate::device::MemoryWatch;
use crate::model::{Model, ModelError};
use crate::network::{Network, Weights};

pub use cases::cases;

/// What to time.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Images a step.
    pub batch: usize,
    /// Steps that are timed, at least 1.
    pub steps: usize,
    /// Steps before them.
    pub warm_up: usize,
    /// Threads in all, at least 1.
    pub threads: usize,
}

/// How threads are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One candidate with all threads.
    OneByOne,
    /// As many candidates as threads, one thread each.
    SideBySide,
}

/// What was found for one network in one mode.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Throughput {
    /// Of all candidates under way together.
    pub images_per_s: f64,
    /// Wall time of one step of one candidate, the mean.
    pub step_ms: f64,
    /// Processor time of one step of one candidate, the mean, where the system
    /// tells and one thread does it all. Other work on the machine does not count.
    pub cpu_step_ms: Option<f64>,
    /// What training added to the process's resident memory at its peak, where
    /// the system tells. Smaller than the truth where the allocator had kept
    /// memory from earlier work.
    pub added_bytes: Option<u64>,
}

/// Batches that are trained on in turn.
const BATCHES: usize = 4;
const LEARNING_RATE: f64 = 0.01;

/// Trains candidates of one network, with weights of different seeds, and times
/// them.
///
/// # Errors
/// When the network cannot be put on the device.
///
/// # Panics
/// When a loss is not finite: noise at a small learning rate does not diverge.
pub fn measure(
    network: &Network,
    setup: Setup,
    mode: Mode,
    device: &Device,
) -> Result<Throughput, ModelError> {
    let watch = MemoryWatch::begin(std::process::id());
    let (seconds, cpu_seconds) = match mode {
        Mode::OneByOne => {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(setup.threads)
                .build()
                .expect("threads can be started");
            let spent = pool.install(|| steps(network, setup, 0, device, &Barrier::new(1)))?;
            (spent.wall, spent.cpu.filter(|_| setup.threads == 1))
        }
        Mode::SideBySide => {
            let barrier = Barrier::new(setup.threads);
            let each = crate::workers::in_parallel(setup.threads, setup.threads, |seed| {
                steps(network, setup, seed as u64, device, &barrier)
            });
            let each: Vec<Spent> = each.into_iter().collect::<Result<_, _>>()?;
            // All begin together, so the slowest ends the whole.
            let wall = each.iter().map(|spent| spent.wall).fold(0.0, f64::max);
            let cpu: Option<f64> = each.iter().map(|spent| spent.cpu).sum();
            (wall, cpu.map(|all| all / setup.threads as f64))
        }
    };
    let candidates = match mode {
        Mode::OneByOne => 1,
        Mode::SideBySide => setup.threads,
    };
    Ok(Throughput {
        images_per_s: (candidates * setup.steps * setup.batch) as f64 / seconds,
        step_ms: seconds * 1e3 / setup.steps as f64,
        cpu_step_ms: cpu_seconds.map(|cpu| cpu * 1e3 / setup.steps as f64),
        added_bytes: watch
            .and_then(MemoryWatch::end)
            .map(|peak| peak.added_bytes()),
    })
}

/// Seconds that the timed steps of a candidate took.
struct Spent {
    wall: f64,
    /// Of the thread that did them, where the system tells.
    cpu: Option<f64>,
}

/// Processor time of the calling thread so far, in seconds, where Linux tells it.
fn thread_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

/// Does the timed steps of one candidate, once all are warm.
fn steps(
    network: &Network,
    setup: Setup,
    seed: u64,
    device: &Device,
    warm: &Barrier,
) -> Result<Spent, ModelError> {
    let config = TrainConfig {
        batch_size: setup.batch,
        ..TrainConfig::default()
    };
    let init = Weights::random(network, seed);
    // Whoever fails must not leave the others waiting.
    let trainer = Trainer::new(network, &init, &config, device);
    let mut trainer = match trainer {
        Ok(trainer) => trainer,
        Err(error) => {
            warm.wait();
            return Err(error);
        }
    };
    let classes = network.output_shape().elements();
    let labels: Vec<u8> = (0..setup.batch).map(|i| (i % classes) as u8).collect();
    let batches: Vec<Tensor<4>> = (0..BATCHES)
        .map(|batch| {
            let data = network.example(setup.batch, seed + batch as u64);
            let dims = Model::input_dims(network.input_shape(), setup.batch);
            Tensor::from_data(TensorData::new(data, dims), trainer.device())
        })
        .collect();
    let mut step = |index: usize| {
        let images = batches[index % BATCHES].clone();
        let seen = trainer.step(images, &labels, LEARNING_RATE);
        assert!(seen.loss.is_finite(), "training on noise diverged");
    };
    (0..setup.warm_up).for_each(&mut step);
    warm.wait();
    let (start, cpu_start) = (Instant::now(), thread_seconds());
    (0..setup.steps).for_each(&mut step);
    Ok(Spent {
        wall: start.elapsed().as_secs_f64(),
        cpu: thread_seconds()
            .zip(cpu_start)
            .map(|(end, start)| end - start),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_modes_time_every_candidate() {
        let (_, network) = cases().swap_remove(3);
        let setup = Setup {
            batch: 4,
            steps: 2,
            warm_up: 1,
            threads: 2,
        };
        for mode in [Mode::OneByOne, Mode::SideBySide] {
            let found = measure(&network, setup, mode, &Device::flex()).unwrap();
            let candidates = if mode == Mode::OneByOne { 1.0 } else { 2.0 };
            let images = found.step_ms / 1e3 * found.images_per_s;
            assert!((images - candidates * 4.0).abs() < 1e-6, "{found:?}");
        }
    }
}
