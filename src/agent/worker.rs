//! The measuring process: it reads jobs from its standard input, one JSON
//! object a line, and answers each with one line. It is a process of its own so
//! that a network that takes too long, takes all memory or brings an engine
//! down costs one measurement and not the agent. When the agent is gone, its
//! input ends and so does it, at once and with all plugins: nothing measures on
//! behind the back of the next agent.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use serde::{Deserialize, Serialize};

use super::Engines;
use crate::device::{Engine, MonotonicClock, ProbeError, ProcessTree, Reference, observe};
use crate::wire::{Failure, Job, Outcome, Report};

/// One line of input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub file: PathBuf,
    pub job: Job,
}

/// Runs until the input ends.
pub(super) fn run(engines: Engines) -> i32 {
    // Where memory runs out, this process should go and no other.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // What an engine's panic says is in the outcome.
    std::panic::set_hook(Box::new(|_| {}));
    let (sender, requests) = mpsc::channel::<String>();
    let plugins = engines.has_plugins();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if !line.is_ok_and(|line| sender.send(line).is_ok()) {
                break;
            }
        }
        if plugins {
            ProcessTree::below(std::process::id()).kill();
        }
        std::process::exit(0);
    });
    let mut bench = Bench {
        engines,
        open: HashMap::new(),
    };
    for line in requests {
        let Ok(request) = serde_json::from_str::<Request>(&line) else {
            return 2;
        };
        let outcome = bench.answer(&request);
        let mut answer = serde_json::to_vec(&outcome).expect("plain data");
        answer.push(b'\n');
        let mut out = std::io::stdout().lock();
        if out.write_all(&answer).and_then(|()| out.flush()).is_err() {
            return 1;
        }
    }
    0
}

/// An engine that was used, kept with its reference network from job to job.
struct Open {
    engine: Box<dyn Engine>,
    reference: Option<Reference>,
}

impl Open {
    fn observe(&mut self, onnx: &[u8], job: &Job) -> Result<Report, ProbeError> {
        let engine = self.engine.as_ref();
        let clock = MonotonicClock::new();
        if self.reference.is_none() && !engine.is_simulated() {
            self.reference = Some(Reference::load(engine, &job.protocol, &clock)?);
        }
        let load = || engine.load_onnx(onnx, &job.input, &job.options);
        let reference = self.reference.as_mut();
        observe(engine, &load, &job.protocol, reference, &clock)
    }
}

struct Bench {
    engines: Engines,
    open: HashMap<String, Open>,
}

impl Bench {
    fn answer(&mut self, request: &Request) -> Outcome {
        let measured = catch_unwind(AssertUnwindSafe(|| {
            self.measure(&request.file, &request.job)
        }));
        match measured {
            Ok(Ok(report)) => Outcome::Measured(Box::new(report)),
            Ok(Err(failure)) => Outcome::Failed(failure),
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()));
                Outcome::Failed(Failure::Crashed {
                    reason: text.unwrap_or_else(|| "the engine panicked".into()),
                })
            }
        }
    }

    fn measure(&mut self, file: &Path, job: &Job) -> Result<Report, Failure> {
        let onnx = std::fs::read(file).map_err(|e| Failure::Other {
            reason: format!("its cache cannot be read: {e}"),
        })?;
        // Out of the map while it works: an engine that panics is not used again.
        let mut open = self.take(&job.engine)?;
        let observed = open.observe(&onnx, job);
        if matches!(observed, Err(ProbeError::Plugin { .. })) {
            // It went with its process; the engine starts another.
            open.reference = None;
        }
        self.open.insert(job.engine.clone(), open);
        Ok(observed?)
    }

    fn take(&mut self, name: &str) -> Result<Open, Failure> {
        if let Some(open) = self.open.remove(name) {
            return Ok(open);
        }
        let engine = self.engines.open(name)?;
        let engine = engine.ok_or_else(|| Failure::Unsupported {
            engine: name.into(),
            what: "this device".into(),
            remedy: format!(
                "choose one that it has: {}",
                self.engines.names().join(", ")
            ),
        })?;
        Ok(Open {
            engine,
            reference: None,
        })
    }
}
