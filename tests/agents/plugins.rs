//! Engines that the agent's owner adds: the plugins of device profiles. They
//! measure as the agent's own engine does, within the agent's limits, and end
//! with it; and only its owner chooses them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bespoke::device::{Probe, ProbeError, Protocol};
use bespoke::wire::{Digest, Failure, JobSpec, Outcome};

use crate::harness::*;

fn here_is(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|o| o.status.success())
}

/// A profile of the scripted plugin in `mode`, called `name`.
fn faulty(dir: &Path, name: &str, mode: &str, more: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/faulty_plugin.py");
    let path = dir.join(format!("{name}.toml"));
    let text = format!(
        "name = \"{name}\"\n{more}\n[connection]\nkind = \"command\"\n\
         argv = [\"python3\", {script:?}, {mode:?}]\ntimeout_s = 60\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn with(agent: &mut AgentProcess, profiles: &[&Path]) {
    for path in profiles {
        agent.arguments.push("--device".into());
        agent.arguments.push(path.display().to_string());
    }
}

/// An agent that has a plugin for each mode of the scripted one, and more.
fn agent(here: &Here, profiles: &[&Path]) -> AgentProcess {
    let token = here.token("pi");
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &here.address, &token);
    with(&mut agent, profiles);
    agent.run();
    agent
}

/// Processes that run this script with this mode.
fn running(mode: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|b| *b == 0).collect();
        let script = words.iter().any(|w| w.ends_with(b"faulty_plugin.py"));
        count += usize::from(script && words.contains(&mode.as_bytes()));
    }
    count
}

#[test]
fn plugins_are_engines_of_an_agent_and_fail_with_their_cause() {
    if !here_is("python3", &["-V"]) {
        return skipped("there is no python3, so no plugin ran on an agent");
    }
    let here = Here::start();
    let dir = here.dir.path();
    let limits = "limits = { flash_bytes = 3000, latency_ms = 50.0, bits = 8 }";
    let good = faulty(dir, "meter", "", limits);
    let slow = faulty(dir, "slow", "", "limits = { latency_ms = 1.5 }");
    let lacking = faulty(dir, "lacking", "lacks-an-operator", "");
    let small = faulty(dir, "small", "limits", "");
    let crash = faulty(dir, "crash", "crashes", "");
    let rubbish = faulty(dir, "rubbish", "prints-rubbish", "");
    let model = faulty(dir, "model", "simulates", "");
    let gone = dir.join("gone.toml");
    std::fs::write(
        &gone,
        "name = \"gone\"\n[connection]\nkind = \"command\"\nargv = [\"./no-such-program\"]\n",
    )
    .unwrap();
    let profiles = [
        &good, &slow, &lacking, &small, &crash, &rubbish, &model, &gone,
    ];
    let profiles: Vec<&Path> = profiles.iter().map(|p| p.as_path()).collect();
    let _agent = agent(&here, &profiles);
    until("the agent is here", || {
        !here.device("pi").engines.is_empty()
    });
    let info = here.device("pi");
    let names = "tract meter slow lacking small crash rubbish model gone";
    assert_eq!(info.engines.join(" "), names);
    assert_eq!(info.limits["meter"].flash_bytes, Some(3000));

    let measure = |name: &str, channels| {
        let mut probe = here.probe(&format!("pi/{name}"));
        probe.measure(&network(channels), &protocol(30.0))
    };
    // Every run takes 2 ms, and the reference was interleaved.
    let measured = measure("meter", 8).unwrap();
    assert_eq!(
        (measured.engine.as_str(), measured.median_ms()),
        ("meter", 2.0)
    );
    assert!(!measured.reference_ms.is_empty() && measured.drift == Some(1.0));
    assert_eq!(measured.engine_version.as_deref(), Some("1"));
    // A simulated device is measured as well, although no time passes.
    let simulated = measure("model", 8).unwrap();
    assert!(simulated.simulated && simulated.reference_ms.is_empty());

    let fails = |name: &str, channels: usize| measure(name, channels).unwrap_err();
    // 20 x 20 x 9 weights of 8 bits are too many; nothing was sent for it.
    let above = fails("meter", 20);
    assert!(matches!(above, ProbeError::Limit { .. }), "{above}");
    assert!(above.to_string().contains("3600 bytes"), "{above}");
    let late = fails("slow", 8).to_string();
    assert!(
        late.contains("2.0000 ms, and `limits.latency_ms` is 1.5"),
        "{late}"
    );
    let operator = fails("lacking", 8);
    assert!(
        matches!(operator, ProbeError::Unsupported { .. }),
        "{operator}"
    );
    assert!(operator.to_string().contains("GroupNorm"), "{operator}");
    let refused = fails("small", 8);
    assert!(matches!(refused, ProbeError::Limit { .. }), "{refused}");
    for (name, cause) in [
        ("crash", "Segmentation fault, almost"),
        ("rubbish", "[debug] running"),
        ("gone", "no-such-program"),
    ] {
        let error = fails(name, 8);
        assert!(matches!(error, ProbeError::Remote { .. }), "{error:?}");
        assert!(error.to_string().contains(cause), "{error}");
    }
    // None of that harmed the others.
    measure("meter", 9).unwrap();
    measure("tract", 8).unwrap();
    assert_eq!(here.device("pi").failed, 5);
}

