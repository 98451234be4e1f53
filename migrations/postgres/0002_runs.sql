-- The schema of the SQLite migrations up to this version, for Postgres.

CREATE TABLE runs (
    key             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              TEXT   NOT NULL UNIQUE,
    created_ms      BIGINT NOT NULL,
    name            TEXT   NOT NULL,
    experiment      TEXT   NOT NULL,
    space_text      TEXT   NOT NULL,
    space_hash      TEXT   NOT NULL,
    seed            TEXT   NOT NULL,
    bespoke_version TEXT   NOT NULL,
    git_commit      TEXT,
    dataset_name    TEXT   NOT NULL,
    dataset_hash    TEXT   NOT NULL,
    device          TEXT   NOT NULL,
    engine          TEXT   NOT NULL
);

CREATE TABLE events (
    run        BIGINT NOT NULL REFERENCES runs (key) ON DELETE CASCADE,
    seq        BIGINT NOT NULL,
    at_ms      BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    candidate  BIGINT,
    accuracy   DOUBLE PRECISION,
    latency_ms DOUBLE PRECISION,
    payload    TEXT   NOT NULL,
    packed     BYTEA,
    asked      BIGINT,
    PRIMARY KEY (run, seq)
);

CREATE INDEX events_of_candidate ON events (run, candidate) WHERE candidate IS NOT NULL;
CREATE INDEX events_of_run ON events (run, seq) WHERE candidate IS NULL;

CREATE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only: record a new event instead';
END $$;

CREATE TRIGGER events_are_append_only BEFORE UPDATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();

CREATE TABLE progress (
    run              BIGINT PRIMARY KEY REFERENCES runs (key) ON DELETE CASCADE,
    last_seq         BIGINT NOT NULL,
    last_event_ms    BIGINT NOT NULL,
    evaluated        BIGINT NOT NULL,
    failed           BIGINT NOT NULL,
    measured         BIGINT NOT NULL,
    best_accuracy    DOUBLE PRECISION,
    least_latency_ms DOUBLE PRECISION,
    status           TEXT,
    writer           TEXT
);

CREATE TABLE pending (
    run         BIGINT NOT NULL REFERENCES runs (key) ON DELETE CASCADE,
    candidate   BIGINT NOT NULL,
    asked       BIGINT NOT NULL,
    worker      TEXT   NOT NULL,
    deadline_ms BIGINT NOT NULL,
    PRIMARY KEY (run, candidate)
);

CREATE TABLE fronts (
    run     BIGINT PRIMARY KEY REFERENCES runs (key) ON DELETE CASCADE,
    seq     BIGINT NOT NULL,
    members TEXT   NOT NULL
);

-- Files that runs make: a server's clients share no directory.
CREATE TABLE artefacts (
    sha256  TEXT   PRIMARY KEY,
    content BYTEA  NOT NULL
);
