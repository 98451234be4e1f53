# Sourced by the comparisons with other projects, from the repository's root.

# python_with TEST PACKAGE...: sets `python` to an interpreter that passes TEST,
# which is PYTHON where that is set, else benches/.venv, made and filled where it
# has to be. Ends the comparison, loudly, where the packages cannot be installed.
python_with() {
    passes="$1"
    shift
    python="${PYTHON:-benches/.venv/bin/python}"
    "$python" -c "$passes" 2>/dev/null && return
    python=benches/.venv/bin/python
    { [ -x "$python" ] || python3 -m venv benches/.venv; } &&
        "$python" -m pip install --quiet --disable-pip-version-check "$@" && return
    echo "*** SKIPPED: $* cannot be installed; nothing is compared ***" >&2
    exit 0
}

# Sets `bespoke` to the program: BESPOKE where that names one built before.
our_program() {
    bespoke="${BESPOKE:-}"
    [ -n "$bespoke" ] && return
    cargo build --release --quiet --bin bespoke
    bespoke="${CARGO_TARGET_DIR:-target}/release/bespoke"
}
