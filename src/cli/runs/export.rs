//! `bespoke runs export`: a run as plain files that any other program reads.
//! Files of an earlier export of the same run are replaced, others are left.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufWriter, Write};
use std::path::Path;

use miette::{IntoDiagnostic, WrapErr};

use crate::report;
use crate::store::{Detail, Event, RunId, RunState, Store};

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Tables, events, an Optuna study and artefacts.
    Files,
    /// An experiment in a directory of MLflow's.
    Mlflow,
}

/// Writes a run into a directory and returns the number of files written.
pub(super) fn export(
    store: &Store,
    run: &RunId,
    out: &Path,
    format: Format,
) -> miette::Result<usize> {
    match format {
        Format::Files => files(store, run, out),
        Format::Mlflow => mlflow(store, run, out),
    }
}

/// Writes
///
/// - `run.json`: the header, with the space and the experiment;
/// - `events.jsonl`: every event as it was recorded, one a line;
/// - `candidates.csv`, `measurements.csv`, `front.csv`;
/// - `candidates.parquet`, `measurements.parquet`: the same with types;
/// - `optuna.journal`: the candidates as an Optuna study;
/// - `front.svg`, where a candidate has been evaluated;
/// - `artefacts/`: the run's files under their names.
fn files(store: &Store, run: &RunId, out: &Path) -> miette::Result<usize> {
    let state = store.state(run)?;
    make_directory(out)?;
    let header = serde_json::to_string_pretty(&serde_json::json!({
        "id": state.id,
        "created_ms": state.created_ms,
        "status": state.status_word(),
        "header": state.header,
    }))
    .into_diagnostic()?;
    let candidates = report::candidate_columns(&state);
    let measurements = report::measurement_columns(&state);
    let front = report::front_csv(&report::front_rows(&state));
    let mut files = vec![
        ("run.json", (header + "\n").into_bytes()),
        ("candidates.csv", candidates.csv().into_bytes()),
        ("measurements.csv", measurements.csv().into_bytes()),
        ("front.csv", front.into_bytes()),
        (
            "candidates.parquet",
            report::parquet(&candidates).into_diagnostic()?,
        ),
        (
            "measurements.parquet",
            report::parquet(&measurements).into_diagnostic()?,
        ),
        (
            "optuna.journal",
            report::optuna_journal(&state).into_bytes(),
        ),
    ];
    if let Ok(svg) = report::front_svg(&state, &Default::default()) {
        files.push(("front.svg", svg.into_bytes()));
    }
    let written = files.len() + 1;
    for (name, content) in files {
        write(&out.join(name), content)?;
    }
    write_events(store, run, &out.join("events.jsonl"))?;
    Ok(written + write_artefacts(store, &state, &out.join("artefacts"))?)
}

/// Writes an MLflow experiment; see [`report::Mlflow`].
fn mlflow(store: &Store, run: &RunId, out: &Path) -> miette::Result<usize> {
    let state = store.state(run)?;
    let mut ended_ms = BTreeMap::new();
    store.visit(run, 0, Detail::Figures, |recorded| {
        if let Event::Evaluated(_) | Event::Failed { .. } = recorded.event {
            let candidate = recorded.event.candidate();
            ended_ms.extend(candidate.map(|candidate| (candidate, recorded.at_ms)));
        }
    })?;
    make_directory(out)?;
    let root = out
        .canonicalize()
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot find {}", out.display()))?;
    let root = file_uri(&root);
    let mlflow = report::Mlflow::new(&state, &ended_ms, &root);
    let mut written = 0;
    let search = std::iter::once(mlflow.search());
    for tree in search.chain(mlflow.candidates()) {
        for directory in &tree.directories {
            make_directory(&out.join(directory))?;
        }
        for (path, content) in tree.files {
            write(&out.join(path), content)?;
            written += 1;
        }
    }
    let directory = out.join(mlflow.search_directory()).join("artifacts");
    Ok(written + write_artefacts(store, &state, &directory)?)
}

/// A path as a URI, without a slash at its end.
fn file_uri(path: &Path) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'/' | b'.' | b'_' | b'-' | b'~' => uri.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => uri.push(byte.into()),
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    uri.trim_end_matches('/').to_owned()
}

fn write(path: &Path, content: Vec<u8>) -> miette::Result<()> {
    std::fs::write(path, content)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot write {}", path.display()))
}

/// Writes the files that a run made, where it made any; returns how many.
fn write_artefacts(store: &Store, state: &RunState, directory: &Path) -> miette::Result<usize> {
    let mut names = HashSet::new();
    let mut written = 0;
    for artefact in &state.artefacts {
        let name = file_name(&artefact.name, &artefact.sha256, &mut names);
        make_directory(directory)?;
        // A missing file must not keep the rest from being exported.
        match store.read_artefact(artefact) {
            Ok(bytes) => {
                write(&directory.join(&name), bytes)?;
                written += 1;
            }
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    Ok(written)
}

fn make_directory(path: &Path) -> miette::Result<()> {
    std::fs::create_dir_all(path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot create the directory {}", path.display()))
}

fn write_events(store: &Store, run: &RunId, path: &Path) -> miette::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let file = std::fs::File::create(path)
        .into_diagnostic()
        .wrap_err_with(cannot)?;
    let mut file = BufWriter::new(file);
    let mut result = Ok(());
    store.for_each_event(run, 0, |recorded| {
        if result.is_ok() {
            result = writeln!(file, "{}", recorded.to_json());
        }
    })?;
    result
        .and_then(|()| file.flush())
        .into_diagnostic()
        .wrap_err_with(cannot)
}

/// A name that stays inside the directory and is not taken: what a name may
/// hold is decided here, as the database may come from anywhere.
fn file_name(wanted: &str, sha256: &str, taken: &mut HashSet<String>) -> String {
    let safe: String = wanted
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    let mut name = match safe.trim_matches(['.', ' ']) {
        "" => sha256.to_owned(),
        safe => safe.to_owned(),
    };
    if !taken.insert(name.clone()) {
        let short: String = sha256.chars().take(8).collect();
        name = format!("{short}-{name}");
        taken.insert(name.clone());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_uris() {
        assert_eq!(file_uri(Path::new("/a b/ü%")), "file:///a%20b/%C3%BC%25");
    }

    #[test]
    fn names_stay_inside_the_directory_and_distinct() {
        let mut taken = HashSet::new();
        let mut name = |wanted| file_name(wanted, "0123456789abcdef", &mut taken);
        assert_eq!(name("front-0.onnx"), "front-0.onnx");
        assert_eq!(name("front-0.onnx"), "01234567-front-0.onnx");
        assert_eq!(name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(name("a\nb\\c"), "a_b_c");
        assert_eq!(name(".."), "0123456789abcdef");
    }
}
