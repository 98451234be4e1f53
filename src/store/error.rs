//! What can go wrong between a run and its database, told to a person: each
//! error says what happened, to which file or run, and what to do about it.
//! The remedy is the `help` of the miette diagnostic, so that libraries can
//! print one line and the command line a whole report.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

/// Any failure of the store. No variant leaves recorded events changed.
#[derive(Debug, Error, Diagnostic)]
pub enum StoreError {
    #[error("there is no database at {}", .path.display())]
    #[diagnostic(
        code(bespoke::store::missing),
        help("a search creates it; name another file with --db if yours is elsewhere")
    )]
    Missing { path: PathBuf },

    #[error("cannot write {}: {detail}", .path.display())]
    #[diagnostic(
        code(bespoke::store::read_only),
        help(
            "the database and its directory must both be writable (SQLite keeps its \
             write-ahead log beside the file): change their permissions, or choose \
             another place with --db"
        )
    )]
    ReadOnly { path: PathBuf, detail: String },

    #[error("{} is damaged: {detail}", .path.display())]
    #[diagnostic(
        code(bespoke::store::damaged),
        help(
            "nothing was changed. Copy the file, with its -wal and -shm companions, \
             before trying anything; `bespoke runs doctor --db FILE --recover NEW.db` \
             saves what can still be read"
        )
    )]
    Damaged { path: PathBuf, detail: String },

    #[error("{} is an SQLite database, but not one of bespoke's", .path.display())]
    #[diagnostic(
        code(bespoke::store::foreign),
        help("nothing was changed; give --db the path of another file, existing or new")
    )]
    Foreign { path: PathBuf },

    #[error("{} is locked by another process (waited {waited_ms} ms)", .path.display())]
    #[diagnostic(
        code(bespoke::store::locked),
        help(
            "another program holds the database: close it (an open sqlite3 shell with an \
             unfinished transaction is the usual one) or wait, then try again"
        )
    )]
    Locked { path: PathBuf, waited_ms: u64 },

    #[error(
        "{} was written by a newer bespoke: its schema is version {found}, this \
         program knows versions up to {known}",
        .path.display()
    )]
    #[diagnostic(
        code(bespoke::store::newer),
        help("nothing was changed; use the newer bespoke for this database")
    )]
    NewerSchema {
        path: PathBuf,
        found: i64,
        known: i64,
    },

    #[error(
        "{} was written by an older bespoke: its schema is version {found}, this \
         program reads version {known}",
        .path.display()
    )]
    #[diagnostic(
        code(bespoke::store::older),
        help(
            "`bespoke runs list --db FILE` brings it up to date and keeps a copy; so does \
             any search that records into it"
        )
    )]
    OlderSchema {
        path: PathBuf,
        found: i64,
        known: i64,
    },

    #[error("the disk that holds {} is full", .path.display())]
    #[diagnostic(
        code(bespoke::store::full),
        help("what was recorded before is safe; free some space and resume the run")
    )]
    DiskFull { path: PathBuf },

    #[error("no run is called `{wanted}` in {}{}", .path.display(), near_runs(.near))]
    #[diagnostic(
        code(bespoke::store::unknown_run),
        help("`bespoke runs list` shows every run; the first letters of an id are enough")
    )]
    UnknownRun {
        path: PathBuf,
        wanted: String,
        /// Ids that look alike, or the latest ones.
        near: Vec<String>,
    },

    #[error("`{wanted}` could be any of {}", .matches.join(", "))]
    #[diagnostic(
        code(bespoke::store::ambiguous_run),
        help("type more letters of the id")
    )]
    AmbiguousRun {
        wanted: String,
        matches: Vec<String>,
    },

    #[error("run {run} is being written by process {pid} on this machine")]
    #[diagnostic(
        code(bespoke::store::in_use),
        help("wait for it to end or stop it (Ctrl-C in its terminal), then resume")
    )]
    InUse { run: String, pid: u32 },

    #[error("the event `{kind}` cannot be recorded as it could not be read back: {detail}")]
    #[diagnostic(
        code(bespoke::store::unrecordable),
        help(
            "numbers must be finite: record an evaluation that gave NaN or infinity as \
             failed, with the cause"
        )
    )]
    Unrecordable { kind: String, detail: String },

    #[error("the store is open for reading only: {}", .path.display())]
    #[diagnostic(
        code(bespoke::store::opened_read_only),
        help("open the database for writing to record anything")
    )]
    OpenedReadOnly { path: PathBuf },

    #[error("artefact `{name}` is not what was recorded: {detail}")]
    #[diagnostic(
        code(bespoke::store::artefact),
        help(
            "the file under artefacts/ was changed or removed after the run wrote it; \
             restore it from a copy, or export the architecture again"
        )
    )]
    Artefact { name: String, detail: String },

    #[error("cannot reach {}: {detail}", .path.display())]
    #[diagnostic(
        code(bespoke::store::unreachable),
        help(
            "check the address, the user and the password: --db \
             postgres://USER:PASSWORD@HOST:5432/DATABASE; nothing recorded is lost, and a \
             run goes on with `bespoke search --resume`"
        )
    )]
    Unreachable { path: PathBuf, detail: String },

    #[error("{what} is kept in a file, but {} is a server", .path.display())]
    #[diagnostic(
        code(bespoke::store::not_a_file),
        help("use the server's own tools (pg_dump, pg_amcheck) for it")
    )]
    NotAFile { path: PathBuf, what: &'static str },

    #[error("candidate {candidate} of run {run} has an outcome already")]
    #[diagnostic(
        code(bespoke::store::answered),
        help("another worker was faster; its outcome counts")
    )]
    Answered { run: String, candidate: u64 },

    #[error("cannot {action} {}: {cause}", .path.display())]
    #[diagnostic(
        code(bespoke::store::io),
        help("check that the path exists and that you may use it")
    )]
    Io {
        action: &'static str,
        path: PathBuf,
        cause: std::io::Error,
    },

    #[error("the database {} answered: {cause}", .path.display())]
    #[diagnostic(
        code(bespoke::store::database),
        help("what was recorded before is safe; if this repeats, please report it")
    )]
    Database { path: PathBuf, cause: sqlx::Error },
}

