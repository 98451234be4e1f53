//! What an agent keeps and refuses by itself; the rest is tested between
//! processes, in `tests/agents`.

use super::*;
use crate::wire::{Digest, Failure, Identity, Outcome};

#[test]
fn one_agent_at_a_time_uses_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent");
    let home = AgentHome::open(&path).unwrap();
    assert!(matches!(AgentHome::open(&path), Err(AgentError::Locked(_))));
    drop(home);
    AgentHome::open(&path).unwrap();
}

#[test]
fn an_undelivered_outcome_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let home = AgentHome::open(dir.path()).unwrap();
    assert!(home.outcome().is_none());
    let kept = (
        Digest::of(b"job"),
        Outcome::Failed(Failure::TimedOut { limit_s: 3.0 }),
    );
    home.write_outcome(&kept).unwrap();
    assert_eq!(home.outcome(), Some(kept));
    home.forget_outcome();
    assert!(home.outcome().is_none());
}

#[cfg(unix)]
#[test]
fn the_agents_key_is_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent");
    let home = AgentHome::open(&path).unwrap();
    let identity = Identity::generate();
    let enrolment = Enrolment {
        address: "example:1".into(),
        server: Digest::of(b"server"),
        identity: identity.clone(),
        device: None,
    };
    home.write_enrolment(&enrolment).unwrap();
    let mode = |p: &std::path::Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("agent.json")), 0o600);
    let read = home.enrolment().unwrap().unwrap();
    assert_eq!(read.identity.fingerprint(), identity.fingerprint());
}

#[test]
fn every_engine_that_is_advertised_is_there() {
    let engines = Engines::default();
    for name in engines.names() {
        assert_eq!(engines.open(&name).unwrap().unwrap().name(), name);
    }
    assert!(engines.open("abacus").unwrap().is_none());
}

#[test]
fn the_owners_profiles_add_engines_and_limits() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let own = file(
        "here",
        "name = \"here\"\nengines = [\"flex\", \"tract\"]\nconnection.kind = \"local\"\n\
         limits.sram_bytes = 1000\n",
    );
    let meter = "name = \"meter\"\n[connection]\nkind = \"command\"\nargv = [\"./meter\"]\n";
    let meter = file("meter", meter);
    let engines = Engines::read(&[own.clone(), meter.clone()]).unwrap();
    assert_eq!(engines.names(), ["tract", "meter"]);
    assert!(engines.has_plugins() && engines.paths().iter().all(|p| p.is_absolute()));
    let limits = engines.limits();
    assert_eq!(limits.len(), 1);
    assert_eq!(limits["tract"].sram_bytes, Some(1000));
    assert!(matches!(
        engines.open("meter").err(),
        Some(crate::device::ProbeError::Plugin { .. })
    ));
    // Names of the list alone: no paths, no profiles, no programs.
    for name in ["./meter", "meter.toml", "here", "flex", "/bin/sh"] {
        assert!(engines.open(name).unwrap().is_none(), "{name}");
    }
    let taken = Engines::read(&[meter.clone(), meter]).unwrap_err();
    assert!(matches!(taken, EnginesError::Taken { .. }), "{taken}");
    let taken = Engines::read(&[own.clone(), own]).unwrap_err();
    assert!(matches!(taken, EnginesError::Taken { .. }), "{taken}");
    let tract = "name = \"tract\"\n[connection]\nkind = \"command\"\nargv = [\"x\"]\n";
    let taken = Engines::read(&[file("tract", tract)]).unwrap_err();
    assert!(taken.to_string().contains("another name"), "{taken}");
    let gpu = "name = \"gpu\"\nengines = [\"wgpu\"]\nconnection.kind = \"local\"\n";
    let absent = Engines::read(&[file("gpu", gpu)]).unwrap_err();
    assert!(matches!(absent, EnginesError::NotHere { .. }), "{absent}");
}
