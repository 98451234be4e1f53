//! Devices and servers that mean harm, or have gone mad.

use bespoke::device::{DeviceFacts, Measurement, Probe, ProbeError, StopReason, Trace};
use bespoke::wire::{
    Digest, Failure, FromAgent, Greeting, Identity, Outcome, Refusal, Report, ToAgent, VERSION,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::*;

fn trace() -> Trace {
    Trace {
        cold_ms: 1.0,
        warmup_runs: 3,
        warmup_stable: true,
        inner_runs: 1,
        samples_ms: (0..30).map(|i| 1.0 + f64::from(i) / 300.0).collect(),
        reference_ms: vec![0.5; 3],
        stop: StopReason::Precise,
    }
}

fn with(change: impl FnOnce(&mut Trace)) -> Outcome {
    let mut trace = trace();
    change(&mut trace);
    let report = Report::new(trace, Some(0.5), DeviceFacts::default());
    Outcome::Measured(Box::new(report))
}

/// What an honest device could say.
pub fn good() -> Outcome {
    with(|_| {})
}

/// What a client gets of a device that answers the next job like this.
fn answered(
    here: &Here,
    identity: &Identity,
    channels: usize,
    json: impl FnOnce(Digest) -> String,
) -> Result<Measurement, ProbeError> {
    let measured = measuring(here.probe("pi/tract"), network(channels), protocol(30.0));
    here.runtime.block_on(async {
        let mut line = here.hello(identity, None).await;
        let given = job(&mut line).await;
        started(&mut line, &given).await;
        let json = json(given.id).into_bytes();
        let mut stream = line.into_inner();
        let length = (json.len() as u32).to_be_bytes();
        stream.write_all(&length).await.unwrap();
        stream.write_all(&json).await.unwrap();
        // Waits for the answer, whatever it is.
        let _ = stream.read(&mut [0; 64]).await;
    });
    // Where the coordinator did not accept it, an honest device takes over.
    if !measured.is_finished() {
        here.runtime.block_on(async {
            let mut line = here.hello(identity, None).await;
            let next = tokio::time::timeout(std::time::Duration::from_millis(700), job(&mut line));
            if let Ok(given) = next.await {
                started(&mut line, &given).await;
                let outcome = good();
                let job = given.id;
                line.send(&FromAgent::Outcome { job, outcome })
                    .await
                    .unwrap();
                recorded(&mut line).await;
            }
        });
    }
    measured.join().unwrap()
}

fn text(job: Digest, outcome: Outcome) -> String {
    serde_json::to_string(&FromAgent::Outcome { job, outcome }).unwrap()
}

#[test]
fn absurd_samples_are_failures_and_no_measurements() {
    let here = Here::start();
    let identity = here.identity("pi");
    let absurd: [(usize, Outcome); 6] = [
        (4, with(|t| t.samples_ms[5] = -2.0)),
        (5, with(|t| t.samples_ms[5] = 0.0)),
        (6, with(|t| t.samples_ms[5] = 1e300)),
        (7, with(|t| t.samples_ms = vec![1.0; 2])),
        (8, with(|t| t.inner_runs = usize::MAX)),
        (9, with(|t| t.reference_ms[0] = f64::MIN_POSITIVE)),
    ];
    for (channels, outcome) in absurd {
        let error = answered(&here, &identity, channels, |job| text(job, outcome)).unwrap_err();
        assert!(error.to_string().contains("not believable"), "{error}");
    }
    // JSON has no NaN: what a careless device writes for it is no message. The
    // connection ends, the job is given again, and measured.
    for (channels, wrong) in [(10, "NaN"), (11, "null"), (12, "1e999"), (13, "\"fast\"")] {
        let bad = |job| text(job, good()).replacen("1.0,", &format!("{wrong},"), 1);
        let measured = answered(&here, &identity, channels, bad).unwrap();
        assert_eq!(measured.samples_ms.len(), 30);
    }
    assert!(
        here.log().contains("cannot be understood"),
        "{}",
        here.log()
    );
    let info = here.device("pi");
    assert_eq!((info.measured, info.failed), (4, 6));
}

#[test]
fn a_hostile_device_reaches_its_own_records_only() {
    let here = Here::start();
    let (good_one, evil) = (here.identity("good"), here.identity("evil"));
    let measured = measuring(here.probe("good/tract"), network(8), protocol(30.0));
    let refused = |message: FromAgent| {
        here.runtime.block_on(async {
            let mut line = here.hello(&evil, None).await;
            line.send(&message).await.unwrap();
            loop {
                match line.receive_within::<ToAgent>(LONG).await.unwrap() {
                    ToAgent::Beat => {}
                    ToAgent::Refused(Refusal::Misbehaved { reason }) => return reason,
                    other => panic!("{other:?}"),
                }
            }
        })
    };
    // It knows the number of another's job, and of its network.
    let given = here.runtime.block_on(async {
        let mut line = here.hello(&good_one, None).await;
        let given = job(&mut line).await;
        started(&mut line, &given).await;
        given
    });
    let outcome = good();
    let stolen = FromAgent::Outcome {
        job: given.id,
        outcome,
    };
    assert!(refused(stolen).contains("another's job"));
    assert!(refused(FromAgent::Started { job: given.id }).contains("not given"));
    let fetch = FromAgent::Fetch {
        onnx: given.onnx,
        offset: 0,
    };
    assert!(refused(fetch).contains("not its job's"));
    // A flood of beats.
    let reason = here.runtime.block_on(async {
        let mut line = here.hello(&evil, None).await;
        for _ in 0..500 {
            if line.send(&FromAgent::Beat { facts: None }).await.is_err() {
                break;
            }
        }
        loop {
            match line.receive_within::<ToAgent>(LONG).await {
                Ok(ToAgent::Beat) => {}
                Ok(ToAgent::Refused(refusal)) => return refusal.to_string(),
                Ok(other) => panic!("{other:?}"),
                Err(error) => return error.to_string(),
            }
        }
    });
    assert!(
        reason.contains("too often") || reason.contains("connection"),
        "{reason}"
    );
    // Escape sequences in what it says of itself.
    here.runtime.block_on(async {
        let mut line = here.hello(&evil, None).await;
        let facts = Some(Box::new(DeviceFacts {
            cpu_model: Some("\x1b[2Jcpu\n".repeat(50)),
            ..DeviceFacts::default()
        }));
        line.send(&FromAgent::Beat { facts }).await.unwrap();
        let _: ToAgent = line.receive_within(LONG).await.unwrap();
    });
    let shown = here.device("evil").facts.cpu_model.unwrap();
    assert!(!shown.contains(['\x1b', '\n']) && shown.len() <= 200);
    // The honest device is untouched by it all.
    here.runtime.block_on(async {
        let mut line = here.hello(&good_one, Some(given.id)).await;
        let outcome = good();
        let job = given.id;
        line.send(&FromAgent::Outcome { job, outcome })
            .await
            .unwrap();
        recorded(&mut line).await;
    });
    measured.join().unwrap().unwrap();
    assert_eq!(here.device("evil").measured + here.device("evil").failed, 0);
}

#[test]
fn strangers_cannot_hold_memory_or_stop_the_coordinator() {
    let here = Here::start();
    let stranger = Identity::generate();
    here.runtime.block_on(async {
        // Not even TLS.
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b""] {
            let stream = tokio::net::TcpStream::connect(&here.address).await;
            let _ = stream.unwrap().write_all(bytes).await;
        }
        // A length beyond any greeting; a greeting that is none.
        for bytes in [
            &b"\x7f\xff\xff\xff"[..],
            b"\0\0\0\x02{}",
            b"\0\0\0\x03\0\0\0",
        ] {
            let mut line = here.connect(&stranger).await.into_inner();
            line.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            let _ = line.read_to_end(&mut answer).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.contains("misbehaved"), "{answer}");
        }
        // More silent callers than there are places: they are turned away, and
        // those who have a name still get through afterwards.
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(tokio::net::TcpStream::connect(&here.address).await.unwrap());
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    });
    until("places are free again", || here.log().contains("too many"));
    here.runtime.block_on(async {
        let admin = here.admin();
        while bespoke::coordinator::Client::connect(&admin).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_server_that_is_another_or_means_harm_gets_nothing() {
    // A server with a key of its own in the place of the real one.
    let here = Here::start();
    let token = here.token("pi");
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &here.address, &token);
    let impostor = Here::start();
    let file = agent.dir.join("agent.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let moved = text.replace(&here.address, &impostor.address);
    std::fs::write(&file, moved).unwrap();
    agent.run();
    until("it notices", || {
        agent.said().contains("its certificate is another")
    });
    agent.kill();
    assert!(!impostor.log().contains("is here"));

    // The true server, gone bad: the agent refuses, and lives.
    let identity = Identity::generate();
    let acceptor = bespoke::wire::acceptor(&identity);
    let listening = here
        .runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listening.local_addr().unwrap().to_string();
    let text = text.replace(&here.address, &address).replace(
        &here.admin().server.to_string(),
        &identity.fingerprint().to_string(),
    );
    std::fs::write(&file, text).unwrap();
    agent.run();
    let spec = |bytes: u64, onnx: Digest| {
        let model = network(8);
        bespoke::wire::JobSpec {
            device: "pi".into(),
            engine: "tract".into(),
            network: "net".into(),
            onnx,
            bytes,
            input: model.network().input_spec(),
            options: bespoke::device::RunOptions::default(),
            protocol: protocol(30.0),
            pass: 0,
            series: String::new(),
        }
        .job(Digest::of(b"job"))
    };
    let outcome = |change: &dyn Fn(&mut bespoke::wire::Job), bytes: Option<&[u8]>| {
        here.runtime.block_on(async {
            let (stream, _) = listening.accept().await.unwrap();
            let mut line = bespoke::wire::accept(&acceptor, stream)
                .await
                .unwrap()
                .channel;
            let hello: Greeting = line.receive_within(LONG).await.unwrap();
            assert_eq!(hello.version(), VERSION);
            line.raise_limit(bespoke::wire::MAX_FRAME);
            let welcome = ToAgent::Welcome {
                device: "pi".into(),
                beat_ms: 1_000,
                resume: false,
            };
            line.send(&welcome).await.unwrap();
            let mut bad = spec(100, Digest::of(b"what was announced"));
            change(&mut bad);
            line.send(&ToAgent::Job(Box::new(bad))).await.unwrap();
            loop {
                match line.receive_within::<FromAgent>(LONG).await {
                    Ok(FromAgent::Fetch { .. }) => line.send_chunk(bytes.unwrap()).await.unwrap(),
                    Ok(FromAgent::Outcome { outcome, .. }) => return Some(outcome),
                    Ok(_) => {}
                    Err(_) => return None,
                }
            }
        })
    };
    let refused = |outcome: Option<Outcome>| match outcome {
        Some(Outcome::Failed(Failure::Refused { reason })) => reason,
        other => panic!("{other:?}"),
    };
    // More than any device takes; other bytes than announced; more bytes.
    let why = refused(outcome(&|job| job.bytes = 1 << 40, None));
    assert!(why.contains("too large"), "{why}");
    let why = refused(outcome(&|job| job.protocol.budget_ms = 1e12, None));
    assert!(why.contains("ten minutes"), "{why}");
    let why = refused(outcome(&|job| job.options.batch = 1 << 40, None));
    assert!(why.contains("input batch"), "{why}");
    let why = refused(outcome(&|_| {}, Some(&[7; 100])));
    assert!(why.contains("not the network"), "{why}");
    let why = refused(outcome(&|_| {}, Some(&[7; 101])));
    assert!(why.contains("more bytes"), "{why}");
    // No bytes at all ends the connection.
    assert_eq!(outcome(&|_| {}, Some(&[])), None);
    // An engine is a name of the agent's list, nothing else.
    let onnx = b"no network";
    let unknown = outcome(
        &|job| {
            job.engine = "/bin/sh".into();
            job.onnx = Digest::of(onnx);
            job.bytes = onnx.len() as u64;
        },
        Some(onnx),
    );
    let Some(Outcome::Failed(Failure::Unsupported { engine, .. })) = unknown else {
        panic!("{unknown:?}");
    };
    assert_eq!(engine, "/bin/sh");
    // Nothing lies in its directory but what belongs there.
    let mut names: Vec<String> = std::fs::read_dir(&agent.dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.retain(|n| n != "outcome.json");
    assert_eq!(names, ["agent.json", "lock", "networks"]);
}

#[test]
fn the_honest_probe_still_works_after_a_restart() {
    let mut here = Here::start();
    let identity = here.identity("pi");
    let measured = answered(&here, &identity, 8, |job| text(job, good())).unwrap();
    here.stop();
    let mut options = bespoke::coordinator::ServerOptions::new("127.0.0.1:0", here.state());
    options.settings = settings();
    let server = here
        .runtime
        .block_on(bespoke::coordinator::Server::start(options))
        .unwrap();
    let again = here.probe("pi/tract").measure(&network(8), &protocol(30.0));
    assert_eq!(again.unwrap(), measured);
    here.runtime.block_on(server.stop());
}
