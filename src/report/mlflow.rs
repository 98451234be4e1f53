//! A run as MLflow keeps its own in a directory: an experiment, in it one MLflow
//! run for the whole search, and under that one for each candidate, with the
//! decisions of the search space as parameters and each figure as a metric; the
//! training curve's have a step an epoch.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::optuna::decisions;
use crate::store::{Candidate, Outcome, RunState};

/// What an MLflow run consists of, with paths below MLflow's directory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tree {
    /// Some stay empty, and without them MLflow takes it for none of its own.
    pub directories: Vec<String>,
    pub files: Vec<(String, Vec<u8>)>,
}

// MLflow's numbers for the states of its runs, and for a source that is a program.
const RUNNING: u8 = 1;
const FINISHED: u8 = 3;
const FAILED: u8 = 4;
const KILLED: u8 = 5;
const LOCAL: u8 = 4;

/// MLflow refuses longer names and values of parameters.
const LONGEST_NAME: usize = 240;
const LONGEST_VALUE: usize = 6000;

/// A run that is written for MLflow.
pub struct Mlflow<'a> {
    state: &'a RunState,
    /// When each candidate's outcome was recorded, Unix time in milliseconds.
    ended_ms: &'a BTreeMap<u64, i64>,
    /// The directory's URI, without a slash at its end.
    root: &'a str,
    experiment: String,
    search: String,
    front: HashSet<u64>,
}

impl<'a> Mlflow<'a> {
    pub fn new(state: &'a RunState, ended_ms: &'a BTreeMap<u64, i64>, root: &'a str) -> Self {
        let front = state.front();
        Mlflow {
            state,
            ended_ms,
            root,
            experiment: number(state.id.as_str()),
            search: identifier(state.id.as_str()),
            front: front.iter().map(|m| m.evaluated.candidate).collect(),
        }
    }

    /// The directory of the run for the whole search, below MLflow's.
    pub fn search_directory(&self) -> String {
        format!("{}/{}", self.experiment, self.search)
    }

    /// The experiment and the run for the whole search.
    pub fn search(&self) -> Tree {
        let (state, header) = (self.state, &self.state.header);
        let name = format!("{} {}", header.name, state.id);
        let experiment = json!({
            "artifact_location": format!("{}/{}", self.root, self.experiment),
            "creation_time": state.created_ms,
            "experiment_id": self.experiment,
            "last_update_time": state.last_event_ms,
            "lifecycle_stage": "active",
            "name": name,
        });
        let mut run = Run::new(self, self.search.clone(), &header.name);
        let status = match state.status_word() {
            "finished" => FINISHED,
            "failed" => FAILED,
            "running" | "running?" => RUNNING,
            _ => KILLED,
        };
        run.meta(status, state.created_ms, state.last_event_ms);
        let facts = json!({
            "seed": header.seed.to_string(),
            "space_hash": header.space_hash,
            "dataset": header.dataset_name,
            "dataset_hash": header.dataset_hash,
            "device": header.device,
            "engine": header.engine,
            "bespoke_version": header.bespoke_version,
            "architectures": state.architectures,
        });
        let experiment_file = header.experiment.as_object().into_iter().flatten();
        let facts = facts.as_object().into_iter().flatten();
        // What both say, such as the seed, is said once.
        let settings: BTreeMap<_, _> = experiment_file.chain(facts).collect();
        for (name, value) in settings {
            run.parameter(name, &text(value));
        }
        let best = state.evaluated().map(|e| e.accuracy).reduce(f64::max);
        let figures = [
            ("best_accuracy", best),
            ("evaluated", Some(state.evaluated().count() as f64)),
            ("failed", Some(state.failures().count() as f64)),
            ("front", Some(self.front.len() as f64)),
        ];
        for (name, value) in figures {
            run.metric(name, state.last_event_ms, &[(0, value)]);
        }
        run.tag("mlflow.source.name", "bespoke search");
        run.tag("mlflow.note.content", &state.notes.join("\n\n"));
        let commit = header.git_commit.as_deref().unwrap_or_default();
        run.tag("mlflow.source.git.commit", commit);
        run.tag("run", state.id.as_str());
        let mut tree = run.tree;
        let path = format!("{}/meta.yaml", self.experiment);
        tree.files.push((path, experiment.to_string().into_bytes()));
        tree
    }

