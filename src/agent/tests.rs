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
    for name in engine_names() {
        assert_eq!(engine(&name).unwrap().name(), name);
    }
    assert!(engine("abacus").is_none());
}
