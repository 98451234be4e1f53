#!/bin/sh
# Builds bespoke-probe for small devices: stripped, optimised across crates, and
# for size wherever speed does not matter, which is everywhere but in tract's
# kernels. Prints where it is and how large. Arguments go to cargo, such as
# --target aarch64-unknown-linux-gnu. It takes some ten minutes; the profile is here
# and not in Cargo.toml because nothing else needs it.
set -eu
cd "$(dirname "$0")/.."
profile() {
    set -- "$@" --config 'profile.probe.inherits="release"'
    for setting in 'lto="fat"' codegen-units=1 strip=true 'opt-level="z"' \
        'package."*".opt-level="z"' package.tract-linalg.opt-level=3; do
        set -- "$@" --config "profile.probe.$setting"
    done
    # These are at level 3 in the release profile.
    for package in tract-core tract-data ndarray smallvec half bytemuck hashbrown \
        num-integer num-bigint matrixmultiply rayon rayon-core crossbeam-deque \
        crossbeam-epoch rand rand_chacha chacha20 sha2; do
        set -- "$@" --config "profile.probe.package.$package.opt-level=\"z\""
    done
    cargo build --profile probe --no-default-features --features agent \
        --bin bespoke-probe "$@"
}
profile "$@"
find "${CARGO_TARGET_DIR:-target}" -path '*probe/bespoke-probe' -exec ls -l {} +