    /// The runs of candidates, in the order asked for.
    pub fn candidates(&self) -> impl Iterator<Item = Tree> + '_ {
        self.state.candidates.values().map(|c| self.candidate(c))
    }

    fn candidate(&self, candidate: &Candidate) -> Tree {
        let id = identifier(&format!("{} {}", self.state.id, candidate.id));
        let mut run = Run::new(self, id, &format!("candidate {}", candidate.id));
        let ended = self.ended_ms.get(&candidate.id).copied();
        let ended = ended.unwrap_or(self.state.last_event_ms);
        let seconds = candidate.evaluated().map_or(0.0, |e| e.seconds);
        let status = match candidate.outcome {
            Outcome::Pending => RUNNING,
            Outcome::Evaluated(_) => FINISHED,
            Outcome::Failed { .. } => FAILED,
        };
        run.meta(status, ended - (1e3 * seconds) as i64, ended);
        for (path, option) in decisions(&candidate.genotype) {
            run.parameter(path, option);
        }
        run.tag("mlflow.parentRunId", &self.search);
        run.tag("mlflow.source.name", "bespoke search");
        run.tag("candidate", &candidate.id.to_string());
        run.tag("genotype", &candidate.genotype);
        let hash = candidate.network_hash.as_deref().unwrap_or_default();
        run.tag("network_hash", hash);
        run.tag("front", &self.front.contains(&candidate.id).to_string());
        if let Some(generation) = candidate.generation {
            run.tag("generation", &generation.to_string());
        }
        match &candidate.outcome {
            Outcome::Pending => {}
            Outcome::Failed { cause } => run.tag("cause", cause),
            Outcome::Evaluated(e) => {
                let member = self.state.member(e);
                let measured = member.measured;
                let trained = member.trained;
                let figures = [
                    ("accuracy", Some(e.accuracy)),
                    ("fidelity", Some(e.fidelity)),
                    ("latency_ms", Some(e.latency_ms)),
                    ("latency_low_ms", Some(e.latency_low_ms)),
                    ("latency_high_ms", Some(e.latency_high_ms)),
                    ("macs", Some(e.macs as f64)),
                    ("params", Some(e.params as f64)),
                    (
                        "peak_activation_bytes",
                        Some(e.peak_activation_bytes as f64),
                    ),
                    ("evaluation_seconds", Some(e.seconds)),
                    ("measured_ms", measured.map(|m| m.median_ms)),
                    ("measured_low_ms", measured.map(|m| m.ci95_ms[0])),
                    ("measured_high_ms", measured.map(|m| m.ci95_ms[1])),
                    ("test_accuracy", trained.map(|t| t.test_accuracy)),
                    (
                        "final_validation_accuracy",
                        trained.map(|t| t.validation_accuracy),
                    ),
                ];
                for (name, value) in figures {
                    run.metric(name, ended, &[(0, value)]);
                }
                for (metric, values) in &e.predictions {
                    for (end, value) in ["", "_low", "_high"].iter().zip(values) {
                        run.metric(&format!("{metric}{end}"), ended, &[(0, Some(*value))]);
                    }
                }
                run.curve("search", ended, &e.curve);
                if let Some(trained) = trained {
                    run.curve("final", ended, &trained.curve);
                }
            }
        }
        run.tree
    }
}

/// The files of one MLflow run.
struct Run<'a> {
    of: &'a Mlflow<'a>,
    id: String,
    name: String,
    tree: Tree,
    taken: HashSet<String>,
}

impl<'a> Run<'a> {
    fn new(of: &'a Mlflow<'a>, id: String, name: &str) -> Self {
        let mut run = Run {
            of,
            id,
            name: name.to_owned(),
            tree: Tree::default(),
            taken: HashSet::new(),
        };
        for kind in ["artifacts", "metrics", "params", "tags"] {
            let path = run.path(kind);
            run.tree.directories.push(path);
        }
        run.tag("mlflow.runName", name);
        run.tag("mlflow.user", "bespoke");
        run
    }

    fn put(&mut self, kind: &str, name: &str, content: String) {
        let mut path = format!("{}/{name}", self.path(kind));
        while !self.taken.insert(path.clone()) {
            path.push('_');
        }
        self.tree.files.push((path, content.into_bytes()));
    }

    /// Of something in the run's directory.
    fn path(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.of.experiment, self.id)
    }

    fn meta(&mut self, status: u8, start_ms: i64, end_ms: i64) {
        let meta = json!({
            "artifact_uri": format!("{}/{}", self.of.root, self.path("artifacts")),
            "end_time": (status != RUNNING).then_some(end_ms),
            "entry_point_name": "",
            "experiment_id": self.of.experiment,
            "lifecycle_stage": "active",
            "run_id": self.id,
            "run_name": self.name,
            "run_uuid": self.id,
            "source_name": "",
            "source_type": LOCAL,
            "source_version": "",
            "start_time": start_ms,
            "status": status,
            "tags": [],
            "user_id": "bespoke",
        });
        // JSON is YAML.
        let path = self.path("meta.yaml");
        self.tree.files.push((path, meta.to_string().into_bytes()));
    }

    /// A parameter is one line.
    fn parameter(&mut self, name: &str, value: &str) {
        let line = value.chars().map(|c| if c.is_control() { ' ' } else { c });
        let line = line.take(LONGEST_VALUE).collect();
        self.put("params", &file_name(name), line);
    }

    fn tag(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.put("tags", &file_name(name), value.to_owned());
        }
    }

    /// Values of a metric by step; those that are absent are left out.
    fn metric(&mut self, name: &str, at_ms: i64, values: &[(u64, Option<f64>)]) {
        let lines: String = values
            .iter()
            .filter_map(|(step, value)| Some(format!("{at_ms} {} {step}\n", json!((*value)?))))
            .collect();
        if !lines.is_empty() {
            self.put("metrics", &file_name(name), lines);
        }
    }

    /// Each figure of a training curve, with a step an epoch.
    fn curve(&mut self, training: &str, at_ms: i64, curve: &Value) {
        let mut figures: BTreeMap<&str, Vec<(u64, Option<f64>)>> = BTreeMap::new();
        for (index, epoch) in curve.as_array().into_iter().flatten().enumerate() {
            let step = epoch["epoch"].as_u64().unwrap_or(index as u64);
            for (name, value) in epoch.as_object().into_iter().flatten() {
                if name != "epoch" {
                    figures
                        .entry(name)
                        .or_default()
                        .push((step, value.as_f64()));
                }
            }
        }
        for (name, values) in figures {
            self.metric(&format!("{training}.{name}"), at_ms, &values);
        }
    }
}

