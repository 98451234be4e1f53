//! Frames, identities, tokens, networks on disk and what is believed of a report.

use std::time::Duration;

use tokio_util::bytes::BytesMut;

use super::*;
use crate::device::{DeviceFacts, Protocol, RunOptions, StopReason, Trace};
use crate::network::{InputSpec, Shape};

fn spec() -> JobSpec {
    JobSpec {
        device: "pi5".into(),
        engine: "tract".into(),
        network: "net".into(),
        onnx: Digest::of(b"onnx"),
        bytes: 4,
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

fn report() -> Report {
    let trace = Trace {
        cold_ms: 3.0,
        warmup_runs: 5,
        warmup_stable: true,
        inner_runs: 2,
        samples_ms: vec![1.5; 30],
        reference_ms: vec![0.2; 4],
        stop: StopReason::Precise,
    };
    Report::new(trace, Some(0.2), DeviceFacts::default())
}

#[test]
fn frames_survive_being_cut_anywhere() {
    let mut sender = Decoder::new(MAX_FRAME);
    let mut bytes = BytesMut::new();
    let beat = FromAgent::Beat { facts: None };
    sender.put_message(&beat, &mut bytes).unwrap();
    sender.put_chunk(&[7; 100], &mut bytes).unwrap();
    sender.put_message(&ToAgent::Beat, &mut bytes).unwrap();
    for piece in 1..20 {
        let mut receiver = Decoder::new(MAX_FRAME);
        let mut inbox = BytesMut::new();
        let mut frames = Vec::new();
        for part in bytes.chunks(piece) {
            inbox.extend_from_slice(part);
            while let Some(frame) = receiver.next(&mut inbox).unwrap() {
                frames.push(frame);
            }
        }
        let [first, second, third] = &frames[..] else {
            panic!("{} frames in pieces of {piece}", frames.len());
        };
        assert_eq!(first.message::<FromAgent>().unwrap(), beat);
        assert_eq!(*second, Frame::Chunk(BytesMut::from(&[7; 100][..])));
        assert_eq!(third.message::<ToAgent>().unwrap(), ToAgent::Beat);
    }
}

#[test]
fn what_is_no_frame_is_an_error() {
    let error = |bytes: &[u8]| {
        let mut receiver = Decoder::new(MAX_GREETING);
        let mut inbox = BytesMut::from(bytes);
        match receiver.next(&mut inbox) {
            Err(error) => error.to_string(),
            Ok(frame) => frame
                .unwrap()
                .message::<FromAgent>()
                .unwrap_err()
                .to_string(),
        }
    };
    insta::assert_snapshot!(error(&[0, 1, 0, 0]), @"a message is longer than 8192 bytes");
    insta::assert_snapshot!(error(b"\0\0\0\x03abc"), @"a message cannot be understood: a frame is neither a JSON message nor bytes of a network");
    insta::assert_snapshot!(error(b"\0\0\0\0"), @"a message cannot be understood: a frame is neither a JSON message nor bytes of a network");
    insta::assert_snapshot!(error(b"\0\0\0\x02{}"), @"a message cannot be understood: expected value at line 1 column 2");
    // Deeper than any message.
    let mut deep = vec![0, 0, 0x1f, 0x40];
    deep.extend([b'{'].repeat(8_000));
    assert!(error(&deep).contains("cannot be understood"));
}

#[test]
fn tokens_and_identities_survive_text_and_hide_their_secrets() {
    let identity = Identity::generate();
    let token = EnrolToken::new(identity.fingerprint());
    assert_eq!(token.to_string().parse::<EnrolToken>().unwrap(), token);
    assert_ne!(EnrolToken::new(token.server), token);
    assert!(!format!("{token:?}").contains(&hex_text(&token.secret)));
    assert!("".parse::<EnrolToken>().is_err());
    assert!(token.to_string()[1..].parse::<EnrolToken>().is_err());
    let json = serde_json::to_string(&identity).unwrap();
    let again: Identity = serde_json::from_str(&json).unwrap();
    assert_eq!(again.fingerprint(), identity.fingerprint());
    assert!(format!("{identity:?}").len() < 40);
}

#[cfg(unix)]
#[test]
fn secrets_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.json");
    assert!(read_private::<Identity>(&path).unwrap().is_none());
    write_private(&path, &Identity::generate()).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(read_private::<Identity>(&path).unwrap().is_some());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = read_private::<Identity>(&path).unwrap_err().to_string();
    assert!(error.contains("can be read by others"), "{error}");
}

#[test]
fn a_job_is_what_is_asked_and_nothing_else() {
    let key = Digest::of(b"key");
    let id = spec().id(key);
    let changed = |change: &dyn Fn(&mut JobSpec)| {
        let mut other = spec();
        change(&mut other);
        other.id(key)
    };
    assert_eq!(changed(&|s| s.network = "another name".into()), id);
    assert_eq!(changed(&|s| s.protocol.passes = 4), id);
    assert_ne!(changed(&|s| s.engine = "other".into()), id);
    assert_ne!(changed(&|s| s.onnx = Digest::of(b"other")), id);
    assert_ne!(changed(&|s| s.options.batch = 2), id);
    assert_ne!(changed(&|s| s.protocol.budget_ms = 1e3), id);
    assert_ne!(changed(&|s| s.pass = 1), id);
    assert_ne!(changed(&|s| s.series = "cooled".into()), id);
    assert_ne!(spec().id(Digest::of(b"another device")), id);
}

#[test]
fn jobs_that_are_too_much_are_refused() {
    spec().check().unwrap();
    let refused = |change: &dyn Fn(&mut JobSpec)| {
        let mut spec = spec();
        change(&mut spec);
        spec.check().unwrap_err().to_string()
    };
    insta::assert_snapshot!(refused(&|s| s.device = "../../etc".into()), @"the name of the device is empty, too long, or has other characters than letters, digits, `-`, `_` and `.`");
    insta::assert_snapshot!(refused(&|s| s.bytes = 1 << 31), @"a network of 2147483648 bytes is too large: at most 1 GiB can be sent to a device");
    insta::assert_snapshot!(refused(&|s| s.options.batch = usize::MAX), @"an input batch must have between 1 and 2^28 values");
    insta::assert_snapshot!(refused(&|s| s.protocol.max_samples = 1 << 20), @"a device takes at most 16000 samples in a pass: lower the protocol's max_samples");
    insta::assert_snapshot!(refused(&|s| s.protocol.budget_ms = 1e9), @"a device warms up or samples for at most ten minutes: lower the protocol's budget_ms");
    insta::assert_snapshot!(refused(&|s| s.protocol.min_samples = 1), @"the protocol's min_samples must be at least 6, or the median has no 95 % interval");
    assert!(is_name("pi-5_b.2") && !is_name("") && !is_name("..") && !is_name("a b"));
}

#[test]
fn reports_that_cannot_be_are_failures() {
    let second = Duration::from_secs(1);
    report().check(&spec(), second).unwrap();
    let why = |change: &dyn Fn(&mut Report)| {
        let mut report = report();
        change(&mut report);
        let outcome = Outcome::Measured(Box::new(report)).checked(&spec(), second);
        match outcome {
            Outcome::Failed(failure) => failure.to_string(),
            Outcome::Measured(_) => "believed".into(),
        }
    };
    insta::assert_snapshot!(why(&|r| r.trace.samples_ms[3] = f64::NAN), @"its measurement is not believable: a latency of NaN ms is none");
    insta::assert_snapshot!(why(&|r| r.trace.samples_ms[3] = -1.0), @"its measurement is not believable: a latency of -1 ms is none");
    insta::assert_snapshot!(why(&|r| r.trace.reference_ms[0] = 0.0), @"its measurement is not believable: a latency of 0 ms is none");
    insta::assert_snapshot!(why(&|r| r.baseline_ms = Some(f64::INFINITY)), @"its measurement is not believable: a latency of inf ms is none");
    insta::assert_snapshot!(why(&|r| r.trace.cold_ms = -3.0), @"its measurement is not believable: a first run of -3 ms is none");
    insta::assert_snapshot!(why(&|r| r.trace.samples_ms[3] = 1e6), @"its measurement is not believable: it says that it ran for 2000090 ms, but only 2050 ms passed");
    insta::assert_snapshot!(why(&|r| r.trace.samples_ms.truncate(2)), @"its measurement is not believable: it has 2 samples, not between 20 and 2000");
    insta::assert_snapshot!(why(&|r| r.trace.samples_ms.resize(5_000, 1e-3)), @"its measurement is not believable: it has 5000 samples, not between 20 and 2000");
    insta::assert_snapshot!(why(&|r| r.trace.inner_runs = 0), @"its measurement is not believable: each sample is the mean of 0 runs");
    insta::assert_snapshot!(why(&|r| r.trace.reference_ms = vec![0.1; 99]), @"its measurement is not believable: it has more samples of the reference than of the network");
    insta::assert_snapshot!(why(&|r| r.load_ms = Some(1e9)), @"its measurement is not believable: it says that it ran for 1000000093 ms, but only 2050 ms passed");
    insta::assert_snapshot!(why(&|r| r.energy_mj = Some(-1.0)), @"its measurement is not believable: an energy of -1 mJ is none");
    // A slow device is simulated in no time, but not for ever.
    assert_eq!(
        why(&|r| (r.simulated, r.trace.samples_ms[3]) = (true, 1e6)),
        "believed"
    );
    insta::assert_snapshot!(why(&|r| (r.simulated, r.trace.samples_ms[3]) = (true, 1e9)), @"its measurement is not believable: a simulated 2000000090 ms are more than a day");
    insta::assert_snapshot!(why(&|r| (r.simulated, r.trace.samples_ms[3]) = (true, f64::NAN)), @"its measurement is not believable: a latency of NaN ms is none");
    // JSON has no NaN; what stands for it is no number either.
    let mut bad = report();
    bad.trace.samples_ms[0] = f64::NAN;
    let json = serde_json::to_string(&bad).unwrap();
    assert!(serde_json::from_str::<Report>(&json).is_err());
}

#[test]
fn the_largest_report_fits_a_frame() {
    let mut most = report();
    // The longest a number can be.
    most.trace.samples_ms = vec![1.234_567_890_123_456_7e-5; MAX_SAMPLES];
    most.trace.reference_ms = vec![1.234_567_890_123_456_7e-5; MAX_SAMPLES + 1];
    let message = FromAgent::Outcome {
        job: Digest::of(b""),
        outcome: Outcome::Measured(Box::new(most)),
    };
    let mut out = BytesMut::new();
    Decoder::new(MAX_FRAME)
        .put_message(&message, &mut out)
        .unwrap();
}

#[test]
fn text_from_devices_cannot_command_a_terminal() {
    assert_eq!(plain("a\x1b[2Jb\nc", 100), "a [2Jb c");
    assert_eq!(plain("abcdef", 3), "abc");
    let hello = Hello {
        engines: vec!["tract".into(), "\x1b]0;".into(), "x".repeat(99)],
        facts: DeviceFacts {
            cpu_model: Some("evil\x07".repeat(99)),
            temperature_c: Some(f32::NAN),
            ..DeviceFacts::default()
        },
        ..Hello::default()
    };
    let hello = hello.cleaned();
    assert_eq!(hello.engines, ["tract"]);
    assert_eq!(hello.facts.temperature_c, None);
    let cpu = hello.facts.cpu_model.unwrap();
    assert!(cpu.len() == 200 && !cpu.contains('\x07'));
}

#[test]
fn networks_are_stored_by_content_and_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::open(dir.path(), 1_000).unwrap();
    let put = |bytes: &[u8]| -> Result<Digest, BlobError> {
        let digest = Digest::of(bytes);
        let mut partial = store.begin(digest, bytes.len() as u64, &|_| false)?;
        partial.push(bytes)?;
        partial.finish()?;
        Ok(digest)
    };
    let first = put(&[1; 400]).unwrap();
    assert!(store.has(first));
    assert_eq!(store.read(first, 390, 100).unwrap(), [1; 10]);
    // A transfer that was cut goes on where it ended.
    let digest = Digest::of(&[2; 400]);
    let mut partial = store.begin(digest, 400, &|_| false).unwrap();
    partial.push(&[2; 150]).unwrap();
    drop(partial);
    let mut partial = store.begin(digest, 400, &|_| false).unwrap();
    assert_eq!(partial.have(), 150);
    assert!(matches!(partial.push(&[2; 251]), Err(BlobError::TooLong)));
    partial.push(&[2; 250]).unwrap();
    partial.finish().unwrap();
    assert!(store.has(first) && store.has(digest));
    // Other bytes than announced leave nothing behind.
    let other = Digest::of(b"something else");
    let mut partial = store.begin(other, 3, &|_| false).unwrap();
    partial.push(b"abc").unwrap();
    assert!(matches!(partial.finish(), Err(BlobError::WrongContent)));
    assert!(!store.has(other));
    // What was used last stays; what is wanted cannot go.
    std::thread::sleep(Duration::from_millis(20));
    assert!(store.has(first));
    put(&[3; 400]).unwrap();
    assert!(store.has(first) && !store.has(digest));
    let full = store.begin(digest, 900, &|_| true).unwrap_err();
    insta::assert_snapshot!(full, @"900 bytes do not fit: the store is full of networks that are waited for");
    let full = store.begin(digest, 9_000, &|_| false).unwrap_err();
    insta::assert_snapshot!(full, @"9000 bytes do not fit: the store holds less");
}
