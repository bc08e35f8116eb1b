-- Times are whole microseconds since 1970, UTC. Lists are JSON.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Switching an engine's image store changes all image IDs: each (engine, driver) has usage of its own.
CREATE TABLE engines (
    engine       INTEGER PRIMARY KEY,
    engine_id    TEXT NOT NULL,
    driver       TEXT NOT NULL,
    cursor_ns    INTEGER NOT NULL DEFAULT 0,   -- of the latest event processed, nanoseconds
    cursor_key   TEXT,                         -- its identity, JSON
    alive_at     INTEGER,                      -- when the agent last knew that it was watching
    alive_steady REAL NOT NULL DEFAULT 0,      -- seconds since boot then
    boot         TEXT NOT NULL DEFAULT '',     -- the kernel's ID of the boot then
    stopped      INTEGER NOT NULL DEFAULT 0,   -- 1: the agent was told to stop then
    engine_ended INTEGER NOT NULL DEFAULT 0,   -- 1: the stream ended because the engine did
    gap_end      INTEGER,                      -- end of the last gap over the tolerance
    UNIQUE (engine_id, driver)
) STRICT;

-- When the machine was off for more than a day: no idle time.
CREATE TABLE absences (
    engine INTEGER NOT NULL REFERENCES engines,
    since  INTEGER NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (engine, since)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
    engine             INTEGER NOT NULL REFERENCES engines,
    image_id           TEXT NOT NULL,
    first_seen         INTEGER NOT NULL,
    arrived            INTEGER,
    last_used          INTEGER,
    last_used_by       TEXT NOT NULL DEFAULT '',
    released           INTEGER,
    protected          INTEGER NOT NULL DEFAULT 0,
    image_references   TEXT NOT NULL DEFAULT '[]',
    references_changed INTEGER,
    pulled             INTEGER NOT NULL DEFAULT 0,
    present            INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (engine, image_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE containers (
    engine       INTEGER NOT NULL REFERENCES engines,
    container_id TEXT NOT NULL,
    image_id     TEXT NOT NULL,
    name         TEXT NOT NULL DEFAULT '',
    state        TEXT NOT NULL DEFAULT 'exited',
    PRIMARY KEY (engine, container_id)
) STRICT, WITHOUT ROWID;

-- The history of uses, kept on the host. A replayed event is the same row.
CREATE TABLE uses (
    engine       INTEGER NOT NULL REFERENCES engines,
    container_id TEXT NOT NULL,
    at           INTEGER NOT NULL,
    action       TEXT NOT NULL,
    image_id     TEXT NOT NULL,
    used_by      TEXT NOT NULL,
    PRIMARY KEY (engine, container_id, at, action)
) STRICT, WITHOUT ROWID;
CREATE INDEX uses_by_image ON uses (engine, image_id, at);
CREATE INDEX uses_by_time ON uses (at);

-- The audit trail and the outbox. AUTOINCREMENT: a number is never used twice, even after the last row is gone.
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    type        TEXT NOT NULL,
    at          INTEGER NOT NULL,
    subject     TEXT,
    decision_id TEXT,
    data        TEXT NOT NULL,                 -- JSON, without epoch and seq
    retired     INTEGER NOT NULL DEFAULT 0,    -- 1: it need not be sent again
    set_aside   TEXT                           -- why it can never be sent
) STRICT;
CREATE UNIQUE INDEX one_decision ON events (decision_id) WHERE type = 'torchkeeper.decision';
CREATE INDEX events_of_decision ON events (decision_id, type);
CREATE INDEX outbox ON events (seq) WHERE retired = 0 AND set_aside IS NULL;
CREATE INDEX events_by_time ON events (at);

-- What a removal is about to take away, written before the first act, gone with its outcome.
CREATE TABLE removals (
    engine           INTEGER NOT NULL REFERENCES engines,
    image_id         TEXT NOT NULL,
    decision_id      TEXT NOT NULL,
    image_references TEXT NOT NULL,
    at               INTEGER NOT NULL,
    image            TEXT NOT NULL,             -- the image as its outcome event names it, JSON
    PRIMARY KEY (engine, image_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE backoff (
    engine     INTEGER NOT NULL REFERENCES engines,
    image_id   TEXT NOT NULL,
    failures   INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    PRIMARY KEY (engine, image_id)
) STRICT, WITHOUT ROWID;
