#!/bin/sh
# Runs pymoo's NSGA-II, Optuna's TPE and NSGA-II and NASLib-style regularised
# evolution on the same table, predicted latencies, budget and seeds as ours,
# and prints one table. Makes benches/.venv where pymoo and Optuna are missing;
# says loudly that it skips the peers where they cannot be installed.
#   benches/compare_search.sh ACCURACIES.csv [EVALUATIONS [SEEDS [DEVICE,...]]]
set -eu
accuracies="${1:?usage: benches/compare_search.sh ACCURACIES.csv [EVALUATIONS [SEEDS [DEVICE,...]]]}"
case "$accuracies" in /*) ;; *) accuracies="$(pwd)/$accuracies" ;; esac
cd "$(dirname "$0")/.."
evaluations="${2:-500}"
seeds="${3:-20}"
devices="${4:-titan_rtx_256,gold_6226,fpga,pixel2,raspi4,eyeriss}"
. benches/setup.sh
python_with 'import pymoo, optuna' pymoo optuna
our_program
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$bespoke" bench search --accuracy "$accuracies" --device "$devices" --seeds "$seeds" \
    --export-table "$work/table.csv"
# Their matrices are small: threads that share one only wait for each other.
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$python" benches/search_peers.py "$work/table.csv" "$work/peers.csv" \
    --evaluations "$evaluations" --seeds "$seeds" --device "$devices" >&2
"$bespoke" bench search --accuracy "$accuracies" --device "$devices" --seeds "$seeds" \
    --evaluations "$evaluations" --strategy guided,bayes,nsga2,evolution,local,random \
    --peers "$work/peers.csv" ${PLOT:+--plot "$PLOT"}
