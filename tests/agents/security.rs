//! Who gets in.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use bespoke::wire::{EnrolToken, Greeting, Hello, Identity, Refusal, ToAgent, VERSION, hex_text};

use crate::harness::*;

fn refused(answer: Result<ToAgent, String>) -> Refusal {
    match answer {
        Ok(ToAgent::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn hello() -> Greeting {
    Greeting::Hello {
        version: VERSION,
        hello: Box::new(Hello::default()),
    }
}

fn show(token: &EnrolToken) -> Greeting {
    Greeting::Enrol {
        version: VERSION,
        secret: hex_text(&token.secret),
    }
}

#[test]
fn nobody_gets_in_without_a_token_of_their_own() {
    let here = Here::start();
    let (friend, stranger) = (Identity::generate(), Identity::generate());
    let token: EnrolToken = here.token("pi").parse().unwrap();
    // No key that is known, no token that was issued.
    assert_eq!(refused(here.say(&stranger, &hello())), Refusal::UnknownKey);
    let forged = EnrolToken::new(token.server);
    assert_eq!(
        refused(here.say(&stranger, &show(&forged))),
        Refusal::UnknownToken
    );
    let client = Greeting::Client { version: VERSION };
    assert_eq!(refused(here.say(&stranger, &client)), Refusal::UnknownKey);
    // The token serves once; its owner may ask again whether it did.
    for _ in 0..2 {
        let answer = here.say(&friend, &show(&token)).unwrap();
        assert_eq!(
            answer,
            ToAgent::Enrolled {
                device: "pi".into()
            }
        );
    }
    assert_eq!(
        refused(here.say(&stranger, &show(&token))),
        Refusal::UsedToken
    );
    // A device is no client.
    assert_eq!(refused(here.say(&friend, &client)), Refusal::UnknownKey);
    // Another version is told so.
    let old = Greeting::Client { version: 99 };
    assert_eq!(
        refused(here.say(&friend, &old)),
        Refusal::Version { ours: VERSION }
    );
    // All of it was noted, with the key that tried.
    let log = here.log();
    let key = stranger.fingerprint().short();
    assert!(log.matches(&key).count() >= 4, "{log}");
    assert!(!log.contains(&hex_text(&token.secret)));
}

#[test]
fn tokens_expire_and_devices_are_revoked() {
    let here = Here::start();
    let mut client = here.client();
    let (late, _) = here
        .runtime
        .block_on(client.enrol("late", Duration::from_secs(0)))
        .unwrap();
    let late: EnrolToken = late.parse().unwrap();
    let identity = Identity::generate();
    assert_eq!(
        refused(here.say(&identity, &show(&late))),
        Refusal::ExpiredToken
    );

    let token = here.token("pi");
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &here.address, &token);
    agent.run();
    until("it is connected", || {
        agent.said().contains("connected as pi")
    });
    // What it was doing fails with the cause.
    let measured = measuring(here.probe("pi/tract"), network(8), protocol(5_000.0));
    until("it measures", || agent.measured() == 1);
    here.runtime.block_on(client.revoke("pi")).unwrap();
    let error = measured.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("revoked"), "{error}");
    // The agent is told, and does not try for ever.
    assert_eq!(agent.ended(), 2);
    until("it says why", || {
        agent.said().contains("this device was revoked")
    });
    agent.run();
    assert_eq!(agent.ended(), 2);
    // Its token does not help, and its enrolment is not overwritten by accident.
    let output = agent
        .command(&["enrol", &here.address, &token])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("already"), "{said}");
    assert!(here.log().contains("pi was revoked"));
    // The name may be given to a new device.
    let token = here.token("pi");
    std::fs::remove_dir_all(&agent.dir).unwrap();
    let mut again = AgentProcess::enrol(here.dir.path(), "pi", &here.address, &token);
    again.run();
    until("it is connected", || {
        again.said().contains("connected as pi")
    });
}

#[test]
fn secrets_lie_where_their_owners_alone_can_read_them() {
    let here = Here::start();
    let token = here.token("pi");
    let agent = AgentProcess::enrol(here.dir.path(), "pi", &here.address, &token);
    let mode = |path: std::path::PathBuf| {
        let meta = std::fs::metadata(&path).unwrap();
        meta.permissions().mode() & 0o777
    };
    assert_eq!(mode(agent.dir.join("agent.json")), 0o600);
    assert_eq!(mode(agent.dir.clone()), 0o700);
    for file in ["server.key", "admin.key", "admin.json", "journal.jsonl"] {
        assert_eq!(mode(here.state().join(file)), 0o600, "{file}");
    }
    // The journal knows the token's digest, not the token.
    let journal = std::fs::read_to_string(here.state().join("journal.jsonl")).unwrap();
    let parsed: EnrolToken = token.parse().unwrap();
    assert!(!journal.contains(&hex_text(&parsed.secret)));
    // A key that others can read is not used.
    let file = agent.dir.join("agent.json");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = agent.command(&["run"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("can be read by others"), "{said}");
}

#[test]
fn a_copied_key_serves_one_agent_at_a_time() {
    let here = Here::start();
    let identity = here.identity("pi");
    here.runtime.block_on(async {
        let mut older = here.hello(&identity, None).await;
        let mut newer = here.hello(&identity, None).await;
        loop {
            match older.receive_within::<ToAgent>(LONG).await.unwrap() {
                ToAgent::Beat => {}
                ToAgent::Refused(refusal) => break assert_eq!(refusal, Refusal::Replaced),
                other => panic!("{other:?}"),
            }
        }
        newer
            .send(&bespoke::wire::FromAgent::Beat { facts: None })
            .await
            .unwrap();
        let answer: ToAgent = newer.receive_within(LONG).await.unwrap();
        assert_eq!(answer, ToAgent::Beat);
    });
}

#[test]
fn wrong_input_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let agent = AgentProcess::new(dir.path().join("agent"));
    let says = |arguments: &[&str]| {
        let output = agent.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(says(&["run"]).contains("not enrolled"));
    assert!(says(&["enrol", "localhost", "token"]).contains("no enrolment token"));
    let token = EnrolToken::new(bespoke::wire::Digest::of(b"nobody")).to_string();
    assert!(says(&["enrol", "127.0.0.1:1", &token]).contains("cannot reach"));
    let here = Here::start();
    assert!(says(&["enrol", &here.address, &token]).contains("certificate is another"));
}
