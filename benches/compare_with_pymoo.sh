#!/bin/sh
# Times our NSGA-II and pymoo's, population 200 and 10^5 evaluations on a table
# of all NAS-Bench-201 cells (parameters against the latency of one device), in
# one run on this machine and one thread, and prints the ratio. Makes
# benches/.venv with pymoo where there is none (PYTHON names another
# interpreter); says loudly that it skips the comparison where it cannot be
# installed.
#   benches/compare_with_pymoo.sh
set -eu
cd "$(dirname "$0")/.."
. benches/setup.sh
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
python_with 'import pymoo' pymoo
table="$(mktemp)"
trap 'rm -f "$table"' EXIT
ours="$(cargo bench --quiet --manifest-path benches/Cargo.toml --bench strategies -- nsga2 "$table")"
theirs="$("$python" benches/pymoo_nsga2.py "$table")"
OURS="$ours" THEIRS="$theirs" "$python" - <<'PYTHON'
import json, os, statistics
import pymoo
from pymoo.functions import is_compiled

def read(name):
    return [json.loads(line) for line in os.environ[name].splitlines() if line.startswith("{")]

def median(runs, key):
    return statistics.median(run[key] for run in runs)

ours, theirs = read("OURS"), read("THEIRS")
compiled = "compiled" if is_compiled() else "not compiled"
print(f"NSGA-II, population 200, {median(ours, 'evaluations'):,.0f} evaluations, medians of {len(ours)} seeds; pymoo {pymoo.__version__}, {compiled}")
print("| | bespoke | pymoo | ratio |\n|---|---|---|---|")
a, b = median(ours, "seconds"), median(theirs, "seconds")
print(f"| seconds | {a:.3f} | {b:.2f} | {b / a:.1f} |")
a, b = median(ours, "hypervolume"), median(theirs, "hypervolume")
print(f"| share of the true hypervolume, all evaluated | {a:.4f} | {b:.4f} | |")
PYTHON
