//! What goes wrong without anybody meaning it: each ends as a measurement after
//! all, or as a failure with its cause; nothing is measured twice once done.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use bespoke::coordinator::RemoteProbe;
use bespoke::device::{Probe, ProbeError, RunOptions};
use bespoke::wire::{DeviceState, Failure, FromAgent, JobSpec, Outcome};

use crate::harness::*;

fn idle(here: &Here, device: &str) {
    until("the device is idle", || {
        here.device(device).state == DeviceState::Idle
    });
}

fn busy(here: &Here, device: &str) {
    until("the device measures", || {
        here.device(device).state == DeviceState::Measuring
    });
}

#[test]
fn an_agent_killed_while_it_measures_begins_again_when_it_is_back() {
    let here = Here::start();
    let token = here.token("pi");
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &here.address, &token);
    agent.run();
    idle(&here, "pi");
    let measured = measuring(here.probe("pi/tract"), network(8), protocol(1_500.0));
    busy(&here, "pi");
    until("the worker is there", || agent.workers().len() == 1);
    let worker = agent.workers()[0];
    agent.kill();
    // Nothing measures on without the agent.
    until("the worker has ended", || {
        !std::path::Path::new(&format!("/proc/{worker}/exe")).exists()
            || std::fs::read_link(format!("/proc/{worker}/exe")).is_err()
    });
    assert!(!measured.is_finished());
    agent.run();
    measured.join().unwrap().unwrap();
    assert_eq!(agent.measured(), 2);
    assert_eq!(here.device("pi").measured, 1);
}

#[test]
fn a_coordinator_killed_meanwhile_gets_the_measurement_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut elsewhere = Elsewhere::start(dir.path());
    let token = elsewhere.token("pi");
    let mut agent = AgentProcess::enrol(dir.path(), "pi", &elsewhere.address, &token);
    agent.run();
    let open = |elsewhere: &Elsewhere| {
        RemoteProbe::open("pi/tract", Some(elsewhere.admin()), RunOptions::default()).unwrap()
    };
    let measured = measuring(open(&elsewhere), network(8), protocol(1_500.0));
    until("it measures", || agent.measured() == 1);
    elsewhere.kill();
    elsewhere.again();
    let measurement = measured.join().unwrap().unwrap();
    // It went on with what it had: the measurement began once.
    assert_eq!((agent.measured(), elsewhere.done()), (1, 1));
    // And is known to the next coordinator.
    elsewhere.kill();
    elsewhere.again();
    agent.kill();
    let again = open(&elsewhere).measure(&network(8), &protocol(1_500.0));
    assert_eq!(again.unwrap(), measurement);
    assert_eq!(elsewhere.done(), 1);
}

#[test]
fn an_outcome_that_was_not_delivered_is_delivered_by_the_next_process() {
    let here = Here::start();
    let token = here.token("pi");
    let proxy = Proxy::start(&here);
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &proxy.address, &token);
    agent.run();
    idle(&here, "pi");
    let measured = measuring(here.probe("pi/tract"), network(8), protocol(300.0));
    busy(&here, "pi");
    // Cut off it measures on, and cannot deliver; then its process ends.
    proxy.control.down.store(true, Ordering::Relaxed);
    let kept = agent.dir.join("outcome.json");
    until("it has measured", || kept.exists());
    agent.kill();
    proxy.control.down.store(false, Ordering::Relaxed);
    agent.run();
    measured.join().unwrap().unwrap();
    assert_eq!(agent.measured(), 1);
    until("it was acknowledged", || !kept.exists());
}

#[test]
fn a_connection_cut_for_a_moment_costs_nothing() {
    let here = Here::start();
    let token = here.token("pi");
    let proxy = Proxy::start(&here);
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &proxy.address, &token);
    agent.run();
    idle(&here, "pi");
    let measured = measuring(here.probe("pi/tract"), network(8), protocol(1_500.0));
    busy(&here, "pi");
    proxy.control.down.store(true, Ordering::Relaxed);
    until("it is noticed", || {
        here.device("pi").state == DeviceState::Away
    });
    proxy.control.down.store(false, Ordering::Relaxed);
    measured.join().unwrap().unwrap();
    assert_eq!(agent.measured(), 1);
    assert!(proxy.control.connections.load(Ordering::Relaxed) >= 3);
}

#[test]
fn a_transfer_that_is_cut_again_and_again_goes_on_where_it_stopped() {
    let here = Here::start();
    let token = here.token("pi");
    let proxy = Proxy::start(&here);
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &proxy.address, &token);
    // 576 KiB of weights; each connection carries a third of it.
    let large = network(128);
    proxy.control.cut_after.store(250_000, Ordering::Relaxed);
    agent.run();
    let measured = measuring(here.probe("pi/tract"), large, protocol(30.0));
    measured.join().unwrap().unwrap();
    assert!(proxy.control.connections.load(Ordering::Relaxed) >= 4);
    // Little was carried twice.
    assert!(proxy.control.carried.load(Ordering::Relaxed) < 900_000);
    assert_eq!(agent.measured(), 1);
}

#[test]
fn a_slow_link_takes_its_time() {
    let here = Here::start();
    let token = here.token("pi");
    let proxy = Proxy::start(&here);
    // 144 KiB of weights within two seconds; the device's silence may last three.
    proxy.control.rate.store(70_000, Ordering::Relaxed);
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &proxy.address, &token);
    agent.run();
    here.probe("pi/tract")
        .measure(&network(64), &protocol(30.0))
        .unwrap();
    // Over one connection (and one for enrolling).
    assert_eq!(proxy.control.connections.load(Ordering::Relaxed), 2);
}

