#!/bin/sh
# What building the agent for size costs: two builds of bespoke-probe measure the
# same networks in turn, three times each, and the ratio of their latencies is
# printed, network by network, with the files' sizes.
#   benches/compare_probes.sh PROBE OTHER_PROBE [SPACE]
# BESPOKE names a program built before; otherwise it is built.
set -eu
first=$1 second=$2
cd "$(dirname "$0")/.."
space=${3:-search-spaces/quickstart.space}
. benches/setup.sh
our_program
dir=$(mktemp -d)
started=
trap 'kill $started 2>/dev/null || true; rm -rf "$dir"' EXIT
"$bespoke" serve --listen 127.0.0.1:0 --state "$dir/coordinator" >"$dir/serve" 2>/dev/null &
started=$!
while [ ! -e "$dir/coordinator/admin.json" ]; do sleep 0.1; done
export BESPOKE_COORDINATOR="$dir/coordinator/admin.json"
agent() {
    # The printed line: bespoke-probe enrol HOST:PORT TOKEN
    words=$("$bespoke" devices enrol "$1" | tr '\\\n' '  ' | grep -o 'bespoke-probe enrol *[^ ]* *[^ ]*')
    # shellcheck disable=SC2086
    set -- "$1" "$2" $words
    "$2" enrol "$5" "$6" --state "$dir/$1" >/dev/null
    "$2" run --state "$dir/$1" >/dev/null 2>&1 &
    started="$started $!"
}
agent first "$first"
agent second "$second"
sleep 1
for round in 1 2 3; do
    for name in first second; do
        "$bespoke" measure "$space" -n 10 --engine "$name/tract@$round" --json >"$dir/$name-$round.json" 2>/dev/null
    done
done
ls -l "$first" "$second" | awk '{ print $9 ": " $5 " bytes" }'
python3 - "$dir" <<'PYTHON'
import json, statistics, sys

def best(name):
    rounds = [json.load(open(f"{sys.argv[1]}/{name}-{r}.json")) for r in (1, 2, 3)]
    return [min(m["median_ms"] for m in same) for same in zip(*rounds)]

first, second = best("first"), best("second")
for a, b in zip(first, second):
    print(f"{a:.4f} ms {b:.4f} ms, ratio {a / b:.3f}")
print(f"median ratio {statistics.median(a / b for a, b in zip(first, second)):.3f}")
PYTHON
