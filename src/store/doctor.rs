//! What is the matter with a database file, and what can be saved of it. A
//! damaged file is never written to: what can still be read goes into a new one.

use miette::Diagnostic;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use std::path::{Path, PathBuf};

use super::encode::{self, Half, SEPARATOR};
use super::file::File;
use super::open::{Db, Kind, Location};
use super::pack::Unpacker;
use super::{Event, Options, RunHeader, RunId, Store, StoreError, append, runs};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub is_well: bool,
    /// What was found.
    pub said: String,
    /// What to do about it, where it is not well.
    pub remedy: Option<String>,
}

/// What is known of a database's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.is_well)
    }
}

/// What was saved into a new file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Recovered {
    pub runs: u64,
    pub events: u64,
    /// Events that are known to be missing.
    pub lost: u64,
    /// Runs whose header is lost; their events are under one that says so.
    pub headless: u64,
}

/// Looks a database over without changing anything.
pub fn diagnose(path: &Path) -> Diagnosis {
    let mut findings = Vec::new();
    let mut say = |is_well, said: String, remedy: Option<String>| {
        findings.push(Finding {
            is_well,
            said,
            remedy,
        });
    };
    let fault = |error: &StoreError| (error.to_string(), error.help().map(|h| h.to_string()));
    match Store::open_read_only(path) {
        Err(error) => {
            let (said, remedy) = fault(&error);
            say(false, said, remedy);
        }
        Ok(store) => {
            say(
                true,
                format!("{} can be opened", store.path().display()),
                None,
            );
            match store.verify() {
                Ok(()) => say(
                    true,
                    "structure, references and artefacts are whole".into(),
                    None,
                ),
                Err(error) => {
                    let (said, remedy) = fault(&error);
                    say(false, said, remedy);
                }
            }
            match store.runs(&Default::default()) {
                Ok(runs) => {
                    for run in runs
                        .iter()
                        .filter(|run| run.status_word() == "interrupted?")
                    {
                        say(
                            true,
                            format!(
                                "run {} ({}) ended without saying so, with {} evaluations",
                                run.id, run.name, run.evaluated
                            ),
                            Some(format!("bespoke search --resume {}", run.id)),
                        );
                    }
                    let count = runs.len();
                    say(
                        true,
                        format!("it holds {count} run{}", if count == 1 { "" } else { "s" }),
                        None,
                    );
                }
                Err(error) => {
                    let (said, remedy) = fault(&error);
                    say(false, said, remedy);
                }
            }
        }
    }
    if let Some(finding) = can_be_written(path) {
        findings.push(finding);
    }
    Diagnosis { findings }
}

