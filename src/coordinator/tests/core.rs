use std::time::{Duration, Instant};

use super::super::core::Standing;
use super::*;
use crate::coordinator::{Core, Location, Next, Record, Settings, Step, TokenStep};
use crate::wire::{EnrolToken, Failure, Hello, Refusal, Submitted};

pub(super) const NOWHERE: Location = Location {
    offset: 0,
    bytes: 0,
};

pub(super) fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

pub(super) fn hello(holding: Option<Digest>) -> Hello {
    Hello {
        engines: vec!["tract".into()],
        holding,
        ..Hello::default()
    }
}

pub(super) fn key(device: &str) -> Digest {
    Digest::of(device.as_bytes())
}

/// A core that knows these devices.
pub(super) fn core(devices: &[&str]) -> Core {
    let mut core = Core::new(Settings::default());
    for device in devices {
        let token = EnrolToken::new(Digest([0; 32]));
        let issued = core.issue(device, &token, 100, 0).unwrap();
        core.apply(issued, NOWHERE);
        match core.show_token(&token.secret, key(device), 50).unwrap() {
            TokenStep::Enrol(record) => core.apply(record, NOWHERE),
            TokenStep::Known(_) => panic!("it is new"),
        }
    }
    core
}

pub(super) fn submit(core: &mut Core, spec: Box<JobSpec>) -> Digest {
    let (job, _, record) = core.submit(spec, true).unwrap();
    if let Some(record) = record {
        core.apply(record, NOWHERE);
    }
    job
}

pub(super) fn next(core: &mut Core, device: &str, connection: u64, now: Instant) -> Option<Digest> {
    match core.next(device, connection, &|_| true, now, 0) {
        Some(Next::Job(job)) => Some(job.id),
        Some(Next::Failed(record)) => {
            core.apply(record, NOWHERE);
            next(core, device, connection, now)
        }
        None => None,
    }
}

#[test]
fn a_device_gets_one_job_at_a_time_and_each_once() {
    let now = Instant::now();
    let mut core = core(&["a"]);
    let (one, two) = (
        submit(&mut core, spec("a", 1)),
        submit(&mut core, spec("a", 2)),
    );
    assert_eq!(submit(&mut core, spec("a", 1)), one);
    core.connect("a", 1, hello(None), now, 0).unwrap();
    assert_eq!(next(&mut core, "a", 1, now), Some(one));
    assert_eq!(next(&mut core, "a", 1, now), None);
    core.started("a", 1, one, now).unwrap();
    let Step::Record(done) = core.outcome("a", 1, one, measured(), now, 0).unwrap() else {
        panic!("it is new");
    };
    core.apply(done, NOWHERE);
    // Sent again, it is known; asked again, it is done.
    assert_eq!(
        core.outcome("a", 1, one, measured(), now, 0).unwrap(),
        Step::Known
    );
    let (_, state, record) = core.submit(spec("a", 1), true).unwrap();
    assert_eq!((state, record), (Submitted::Done, None));
    assert_eq!(next(&mut core, "a", 1, now), Some(two));
    core.consistent().unwrap();
}

#[test]
fn a_vanished_device_goes_on_with_what_it_holds_or_begins_again() {
    let now = Instant::now();
    let mut core = core(&["a"]);
    let job = submit(&mut core, spec("a", 1));
    core.connect("a", 1, hello(None), now, 0).unwrap();
    next(&mut core, "a", 1, now).unwrap();
    core.started("a", 1, job, now).unwrap();
    core.disconnect("a", 1, now);
    // Back in time with the job in hand.
    let back = core
        .connect("a", 2, hello(Some(job)), now + secs(2), 0)
        .unwrap();
    assert!(back.resume && next(&mut core, "a", 2, now).is_none());
    // With all the time that it had before.
    assert_eq!(core.expire(now + secs(100), 0), (vec![], vec![]));
    // Back without it: it is given out again.
    core.disconnect("a", 2, now + secs(3));
    let back = core.connect("a", 3, hello(None), now + secs(4), 0).unwrap();
    assert!(!back.resume);
    assert_eq!(next(&mut core, "a", 3, now + secs(4)), Some(job));
    // Away for so long that the job was put back, but still with it in hand.
    core.disconnect("a", 3, now + secs(5));
    core.expire(now + secs(100), 0);
    let back = core
        .connect("a", 4, hello(Some(job)), now + secs(101), 0)
        .unwrap();
    assert!(back.resume);
    assert!(matches!(
        core.outcome("a", 4, job, measured(), now + secs(102), 0),
        Ok(Step::Record(Record::Done { .. }))
    ));
    core.consistent().unwrap();
}

#[test]
fn a_network_that_ends_every_agent_fails_at_last() {
    let mut now = Instant::now();
    let mut core = core(&["a"]);
    let job = submit(&mut core, spec("a", 1));
    for attempt in 1..=3 {
        core.connect("a", attempt, hello(None), now, 0).unwrap();
        assert_eq!(next(&mut core, "a", attempt, now), Some(job));
        core.disconnect("a", attempt, now);
        now += secs(1);
    }
    let connected = core.connect("a", 9, hello(None), now, 7).unwrap();
    let record = connected.failed.unwrap();
    core.apply(record, NOWHERE);
    let failure = Failure::Vanished { attempts: 3 };
    assert_eq!(core.standing(job, now), Some(Standing::Failed(failure)));
    assert_eq!(next(&mut core, "a", 9, now), None);
    // Asked for again, it is tried again.
    assert_eq!(submit(&mut core, spec("a", 1)), job);
    assert_eq!(next(&mut core, "a", 9, now), Some(job));
}

