//! What there is to know of a space as a whole: whether it fits, how large it is
//! and what its stages decide.

use std::path::Path;

use miette::miette;

use crate::cli::print;
use crate::space::{ChoiceKind, Space};

/// Spaces up to this size are enumerated to count distinct networks.
const ENUMERABLE: u64 = 1_000_000;

pub fn check(file: &Path, json: bool) -> miette::Result<()> {
    let start = std::time::Instant::now();
    let space = Space::load(file)?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let name = file.display();
    print(&match json {
        true => format!(
            "{}\n",
            serde_json::json!({
                "file": name.to_string(),
                "space": space.name(),
                "hash": space.hash(),
                "architectures": space.count().to_string(),
                "choices": space.choices().len(),
                "milliseconds": ms,
            })
        ),
        false => format!(
            "{name}: {} fits, {} architectures, {} choices ({ms:.1} ms)\n",
            space.name(),
            space.count(),
            space.choices().len(),
        ),
    });
    Ok(())
}

pub fn count(space: &Space, distinct: bool, stages: bool, json: bool) -> miette::Result<()> {
    let found = match distinct {
        true => Some(space.distinct(ENUMERABLE).ok_or_else(|| {
            miette!(
                help = "distinct networks are counted one by one, up to a million",
                "the space has {} architectures",
                space.count()
            )
        })?),
        false => None,
    };
    if json {
        let constraints: Vec<String> = space.constraints().iter().map(|c| c.to_string()).collect();
        let line = serde_json::json!({
            "architectures": space.count().to_string(),
            "distinct": found,
            "constraints": constraints,
            "stages": stages.then(|| self::stages(space)),
        });
        print(&format!("{line}\n"));
        return Ok(());
    }
    print(&format!("{}\n", space.count()));
    if let Some(found) = found {
        print(&format!(
            "{} distinct topologies, {} distinct networks once nothing is computed in vain\n",
            found.topologies, found.networks
        ));
        if let Some(published) = found.published {
            print(&format!(
                "{published} distinct by the text in which the authors compare architectures\n"
            ));
        }
    }
    if !space.constraints().is_empty() {
        const DRAWS: usize = 1_000;
        let kept = space.admitted(DRAWS, &mut super::vary::rng(0));
        print(&format!(
            "of {DRAWS} drawn, {kept} keep to the constraints; only those are given out\n"
        ));
    }
    if stages {
        print(&format!(
            "{}\n",
            stage_table(&self::stages(space)).trim_fmt()
        ));
    }
    Ok(())
}

/// What a stage decides: choices that differ in their round alone are one.
#[derive(serde::Serialize)]
struct Stage<'a> {
    stage: String,
    decisions: usize,
    choices: Vec<StageChoice<'a>>,
}

#[derive(serde::Serialize)]
struct StageChoice<'a> {
    /// The path without the numbers of rounds.
    path: String,
    kind: ChoiceKind,
    decisions: usize,
    options: &'a [String],
}

/// The stages, and whatever else stands first in the paths of choices, in
/// program order.
fn stages(space: &Space) -> Vec<Stage<'_>> {
    let mut stages: Vec<Stage> = Vec::new();
    for choice in space.choices() {
        let path = without_rounds(&choice.path);
        let name = path.split('.').next().unwrap_or_default().to_string();
        let at = match stages.iter().position(|s| s.stage == name) {
            Some(at) => at,
            None => {
                stages.push(Stage {
                    stage: name,
                    decisions: 0,
                    choices: Vec::new(),
                });
                stages.len() - 1
            }
        };
        let stage = &mut stages[at];
        stage.decisions += 1;
        let known = stage
            .choices
            .iter_mut()
            .find(|c| c.path == path && c.options == choice.labels);
        match known {
            Some(known) => known.decisions += 1,
            None => stage.choices.push(StageChoice {
                path,
                kind: choice.kind,
                decisions: 1,
                options: &choice.labels,
            }),
        }
    }
    stages
}

/// `s1[0].mb.kernel` as `s1.mb.kernel`.
fn without_rounds(path: &str) -> String {
    let mut parts = path.split('[');
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out += part.split_once(']').map_or(part, |(_, rest)| rest);
    }
    out
}

fn stage_table(stages: &[Stage]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .force_no_tty();
    table.set_header(["stage", "decisions", "choice", "options"]);
    for stage in stages {
        for (at, choice) in stage.choices.iter().enumerate() {
            // The stage's name stands before its first choice alone.
            let name = if at == 0 { stage.stage.as_str() } else { "" };
            table.add_row([
                name.to_string(),
                choice.decisions.to_string(),
                choice.path.clone(),
                options_text(choice.options),
            ]);
        }
    }
    table
}

/// Options by name; of many, the first and the last.
fn options_text(options: &[String]) -> String {
    match options {
        [first, second, .., last] if options.len() > 12 => {
            format!(
                "{first} | {second} | ... | {last} ({} options)",
                options.len()
            )
        }
        _ => options.join(" | "),
    }
}
