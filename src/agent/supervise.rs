//! Keeps the measuring process, and the plugins below it, within their limits:
//! it is given a job, and ended with them when the job takes too long or too much
//! memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::worker::Request;
use super::{Engines, Measure};
use crate::device::{self, DeviceFacts, ProcessTree};
use crate::wire::{Failure, Job, MAX_FRAME, Outcome};

/// How often a measuring process's memory is looked at: seldom enough not to
/// disturb what it measures.
const LOOK: Duration = Duration::from_millis(100);

/// What one measurement may take, whatever the coordinator asks.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub time: Duration,
    /// Of the measuring process with its plugins, where the system tells it.
    pub memory_bytes: u64,
}

/// Measures in a process of its own, which is kept from job to job: its
/// reference network is then always the same one.
pub struct ProcessMeasure {
    start: Arc<Start>,
    limits: Limits,
    idle: Arc<Mutex<Option<Worker>>>,
}

/// How to start the measuring process.
#[derive(Debug, Clone)]
struct Start {
    program: PathBuf,
    engines: Engines,
    /// For the files that plugins are given.
    scratch: PathBuf,
}

/// What plugins need of the agent's environment to be found; the rest is not
/// theirs to see. A profile adds what else its plugin wants.
const ENVIRONMENT: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "BESPOKE_PYTHON", "LANG"];

struct Worker {
    child: Child,
    has_plugins: bool,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl ProcessMeasure {
    /// `program worker` is the measuring process.
    pub fn new(program: PathBuf, limits: Limits) -> Self {
        ProcessMeasure {
            start: Arc::new(Start {
                program,
                engines: Engines::default(),
                scratch: PathBuf::new(),
            }),
            limits,
            idle: Arc::default(),
        }
    }

    /// With the engines of the owner's profiles. `scratch`, an absolute path, is
    /// the directory in which plugins find their files; it is emptied.
    pub fn with(mut self, engines: Engines, scratch: PathBuf) -> Self {
        self.start = Arc::new(Start {
            engines,
            scratch,
            ..(*self.start).clone()
        });
        self
    }
}

impl Measure for ProcessMeasure {
    fn engines(&self) -> Vec<String> {
        self.start.engines.names()
    }

    fn limits(&self) -> BTreeMap<String, device::Limits> {
        self.start.engines.limits()
    }

    fn facts(&self) -> DeviceFacts {
        DeviceFacts::collect()
    }

    fn start(&mut self, job: &Job, file: PathBuf) -> JoinHandle<Outcome> {
        let (idle, start, limits) = (self.idle.clone(), self.start.clone(), self.limits);
        let job = job.clone();
        tokio::spawn(async move {
            let kept = idle.lock().unwrap_or_else(|e| e.into_inner()).take();
            let worker = match kept {
                Some(worker) => Ok(worker),
                None => start.worker(),
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

impl Start {
    fn worker(&self) -> std::io::Result<Worker> {
        let mut command = Command::new(&self.program);
        command.arg("worker").env_clear();
        let has_plugins = self.engines.has_plugins();
        if has_plugins {
            // What an earlier one left when it was ended.
            let _ = std::fs::remove_dir_all(&self.scratch);
            std::fs::create_dir_all(&self.scratch)?;
            let kept = ENVIRONMENT.into_iter();
            command.envs(kept.filter_map(|name| Some((name, std::env::var_os(name)?))));
            command.env("TMPDIR", &self.scratch);
        }
        for path in self.engines.paths() {
            command.arg("--device").arg(path);
        }
        let mut child = command
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
            has_plugins,
        })
    }
}

impl Worker {
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
                    let used = pid.and_then(|pid| memory(pid, self.has_plugins));
                    if used.is_some_and(|bytes| bytes > limits.memory_bytes) {
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

impl Drop for Worker {
    /// Ends its process and, before it is gone and they are nobody's, those below.
    fn drop(&mut self) {
        if let Some(pid) = self.child.id().filter(|_| self.has_plugins) {
            let below = ProcessTree::below(pid);
            let _ = self.child.start_kill();
            below.kill();
        }
    }
}

/// Memory in use by a process and, if asked, those below it, in bytes.
fn memory(pid: u32, with_children: bool) -> Option<u64> {
    let mut sum = resident(pid)?;
    if with_children {
        for child in children(pid) {
            sum += memory(child, true).unwrap_or(0);
        }
    }
    Some(sum)
}

/// The processes that a process has started, where the system tells; reading them
/// from there costs less than a look at all processes.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let mut children = Vec::new();
    for task in tasks.into_iter().flatten().flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(
            list.split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    children
}

/// Memory that a process has in use, in bytes; `None` where the system does not
/// tell.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}
