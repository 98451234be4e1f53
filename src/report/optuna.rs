//! A run as an Optuna study: the log of operations that Optuna's own
//! `JournalStorage` replays. Each decision of the search space is a categorical
//! parameter, each objective a value, everything else a user attribute.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::units::iso_text;
use crate::store::{Outcome, RunState};
use crate::strategy::Metric;

// Optuna's numbers for its operations, directions and states.
const CREATE_STUDY: u8 = 0;
const SET_STUDY_USER_ATTR: u8 = 2;
const CREATE_TRIAL: u8 = 4;
const MINIMIZE: u8 = 1;
const MAXIMIZE: u8 = 2;
const COMPLETE: u8 = 1;
const FAIL: u8 = 3;

/// The lines of a journal file; pending candidates are left out. The study is
/// called after the run's id.
pub fn optuna_journal(state: &RunState) -> String {
    let objectives = state.objectives();
    let worker = "bespoke";
    let directions: Vec<u8> = objectives
        .iter()
        .map(|metric| match metric {
            Metric::Accuracy => MAXIMIZE,
            _ => MINIMIZE,
        })
        .collect();
    let mut lines = vec![json!({
        "op_code": CREATE_STUDY, "worker_id": worker,
        "study_name": state.id.as_str(), "directions": directions,
    })];
    let names: Vec<String> = objectives.iter().map(Metric::to_string).collect();
    let facts = json!({
        "objectives": names,
        "name": state.header.name,
        "space_hash": state.header.space_hash,
        "seed": state.header.seed.to_string(),
        "dataset": state.header.dataset_name,
        "device": state.header.device,
        "engine": state.header.engine,
        "bespoke_version": state.header.bespoke_version,
        "git_commit": state.header.git_commit,
    });
    for (name, value) in facts.as_object().into_iter().flatten() {
        lines.push(json!({
            "op_code": SET_STUDY_USER_ATTR, "worker_id": worker, "study_id": 0,
            "user_attr": {name: value},
        }));
    }
    let mut choices: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for candidate in state.candidates.values() {
        for (path, option) in decisions(&candidate.genotype) {
            choices.entry(path).or_default().insert(option);
        }
    }
    for candidate in state.candidates.values() {
        let mut trial = json!({
            "op_code": CREATE_TRIAL, "worker_id": worker, "study_id": 0,
            "datetime_start": iso_text(state.created_ms),
            "datetime_complete": iso_text(state.last_event_ms),
            "system_attrs": {}, "intermediate_values": {},
        });
        let mut attributes = json!({
            "candidate": candidate.id,
            "genotype": candidate.genotype,
            "network_hash": candidate.network_hash,
            "fidelity": candidate.fidelity,
        });
        match &candidate.outcome {
            Outcome::Pending => continue,
            Outcome::Failed { cause } => {
                trial["state"] = FAIL.into();
                attributes["cause"] = cause.as_str().into();
            }
            Outcome::Evaluated(e) => {
                let values: Option<Vec<f64>> = objectives.iter().map(|m| e.value(m)).collect();
                // Optuna takes no trial without all its values for complete.
                trial["state"] = if values.is_some() { COMPLETE } else { FAIL }.into();
                if let Some(values) = values {
                    trial["values"] = json!(values);
                }
                attributes["latency_interval_ms"] = json!([e.latency_low_ms, e.latency_high_ms]);
                attributes["macs"] = e.macs.into();
                attributes["params"] = e.params.into();
                attributes["peak_activation_bytes"] = e.peak_activation_bytes.into();
                attributes["seconds"] = json!(e.seconds);
                attributes["curve"] = e.curve.clone();
            }
        }
        let (mut params, mut distributions) = (json!({}), json!({}));
        for (path, option) in decisions(&candidate.genotype) {
            let all = &choices[path];
            let options: Vec<&&str> = all.iter().collect();
            params[path] = all.iter().position(|o| *o == option).into();
            // A text within the line, as Optuna writes it.
            distributions[path] = Value::String(
                json!({"name": "CategoricalDistribution", "attributes": {"choices": options}})
                    .to_string(),
            );
        }
        trial["params"] = params;
        trial["distributions"] = distributions;
        trial["user_attrs"] = attributes;
        lines.push(trial);
    }
    let mut text = String::new();
    for line in lines {
        text += &line.to_string();
        text.push('\n');
    }
    text
}

/// The decisions of a genotype, `path=option` each.
pub(super) fn decisions(genotype: &str) -> impl Iterator<Item = (&str, &str)> {
    genotype
        .split_whitespace()
        .filter_map(|d| d.split_once('='))
}
