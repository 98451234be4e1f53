#!/bin/sh
# Times training in bespoke and in PyTorch by turns on this machine, on the same
# networks, batch and cores, and prints the ratios; docs/training-speed.md says
# what is timed. Makes benches/.venv with PyTorch (about 3 GB on x86-64, where
# the registry's build brings CUDA; it is not used) where there is none; says
# loudly that it skips the comparison where it cannot be installed.
#   benches/compare_training.sh [--rounds N] [--steps N] [--only NAME,...] [--json]
set -eu
cd "$(dirname "$0")/.."
# PYTHON names an interpreter with PyTorch.
python="${PYTHON:-benches/.venv/bin/python}"
export CUDA_VISIBLE_DEVICES=
if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
    python=benches/.venv/bin/python
    python3 -m venv benches/.venv &&
        "$python" -m pip install --quiet --disable-pip-version-check torch numpy ||
        { echo '*** SKIPPED: PyTorch cannot be installed; training is not compared with it ***' >&2; exit 0; }
fi
# BESPOKE names a program built before.
if [ -n "${BESPOKE:-}" ]; then
    bespoke="$BESPOKE"
else
    cargo build --release --quiet --bin bespoke
    bespoke="${CARGO_TARGET_DIR:-target}/release/bespoke"
fi
graphs="$(mktemp -d)"
trap 'rm -rf "$graphs"' EXIT
networks='--space search-spaces/cifar10.space --space search-spaces/nasbench201.space --space search-spaces/quickstart.space -n 2'
# shellcheck disable=SC2086
"$bespoke" bench training $networks --export "$graphs"
# shellcheck disable=SC2086
"$python" benches/torch_training.py --bespoke "$bespoke" --graphs "$graphs" "$@" $networks
