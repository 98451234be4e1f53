//! What happened, for people: the last events in memory for `devices watch`,
//! and a log file of bounded length, so that refused callers cannot fill a
//! disk. Text from devices was made plain before it came here.

use std::collections::VecDeque;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::wire::Event;

/// Events kept in memory.
const KEPT: usize = 1_000;

/// The log begins anew at this length; the one before is kept beside it.
const LOG_BYTES: u64 = 4 << 20;

/// Seconds since 1970 by the clock that people set: for records and for the
/// expiry of tokens, never for deadlines.
pub fn wall_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

/// The events.
#[derive(Debug)]
pub struct Events {
    recent: VecDeque<Event>,
    number: u64,
    path: PathBuf,
    file: Option<fs::File>,
    written: u64,
    echo: bool,
}

impl Events {
    /// Logs to this file, and to standard error where `echo` is set.
    pub fn new(path: &Path, echo: bool) -> Self {
        Events {
            recent: VecDeque::new(),
            number: 0,
            path: path.into(),
            file: None,
            written: 0,
            echo,
        }
    }

    /// Notes an event. That a log cannot be written ends nothing.
    pub fn note(&mut self, text: String) {
        self.number += 1;
        let event = Event {
            number: self.number,
            at: wall_s(),
            text,
        };
        let line = format!("{} {}\n", event.at, event.text);
        if self.echo {
            eprint!("{line}");
        }
        let _ = self.log(&line);
        self.recent.push_back(event);
        if self.recent.len() > KEPT {
            self.recent.pop_front();
        }
    }

    fn log(&mut self, line: &str) -> std::io::Result<()> {
        if self.written > LOG_BYTES {
            self.file = None;
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut options = fs::OpenOptions::new();
                let file = options.append(true).create(true).open(&self.path)?;
                self.written = file.metadata()?.len();
                none.insert(file)
            }
        };
        file.write_all(line.as_bytes())?;
        self.written += line.len() as u64;
        Ok(())
    }

    /// At most a hundred events after the one of this number.
    pub fn after(&self, number: u64) -> Vec<Event> {
        let later = self.recent.iter().filter(|e| e.number > number);
        later.take(100).cloned().collect()
    }
}
