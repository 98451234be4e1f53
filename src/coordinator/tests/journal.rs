use std::io::Write;

use super::super::journal::on_disk;
use super::*;
use crate::coordinator::{Journal, JournalError, Location, Record};

fn records() -> Vec<Record> {
    let spec = spec("a", 1);
    let job = spec.id(Digest::of(b"a"));
    vec![
        Record::Enrolled {
            token: Digest::of(b"t"),
            device: "a".into(),
            key: Digest::of(b"a"),
        },
        Record::Submitted {
            job,
            spec: spec.clone(),
        },
        Record::Done {
            job,
            spec,
            report: report(),
            at: 5,
        },
    ]
}

fn replay(path: &std::path::Path) -> Result<(Journal, Vec<(Record, Location)>), JournalError> {
    let mut seen = Vec::new();
    let journal = Journal::open(path, &mut |r, l| seen.push((r, l)))?;
    Ok((journal, seen))
}

#[tokio::test]
async fn what_was_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (mut journal, seen) = replay(&path).unwrap();
    assert!(seen.is_empty());
    let mut locations = Vec::new();
    for record in records() {
        let location = journal.append(&record);
        on_disk(&mut journal.progress(), location).await.unwrap();
        locations.push(location);
        assert_eq!(Journal::read(&path, location).unwrap(), record);
    }
    drop(journal);
    let (mut journal, seen) = replay(&path).unwrap();
    let expected: Vec<_> = records().into_iter().zip(locations).collect();
    assert_eq!(seen, expected);
    // And goes on at the end.
    let location = journal.append(&records()[0]);
    on_disk(&mut journal.progress(), location).await.unwrap();
    assert_eq!(replay(&path).unwrap().1.len(), 4);
}

#[tokio::test]
async fn a_line_cut_short_by_a_crash_is_dropped_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (mut journal, _) = replay(&path).unwrap();
    let mut last = None;
    for record in records() {
        last = Some(journal.append(&record));
    }
    on_disk(&mut journal.progress(), last.unwrap())
        .await
        .unwrap();
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    let second_end = last.unwrap().offset as usize;
    for cut in [second_end + 1, second_end + 40, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let (_, seen) = replay(&path).unwrap();
        assert_eq!(seen.len(), 2, "cut at {cut}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), second_end as u64);
    }
    // A changed byte in the middle is no crash.
    let mut changed = whole.clone();
    changed[second_end - 20] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    let error = replay(&path).err().unwrap().to_string();
    assert!(
        error.contains("line 2: the checksum does not match"),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), changed);
}

#[tokio::test]
async fn a_full_disk_is_told() {
    // A device that takes nothing: every write fails.
    let full = std::path::Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(dir.path().join("x")).unwrap();
    file.write_all(b"").unwrap();
    let Ok((mut journal, _)) = replay(full) else {
        // Where it cannot even be opened as a journal, that is told as well.
        return;
    };
    let location = journal.append(&records()[0]);
    let error = on_disk(&mut journal.progress(), location)
        .await
        .unwrap_err();
    assert!(matches!(error, JournalError::Write(_)));
}
