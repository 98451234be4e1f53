//! Energy meters that the system exposes: RAPL counters (powercap) and hwmon
//! energy sensors, both in microjoules. Where there is none, or it may not be
//! read, energy is absent; it is never estimated.

use std::fs;
use std::path::{Path, PathBuf};

/// Counters of the whole package or board: what runs beside a network, and
/// being idle, is in the figure too.
#[derive(Debug, Clone)]
pub struct EnergyMeter {
    counters: Vec<Counter>,
}

#[derive(Debug, Clone)]
struct Counter {
    path: PathBuf,
    /// Where the counter starts again from zero.
    range_uj: Option<u64>,
}

/// A meter's state at one moment.
#[derive(Debug, Clone)]
pub struct Reading(Vec<u64>);

impl EnergyMeter {
    /// This machine's meter, if it has one that this process may read.
    pub fn find() -> Option<Self> {
        Self::find_below(Path::new("/sys/class"))
    }

    /// RAPL's packages (`powercap/intel-rapl:N`, also on AMD), else every
    /// `hwmon/hwmonN/energyM_input`.
    fn find_below(class: &Path) -> Option<Self> {
        let package = |name: &str| {
            let number = name.strip_prefix("intel-rapl:");
            number.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
        };
        let mut counters: Vec<Counter> = entries(&class.join("powercap"))
            .into_iter()
            .filter(|path| package(&file_name(path)))
            .map(|dir| Counter {
                range_uj: number(&dir.join("max_energy_range_uj")),
                path: dir.join("energy_uj"),
            })
            .collect();
        if counters.is_empty() {
            let sensor = |path: &PathBuf| {
                let name = file_name(path);
                name.starts_with("energy") && name.ends_with("_input")
            };
            counters = entries(&class.join("hwmon"))
                .iter()
                .flat_map(|dir| entries(dir))
                .filter(sensor)
                .map(|path| Counter {
                    path,
                    range_uj: None,
                })
                .collect();
        }
        let meter = EnergyMeter { counters };
        (!meter.counters.is_empty() && meter.read().is_some()).then_some(meter)
    }

    /// `None` where a counter cannot be read.
    pub fn read(&self) -> Option<Reading> {
        let counters = self.counters.iter();
        let values: Option<Vec<u64>> = counters.map(|c| number(&c.path)).collect();
        values.map(Reading)
    }

    /// Millijoules since an earlier reading; `None` where a counter went back
    /// without a known range.
    pub fn since_mj(&self, earlier: &Reading) -> Option<f64> {
        let now = self.read()?;
        let mut total_uj = 0;
        for ((counter, now), then) in self.counters.iter().zip(&now.0).zip(&earlier.0) {
            total_uj += match now.checked_sub(*then) {
                Some(difference) => difference,
                None => (counter.range_uj? + now).checked_sub(*then)?,
            };
        }
        Some(total_uj as f64 / 1e3)
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_added_and_counters_may_wrap() {
        let class = tempfile::tempdir().unwrap();
        assert!(EnergyMeter::find_below(class.path()).is_none());
        let write = |name: &str, value: u64| {
            let path = class.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        };
        write("powercap/intel-rapl:0/energy_uj", 1_000_000);
        write("powercap/intel-rapl:0/max_energy_range_uj", 2_000_000);
        write("powercap/intel-rapl:1/energy_uj", 0);
        // A part of package 0, which must not be counted twice.
        write("powercap/intel-rapl:0:0/energy_uj", 77);
        let meter = EnergyMeter::find_below(class.path()).unwrap();
        let start = meter.read().unwrap();
        write("powercap/intel-rapl:0/energy_uj", 500_000);
        write("powercap/intel-rapl:1/energy_uj", 3_000);
        assert_eq!(meter.since_mj(&start), Some(1_503.0));
    }

    #[test]
    fn sensors_serve_where_there_are_no_packages() {
        let class = tempfile::tempdir().unwrap();
        let dir = class.path().join("hwmon/hwmon3");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("temp1_input"), "45000").unwrap();
        assert!(EnergyMeter::find_below(class.path()).is_none());
        fs::write(dir.join("energy1_input"), "10000").unwrap();
        let meter = EnergyMeter::find_below(class.path()).unwrap();
        let start = meter.read().unwrap();
        fs::write(dir.join("energy1_input"), "12500").unwrap();
        assert_eq!(meter.since_mj(&start), Some(2.5));
        // It went back, and nothing says how far it counts.
        fs::write(dir.join("energy1_input"), "9000").unwrap();
        assert_eq!(meter.since_mj(&start), None);
    }
}
