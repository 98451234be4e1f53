//! The measuring process: it reads jobs from its standard input, one JSON
//! object a line, and answers each with one line. It is a process of its own so
//! that a network that takes too long, takes all memory or brings an engine
//! down costs one measurement and not the agent. When the agent is gone, its
//! input ends and so does it, at once: nothing measures on behind the back of
//! the next agent.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use serde::{Deserialize, Serialize};

use super::engine;
use crate::device::{MonotonicClock, Reference, observe};
use crate::wire::{Failure, Job, Outcome, Report};

/// One line of input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub file: PathBuf,
    pub job: Job,
}

/// Runs until the input ends.
pub(super) fn run() -> i32 {
    // Where memory runs out, this process should go and no other.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // What an engine's panic says is in the outcome.
    std::panic::set_hook(Box::new(|_| {}));
    let (sender, requests) = mpsc::channel::<String>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if !line.is_ok_and(|line| sender.send(line).is_ok()) {
                break;
            }
        }
        std::process::exit(0);
    });
    let mut references = HashMap::new();
    for line in requests {
        let Ok(request) = serde_json::from_str::<Request>(&line) else {
            return 2;
        };
        let outcome = answer(&request, &mut references);
        let mut answer = serde_json::to_vec(&outcome).expect("plain data");
        answer.push(b'\n');
        let mut out = std::io::stdout().lock();
        if out.write_all(&answer).and_then(|()| out.flush()).is_err() {
            return 1;
        }
    }
    0
}

fn answer(request: &Request, references: &mut HashMap<String, Reference>) -> Outcome {
    let measured = catch_unwind(AssertUnwindSafe(|| {
        measure(&request.file, &request.job, references)
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

fn measure(
    file: &Path,
    job: &Job,
    references: &mut HashMap<String, Reference>,
) -> Result<Report, Failure> {
    let engine = engine(&job.engine).ok_or_else(|| Failure::Unsupported {
        engine: job.engine.clone(),
        what: "this device".into(),
        remedy: format!(
            "choose one that it has: {}",
            super::engine_names().join(", ")
        ),
    })?;
    let onnx = std::fs::read(file).map_err(|e| Failure::Other {
        reason: format!("its cache cannot be read: {e}"),
    })?;
    let clock = MonotonicClock::new();
    let mut reference = match references.remove(&job.engine) {
        Some(reference) => reference,
        None => Reference::load(engine.as_ref(), &job.protocol, &clock)?,
    };
    let load = || engine.load_onnx(&onnx, &job.input, &job.options);
    let protocol = &job.protocol;
    let observed = observe(
        engine.as_ref(),
        &load,
        protocol,
        Some(&mut reference),
        &clock,
    );
    references.insert(job.engine.clone(), reference);
    Ok(observed?)
}
