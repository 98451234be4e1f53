//! Clocks that are wrong. The time of day decides nothing but the expiry of
//! tokens (by the coordinator's clock alone), so a board without a battery that
//! believes it is 1971, or a coordinator set twenty years ahead, changes nothing.

use std::path::PathBuf;
use std::process::Command;

use bespoke::device::Probe;

use crate::harness::*;

/// Shifts the time of day, and jumps back and forth while at it; the monotonic
/// clock is left alone.
const SHIFTED: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <sys/time.h>
static int (*real)(clockid_t, struct timespec *);
int clock_gettime(clockid_t id, struct timespec *t) {
    static long calls;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int r = real(id, t);
    const char *by = getenv("SHIFT_S");
    if (r == 0 && id == CLOCK_REALTIME && by) {
        t->tv_sec += atol(by);
        if (++calls % 2) t->tv_sec -= 86400;
    }
    return r;
}
"#;

/// A library that shifts the clock of the process it is loaded into.
fn shifted(dir: &std::path::Path) -> Option<PathBuf> {
    let (source, library) = (dir.join("shift.c"), dir.join("shift.so"));
    std::fs::write(&source, SHIFTED).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status();
    match built {
        Ok(status) if status.success() => Some(library),
        _ => {
            skipped("no C compiler to shift a clock with");
            None
        }
    }
}

#[test]
fn an_agent_whose_clock_is_wrong_and_jumps_enrols_and_measures() {
    let here = Here::start();
    let Some(library) = shifted(here.dir.path()) else {
        return;
    };
    let year = 365 * 86_400i64;
    for (name, shift) in [("past", -40 * year), ("future", 60 * year)] {
        let mut agent = AgentProcess::new(here.dir.path().join(name));
        agent.environment = vec![
            ("LD_PRELOAD".into(), library.display().to_string()),
            ("SHIFT_S".into(), shift.to_string()),
        ];
        let token = here.token(name);
        let output = agent
            .command(&["enrol", &here.address, &token])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        agent.run();
        let mut probe = here.probe(&format!("{name}/tract"));
        let measured = probe.measure(&network(8), &protocol(30.0)).unwrap();
        assert!(measured.median_ms() > 0.0 && measured.median_ms() < 1e3);
    }
}
