//! A child process that is spoken to in lines, each awaited for a limited time.
//! It never outlives its owner: it is asked to end by closing its standard
//! input, and killed with its children where it does not.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::message::LINE_LIMIT;
use super::{CommandLine, PluginFailure};
use crate::device::ProcessTree;

/// Lines read ahead; a child that prints more waits until they are taken.
const LINES_AHEAD: usize = 16;

/// Lines of standard error that are kept for a message.
const STDERR_LINES: usize = 12;

/// How long a child may take to end after its standard input was closed.
pub const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
enum Line {
    Text(String),
    TooLong,
}

type Tail = Arc<Mutex<VecDeque<String>>>;

#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Line>,
    stderr: Tail,
    stderr_reader: Option<JoinHandle<()>>,
}

impl Process {
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(line: &CommandLine) -> Result<Self, PluginFailure> {
        let mut child = line
            .command()
            .spawn()
            .map_err(|source| PluginFailure::Start {
                program: line.words().first().cloned().unwrap_or_default(),
                source,
            })?;
        let (sender, lines) = sync_channel(LINES_AHEAD);
        let stdout = child.stdout.take().expect("it is piped");
        std::thread::spawn(move || read_lines(BufReader::new(stdout), &sender));
        let stderr = Tail::default();
        let tail = stderr.clone();
        let errors = child.stderr.take().expect("it is piped");
        let reader = std::thread::spawn(move || keep_tail(BufReader::new(errors), &tail));
        Ok(Process {
            stdin: child.stdin.take(),
            child,
            lines,
            stderr,
            stderr_reader: Some(reader),
        })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// When the child is no longer there to read it.
    pub fn send(&mut self, line: &str) -> Result<(), PluginFailure> {
        let written = match &mut self.stdin {
            Some(stdin) => writeln!(stdin, "{line}").and_then(|()| stdin.flush()),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|_| self.ended())
    }

    /// The next line.
    ///
    /// # Errors
    /// When none comes in time, the child ends, or the line is too long.
    pub fn receive(&mut self, timeout: Duration) -> Result<String, PluginFailure> {
        match self.lines.recv_timeout(timeout) {
            Ok(Line::Text(line)) => Ok(line),
            Ok(Line::TooLong) => Err(PluginFailure::TooLong { limit: LINE_LIMIT }),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => Err(PluginFailure::TimedOut {
                seconds: timeout.as_secs_f64(),
                stderr: self.stderr_text(),
            }),
        }
    }

    /// Closes the child's standard input and says whether it ended by itself
    /// within [`GRACE`].
    pub fn finish(&mut self) -> bool {
        self.stdin = None;
        let by_itself = self.wait(GRACE).is_some();
        if !by_itself {
            self.kill();
        }
        by_itself
    }

    fn wait(&mut self, limit: Duration) -> Option<std::process::ExitStatus> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                _ if start.elapsed() >= limit => return None,
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Ends the child and all that it started.
    pub fn kill(&mut self) {
        let below = ProcessTree::below(self.child.id());
        let _ = self.child.kill();
        below.kill();
        let _ = self.child.wait();
    }

    fn ended(&mut self) -> PluginFailure {
        let status = match self.wait(GRACE) {
            Some(status) => status.to_string(),
            None => "it closed its standard output".into(),
        };
        // All that it wrote is read before it is quoted.
        if let Some(reader) = self.stderr_reader.take_if(|r| r.is_finished()) {
            let _ = reader.join();
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
        PluginFailure::Exited {
            status,
            stderr: self.stderr_text(),
        }
    }

    fn stderr_text(&self) -> String {
        let tail = self.stderr.lock().unwrap_or_else(|e| e.into_inner());
        tail.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.finish();
    }
}

fn read_lines(mut from: impl BufRead, to: &SyncSender<Line>) {
    loop {
        let mut bytes = Vec::new();
        let limited = &mut (&mut from).take(LINE_LIMIT as u64 + 1);
        match limited.read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) if bytes.len() > LINE_LIMIT => {
                // The rest is never read: the child is ended for it.
                let _ = to.send(Line::TooLong);
                return;
            }
            Ok(_) => {
                let line = String::from_utf8_lossy(&bytes).trim_end().to_string();
                if to.send(Line::Text(line)).is_err() {
                    return;
                }
            }
        }
    }
}

fn keep_tail(mut from: impl BufRead, tail: &Tail) {
    loop {
        let mut bytes = Vec::new();
        // Longer lines are kept in pieces.
        let limited = &mut (&mut from).take(4096);
        match limited.read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let line = String::from_utf8_lossy(&bytes).trim_end().to_string();
                let mut tail = tail.lock().unwrap_or_else(|e| e.into_inner());
                tail.push_back(line);
                if tail.len() > STDERR_LINES {
                    tail.pop_front();
                }
            }
        }
    }
}
