//! Agents on machines of their own, as far as one machine can have several: each
//! in a network namespace, reached by one cable (a veth pair) that can be slow
//! (tc, with netem where there is one) and pulled. Skipped, loudly, where the system does not allow it.

use std::process::Command;
use std::time::Duration;

use bespoke::device::Probe;
use bespoke::wire::DeviceState;

use crate::harness::*;

fn done(command: &str) -> Result<(), String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output();
    let output = output.map_err(|e| format!("{command}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// A namespace with a cable to this one; gone when dropped.
struct Namespace {
    name: String,
    /// This side's end of the cable, and its address.
    end: String,
    here: String,
}

impl Namespace {
    /// `number` tells the namespaces of a test apart.
    fn make(number: u8) -> Result<Self, String> {
        let id = std::process::id();
        let name = format!("bespoke-{id}-{number}");
        let (end, far) = (format!("bn{id}a{number}"), format!("bn{id}b{number}"));
        // Addresses for private use, by the process and the number.
        let net = format!(
            "10.{}.{}",
            64 + (id >> 6) % 128,
            (id % 64) * 4 + u32::from(number)
        );
        done(&format!("ip netns add {name}"))?;
        let made = Namespace {
            name: name.clone(),
            end: end.clone(),
            here: format!("{net}.1"),
        };
        for command in [
            format!("ip link add {end} type veth peer name {far}"),
            format!("ip link set {far} netns {name}"),
            format!("ip addr add {net}.1/30 dev {end}"),
            format!("ip link set {end} up"),
            format!("ip -n {name} addr add {net}.2/30 dev {far}"),
            format!("ip -n {name} link set {far} up"),
        ] {
            done(&command)?;
        }
        Ok(made)
    }

    /// Makes both directions do what `qdisc` says.
    fn shape(&self, qdisc: &str) -> Result<(), String> {
        let far = self.end.replace('a', "b");
        done(&format!("tc qdisc add dev {} root {qdisc}", self.end))?;
        done(&format!(
            "ip netns exec {} tc qdisc add dev {far} root {qdisc}",
            self.name
        ))
    }

    fn cable(&self, state: &str) {
        done(&format!("ip link set {} {state}", self.end)).unwrap();
    }

    /// An enrolled agent of this namespace.
    fn agent(&self, here: &Here, device: &str) -> AgentProcess {
        let port = here.address.rsplit_once(':').unwrap().1;
        let address = format!("{}:{port}", self.here);
        let mut agent = AgentProcess::new(here.dir.path().join(device));
        agent.prefix = ["ip", "netns", "exec", &self.name].map(String::from).into();
        let token = here.token(device);
        let enrolled = agent.command(&["enrol", &address, &token]).output();
        let enrolled = enrolled.unwrap();
        let error = String::from_utf8_lossy(&enrolled.stderr);
        assert!(enrolled.status.success(), "{error}");
        agent
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its end of the cable goes with it, and so the whole cable.
        let _ = done(&format!("ip netns del {}", self.name));
    }
}

#[test]
fn agents_of_two_namespaces_measure_over_cables_that_are_slow_and_pulled() {
    let made = (|| Ok([Namespace::make(0)?, Namespace::make(1)?]))();
    let [left, right] = match made {
        Ok(made) => made,
        Err::<_, String>(why) => {
            return skipped(&format!("no network namespaces here ({why})"));
        }
    };
    let shaped = |qdisc| left.shape(qdisc).and_then(|()| right.shape(qdisc));
    if let Err(why) = shaped("netem delay 40ms 10ms loss 2% rate 4mbit") {
        skipped(&format!("the cables delay and lose nothing ({why})"));
        if let Err(why) = shaped("tbf rate 4mbit burst 16kb latency 400ms") {
            skipped(&format!("nor are they slow ({why})"));
        }
    }
    let here = Here::at("0.0.0.0:0");
    let mut agents = [left.agent(&here, "left"), right.agent(&here, "right")];
    // A namespace has its own loopback: nothing of this one is there.
    let local = here.address.replace("0.0.0.0", "127.0.0.1");
    let mut lost = AgentProcess::new(here.dir.path().join("lost"));
    lost.prefix = agents[0].prefix.clone();
    let token = here.token("lost");
    let output = lost.command(&["enrol", &local, &token]).output().unwrap();
    assert!(!output.status.success(), "it came through the wall");

    for agent in &mut agents {
        agent.run();
    }
    // 260 KiB of network through each cable, at the same time.
    let threads = ["left/tract", "right/tract"]
        .map(|name| measuring(here.probe(name), network(86), protocol(500.0)));
    for thread in threads {
        assert!(thread.join().unwrap().unwrap().median_ms() > 0.0);
    }

    // A cable pulled in the middle of a measurement, for longer than the
    // coordinator waits.
    let [cut, _] = &agents;
    let waiting = measuring(here.probe("left/tract"), network(9), protocol(1_500.0));
    until("it measures", || cut.measured() == 2);
    left.cable("down");
    until("it counts as away", || {
        here.device("left").state == DeviceState::Away
    });
    // The other one has not noticed anything.
    let mut other = here.probe("right/tract");
    other.measure(&network(10), &protocol(30.0)).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    left.cable("up");
    let measured = waiting.join().unwrap().unwrap();
    assert!(measured.median_ms() > 0.0);
    // Measured once, although its outcome took a second connection.
    assert_eq!(cut.measured(), 2);
    assert_eq!(here.device("left").measured, 2);
}
