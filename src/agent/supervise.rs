//! Keeps the measuring process within its limits: it is given a job, and ended
//! when the job takes too long or too much memory.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::worker::Request;
use super::{Measure, engine_names};
use crate::device::DeviceFacts;
use crate::wire::{Failure, Job, MAX_FRAME, Outcome};

/// How often a measuring process's memory is looked at: seldom enough not to
/// disturb what it measures.
const LOOK: Duration = Duration::from_millis(100);

/// What one measurement may take, whatever the coordinator asks.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub time: Duration,
    /// Of the measuring process, where the system tells it.
    pub memory_bytes: u64,
}

/// Measures in a process of its own, which is kept from job to job: its
/// reference network is then always the same one.
pub struct ProcessMeasure {
    program: PathBuf,
    limits: Limits,
    idle: Arc<Mutex<Option<Worker>>>,
}

struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl ProcessMeasure {
    /// `program worker` is the measuring process.
    pub fn new(program: PathBuf, limits: Limits) -> Self {
        ProcessMeasure {
            program,
            limits,
            idle: Arc::default(),
        }
    }
}

impl Measure for ProcessMeasure {
    fn engines(&self) -> Vec<String> {
        engine_names()
    }

    fn facts(&self) -> DeviceFacts {
        DeviceFacts::collect()
    }

    fn start(&mut self, job: &Job, file: PathBuf) -> JoinHandle<Outcome> {
        let (idle, program, limits) = (self.idle.clone(), self.program.clone(), self.limits);
        let job = job.clone();
        tokio::spawn(async move {
            let kept = idle.lock().unwrap_or_else(|e| e.into_inner()).take();
            let worker = match kept {
                Some(worker) => Ok(worker),
                None => Worker::spawn(&program),
            };
            let mut worker = match worker {
                Ok(worker) => worker,
                Err(error) => {
                    return Outcome::Failed(Failure::Other {
                        reason: format!("the measuring process cannot start: {error}"),
                    });
                }
            };
            match worker.measure(job, file, limits).await {
                Ok(outcome) => {
                    *idle.lock().unwrap_or_else(|e| e.into_inner()) = Some(worker);
                    outcome
                }
                // Dropping the worker ends its process.
                Err(failure) => Outcome::Failed(failure),
            }
        })
    }
}

impl Worker {
    fn spawn(program: &std::path::Path) -> std::io::Result<Self> {
        let mut child = Command::new(program)
            .arg("worker")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pipe = || std::io::Error::other("it has no pipes");
        Ok(Worker {
            input: child.stdin.take().ok_or_else(pipe)?,
            output: BufReader::new(child.stdout.take().ok_or_else(pipe)?),
            child,
        })
    }

    async fn measure(
        &mut self,
        job: Job,
        file: PathBuf,
        limits: Limits,
    ) -> Result<Outcome, Failure> {
        let limit = limits.time.min(Duration::from_millis(job.limit_ms));
        let mut request = serde_json::to_vec(&Request { file, job }).expect("plain data");
        request.push(b'\n');
        if self.input.write_all(&request).await.is_err() {
            return Err(self.crashed().await);
        }
        let deadline = Instant::now() + limit;
        let pid = self.child.id();
        let mut answer = Vec::new();
        let mut output = (&mut self.output).take(MAX_FRAME as u64);
        let read = output.read_until(b'\n', &mut answer);
        tokio::pin!(read);
        let ended = loop {
            tokio::select! {
                ended = &mut read => break ended,
                () = tokio::time::sleep(LOOK) => {
                    if Instant::now() >= deadline {
                        return Err(Failure::TimedOut { limit_s: limit.as_secs_f64() });
                    }
                    if pid.and_then(resident).is_some_and(|b| b > limits.memory_bytes) {
                        let limit_mib = limits.memory_bytes >> 20;
                        return Err(Failure::Memory { limit_mib });
                    }
                }
            }
        };
        match ended {
            Ok(n) if n > 0 => serde_json::from_slice(&answer).map_err(|e| Failure::Crashed {
                reason: format!("its answer cannot be understood: {e}"),
            }),
            _ => Err(self.crashed().await),
        }
    }

    async fn crashed(&mut self) -> Failure {
        let ended = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
        Failure::Crashed {
            reason: match ended {
                Ok(Ok(status)) => status.to_string(),
                _ => "it closed its output".into(),
            },
        }
    }
}

/// Memory that a process has in use, in bytes; `None` where the system does not
/// tell.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}
