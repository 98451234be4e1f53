#!/bin/sh
# Times our meta-training and predictions and those of a PyTorch
# re-implementation of HELP's predictor in one run on this machine, and prints
# the ratios. Makes benches/.venv with PyTorch (about 3 GB on x86-64, where the
# registry's build brings CUDA; it is not used) where there is none; says loudly
# that it skips the comparison where it cannot be installed.
#   benches/compare_with_help.sh [nasbench201|fbnet] [--full]
set -eu
cd "$(dirname "$0")/.."
space="${1:-nasbench201}"
[ $# -gt 0 ] && shift
. benches/setup.sh
export CUDA_VISIBLE_DEVICES=
python_with 'import torch, numpy' torch numpy
our_program
ours="$("$bespoke" bench predictor --speed --only "$space" --json)"
help="$("$python" benches/help_predictor.py --space "$space" "$@")"
OURS="$ours" HELP="$help" "$python" - <<'PYTHON'
import json, os

ours, help = json.loads(os.environ["OURS"])[0], json.loads(os.environ["HELP"])
note = f' (from {help["episodes_timed"]} of 2000 episodes)' if help["extrapolated"] else ""
print(f'{help["space"]}, both in one run; PyTorch {help["torch"]} with {help["threads"]} threads for training, 1 for predictions')
rows = [
    ("meta-training, s" + note, ours["meta_training_s"], help["meta_training_s"], False),
    ("adaptation from ten measurements, ms", ours["adaptation_ms"], help["adaptation_ms"], False),
    ("predictions a second a core, one at a time", ours["single_predictions_per_s"], help["single_predictions_per_s"], True),
    ("predictions a second a core, both by the thousand", ours["predictions_per_s"], help["predictions_per_s"], True),
    ("ours by the thousand, HELP one at a time", ours["predictions_per_s"], help["single_predictions_per_s"], True),
    ("ours with 90 % intervals, HELP by the thousand", ours["intervals_per_s"], help["predictions_per_s"], True),
]
print(f'| {"":52} | {"bespoke":>12} | {"HELP":>12} | {"times faster":>12} |')
print(f'|{"-" * 54}|{"-" * 14}|{"-" * 14}|{"-" * 14}|')
for name, mine, theirs, more_is_better in rows:
    ratio = mine / theirs if more_is_better else theirs / mine
    print(f"| {name:52} | {mine:12,.1f} | {theirs:12,.1f} | {ratio:12,.1f} |")
if "spearman" in help:
    mean = sum(help["spearman"].values()) / len(help["spearman"])
    print("HELP re-implemented, Spearman:", ", ".join(f"{k} {v:.3f}" for k, v in help["spearman"].items()), f"; mean {mean:.3f}")
PYTHON
