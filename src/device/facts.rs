//! What a device says of itself: recorded beside every measurement, because a
//! latency without its governor and temperature cannot be compared. Facts the
//! system does not expose are absent, never guessed.

use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};
use sysinfo::{Components, CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// Facts about the device at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceFacts {
    pub cpu_model: Option<String>,
    pub architecture: String,
    pub logical_cores: Option<usize>,
    pub physical_cores: Option<usize>,
    /// Frequency governor of the first core.
    pub governor: Option<String>,
    pub memory_bytes: Option<u64>,
    pub os: Option<String>,
    /// Hottest sensor, in degrees Celsius.
    pub temperature_c: Option<f32>,
    /// Processes that wanted to run, averaged over the last minute.
    pub load_1min: Option<f64>,
    /// The cores that the engine's process may run on, such as `0` or `0-3`.
    pub allowed_cores: Option<String>,
}

impl DeviceFacts {
    /// Asks the machine this process runs on.
    pub fn collect() -> Self {
        Self::of_process(Some(std::process::id()))
    }

    /// As [`collect`](Self::collect), of a process on this machine.
    pub fn of_process(process: Option<u32>) -> Self {
        let system = System::new_with_specifics(
            RefreshKind::nothing()
                .with_cpu(CpuRefreshKind::nothing())
                .with_memory(MemoryRefreshKind::nothing().with_ram()),
        );
        let hottest = Components::new_with_refreshed_list()
            .iter()
            .filter_map(|c| c.temperature())
            .filter(|t| t.is_finite())
            .reduce(f32::max);
        DeviceFacts {
            cpu_model: system
                .cpus()
                .first()
                .and_then(|cpu| known(cpu.brand()))
                // Boards seldom name their CPU, but they name themselves.
                .or_else(|| read("/proc/device-tree/model")),
            architecture: std::env::consts::ARCH.into(),
            logical_cores: Some(system.cpus().len()).filter(|n| *n > 0),
            physical_cores: System::physical_core_count(),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            memory_bytes: Some(system.total_memory()).filter(|n| *n > 0),
            os: System::long_os_version().as_deref().and_then(known),
            temperature_c: hottest,
            load_1min: cfg!(unix).then(|| System::load_average().one),
            allowed_cores: process.and_then(|id| super::proc_status(id, "Cpus_allowed_list")),
        }
    }

    /// Whether so much else runs that latencies will suffer: more than three
    /// quarters of the cores were busy over the last minute.
    pub fn is_busy(&self) -> bool {
        match (self.load_1min, self.logical_cores) {
            (Some(load), Some(cores)) => load > 0.75 * cores as f64,
            _ => false,
        }
    }
}

impl fmt::Display for DeviceFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let absent = || "absent".to_string();
        let text = |t: &Option<String>| t.clone().unwrap_or_else(absent);
        let count = |n: Option<usize>| n.map_or_else(absent, |n| n.to_string());
        let gib = |b: u64| format!("{:.1} GiB", b as f64 / f64::from(1 << 30));
        writeln!(
            f,
            "CPU:         {} ({})",
            text(&self.cpu_model),
            self.architecture
        )?;
        writeln!(
            f,
            "cores:       {} logical, {} physical",
            count(self.logical_cores),
            count(self.physical_cores)
        )?;
        writeln!(f, "governor:    {}", text(&self.governor))?;
        writeln!(
            f,
            "memory:      {}",
            self.memory_bytes.map_or_else(absent, gib)
        )?;
        writeln!(f, "system:      {}", text(&self.os))?;
        let celsius = |t: f32| format!("{t:.0} °C");
        writeln!(
            f,
            "temperature: {}",
            self.temperature_c.map_or_else(absent, celsius)
        )?;
        let load = |l: f64| format!("{l:.2}");
        writeln!(
            f,
            "load:        {}",
            self.load_1min.map_or_else(absent, load)
        )?;
        write!(f, "may run on:  {}", text(&self.allowed_cores))
    }
}

/// A file's only line, if there is such a file and it says something.
fn read(path: &str) -> Option<String> {
    known(&fs::read_to_string(path).ok()?)
}

/// Text without surrounding blanks and the device tree's final NUL; `None`
/// where nothing is left.
fn known(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_and_memory() {
        let facts = DeviceFacts::collect();
        assert!(facts.logical_cores.is_some_and(|n| n >= 1));
        assert!(facts.memory_bytes.is_some_and(|b| b > 1 << 20));
    }

    #[test]
    fn missing_facts_are_called_absent() {
        let facts = DeviceFacts {
            cpu_model: Some("Cortex-A72".into()),
            architecture: "aarch64".into(),
            logical_cores: Some(4),
            memory_bytes: Some(4 << 30),
            load_1min: Some(3.5),
            ..DeviceFacts::default()
        };
        assert!(facts.is_busy());
        insta::assert_snapshot!(facts, @r"
        CPU:         Cortex-A72 (aarch64)
        cores:       4 logical, absent physical
        governor:    absent
        memory:      4.0 GiB
        system:      absent
        temperature: absent
        load:        3.50
        may run on:  absent
        ");
    }

    #[test]
    fn blank_facts_are_absent() {
        assert_eq!(known("Raspberry Pi 4\0"), Some("Raspberry Pi 4".into()));
        assert_eq!(known(" \n"), None);
    }
}
