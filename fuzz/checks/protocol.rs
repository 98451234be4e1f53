//! What the fuzzer and the tests of its corpus check of the agents' protocol:
//! whatever bytes a device sends, they are understood or refused without a
//! panic, what is understood means the same when it is sent again, and what an
//! enrolled device says touches its own jobs only.

use std::time::Instant;

use bespoke::coordinator::{Core, Location, Next, Record, Settings, Standing, Step, TokenStep};
use bespoke::device::{Protocol, RunOptions};
use bespoke::network::{InputSpec, Shape};
use bespoke::wire::{
    Decoder, Digest, EnrolToken, Frame, FromAgent, FromClient, Greeting, Hello, JobSpec, MAX_FRAME,
    MAX_GREETING, ToAgent, ToClient,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::bytes::BytesMut;

const NOWHERE: Location = Location {
    offset: 0,
    bytes: 0,
};

/// Lets a stranger say these bytes, cut into pieces of the first byte's length.
pub fn hear(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let _ = std::str::from_utf8(bytes).map(str::parse::<EnrolToken>);
    let mut receiver = Decoder::new(MAX_GREETING);
    let mut inbox = BytesMut::new();
    let mut core = core();
    for part in bytes.chunks(usize::from(*piece).max(1)) {
        inbox.extend_from_slice(part);
        loop {
            match receiver.next(&mut inbox) {
                Ok(Some(frame)) => {
                    receiver.set_limit(MAX_FRAME);
                    understand(&frame, &mut core);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(inbox.len() <= bytes.len());
    }
}

fn understand(frame: &Frame, core: &mut Core) {
    same::<Greeting>(frame);
    same::<ToAgent>(frame);
    same::<FromClient>(frame);
    same::<ToClient>(frame);
    if let Some(message) = same::<FromAgent>(frame) {
        obey(message, core);
    }
    core.consistent().expect("jobs are where they belong");
    let honest = spec("honest").id(key("honest"));
    let standing = core.standing(honest, Instant::now());
    assert!(matches!(standing, Some(Standing::Waiting(_))));
}

/// The message, if it is one: sent again, it is the same.
fn same<M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(frame: &Frame) -> Option<M> {
    let message: M = frame.message().ok()?;
    let mut out = BytesMut::new();
    let mut sender = Decoder::new(8 * MAX_FRAME);
    sender
        .put_message(&message, &mut out)
        .expect("it fitted before");
    let again = sender.next(&mut out).expect("a frame").expect("whole");
    assert_eq!(again.message::<M>().expect("the same message"), message);
    Some(message)
}

/// The core hears it as from an enrolled device that has a job in hand.
fn obey(message: FromAgent, core: &mut Core) {
    let now = Instant::now();
    match message {
        FromAgent::Beat { facts } => {
            if let Some(facts) = facts {
                core.facts("evil", *facts);
            }
            core.heard("evil", 1, now);
        }
        FromAgent::Fetch { onnx, .. } => {
            let _ = core.fetch("evil", 1, onnx, now);
        }
        FromAgent::Started { job } => {
            let _ = core.started("evil", 1, job, now);
        }
        FromAgent::Outcome { job, outcome } => {
            // Whatever job it names, it can only answer its own.
            let own = spec("evil").id(key("evil"));
            for job in [job, own] {
                let step = core.outcome("evil", 1, job, outcome.clone(), now, 0);
                if let Ok(Step::Record(record)) = step {
                    if let Record::Done { report, .. } = &record {
                        assert!(
                            report
                                .trace
                                .samples_ms
                                .iter()
                                .all(|s| s.is_finite() && *s > 0.0)
                        );
                    }
                    core.apply(record, NOWHERE);
                }
            }
        }
    }
    for device in core.list(now) {
        let shown = device.facts.cpu_model.unwrap_or_default();
        assert!(shown.chars().count() <= 200 && !shown.contains(char::is_control));
    }
}

fn key(device: &str) -> Digest {
    Digest::of(device.as_bytes())
}

fn spec(device: &str) -> JobSpec {
    JobSpec {
        device: device.into(),
        engine: "tract".into(),
        network: "net".into(),
        onnx: Digest::of(b"network"),
        bytes: 7,
        input: InputSpec {
            shape: Shape::image(3, 8, 8),
            vocabulary: 1,
        },
        options: RunOptions::default(),
        protocol: Protocol::quick(),
        pass: 0,
        series: String::new(),
    }
}

/// A core with two devices and a job for each; one device is connected and has
/// its job in hand.
fn core() -> Core {
    let mut core = Core::new(Settings::default());
    let now = Instant::now();
    for device in ["honest", "evil"] {
        let token = EnrolToken::new(Digest([0; 32]));
        let issued = core.issue(device, &token, 100, 0).expect("a good name");
        core.apply(issued, NOWHERE);
        if let Ok(TokenStep::Enrol(record)) = core.show_token(&token.secret, key(device), 1) {
            core.apply(record, NOWHERE);
        }
        let (_, _, record) = core
            .submit(Box::new(spec(device)), true)
            .expect("a good job");
        core.apply(record.expect("a new job"), NOWHERE);
    }
    let hello = Hello {
        engines: vec!["tract".into()],
        ..Hello::default()
    };
    core.connect("evil", 1, hello, now, 0)
        .expect("it is enrolled");
    let next = core.next("evil", 1, &|_| true, now, 0);
    assert!(matches!(next, Some(Next::Job(_))));
    core
}
