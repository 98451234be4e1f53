//! Zero-cost scores of the table's architectures, as `bespoke proxies --json`
//! prints them: what a search may know of each before it asks for an accuracy.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::Benchmark;

/// Why scores cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the scores: {path}: {reason}; `bespoke proxies --format nasbench201 --json` prints such a file"
)]
pub struct ScoresError {
    path: PathBuf,
    reason: String,
}

/// A line of the file.
#[derive(Deserialize)]
struct Line {
    /// An official NAS-Bench-201 string.
    genotype: String,
    /// By proxy; one that is not defined for a network is left out.
    scores: BTreeMap<String, f64>,
}

impl Benchmark {
    /// Takes the scores of a file, of every proxy in it, for strategies to know.
    ///
    /// # Errors
    /// When the file cannot be read, a line is malformed, or an architecture
    /// has no line.
    pub fn read_scores(&mut self, path: &Path) -> Result<(), ScoresError> {
        let fail = |reason: String| ScoresError {
            path: path.into(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        let mut lines: HashMap<String, BTreeMap<String, f64>> = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line: Line =
                serde_json::from_str(line).map_err(|e| fail(format!("line {}: {e}", index + 1)))?;
            lines.insert(line.genotype, line.scores);
        }
        let texts = &self.measured.table.architectures;
        let missing = texts.iter().filter(|text| !lines.contains_key(*text));
        if let Some(first) = missing.clone().next() {
            let count = missing.count();
            return Err(fail(format!(
                "{count} architectures have no line, the first of them `{first}`"
            )));
        }
        let proxies: BTreeSet<&String> = lines.values().flat_map(BTreeMap::keys).collect();
        let of = |text: &String| {
            let scores = &lines[text];
            let one = |proxy: &&String| scores.get(*proxy).copied().unwrap_or(f64::NAN);
            proxies.iter().map(one).collect()
        };
        self.scores = Arc::new(texts.iter().map(of).collect());
        Ok(())
    }
}
