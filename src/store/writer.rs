//! Who writes a run: enough about the recording process to tell later, on
//! the same machine, whether it still lives. A process number alone is not
//! enough, as numbers are used again; with the time the process started and
//! the boot it belongs to, the answer is sure. Elsewhere it is "unknown".

use serde::{Deserialize, Serialize};

/// Identity of the process that records a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    pub pid: u32,
    pub host: String,
    /// Kernel's random id of this boot; empty where the system has none.
    pub boot_id: String,
    /// Namespace the process number belongs to (containers have their own).
    pub pid_namespace: String,
    /// Start of the process in clock ticks since boot; 0 where unknown.
    pub start_ticks: u64,
}

/// What is known of a writer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    Alive,
    Gone,
    /// On another machine, in another container, or the system cannot tell.
    Unknown,
}

impl Writer {
    /// The calling process.
    pub fn current() -> Self {
        let pid = std::process::id();
        Writer {
            pid,
            host: read_word("/proc/sys/kernel/hostname"),
            boot_id: read_word("/proc/sys/kernel/random/boot_id"),
            pid_namespace: std::fs::read_link("/proc/self/ns/pid")
                .map(|link| link.to_string_lossy().into_owned())
                .unwrap_or_default(),
            start_ticks: start_ticks(pid).unwrap_or(0),
        }
    }

    /// Whether the writer still runs, as far as this process can see.
    pub fn liveness(&self) -> Liveness {
        let here = Writer::current();
        if self.boot_id.is_empty() || self.start_ticks == 0 {
            return Liveness::Unknown;
        }
        if self.boot_id != here.boot_id {
            // The same machine has booted since, or it is another machine.
            return match self.host == here.host {
                true => Liveness::Gone,
                false => Liveness::Unknown,
            };
        }
        if self.pid_namespace != here.pid_namespace {
            return Liveness::Unknown;
        }
        match start_ticks(self.pid) {
            Some(ticks) if ticks == self.start_ticks => Liveness::Alive,
            _ => Liveness::Gone,
        }
    }
}

fn read_word(path: &str) -> String {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// Field 22 of /proc/PID/stat, or none where there is no such living process.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in parentheses and may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // A zombie has ended; only its parent has not noticed yet.
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn knows_the_living_from_the_dead() {
        let me = Writer::current();
        assert_eq!(me.liveness(), Liveness::Alive);

        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let other = Writer {
            pid: child.id(),
            start_ticks: start_ticks(child.id()).unwrap(),
            ..me.clone()
        };
        assert_eq!(other.liveness(), Liveness::Alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(other.liveness(), Liveness::Gone);

        // A number used again by a younger process is not the writer.
        let reused = Writer {
            start_ticks: me.start_ticks - 1,
            ..me.clone()
        };
        assert_eq!(reused.liveness(), Liveness::Gone);
        let elsewhere = Writer {
            host: "another".into(),
            boot_id: "another".into(),
            ..me
        };
        assert_eq!(elsewhere.liveness(), Liveness::Unknown);
    }
}
