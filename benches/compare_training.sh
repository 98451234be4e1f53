#!/bin/sh
# Times training in bespoke and in PyTorch by turns on this machine, on the same
# networks, batch and cores, and prints the ratios; docs/training-speed.md says
# what is timed. Makes benches/.venv with PyTorch (about 3 GB on x86-64, where
# the registry's build brings CUDA; it is not used) where there is none; says
# loudly that it skips the comparison where it cannot be installed.
#   benches/compare_training.sh [--rounds N] [--steps N] [--only NAME,...] [--json]
set -eu
cd "$(dirname "$0")/.."
. benches/setup.sh
export CUDA_VISIBLE_DEVICES=
python_with 'import torch, numpy' torch numpy
our_program
graphs="$(mktemp -d)"
trap 'rm -rf "$graphs"' EXIT
networks='--space search-spaces/cifar10.space --space search-spaces/nasbench201.space --space search-spaces/quickstart.space -n 2'
# shellcheck disable=SC2086
"$bespoke" bench training $networks --export "$graphs"
# shellcheck disable=SC2086
"$python" benches/torch_training.py --bespoke "$bespoke" --graphs "$graphs" "$@" $networks