/// Whether a search could record into an existing file.
fn can_be_written(path: &Path) -> Option<Finding> {
    if !path.is_file() {
        return None;
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let probe = directory.join(format!(".bespoke-doctor-{}", std::process::id()));
    let file = std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .map(drop);
    let tried = file.and_then(|()| std::fs::write(&probe, b"x"));
    let _ = std::fs::remove_file(&probe);
    Some(match tried {
        Ok(()) => Finding {
            is_well: true,
            said: "the file and its directory can be written".into(),
            remedy: None,
        },
        Err(error) => {
            let error = StoreError::from_io("write", path, error);
            Finding {
                is_well: false,
                said: error.to_string(),
                remedy: error.help().map(|h| h.to_string()),
            }
        }
    })
}

/// Saves what can be read of a damaged file into a new one.
///
/// # Errors
/// When the new file exists or cannot be written, or the damaged one is so
/// broken that nothing in it can be found.
pub fn recover(from: &Path, to: &Path) -> Result<Recovered, StoreError> {
    if to.exists() {
        return Err(StoreError::Io {
            action: "recover into",
            path: to.to_owned(),
            cause: std::io::Error::from(std::io::ErrorKind::AlreadyExists),
        });
    }
    let location = Location::new(from, Options::default().busy_timeout)?;
    let Kind::File(file) = location.kind else {
        return Err(StoreError::NotAFile {
            path: location.path,
            what: "what a doctor can mend",
        });
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| StoreError::from_io("start a runtime for", from, e))?;
    // Looked at as a copy: opening a file with a log may write to it.
    let copy = Copy::of(from)?;
    let file = File {
        path: copy.path.clone(),
        ..file
    };
    let read = runtime.block_on(read_all(&file));
    let (headers, events) = read.map_err(|error| match error {
        StoreError::Damaged { detail, .. } => StoreError::Damaged {
            path: from.to_owned(),
            detail,
        },
        other => other,
    })?;
    let store = Store::open(to)?;
    store.save(headers, events)
}

/// A copy of a file and its log that is removed again.
struct Copy {
    path: PathBuf,
}

impl Copy {
    fn of(from: &Path) -> Result<Self, StoreError> {
        let name = format!("bespoke-doctor-{}-{:x}.db", std::process::id(), {
            super::now().as_nanos()
        });
        let copy = Copy {
            path: std::env::temp_dir().join(name),
        };
        std::fs::copy(from, &copy.path).map_err(|e| StoreError::from_io("read", from, e))?;
        let log = with_suffix(from, "-wal");
        if log.exists() {
            let to = with_suffix(&copy.path, "-wal");
            std::fs::copy(&log, to).map_err(|e| StoreError::from_io("read", &log, e))?;
        }
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(with_suffix(&self.path, suffix));
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A header with the run's key in the damaged file.
type Header = (i64, RunId, RunHeader, i64);

/// Rows of a table by row number, wherever they can be reached: a range that
/// cannot be read is halved until only the unreadable row is left out.
async fn rows(db: &mut Db, columns: &str, table: &str, id: &str) -> Vec<AnyRow> {
    let mut found = Vec::new();
    // Row numbers are dense from 1, so that the end is where nothing more comes.
    let (mut from, mut step) = (1i64, 1024i64);
    let mut empty = 0;
    while empty < 64 && from < 1 << 40 {
        let mut ranges = vec![(from, from + step - 1)];
        let before = found.len();
        let mut failed = false;
        while let Some((a, b)) = ranges.pop() {
            let sql = format!(
                "SELECT {columns} FROM {table} NOT INDEXED
                 WHERE {id} BETWEEN {a} AND {b} ORDER BY {id}"
            );
            match sqlx::query(AssertSqlSafe(sql))
                .persistent(false)
                .fetch_all(&mut *db)
                .await
            {
                Ok(rows) => found.extend(rows),
                Err(_) if a < b => {
                    let middle = a + (b - a) / 2;
                    ranges.extend([(middle + 1, b), (a, middle)]);
                }
                Err(_) => failed = true,
            }
        }
        match found.len() > before {
            true => empty = 0,
            // Past a gap of millions of rows, nothing more is expected.
            false => empty += if failed { 0 } else { 1 },
        }
        if failed && from > (found.len() as i64 + 1) * 64 {
            break;
        }
        from += step;
        step = (step * 2).min(1 << 16);
    }
    found
}

async fn read_all(file: &File) -> Result<(Vec<Header>, Vec<(i64, Half)>), StoreError> {
    let mut db = file.connect("mode=rw").await?;
    // Without it SQLite reads nothing of a file that was cut short.
    sqlx::raw_sql("PRAGMA writable_schema = ON")
        .execute(&mut db)
        .await
        .map_err(|e| file.explain(e))?;
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema")
        .fetch_all(&mut db)
        .await
        .map_err(|e| file.explain(e))?;
    if !tables.iter().any(|name| name == "events") {
        return Err(StoreError::Foreign {
            path: file.path.clone(),
        });
    }
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info('events')")
        .fetch_all(&mut db)
        .await
        .map_err(|e| file.explain(e))?;
    let is_first_version = !columns.iter().any(|name| name == "packed");
    let (packed, asked) = match !is_first_version {
        true => ("packed", "asked"),
        false => ("NULL AS packed", "NULL"),
    };
    let headers = rows(&mut db, "*", "runs", "key").await;
    let headers = headers.iter().filter_map(|row| {
        let (header, created_ms) = runs::decode_header(row).ok()?;
        let id: String = row.try_get("id").ok()?;
        Some((row.try_get("key").ok()?, RunId(id), header, created_ms))
    });
    let headers = headers.collect();
    let line = format!(
        "run, seq || ' ' || at_ms || ' ' || COALESCE(candidate, '') || ' ' ||
         COALESCE({asked}, '') || ' ' || CASE WHEN {} IS NULL THEN '' ELSE 'p' END || ' ' ||
         length(kind) || ' ' || kind || payload AS line, {packed}",
        packed.trim_end_matches(" AS packed")
    );
    let events = rows(&mut db, &line, "events", "id").await;
    let mut halves = Vec::with_capacity(events.len());
    let mut unpacker = Unpacker::new();
    for row in &events {
        let mut decoded = || -> Option<(i64, Half)> {
            let line: String = row.try_get("line").ok()?;
            let mut half = encode::parse_line(line.trim_end_matches(SEPARATOR)).ok()?;
            if let Some(bytes) = row.try_get::<Option<Vec<u8>>, _>("packed").ok()? {
                half.put_bulk(unpacker.unpack(&bytes).ok()?);
            }
            Some((row.try_get("run").ok()?, half))
        };
        halves.extend(decoded());
    }
    Ok((headers, halves))
}

impl Store {
    /// Puts recovered runs into this new database, with the events at the
    /// places and times that they had.
    fn save(
        &self,
        headers: Vec<Header>,
        mut halves: Vec<(i64, Half)>,
    ) -> Result<Recovered, StoreError> {
        let mut recovered = Recovered::default();
        halves.sort_by_key(|(run, half)| (*run, half.recorded.seq));
        let mut known: Vec<Header> = headers;
        let orphans: std::collections::BTreeSet<i64> = halves
            .iter()
            .map(|(run, _)| *run)
            .filter(|run| !known.iter().any(|(key, ..)| key == run))
            .collect();
        for key in orphans {
            let id = RunId::fresh(super::now().as_nanos());
            known.push((key, id, lost_header(key), 0));
            recovered.headless += 1;
        }
        for (old, id, header, created_ms) in known {
            let mut events: Vec<Half> = Vec::new();
            let mut asked = std::collections::HashMap::new();
            for (_, half) in halves.extract_if(.., |(run, _)| *run == old) {
                if let Event::Asked(a) = &half.recorded.event {
                    asked.insert(
                        half.recorded.seq,
                        (a.genotype.clone(), a.network_hash.clone()),
                    );
                }
                events.push(half);
            }
            let mut written = 0;
            let last = events.last().map_or(0, |half| half.recorded.seq);
            self.transact(async |connection| {
                let Some(key) = runs::insert(connection, &id, &header, created_ms).await? else {
                    return Ok(());
                };
                for half in &mut events {
                    if let Some(place) = half.asked {
                        let Some((genotype, network_hash)) = asked.get(&place).cloned() else {
                            // Whose identity is lost says nothing.
                            continue;
                        };
                        half.put_identity(encode::Identity {
                            genotype,
                            network_hash,
                        });
                    }
                    let recorded = &half.recorded;
                    let place = (recorded.seq as i64, recorded.at_ms);
                    append::put_at(connection, key, place, &recorded.event).await?;
                    written += 1;
                }
                Ok(())
            })?;
            recovered.runs += 1;
            recovered.events += written;
            recovered.lost += last.saturating_sub(written);
        }
        Ok(recovered)
    }
}

fn lost_header(key: i64) -> RunHeader {
    RunHeader {
        name: format!("recovered run {key}"),
        experiment: serde_json::json!({}),
        space_text: String::new(),
        space_hash: "lost".into(),
        seed: 0,
        bespoke_version: "lost".into(),
        git_commit: None,
        dataset_name: "lost".into(),
        dataset_hash: "lost".into(),
        device: "lost".into(),
        engine: "lost".into(),
    }
}
