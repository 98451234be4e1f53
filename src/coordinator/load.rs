//! A load test: one coordinator, many simulated agents that speak the real
//! protocol over real connections and answer at once, and one client that asks
//! for many measurements and counts what comes back. Every so often an agent
//! drops its connection in the middle of its job.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use super::{Admin, Client, ClientError};
use crate::device::{DeviceFacts, Protocol, RunOptions, StopReason, Trace};
use crate::network::{InputSpec, Shape};
use crate::wire::{
    Digest, EnrolToken, FromAgent, Greeting, Hello, Identity, Job, JobSpec, MAX_FRAME, Outcome,
    PATIENCE, Report, ToAgent, VERSION, WireError, connect, hex_text,
};

/// How many agents, measurements, and samples in each.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub agents: usize,
    pub measurements: usize,
    pub samples: usize,
    /// An agent drops its connection at every so many of its jobs; 0 for never.
    pub drop_every: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadReport {
    pub agents: usize,
    pub measurements: usize,
    /// Measurements that came back as their agent had sent them.
    pub right: usize,
    /// Measurements that did not come back.
    pub lost: usize,
    /// Jobs whose outcome the coordinator acknowledged to more than one attempt.
    pub doubled: usize,
    /// Times that an agent was given a job while it had one.
    pub overlapped: u64,
    /// Connections that agents dropped in the middle of a job.
    pub dropped: u64,
    pub seconds: f64,
}

/// What the simulated agents saw.
#[derive(Debug, Default)]
struct Seen {
    /// Attempts of each job that were acknowledged.
    recorded: Mutex<HashMap<Digest, u32>>,
    overlapped: AtomicU64,
    dropped: AtomicU64,
}

