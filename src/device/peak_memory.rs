//! How much memory a network takes in a process, as Linux tells it. The peak
//! is the process's largest resident set between two looks; the kernel is asked
//! to forget earlier peaks first.

use std::fs;

use serde::{Deserialize, Serialize};

/// Resident memory of the process that runs the network, in bytes. The engine's
/// own code and the networks loaded earlier are in both figures. An allocator
/// that keeps what it was given back makes the difference too small for a
/// network that follows a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeakMemory {
    /// Before the network was loaded.
    pub before_bytes: u64,
    /// The most while it was loaded and run.
    pub peak_bytes: u64,
}

impl PeakMemory {
    /// What the network added.
    pub fn added_bytes(&self) -> u64 {
        self.peak_bytes.saturating_sub(self.before_bytes)
    }

    /// The larger peak, with the memory before it.
    pub fn larger(self, other: Self) -> Self {
        match other.added_bytes() > self.added_bytes() {
            true => other,
            false => self,
        }
    }
}

/// A process watched from before a network is loaded.
#[derive(Debug, Clone, Copy)]
pub struct MemoryWatch {
    process: u32,
    before_bytes: u64,
}

impl MemoryWatch {
    /// `None` where the system does not tell or does not forget earlier peaks.
    pub fn begin(process: u32) -> Option<Self> {
        let before_bytes = kib(process, "VmRSS")?;
        // 5: reset the peak of the resident set; see proc(5).
        fs::write(format!("/proc/{process}/clear_refs"), "5").ok()?;
        Some(MemoryWatch {
            process,
            before_bytes,
        })
    }

    /// `None` where the process has ended.
    pub fn end(self) -> Option<PeakMemory> {
        Some(PeakMemory {
            before_bytes: self.before_bytes,
            peak_bytes: kib(self.process, "VmHWM")?.max(self.before_bytes),
        })
    }
}

fn kib(process: u32, field: &str) -> Option<u64> {
    let text = proc_status(process, field)?;
    let number = text.strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    Some(number * 1024)
}

/// A field of `/proc/ID/status`.
pub fn proc_status(process: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == field).then(|| value.trim().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_seen_after_the_memory_is_gone() {
        let Some(watch) = MemoryWatch::begin(std::process::id()) else {
            assert!(!cfg!(target_os = "linux") || fs::metadata("/proc/self/clear_refs").is_err());
            return;
        };
        let size = 64 << 20;
        let block = std::hint::black_box(vec![1u8; size]);
        assert_eq!(block[size / 2], 1);
        drop(block);
        let memory = watch.end().unwrap();
        // Other tests of this process allocate and free meanwhile.
        assert!(memory.added_bytes() > size as u64 / 2, "{memory:?}");
        assert_eq!(proc_status(std::process::id(), "NoSuchField"), None);
    }
}