/// The name of a metric, parameter or tag as MLflow takes it, and as a file that
/// stays in its directory: of `s1.body[0]@pi5/tract`, `s1.body.0.pi5_tract`.
fn file_name(name: &str) -> String {
    let safe = name.chars().filter_map(|c| match c {
        '[' | '@' | '#' => Some('.'),
        ']' => None,
        c if c.is_ascii_alphanumeric() || "_-.".contains(c) => Some(c),
        _ => Some('_'),
    });
    let safe: String = safe.take(LONGEST_NAME).collect();
    match safe.trim_matches('.') {
        "" => format!("_{safe}"),
        _ => safe,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// 32 hexadecimal digits, as MLflow names runs; the same for the same text, so
/// that a later export takes an earlier one's place.
fn identifier(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Eighteen decimal digits, as MLflow numbers experiments.
fn number(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let bytes = digest[..8].try_into().expect("eight bytes");
    let number = u64::from_be_bytes(bytes) % 900_000_000_000_000_000;
    (100_000_000_000_000_000 + number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_data::{every_event, header};
    use crate::store::{Recorded, RunId};

    #[test]
    fn names_are_those_that_mlflow_takes() {
        for (name, safe) in [
            ("accuracy", "accuracy"),
            ("latency_ms@pi5/tract", "latency_ms.pi5_tract"),
            ("s1.body[0].unit.op", "s1.body.0.unit.op"),
            ("out#2", "out.2"),
            ("..", "_.."),
            ("../../etc", ".._.._etc"),
            ("", "_"),
            ("ünïcode \n", "_n_code__"),
        ] {
            assert_eq!(file_name(name), safe);
        }
        assert_eq!(file_name(&"x".repeat(999)).len(), LONGEST_NAME);
    }

    #[test]
    fn every_candidate_is_a_run_below_the_search() {
        let store = tempfile::tempdir().unwrap();
        let store = crate::store::Store::open(store.path().join("x.db")).unwrap();
        let run: RunId = store.create_run(&header("a/../b\n")).unwrap();
        store.append_all(&run, &every_event()).unwrap();
        let state = store.state(&run).unwrap();
        let mut ended = BTreeMap::new();
        for Recorded { at_ms, event, .. } in store.events(&run).unwrap() {
            ended.extend(event.candidate().map(|candidate| (candidate, at_ms)));
        }
        let mlflow = Mlflow::new(&state, &ended, "file:///x");
        let all: Vec<Tree> = std::iter::once(mlflow.search())
            .chain(mlflow.candidates())
            .collect();
        assert_eq!(all.len(), 1 + state.candidates.len());
        let mut paths = HashSet::new();
        for (path, _) in all.iter().flat_map(|tree| &tree.files) {
            assert!(paths.insert(path), "{path} is written twice");
            let parts: Vec<&str> = path.split('/').collect();
            assert!(parts.iter().all(|part| !["", ".", ".."].contains(part)));
            assert!(parts.len() <= 4 && parts[0] == mlflow.experiment, "{path}");
        }
        let of = |ending: &str| {
            let mut files = all.iter().flat_map(|tree| &tree.files);
            let found = files.find(|(path, _)| path.ends_with(ending));
            String::from_utf8(found.unwrap().1.clone()).unwrap()
        };
        let at = ended[&1];
        assert_eq!(of("metrics/latency_ms.pi5"), format!("{at} 5.0 0\n"));
        let curve = format!("{at} 1.2 0\n{at} 0.7 1\n");
        assert_eq!(of("metrics/search.loss"), curve);
        assert_eq!(of("params/seed"), u64::MAX.to_string());
        assert!(paths.iter().all(|path| !path.ends_with('_')));
        assert_eq!(of("tags/cause"), "the loss became NaN in epoch 1");
        assert_eq!(of("tags/mlflow.parentRunId"), mlflow.search);
    }
}