fn near_runs(near: &[String]) -> String {
    match near {
        [] => " (it holds no run yet)".to_owned(),
        some => format!("; there are {}", some.join(", ")),
    }
}

// Primary result codes, https://www.sqlite.org/rescode.html.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// SQLite's primary result code, where the error came from SQLite.
fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    // The low byte of an extended code is its primary code.
    Some(code & 0xff)
}

/// What a server's five-character code means, where a person can act on it
/// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
fn from_server(path: &Path, waited_ms: u64, source: &sqlx::Error) -> Option<StoreError> {
    let path = path.to_owned();
    let detail = match source {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => {
            return path
                .starts_with("postgres:")
                .then(|| StoreError::Unreachable {
                    path,
                    detail: source.to_string(),
                });
        }
        sqlx::Error::Database(error) => error.message().to_owned(),
        _ => return None,
    };
    let code = source.as_database_error()?.code()?.into_owned();
    if code.len() != 5 {
        return None;
    }
    Some(match code.as_str() {
        "53100" => StoreError::DiskFull { path },
        "25006" | "42501" => StoreError::ReadOnly { path, detail },
        "55P03" | "40P01" => StoreError::Locked { path, waited_ms },
        "3D000" => StoreError::Unreachable { path, detail },
        code if code.starts_with("28") || code.starts_with("08") || code.starts_with("57P") => {
            StoreError::Unreachable { path, detail }
        }
        _ => return None,
    })
}

impl StoreError {
    /// Reads the database's code as something a person can act on.
    pub(super) fn from_sqlx(path: &Path, waited_ms: u64, source: sqlx::Error) -> Self {
        if let Some(error) = from_server(path, waited_ms, &source) {
            return error;
        }
        let path = path.to_owned();
        let detail = match source.as_database_error() {
            Some(error) => error.message().to_owned(),
            None => source.to_string(),
        };
        match sqlite_code(&source) {
            Some(BUSY | LOCKED) => StoreError::Locked { path, waited_ms },
            Some(READONLY) => StoreError::ReadOnly { path, detail },
            Some(CORRUPT | NOTADB) => StoreError::Damaged { path, detail },
            Some(FULL) => StoreError::DiskFull { path },
            Some(CANTOPEN) if path.exists() => StoreError::ReadOnly { path, detail },
            Some(CANTOPEN) => StoreError::Io {
                action: "create",
                cause: std::io::Error::other(detail),
                path,
            },
            Some(IOERR) => StoreError::Io {
                action: "read or write",
                cause: std::io::Error::other(detail),
                path,
            },
            _ => StoreError::Database {
                path,
                cause: source,
            },
        }
    }

    /// A failed file operation; refusals for want of permission keep their
    /// own variant, as their remedy differs.
    pub(super) fn from_io(action: &'static str, path: &Path, cause: std::io::Error) -> Self {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
        let path = path.to_owned();
        match cause.kind() {
            PermissionDenied | ReadOnlyFilesystem if action != "read" => StoreError::ReadOnly {
                path,
                detail: cause.to_string(),
            },
            StorageFull => StoreError::DiskFull { path },
            _ => StoreError::Io {
                action,
                path,
                cause,
            },
        }
    }

    /// Whether trying again later may help.
    pub fn is_locked(&self) -> bool {
        matches!(self, StoreError::Locked { .. })
    }
}
