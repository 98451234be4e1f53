//! A real Postgres server for tests, from Debian's package, on a socket of its
//! own in a temporary directory, as another user where this one is root.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    dir: tempfile::TempDir,
    programs: PathBuf,
    process: Child,
}

/// The newest installed version's programs.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(f64, PathBuf)> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            let bin = path.join("bin");
            bin.join("initdb").exists().then_some((version, bin))
        })
        .collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.pop().map(|(_, bin)| bin)
}

/// A user that is not root, where this process is.
fn other_user() -> Option<(u32, u32)> {
    let is_root = std::fs::metadata("/proc/self")
        .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    is_root.then_some((65534, 65534))
}

impl Server {
    /// None, said loudly, where no server is installed.
    pub fn start() -> Option<Server> {
        let Some(bin) = programs() else {
            let said =
                "\n*** SKIPPED: no Postgres server is installed (apt-get install postgresql) ***\n";
            writeln!(std::io::stderr(), "{said}").expect("standard error is writable");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let user = other_user();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let program = |name: &str| {
            let mut command = Command::new(bin.join(name));
            command.current_dir(dir.path()).stdin(Stdio::null());
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let data = dir.path().join("data");
        let made = program("initdb")
            .args([
                "--username=tester",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
            ])
            .args(["--locale=C", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let process = program("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(dir.path())
            // No network, and no waiting for the disk, which has tests of its own.
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server {
            dir,
            programs: bin,
            process,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !server.dir.path().join(".s.PGSQL.5432").exists() || !server.answers() {
            assert!(Instant::now() < deadline, "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    fn answers(&self) -> bool {
        Command::new(self.programs.join("pg_isready"))
            .arg("-h")
            .arg(self.dir.path())
            .output()
            .is_ok_and(|output| output.status.success())
    }

    /// Ends all connections to a database, as a restart of the server would.
    #[allow(dead_code, reason = "not every test program does")]
    pub fn end_connections(&self, database: &str) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE pid <> pg_backend_pid() AND datname = current_database()";
        let ended = Command::new(self.programs.join("psql"))
            .args(["-U", "tester", "-d", database, "-c", sql, "-h"])
            .arg(self.dir.path())
            .output()
            .unwrap();
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }

    /// A database's URL, as `--db` takes it.
    pub fn url(&self, database: &str) -> PathBuf {
        let socket = self.dir.path().display();
        PathBuf::from(format!(
            "postgres://tester@localhost/{database}?host={socket}"
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An immediate shutdown, which takes its children along.
        let _ = Command::new("kill")
            .args(["-QUIT", &self.process.id().to_string()])
            .status();
        let _ = self.process.wait();
    }
}
