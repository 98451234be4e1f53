//! Any text is either a space whose architectures build, or a list of problems:
//! never a panic, and never more time or memory than the limits allow.
//!
//!     cargo +nightly fuzz run space -- -dict=fuzz/space.dict -timeout=20 -rss_limit_mb=2048

#![no_main]

use bespoke::space::Space;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(space) = Space::parse("fuzz.space", text) else {
        return;
    };
    let count = space.count();
    let first = space.unrank(&num_bigint::BigUint::default());
    assert!(count.bits() > 0);
    let genotype = space.genotype(&first);
    assert_eq!(space.parse_genotype(&genotype).as_ref(), Ok(&first));
    let network = space.network(&first).expect("a checked space builds");
    let _ = (network.costs(), network.hash(), space.drawing());
});