#[test]
fn a_device_that_stays_away_is_told() {
    let here = Here::start();
    here.identity("pi");
    let mut probe = here
        .probe("pi/tract")
        .away_limit(Duration::from_millis(300));
    let error = probe.measure(&network(8), &protocol(30.0)).unwrap_err();
    insta::assert_snapshot!(error, @"device `pi`: it has not been connected for 0 s; start `bespoke-probe run` on it; the measurement is kept for when it comes back");
}

#[test]
fn limits_of_time_and_memory_and_crashes_are_failures_with_their_cause() {
    let here = Here::start();
    let token = here.token("pi");
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &here.address, &token);
    let fails = |agent: &mut AgentProcess, channels: usize, cause: &str| {
        let error = here
            .probe("pi/tract")
            .measure(&network(channels), &protocol(5_000.0))
            .unwrap_err();
        assert!(matches!(error, ProbeError::Remote { .. }), "{error:?}");
        assert!(error.to_string().contains(cause), "{error}");
        agent.kill();
    };
    agent.arguments = vec!["--time".into(), "1".into()];
    agent.run();
    fails(&mut agent, 8, "took longer than 1 s");
    agent.arguments = vec!["--memory".into(), "1".into()];
    agent.run();
    fails(&mut agent, 9, "more than 1 MiB of memory");
    agent.arguments.clear();
    agent.run();
    let measured = measuring(here.probe("pi/tract"), network(10), protocol(5_000.0));
    until("the worker is there", || agent.workers().len() == 1);
    let worker = agent.workers()[0].to_string();
    let killed = std::process::Command::new("kill")
        .args(["-9", &worker])
        .status();
    assert!(killed.unwrap().success());
    let error = measured.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("signal: 9"), "{error}");
    // The agent itself lives, and what failed may be tried again.
    here.probe("pi/tract")
        .measure(&network(11), &protocol(30.0))
        .unwrap();
}

/// Submits a file that need not come from a network of ours.
fn submit(here: &Here, onnx: &[u8]) -> Outcome {
    let spec = JobSpec {
        device: "pi".into(),
        engine: "tract".into(),
        network: "by hand".into(),
        onnx: bespoke::wire::Digest::of(onnx),
        bytes: onnx.len() as u64,
        input: network(8).network().input_spec(),
        options: RunOptions::default(),
        protocol: protocol(30.0),
        pass: 0,
        series: String::new(),
    };
    let mut client = here.client();
    here.runtime.block_on(async {
        let job = client.submit(&spec, onnx).await.unwrap();
        client.wait(job, LONG).await.unwrap().unwrap()
    })
}

#[test]
fn files_that_are_no_networks_for_the_engine_are_failures_with_their_cause() {
    use tract_onnx::pb::{ModelProto, StringStringEntryProto};
    use tract_onnx::prelude::*;
    let here = Here::start();
    let token = here.token("pi");
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &here.address, &token);
    agent.run();
    let model = network(8);
    let good = model.onnx().unwrap();
    let proto = || {
        tract_onnx::onnx()
            .proto_model_for_read(&mut &*good)
            .unwrap()
    };
    let reason = |outcome: Outcome| match outcome {
        Outcome::Failed(Failure::Load { engine, reason }) => {
            assert_eq!(engine, "tract");
            reason
        }
        other => panic!("{other:?}"),
    };
    let encode = |proto: &ModelProto| prost::Message::encode_to_vec(proto);
    // An operator that the engine lacks.
    let mut lacking = proto();
    lacking.graph.as_mut().unwrap().node[0].op_type = "Frobnicate".into();
    let why = reason(submit(&here, &encode(&lacking)));
    assert!(why.contains("Frobnicate"), "{why}");
    // Rubbish.
    reason(submit(&here, b"this is no network"));
    // Weights that would be read from another file of the device.
    let mut outside = proto();
    let tensor = &mut outside.graph.as_mut().unwrap().initializer[0];
    tensor.raw_data.clear();
    tensor.float_data.clear();
    tensor.data_location = Some(1);
    tensor.external_data = vec![StringStringEntryProto {
        key: "location".into(),
        value: "agent.json".into(),
    }];
    let why = reason(submit(&here, &encode(&outside)));
    assert!(why.contains("external"), "{why}");
    // The agent has seen worse.
    here.probe("pi/tract")
        .measure(&model, &protocol(30.0))
        .unwrap();
}

#[test]
fn a_message_that_ends_in_the_middle_costs_the_connection_only() {
    let here = Here::start();
    let identity = here.identity("pi");
    let measured = measuring(here.probe("pi/tract"), network(8), protocol(30.0));
    here.runtime.block_on(async {
        // Takes the job and dies while it answers.
        let mut line = here.hello(&identity, None).await;
        let given = job(&mut line).await;
        started(&mut line, &given).await;
        let mut stream = line.into_inner();
        stream
            .write_all(b"\0\0\x01\0{\"outcome\":{\"jo")
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        drop(stream);
        // The next connection gets the job again and does it.
        let mut line = here.hello(&identity, None).await;
        let again = job(&mut line).await;
        assert_eq!(again.id, given.id);
        started(&mut line, &again).await;
        let outcome = crate::hostile::good();
        let message = FromAgent::Outcome {
            job: again.id,
            outcome,
        };
        line.send(&message).await.unwrap();
        recorded(&mut line).await;
        // What is sent twice is acknowledged and counts once.
        line.send(&message).await.unwrap();
        recorded(&mut line).await;
    });
    measured.join().unwrap().unwrap();
    let info = here.device("pi");
    assert_eq!((info.measured, info.failed), (1, 0));
    assert!(
        here.log().contains("cut within a message"),
        "{}",
        here.log()
    );
}