/// Runs the load against the coordinator of this file.
///
/// # Errors
/// When the coordinator cannot be reached or refuses.
pub async fn run(
    admin_file: &Path,
    load: Load,
    tell: &mut dyn FnMut(&str),
) -> Result<LoadReport, ClientError> {
    let admin = Admin::read(admin_file)?;
    let mut client = Client::connect(&admin).await?;
    let seen = Arc::new(Seen::default());
    let mut agents = JoinSet::new();
    for number in 0..load.agents {
        let device = format!("sim{number}");
        let (token, _) = client.enrol(&device, Duration::from_secs(3600)).await?;
        let agent = Simulated {
            address: admin.address.clone(),
            server: admin.server,
            identity: Identity::generate(),
            samples: load.samples,
            drop_every: load.drop_every,
            seen: seen.clone(),
        };
        agents.spawn(async move { agent.live(&token).await });
    }
    tell(&format!("{} agents are enrolled", load.agents));
    let started = Instant::now();
    let network = network();
    let mut jobs = Vec::with_capacity(load.measurements);
    for number in 0..load.measurements {
        let spec = spec(&load, number, &network);
        jobs.push((client.submit(&spec, &network).await?, number));
    }
    tell(&format!("{} jobs are submitted", jobs.len()));
    let mut right = 0;
    let mut lost = 0;
    for (job, number) in &jobs {
        let outcome = loop {
            match client.wait(*job, Duration::from_secs(30)).await? {
                Ok(outcome) => break Some(outcome),
                // A minute without a single step is a loss.
                Err(waiting) if waiting.away_s.is_some_and(|s| s > 60.0) => break None,
                Err(_) => {}
            }
        };
        match outcome {
            Some(outcome) if outcome == answer(*job, load.samples) => right += 1,
            _ => lost += 1,
        }
        if number % 1_000 == 999 {
            tell(&format!("{} measurements are back", number + 1));
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    agents.abort_all();
    let recorded = seen.recorded.lock().unwrap_or_else(|e| e.into_inner());
    Ok(LoadReport {
        agents: load.agents,
        measurements: load.measurements,
        right,
        lost,
        doubled: recorded.values().filter(|n| **n > 1).count(),
        overlapped: seen.overlapped.load(Ordering::Relaxed),
        dropped: seen.dropped.load(Ordering::Relaxed),
        seconds,
    })
}

/// The most memory that a process ever had in use, in bytes (`VmHWM`).
pub fn peak_memory(pid: u32) -> Option<u64> {
    let path = PathBuf::from(format!("/proc/{pid}/status"));
    let status = std::fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// A file of the size of a small network; nobody loads it.
fn network() -> Vec<u8> {
    (0..100_000u32).map(|i| (i * 31 % 251) as u8).collect()
}

fn spec(load: &Load, number: usize, network: &[u8]) -> JobSpec {
    JobSpec {
        device: format!("sim{}", number % load.agents),
        engine: "simulated".into(),
        network: format!("network {number}"),
        onnx: Digest::of(network),
        bytes: network.len() as u64,
        input: InputSpec {
            shape: Shape::image(3, 32, 32),
            vocabulary: 1,
        },
        options: RunOptions::default(),
        protocol: Protocol::thorough(),
        // Each of a device's jobs is another pass.
        pass: (number / load.agents) as u32,
        series: String::new(),
    }
}

/// What a simulated agent answers: known beforehand, and short enough to have
/// been measured in no time.
fn answer(job: Digest, samples: usize) -> Outcome {
    let base = 1e-4 * (1.0 + f64::from(job.0[0]) / 256.0);
    let trace = Trace {
        cold_ms: base,
        warmup_runs: 10,
        warmup_stable: true,
        inner_runs: 1,
        samples_ms: (0..samples)
            .map(|i| base * (1.0 + i as f64 / 1e5))
            .collect(),
        reference_ms: vec![base; samples / 50],
        stop: StopReason::Precise,
    };
    let report = Report::new(trace, Some(base), DeviceFacts::default());
    Outcome::Measured(Box::new(report))
}

struct Simulated {
    address: String,
    server: Digest,
    identity: Identity,
    samples: usize,
    drop_every: u64,
    seen: Arc<Seen>,
}

impl Simulated {
    async fn live(&self, token: &str) {
        if let Ok(token) = token.parse::<EnrolToken>()
            && let Ok(mut channel) = connect(&self.address, self.server, &self.identity).await
        {
            let greeting = Greeting::Enrol {
                version: VERSION,
                secret: hex_text(&token.secret),
            };
            let _ = channel.send(&greeting).await;
            let _ = channel.receive_within::<ToAgent>(PATIENCE).await;
        }
        let mut jobs = 0;
        loop {
            let _ = self.connection(&mut jobs).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn connection(&self, jobs: &mut u64) -> Result<(), WireError> {
        let mut channel = connect(&self.address, self.server, &self.identity).await?;
        channel.raise_limit(MAX_FRAME);
        let hello = Box::new(Hello {
            engines: vec!["simulated".into()],
            ..Hello::default()
        });
        let version = VERSION;
        channel.send(&Greeting::Hello { version, hello }).await?;
        let mut beats = tokio::time::interval(Duration::from_secs(5));
        let mut fetched = false;
        let mut current: Option<Box<Job>> = None;
        loop {
            let frame = tokio::select! {
                frame = channel.frame() => frame?,
                _ = beats.tick() => {
                    channel.send(&FromAgent::Beat { facts: None }).await?;
                    continue;
                }
            };
            if let crate::wire::Frame::Chunk(_) = frame {
                // One chunk stands for the network, which is the same each time.
                fetched = true;
            } else {
                match frame.message()? {
                    ToAgent::Job(job) => {
                        if current.replace(job).is_some() {
                            self.seen.overlapped.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    ToAgent::Recorded { job } => {
                        let mut recorded =
                            self.seen.recorded.lock().unwrap_or_else(|e| e.into_inner());
                        *recorded.entry(job).or_default() += 1;
                        continue;
                    }
                    ToAgent::Refused(_) => return Err(WireError::Closed),
                    _ => continue,
                }
            }
            let Some(job) = &current else { continue };
            if !fetched {
                let onnx = job.onnx;
                channel.send(&FromAgent::Fetch { onnx, offset: 0 }).await?;
                continue;
            }
            channel.send(&FromAgent::Started { job: job.id }).await?;
            *jobs += 1;
            if self.drop_every > 0 && jobs.is_multiple_of(self.drop_every) {
                self.seen.dropped.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            let (job, outcome) = (job.id, answer(job.id, self.samples));
            // The coordinator may give the next job before this one is read as
            // recorded, but not before it has the outcome.
            current = None;
            channel.send(&FromAgent::Outcome { job, outcome }).await?;
        }
    }
}
