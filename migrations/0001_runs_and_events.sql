-- A run is a header that never changes and an append-only list of events;
-- everything else a reader wants to know is a replay of those events.

-- "bspk": tells our databases from other programs' SQLite files.
PRAGMA application_id = 1651732587;

CREATE TABLE runs (
    key             INTEGER PRIMARY KEY,
    -- What people type: eight letters and digits.
    id              TEXT    NOT NULL UNIQUE,
    created_ms      INTEGER NOT NULL,  -- Unix time
    name            TEXT    NOT NULL,
    experiment      TEXT    NOT NULL,  -- JSON
    space_text      TEXT    NOT NULL,
    space_hash      TEXT    NOT NULL,
    -- Decimal text: a 64-bit seed does not fit SQLite's signed integers.
    seed            TEXT    NOT NULL,
    bespoke_version TEXT    NOT NULL,
    git_commit      TEXT,
    dataset_name    TEXT    NOT NULL,
    dataset_hash    TEXT    NOT NULL,
    device          TEXT    NOT NULL,
    engine          TEXT    NOT NULL
) STRICT;

CREATE TABLE events (
    id              INTEGER PRIMARY KEY,
    run             INTEGER NOT NULL REFERENCES runs (key) ON DELETE CASCADE,
    seq             INTEGER NOT NULL,  -- 1, 2, 3, ... within the run
    at_ms           INTEGER NOT NULL,  -- Unix time
    kind            TEXT    NOT NULL,
    candidate       INTEGER,
    accuracy        REAL,              -- fraction, 0 to 1
    latency_ms      REAL,              -- predicted (evaluated) or median (measured)
    latency_low_ms  REAL,
    latency_high_ms REAL,
    payload         TEXT    NOT NULL,  -- the whole event, JSON
    UNIQUE (run, seq)
) STRICT;

-- Covers what lists and fronts read, so that they never touch the payloads.
CREATE INDEX events_by_kind ON events (run, kind, candidate, accuracy, latency_ms);

CREATE TRIGGER events_are_append_only BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: record a new event instead');
END;
