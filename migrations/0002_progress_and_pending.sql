-- What lists, fronts and workers ask for without reading a run's events, and
-- columns with which an event is stored once. Events of the first version stay
-- as they are: they hold everything in their payload.

-- The bulky part of an event (curve, raw measurement) as deflated JSON.
ALTER TABLE events ADD COLUMN packed BLOB;
-- Of an evaluation: the seq of the `asked` event that has its genotype and hash.
ALTER TABLE events ADD COLUMN asked INTEGER;

-- One line a run, kept in the same transaction as each event.
CREATE TABLE progress (
    run              INTEGER PRIMARY KEY REFERENCES runs (key) ON DELETE CASCADE,
    last_seq         INTEGER NOT NULL,
    last_event_ms    INTEGER NOT NULL,
    evaluated        INTEGER NOT NULL,  -- candidates
    failed           INTEGER NOT NULL,
    measured         INTEGER NOT NULL,
    best_accuracy    REAL,
    least_latency_ms REAL,
    status           TEXT,              -- kind of the latest event of a life
    writer           TEXT               -- payload of the latest start
) STRICT;

INSERT INTO progress
SELECT r.key,
       COALESCE((SELECT MAX(seq) FROM events WHERE run = r.key), 0),
       COALESCE((SELECT at_ms FROM events WHERE run = r.key ORDER BY seq DESC LIMIT 1),
                r.created_ms),
       (SELECT COUNT(DISTINCT candidate) FROM events WHERE run = r.key AND kind = 'evaluated'),
       (SELECT COUNT(*) FROM events WHERE run = r.key AND kind = 'failed'),
       (SELECT COUNT(*) FROM events WHERE run = r.key AND kind = 'measured'),
       (SELECT MAX(accuracy) FROM events WHERE run = r.key AND kind = 'evaluated'),
       (SELECT MIN(latency_ms) FROM events WHERE run = r.key AND kind = 'evaluated'),
       (SELECT kind FROM events WHERE run = r.key
           AND kind IN ('started', 'resumed', 'interrupted', 'finished', 'aborted')
         ORDER BY seq DESC LIMIT 1),
       (SELECT payload FROM events WHERE run = r.key AND kind IN ('started', 'resumed')
         ORDER BY seq DESC LIMIT 1)
FROM runs r;

-- Candidates asked for and not answered, each with the worker that has it on
-- lease. The only rows that are changed and removed: what matters is an event.
CREATE TABLE pending (
    run         INTEGER NOT NULL REFERENCES runs (key) ON DELETE CASCADE,
    candidate   INTEGER NOT NULL,
    asked       INTEGER NOT NULL,       -- seq of the event
    worker      TEXT    NOT NULL,       -- empty where nobody has it
    deadline_ms INTEGER NOT NULL,       -- Unix time at which the lease ends
    PRIMARY KEY (run, candidate)
) STRICT;

INSERT INTO pending
SELECT a.run, a.candidate, MAX(a.seq), '', 0 FROM events a
WHERE a.kind = 'asked' AND NOT EXISTS (
    SELECT 1 FROM events o WHERE o.run = a.run AND o.candidate = a.candidate
       AND o.kind IN ('evaluated', 'failed'))
GROUP BY a.run, a.candidate;

-- Which evaluations up to `seq` are on a front of their run: a cache, which
-- may lag behind or be missing.
CREATE TABLE fronts (
    run     INTEGER PRIMARY KEY REFERENCES runs (key) ON DELETE CASCADE,
    seq     INTEGER NOT NULL,
    members TEXT    NOT NULL            -- their seqs, JSON
) STRICT;

-- At the end: what is filled in above reads the old index alone.
DROP INDEX events_by_kind;
CREATE INDEX events_of_candidate ON events (run, candidate) WHERE candidate IS NOT NULL;
CREATE INDEX events_of_run ON events (run, seq) WHERE candidate IS NULL;
