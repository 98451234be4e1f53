//! The processes that a process has started, and those that they have: an engine
//! may run as several, and all of them must end with their owner.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// All processes below one, as of the moment of the look.
#[derive(Debug)]
pub struct ProcessTree {
    system: System,
    below: Vec<Pid>,
}

impl ProcessTree {
    /// Looks at all processes of the machine once.
    pub fn below(process: u32) -> Self {
        let mut system = System::new();
        let kind = ProcessRefreshKind::nothing();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        let below = descendants(&system, Pid::from_u32(process));
        ProcessTree { system, below }
    }

    /// Kills them; the one above them is its owner's to end, and before: a parent
    /// that is stopped first starts no further children.
    pub fn kill(&self) {
        for pid in &self.below {
            if let Some(process) = self.system.process(*pid) {
                process.kill();
            }
        }
    }
}

/// The processes below this one, threads of which count as well.
fn descendants(system: &System, ancestor: Pid) -> Vec<Pid> {
    let mut found = vec![ancestor];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let children = system.processes().iter();
        let children = children.filter(|(_, p)| p.parent() == Some(parent));
        let new: Vec<Pid> = children
            .map(|(pid, _)| *pid)
            .filter(|pid| !found.contains(pid))
            .collect();
        found.extend(new);
        at += 1;
    }
    found.split_off(1)
}
