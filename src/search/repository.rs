//! Which version of the user's own files a run started from.

use std::path::Path;
use std::process::{Command, Stdio};

/// The commit of the git repository that holds a file, with `+changes` where
/// the working tree differs from it; none where there is no repository, no
/// commit yet, or no git on this machine.
pub(super) fn commit_of(file: &Path) -> Option<String> {
    let file = file.canonicalize().ok()?;
    let directory = match file.is_dir() {
        true => file.as_path(),
        false => file.parent()?,
    };
    let git = |words: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(directory)
            .args(words)
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--verify", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(match changes.is_empty() {
        true => commit,
        false => format!("{commit}+changes"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_knows_the_commit_of_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("e.toml");
        std::fs::write(&file, "seed = 1\n").unwrap();
        assert_eq!(commit_of(&file), None);
        let git = |words: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
            let output = Command::new("git")
                .arg("-C")
                .arg(dir.path())
                .args(identity)
                .args(words)
                .output();
            output.is_ok_and(|o| o.status.success())
        };
        if !git(&["init", "-q"]) {
            eprintln!("*** SKIPPED: there is no git here ***");
            return;
        }
        assert_eq!(commit_of(&file), None, "nothing is committed yet");
        assert!(git(&["add", "."]) && git(&["commit", "-q", "-m", "first"]));
        let commit = commit_of(&file).unwrap();
        assert_eq!(commit.len(), 40, "{commit}");
        std::fs::write(&file, "seed = 2\n").unwrap();
        assert_eq!(commit_of(&file).unwrap(), format!("{commit}+changes"));
    }
}
