//! The coordinator's decisions and its memory, without a network. What happens
//! between processes is tested in `tests/agents`.

mod core;
mod histories;
mod journal;

use crate::device::{DeviceFacts, Protocol, RunOptions, StopReason, Trace};
use crate::network::{InputSpec, Shape};
use crate::wire::{Digest, JobSpec, Outcome, Report};

pub(super) fn spec(device: &str, network: u32) -> Box<JobSpec> {
    Box::new(JobSpec {
        device: device.into(),
        engine: "tract".into(),
        network: format!("net{network}"),
        onnx: Digest::of(&network.to_le_bytes()),
        bytes: 4,
        input: InputSpec {
            shape: Shape::image(3, 8, 8),
            vocabulary: 1,
        },
        options: RunOptions::default(),
        protocol: Protocol::quick(),
        pass: 0,
        series: String::new(),
    })
}

pub(super) fn report() -> Box<Report> {
    let trace = Trace {
        cold_ms: 1.0,
        warmup_runs: 3,
        warmup_stable: true,
        inner_runs: 1,
        samples_ms: (0..30).map(|i| 1.0 + f64::from(i) / 300.0).collect(),
        reference_ms: vec![0.5; 3],
        stop: StopReason::Precise,
    };
    Box::new(Report::new(trace, Some(0.5), DeviceFacts::default()))
}

pub(super) fn measured() -> Outcome {
    Outcome::Measured(report())
}
