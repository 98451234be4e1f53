//! The coordinator's memory: a file to which lines are only ever added. Each is
//! the first eight digits of the SHA-256 of a record's JSON, a blank and the
//! JSON. A line that a crash cut short is the last one and was never
//! acknowledged: it is dropped when the file is opened. Anything else that does
//! not add up is an error, not a guess.
//!
//! A thread of its own writes. Records whose loss would matter are waited for
//! until the disk has them; many of them share one flush.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::record::Record;
use crate::wire::{Digest, FileError, hex_text};

/// Longer lines are no records: a report fits a frame.
const MAX_LINE: u64 = 4 << 20;

/// Why the journal cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    #[error("{0}")]
    File(String),
    #[error(
        "{}, line {line}: {reason}; the file was changed or the disk is damaged. Restore it from a \
         copy, or move it away to begin anew (devices must then be enrolled again)",
        path.display()
    )]
    Damaged {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error("the journal could not be written: {0}")]
    Write(String),
}

impl From<FileError> for JournalError {
    fn from(error: FileError) -> Self {
        JournalError::File(error.to_string())
    }
}

/// Where a record lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    pub offset: u64,
    pub bytes: u32,
}

/// What the writing thread has done.
type Progress = Result<u64, String>;

/// The file, open for adding.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    end: u64,
    lines: mpsc::Sender<(Vec<u8>, bool)>,
    written: watch::Receiver<Progress>,
}

impl Journal {
    /// Opens or makes the file and replays its records.
    ///
    /// # Errors
    /// When it cannot be read or written, or is damaged.
    pub fn open(
        path: &Path,
        replay: &mut dyn FnMut(Record, Location),
    ) -> Result<Self, JournalError> {
        let mut options = fs::OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(path)
            .map_err(|e| FileError::io("open", path, e))?;
        let end = replay_lines(path, &file, replay)?;
        file.set_len(end)
            .map_err(|e| FileError::io("write", path, e))?;
        let (lines, queue) = mpsc::channel();
        let (progress, written) = watch::channel(Ok(end));
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || write_lines(file, end, &queue, &progress))
            .map_err(|e| JournalError::Write(e.to_string()))?;
        Ok(Journal {
            path: path.into(),
            end,
            lines,
            written,
        })
    }

    /// Adds a record. Records lie in the file in the order of these calls.
    pub fn append(&mut self, record: &Record) -> Location {
        let line = line_of(record);
        let location = Location {
            offset: self.end,
            bytes: line.len() as u32,
        };
        self.end += line.len() as u64;
        // A client can submit a job again; everything else must not be lost.
        let flush = !matches!(record, Record::Submitted { .. });
        // Where the thread has ended, waiting for the record tells why.
        let _ = self.lines.send((line, flush));
        location
    }

    /// What tells when a record is on the disk; see [`on_disk`].
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.written.clone()
    }

    /// Reads a record again.
    ///
    /// # Errors
    /// When the file is not what it was.
    pub fn read(path: &Path, location: Location) -> Result<Record, JournalError> {
        let mut line = vec![0; location.bytes as usize];
        let read = || {
            let mut file = fs::File::open(path)?;
            file.seek(SeekFrom::Start(location.offset))?;
            file.read_exact(&mut line)
        };
        read_into(read).map_err(|e| FileError::io("read", path, e))?;
        parse(&line).map_err(|reason| JournalError::Damaged {
            path: path.into(),
            line: 0,
            reason,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read_into<T>(mut read: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    read()
}

/// Waits until the disk has the record.
///
/// # Errors
/// When it cannot be written; nothing more will be then.
pub async fn on_disk(
    progress: &mut watch::Receiver<Progress>,
    location: Location,
) -> Result<(), JournalError> {
    let end = location.offset + u64::from(location.bytes);
    let done = |p: &Progress| p.as_ref().map_or(true, |written| *written >= end);
    match progress.wait_for(done).await {
        Ok(state) => match &*state {
            Ok(_) => Ok(()),
            Err(reason) => Err(JournalError::Write(reason.clone())),
        },
        Err(_) => Err(JournalError::Write("its thread has ended".into())),
    }
}

fn line_of(record: &Record) -> Vec<u8> {
    let json = serde_json::to_vec(record).expect("plain data");
    let mut line = hex_text(&Digest::of(&json).0[..4]).into_bytes();
    line.push(b' ');
    line.extend_from_slice(&json);
    line.push(b'\n');
    line
}

fn parse(line: &[u8]) -> Result<Record, String> {
    let line = line.strip_suffix(b"\n").ok_or("the line is cut short")?;
    let (sum, json) = line.split_at_checked(9).ok_or("the line is cut short")?;
    if sum[..8] != *hex_text(&Digest::of(json).0[..4]).as_bytes() || sum[8] != b' ' {
        return Err("the checksum does not match".into());
    }
    serde_json::from_slice(json).map_err(|e| format!("it is no record: {e}"))
}

/// Replays whole lines; the end of the last one.
fn replay_lines(
    path: &Path,
    file: &fs::File,
    replay: &mut dyn FnMut(Record, Location),
) -> Result<u64, JournalError> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let io = |e| FileError::io("read", path, e);
    let length = file.metadata().map_err(io)?.len();
    let mut offset = 0;
    let mut number = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        number += 1;
        let mut limited = reader.by_ref().take(MAX_LINE);
        let read = limited.read_until(b'\n', &mut line).map_err(io)? as u64;
        if read == 0 {
            return Ok(offset);
        }
        match parse(&line) {
            Ok(record) => {
                let bytes = line.len() as u32;
                replay(record, Location { offset, bytes });
                offset += read;
            }
            // Cut short by a crash: nobody was told that it is kept.
            Err(_) if offset + read == length => return Ok(offset),
            Err(reason) => {
                return Err(JournalError::Damaged {
                    path: path.into(),
                    line: number,
                    reason,
                });
            }
        }
    }
}

/// The writing thread: takes what has come, writes it, flushes once, tells.
fn write_lines(
    mut file: fs::File,
    mut end: u64,
    queue: &mpsc::Receiver<(Vec<u8>, bool)>,
    progress: &watch::Sender<Progress>,
) {
    while let Ok((mut bytes, mut flush)) = queue.recv() {
        while bytes.len() < 8 << 20
            && let Ok((more, also)) = queue.try_recv()
        {
            bytes.extend_from_slice(&more);
            flush |= also;
        }
        let written = file
            .write_all(&bytes)
            .and_then(|()| if flush { file.sync_data() } else { Ok(()) });
        match written {
            Ok(()) => {
                end += bytes.len() as u64;
                let _ = progress.send(Ok(end));
            }
            Err(error) => {
                let _ = progress.send(Err(error.to_string()));
                return;
            }
        }
    }
}
