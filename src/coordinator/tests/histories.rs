//! Random histories: whatever devices and clients do, with restarts in between,
//! nothing is lost and nothing is done twice.

use std::collections::HashMap;
use std::time::Instant;

use proptest::prelude::*;

use super::super::core::Standing;
use super::core::{NOWHERE, core, hello, secs};
use super::*;
use crate::coordinator::{Next, Record, Step};
use crate::wire::{Failure, Submitted};

/// What can happen, in numbers that mean whatever fits.
#[derive(Debug, Clone)]
enum Happens {
    Submit(u8, u32),
    Connect(u8, bool),
    Disconnect(u8),
    Next(u8),
    Start(u8),
    Finish(u8, bool),
    Again(u8),
    Pass(u64),
    Restart,
}

fn happens() -> impl Strategy<Value = Happens> {
    let device = 0..3u8;
    prop_oneof![
        (device.clone(), 0..6u32).prop_map(|(d, n)| Happens::Submit(d, n)),
        (device.clone(), any::<bool>()).prop_map(|(d, h)| Happens::Connect(d, h)),
        device.clone().prop_map(Happens::Disconnect),
        device.clone().prop_map(Happens::Next),
        device.clone().prop_map(Happens::Start),
        (device.clone(), any::<bool>()).prop_map(|(d, good)| Happens::Finish(d, good)),
        device.prop_map(Happens::Again),
        (1..200u64).prop_map(Happens::Pass),
        Just(Happens::Restart),
    ]
}

const NAMES: [&str; 3] = ["a", "b", "c"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: a job is in one place, is recorded
    /// as done once, and at last every job that was asked for is done or has
    /// failed with a cause.
    #[test]
    fn nothing_is_lost_or_done_twice(list in prop::collection::vec(happens(), 1..120)) {
        let mut now = Instant::now();
        let mut journal: Vec<Record> = Vec::new();
        let mut core = core(&NAMES);
        let mut connections = 0u64;
        let mut held: HashMap<u8, Digest> = HashMap::new();
        let mut open: HashMap<u8, u64> = HashMap::new();
        let mut done: HashMap<Digest, u32> = HashMap::new();
        let mut asked = Vec::new();
        macro_rules! record {
            ($record:expr) => {{
                let record = $record;
                if let Record::Done { job, .. } = &record {
                    *done.entry(*job).or_default() += 1;
                }
                journal.push(record.clone());
                core.apply(record, NOWHERE);
            }};
        }
        for event in list {
            match event {
                Happens::Submit(d, n) => {
                    let name = NAMES[d as usize];
                    let (job, state, new) = core.submit(spec(name, n), true).unwrap();
                    prop_assert_eq!(state == Submitted::Done, done.contains_key(&job));
                    asked.push(job);
                    if let Some(new) = new { record!(new) }
                }
                Happens::Connect(d, keeps) => {
                    connections += 1;
                    if !keeps { held.remove(&d); }
                    let hello = hello(held.get(&d).copied());
                    let c = core.connect(NAMES[d as usize], connections, hello, now, 0).unwrap();
                    if let Some(failed) = c.failed { record!(failed) }
                    if !c.resume { held.remove(&d); }
                    open.insert(d, connections);
                }
                Happens::Disconnect(d) => {
                    if let Some(c) = open.remove(&d) {
                        core.disconnect(NAMES[d as usize], c, now);
                    }
                }
                Happens::Next(d) => {
                    let Some(c) = open.get(&d) else { continue };
                    if let Some(Next::Job(job)) =
                        core.next(NAMES[d as usize], *c, &|_| true, now, 0)
                    {
                        // Never a second one while it has one in hand.
                        prop_assert_eq!(held.insert(d, job.id), None);
                    }
                }
                Happens::Start(d) => {
                    if let (Some(c), Some(job)) = (open.get(&d), held.get(&d)) {
                        let _ = core.started(NAMES[d as usize], *c, *job, now);
                    }
                }
                Happens::Finish(d, good) => {
                    let (Some(c), Some(job)) = (open.get(&d).copied(), held.get(&d).copied()) else {
                        continue;
                    };
                    let outcome = match good {
                        true => measured(),
                        false => Outcome::Failed(Failure::TimedOut { limit_s: 1.0 }),
                    };
                    match core.outcome(NAMES[d as usize], c, job, outcome, now, 0) {
                        Ok(Step::Record(r)) => { record!(r); held.remove(&d); }
                        Ok(Step::Known) => { held.remove(&d); }
                        Err(_) => { open.remove(&d); core.disconnect(NAMES[d as usize], c, now); }
                    }
                }
                Happens::Again(d) => {
                    // An outcome is sent twice.
                    if let (Some(c), Some(job)) = (open.get(&d), done.keys().next().copied()) {
                        let r = core.outcome(NAMES[d as usize], *c, job, measured(), now, 0);
                        prop_assert!(!matches!(r, Ok(Step::Record(_))));
                    }
                }
                Happens::Pass(s) => {
                    now += secs(s);
                    let (records, closed) = core.expire(now, 0);
                    for r in records { record!(r) }
                    for name in closed {
                        let d = NAMES.iter().position(|n| *n == name).unwrap() as u8;
                        open.remove(&d);
                    }
                }
                Happens::Restart => {
                    let mut again = self::core(&NAMES);
                    for r in &journal { again.apply(r.clone(), NOWHERE); }
                    core = again;
                    open.clear();
                }
            }
            if let Err(why) = core.consistent() {
                return Err(TestCaseError::fail(why));
            }
        }
        prop_assert!(done.values().all(|n| *n == 1));
        // Let every device finish what is left.
        for (d, name) in NAMES.iter().enumerate() {
            connections += 1;
            let c = core.connect(name, connections, hello(None), now, 0).unwrap();
            if let Some(failed) = c.failed { record!(failed) }
            while let Some(Next::Job(job)) = core.next(name, connections, &|_| true, now, 0) {
                match core.outcome(name, connections, job.id, measured(), now, 0).unwrap() {
                    Step::Record(r) => record!(r),
                    Step::Known => prop_assert!(false, "an open job was known as done: {}", d),
                }
            }
        }
        prop_assert_eq!(core.open_jobs(), 0);
        prop_assert!(done.values().all(|n| *n == 1));
        for job in asked {
            let standing = core.standing(job, now);
            prop_assert!(matches!(standing, Some(Standing::Done(_) | Standing::Failed(_))));
        }
    }
}