#[test]
fn a_device_that_is_late_loses_its_job_and_its_connection() {
    let now = Instant::now();
    let mut core = core(&["a"]);
    let job = submit(&mut core, spec("a", 1));
    core.connect("a", 1, hello(None), now, 0).unwrap();
    next(&mut core, "a", 1, now).unwrap();
    core.started("a", 1, job, now).unwrap();
    assert_eq!(core.expire(now + secs(60), 0), (vec![], vec![]));
    let limit = spec("a", 1).limit() + secs(16);
    assert_eq!(core.expire(now + limit, 0), (vec![], vec!["a".to_string()]));
    let late = core.check("a", 1).unwrap_err();
    assert!(!late.is_final(), "{late}");
    core.consistent().unwrap();
}

#[test]
fn nobody_touches_what_is_not_theirs() {
    let now = Instant::now();
    let mut core = core(&["a", "b"]);
    let job = submit(&mut core, spec("a", 1));
    core.connect("a", 1, hello(None), now, 0).unwrap();
    core.connect("b", 2, hello(Some(job)), now, 0).unwrap();
    // Neither another's job, nor one's own before it was given.
    assert!(core.outcome("b", 2, job, measured(), now, 0).is_err());
    assert!(core.outcome("a", 1, job, measured(), now, 0).is_err());
    assert!(core.started("b", 2, job, now).is_err());
    assert!(core.fetch("b", 2, spec("a", 1).onnx, now).is_err());
    assert!(core.fetch("a", 1, spec("a", 1).onnx, now).is_err());
    next(&mut core, "a", 1, now).unwrap();
    assert!(core.fetch("a", 1, spec("a", 1).onnx, now).is_ok());
    assert!(core.fetch("a", 1, Digest::of(b"another"), now).is_err());
    // A newer connection of the same key takes over.
    core.connect("a", 3, hello(None), now, 0).unwrap();
    assert_eq!(
        core.outcome("a", 1, job, measured(), now, 0),
        Err(Refusal::Replaced)
    );
    core.consistent().unwrap();
}

#[test]
fn tokens_serve_once_and_for_a_time() {
    let mut core = core(&["a"]);
    let token = EnrolToken::new(Digest([0; 32]));
    let other = EnrolToken::new(Digest([0; 32]));
    let issued = core.issue("b", &token, 100, 0).unwrap();
    core.apply(issued, NOWHERE);
    let shown = |core: &Core, token: &EnrolToken, holder: &str, now: u64| {
        core.show_token(&token.secret, key(holder), now)
    };
    assert_eq!(
        shown(&core, &other, "b", 1).unwrap_err(),
        Refusal::UnknownToken
    );
    assert_eq!(
        shown(&core, &token, "b", 100).unwrap_err(),
        Refusal::ExpiredToken
    );
    let Ok(TokenStep::Enrol(record)) = shown(&core, &token, "b", 99) else {
        panic!("it is new");
    };
    core.apply(record, NOWHERE);
    // Replayed by another, used; by the same, whose answer was lost, known.
    assert_eq!(
        shown(&core, &token, "c", 99).unwrap_err(),
        Refusal::UsedToken
    );
    assert!(matches!(shown(&core, &token, "b", 200), Ok(TokenStep::Known(name)) if name == "b"));
    assert_eq!(core.device_of(key("b")), Ok("b"));
    assert!(core.issue("b", &other, 100, 0).is_err());
    assert!(core.issue("no name", &other, 100, 0).is_err());
    let revoked = core.revoke("b").unwrap();
    core.apply(revoked, NOWHERE);
    assert_eq!(core.device_of(key("b")), Err(Refusal::Revoked));
    assert_eq!(shown(&core, &token, "b", 99).unwrap_err(), Refusal::Revoked);
    assert!(core.revoke("b").is_err());
    // The name is free again, for another key.
    let issued = core.issue("b", &other, 100, 0).unwrap();
    core.apply(issued, NOWHERE);
    assert!(shown(&core, &other, "new b", 99).is_ok());
}

#[test]
fn what_waits_for_a_revoked_device_fails() {
    let now = Instant::now();
    let mut core = core(&["a"]);
    let (one, two) = (
        submit(&mut core, spec("a", 1)),
        submit(&mut core, spec("a", 2)),
    );
    core.connect("a", 1, hello(None), now, 0).unwrap();
    next(&mut core, "a", 1, now).unwrap();
    let revoked = core.revoke("a").unwrap();
    core.apply(revoked, NOWHERE);
    for job in [one, two] {
        assert_eq!(
            core.standing(job, now),
            Some(Standing::Failed(Failure::Revoked))
        );
    }
    assert_eq!(core.check("a", 1), Err(Refusal::Revoked));
    assert_eq!(core.open_jobs(), 0);
    core.consistent().unwrap();
}

#[test]
fn what_a_device_cannot_do_fails_with_its_cause() {
    let now = Instant::now();
    let mut core = core(&["a"]);
    let mut other = spec("a", 1);
    other.engine = "ncnn".into();
    let job = submit(&mut core, other.clone());
    core.connect("a", 1, hello(None), now, 0).unwrap();
    assert_eq!(next(&mut core, "a", 1, now), None);
    let Some(Standing::Failed(failure)) = core.standing(job, now) else {
        panic!("it failed");
    };
    insta::assert_snapshot!(failure, @"engine `ncnn` does not support this device");
    let refused = core.submit(other, true).unwrap_err();
    insta::assert_snapshot!(refused, @"device `a` has no engine `ncnn`; it has: tract");
    let refused = core.submit(spec("c", 1), true).unwrap_err();
    insta::assert_snapshot!(refused, @"there is no device `c`; there are: a");
}
