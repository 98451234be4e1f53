//! When all goes well.

use bespoke::device::Probe;
use bespoke::wire::DeviceState;

use crate::harness::*;

#[test]
fn a_device_elsewhere_measures_like_the_one_here() {
    let here = Here::start();
    let token = here.token("pi5");
    let mut agent = AgentProcess::enrol(here.dir.path(), "pi5", &here.address, &token);
    assert_eq!(here.device("pi5").state, DeviceState::Unseen);
    agent.run();
    until("the agent is idle", || {
        here.device("pi5").state == DeviceState::Idle
    });
    let info = here.device("pi5");
    assert_eq!(info.engines, ["tract"]);
    assert!(info.facts.logical_cores.is_some_and(|n| n > 0));

    let mut probe = here.probe("pi5/tract");
    assert_eq!(probe.name(), "pi5/tract");
    assert_eq!(probe.facts().cpu_model, info.facts.cpu_model);
    let (small, large) = (network(8), network(32));
    let one = probe.measure(&small, &protocol(30.0)).unwrap();
    let other = probe.measure(&large, &protocol(30.0)).unwrap();
    assert_eq!(
        (one.network.as_str(), one.engine.as_str()),
        ("conv8", "tract")
    );
    // Sixteen times the work.
    assert!(one.median_ms() < other.median_ms());
    assert!(one.drift.is_some_and(|d| d > 0.0) && !one.reference_ms.is_empty());
    // As it is here, with what loading took and the memory of the process.
    assert!(one.load_ms.is_some_and(|ms| ms > 0.0));
    #[cfg(target_os = "linux")]
    assert!(one.memory.is_some_and(|m| m.peak_bytes > 0));
    // A second pass is another measurement of the same network.
    let again = probe.measure(&small, &protocol(30.0)).unwrap();
    assert_ne!(one.samples_ms, again.samples_ms);
    assert_eq!(agent.measured(), 3);

    // Asked by somebody else, what is known is not measured again; nor is it
    // after the coordinator has forgotten everything but its journal.
    let kept = here.probe("pi5/tract").measure(&small, &protocol(30.0));
    assert_eq!(kept.unwrap(), one);
    assert_eq!(agent.measured(), 3);
    // In a series of its own it is.
    let cooled = here
        .probe("pi5/tract@cooled")
        .measure(&small, &protocol(30.0));
    assert_ne!(cooled.unwrap().samples_ms, one.samples_ms);
    assert_eq!(agent.measured(), 4);
    // The network itself was sent once.
    assert_eq!(
        std::fs::read_dir(agent.dir.join("networks"))
            .unwrap()
            .count(),
        2
    );
    let info = here.device("pi5");
    assert_eq!((info.measured, info.failed, info.queued), (4, 0, 0));
    assert!(here.log().contains("pi5/tract measured"));
}

#[test]
fn several_devices_work_at_the_same_time_and_each_on_one_thing() {
    let here = Here::start();
    let mut agents = Vec::new();
    for name in ["left", "right"] {
        let token = here.token(name);
        let mut agent = AgentProcess::enrol(here.dir.path(), name, &here.address, &token);
        agent.run();
        agents.push(agent);
    }
    until("both are here", || {
        ["left", "right"]
            .iter()
            .all(|n| here.device(n).state == DeviceState::Idle)
    });
    // Two clients for each device.
    let threads: Vec<_> = [("left", 8), ("right", 8), ("left", 12), ("right", 12)]
        .map(|(name, channels)| {
            let name = format!("{name}/tract");
            measuring(here.probe(&name), network(channels), protocol(1_000.0))
        })
        .into();
    let mut together = false;
    while threads.iter().any(|t| !t.is_finished()) {
        let busy = ["left", "right"].map(|n| here.device(n).state == DeviceState::Measuring);
        together |= busy == [true, true];
        for agent in &agents {
            assert!(agent.workers().len() <= 1);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    assert!(together, "the devices waited for each other");
}