#[test]
fn a_plugin_that_hangs_ends_with_the_measurement_and_with_the_agent() {
    if !here_is("python3", &["-V"]) || !cfg!(target_os = "linux") {
        return skipped("no python3 on Linux, so no plugin hung on an agent");
    }
    let here = Here::start();
    let hanging = faulty(here.dir.path(), "hanging", "hangs-for-an-agent", "");
    let mut agent = agent(&here, &[]);
    agent.kill();
    with(&mut agent, &[&hanging]);
    agent.arguments.extend(["--time".into(), "2".into()]);
    agent.run();
    let error = here
        .probe("pi/hanging")
        .measure(&network(8), &protocol(30.0))
        .unwrap_err();
    assert!(error.to_string().contains("longer than 2 s"), "{error}");
    until("the plugin has ended", || {
        running("hangs-for-an-agent") == 0
    });
    // Killed with the agent itself, which has no time to say anything.
    agent.kill();
    agent.arguments.truncate(agent.arguments.len() - 2);
    agent.run();
    let waiting = measuring(here.probe("pi/hanging"), network(9), protocol(30.0));
    until("the plugin hangs", || running("hangs-for-an-agent") > 0);
    agent.kill();
    until("the plugin has ended", || {
        running("hangs-for-an-agent") == 0
    });
    let mut client = here.client();
    here.runtime.block_on(client.revoke("pi")).unwrap();
    waiting.join().unwrap().unwrap_err();
    // What the plugin was given lies below the agent's directory alone.
    let mut names: Vec<String> = std::fs::read_dir(&agent.dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.retain(|n| n != "outcome.json");
    assert_eq!(names, ["agent.json", "lock", "networks", "scratch"]);
}

/// A plugin's memory counts as the measurement's, in whichever process it is.
#[test]
fn the_limit_of_memory_is_that_of_the_plugin_as_well() {
    if !here_is("python3", &["-V"]) || !Path::new("/proc/self/task").exists() {
        return skipped("no python3 on Linux, so no plugin took memory on an agent");
    }
    let here = Here::start();
    let greedy = faulty(here.dir.path(), "greedy", "takes-memory", "");
    let mut agent = agent(&here, &[&greedy]);
    agent.kill();
    agent.arguments.extend(["--memory".into(), "200".into()]);
    agent.run();
    let error = here
        .probe("pi/greedy")
        .measure(&network(8), &protocol(30.0))
        .unwrap_err();
    assert!(error.to_string().contains("more than 200 MiB"), "{error}");
    until("the plugin has ended", || running("takes-memory") == 0);
    here.probe("pi/tract")
        .measure(&network(8), &protocol(30.0))
        .unwrap();
}

/// A coordinator that means harm cannot have a plugin read the device's files.
#[test]
fn networks_for_a_plugin_cannot_name_other_files() {
    use tract_onnx::pb::StringStringEntryProto;
    use tract_onnx::prelude::*;
    if !here_is("python3", &["-V"]) {
        return skipped("there is no python3, so no plugin was sent a hostile network");
    }
    let here = Here::start();
    let meter = faulty(here.dir.path(), "meter", "", "");
    let agent = agent(&here, &[&meter]);
    let model = network(8);
    let onnx = tract_onnx::onnx().proto_model_for_read(&mut model.onnx().unwrap());
    let mut onnx = onnx.unwrap();
    let tensor = &mut onnx.graph.as_mut().unwrap().initializer[0];
    tensor.raw_data.clear();
    tensor.float_data.clear();
    tensor.data_location = Some(1);
    tensor.external_data = vec![StringStringEntryProto {
        key: "location".into(),
        value: "../../agent.json".into(),
    }];
    let bytes = prost::Message::encode_to_vec(&onnx);
    let submit = |engine: &str, bytes: &[u8]| {
        let spec = JobSpec {
            device: "pi".into(),
            engine: engine.into(),
            network: "by hand".into(),
            onnx: Digest::of(bytes),
            bytes: bytes.len() as u64,
            input: model.network().input_spec(),
            options: Default::default(),
            protocol: protocol(30.0),
            pass: 0,
            series: String::new(),
        };
        let mut client = here.client();
        here.runtime.block_on(async {
            let job = client.submit(&spec, bytes).await.unwrap();
            client.wait(job, LONG).await.unwrap().unwrap()
        })
    };
    let outcome = submit("meter", &bytes);
    let Outcome::Failed(Failure::Load { engine, reason }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(engine, "faulty");
    assert!(reason.contains("external file"), "{reason}");
    let outcome = submit("meter", b"no network at all");
    assert!(
        matches!(outcome, Outcome::Failed(Failure::Load { .. })),
        "{outcome:?}"
    );
    drop(agent);
}

#[test]
fn onnxruntime_on_an_agent() {
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices/onnxruntime.toml");
    let line = bespoke::device::Profile::read(&profile).unwrap();
    let python = line.command_line().unwrap().words()[0].clone();
    if !here_is(&python, &["-c", "import onnxruntime"]) {
        return skipped("Python lacks onnxruntime, so it did not measure on an agent");
    }
    let here = Here::start();
    let facts = Command::new(AGENT)
        .arg("facts")
        .arg("--device")
        .arg(&profile)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&facts.stdout);
    assert!(
        said.contains("engine:      tract\nengine:      onnxruntime "),
        "{said}"
    );
    let _agent = agent(&here, &[&profile]);
    until("the agent is here", || {
        !here.device("pi").engines.is_empty()
    });
    let mut probe = here.probe("pi/onnxruntime");
    let quick = Protocol {
        passes: 1,
        max_passes: 1,
        ..Protocol::quick()
    };
    let small = probe.measure(&network(8), &quick).unwrap();
    let large = probe.measure(&network(64), &quick).unwrap();
    assert!(small.median_ms() < large.median_ms());
    assert_eq!(small.engine, "onnxruntime");
    assert!(small.memory.is_some_and(|m| m.peak_bytes > 0) || !cfg!(target_os = "linux"));
}

#[test]
fn a_profile_that_is_none_is_explained_before_anything_runs() {
    let here = Here::start();
    let token = here.token("pi");
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi", &here.address, &token);
    agent.arguments = vec!["--device".into(), "no-such.toml".into()];
    agent.run();
    assert_eq!(agent.ended(), 2);
    let said = agent.said();
    assert!(said.contains("no-such.toml"), "{said}");
}
