//! Remote agents for real: `bespoke-probe` as a process, a coordinator in this
//! process or in another one, connections between them that are slow or cut,
//! and callers that mean no good.

mod clock;
mod corpus;
mod faults;
mod harness;
mod hostile;
mod loopback;
mod namespaces;
mod plugins;
mod security;

/// Not a test: the coordinator of those tests that end it with `kill -9`. The
/// test program starts itself again with a directory in the environment.
#[test]
fn coordinator_process() {
    harness::coordinator_process();
}
