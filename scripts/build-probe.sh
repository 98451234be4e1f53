#!/bin/sh
# Builds bespoke-probe for small devices: optimised for size where speed does
# not matter, across crates, and stripped. Prints where it is and how large.
# Arguments go to cargo, such as --target aarch64-unknown-linux-gnu.
set -eu
cd "$(dirname "$0")/.."
cargo build --profile probe --no-default-features --features agent --bin bespoke-probe \
    --config 'profile.probe.inherits="release"' \
    --config 'profile.probe.lto="fat"' \
    --config 'profile.probe.codegen-units=1' \
    --config 'profile.probe.strip=true' \
    --config 'profile.probe.opt-level="s"' \
    --config 'profile.probe.package."*".opt-level="s"' \
    "$@"
find "${CARGO_TARGET_DIR:-target}" -path '*probe/bespoke-probe' -exec ls -l {} +
