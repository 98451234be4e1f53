//! Whatever bytes a device sends the coordinator, it is not impressed.
//!
//!     cargo +nightly fuzz run protocol --features agent -- -dict=fuzz/protocol.dict -rss_limit_mb=2048

#![no_main]

#[path = "../checks/protocol.rs"]
mod protocol;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| protocol::hear(bytes));
