-- A state file of schema 7, with every kind of row, as that version wrote it.
PRAGMA user_version = 7;
BEGIN TRANSACTION;
CREATE TABLE absences (
    engine INTEGER NOT NULL REFERENCES engines,
    since  INTEGER NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (engine, since)
) STRICT, WITHOUT ROWID;
INSERT INTO "absences" VALUES(1,1772107200000000,1772280000000000);
CREATE TABLE backoff (
    engine     INTEGER NOT NULL REFERENCES engines,
    image_id   TEXT NOT NULL,
    failures   INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    PRIMARY KEY (engine, image_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "backoff" VALUES(1,'sha256:37bf51bfba4699a940ce31349422b24a5bc55a2b179ed7aec74459a9ae8d57b7',1,1772367000000000);
CREATE TABLE containers (
    engine       INTEGER NOT NULL REFERENCES engines,
    container_id TEXT NOT NULL,
    image_id     TEXT NOT NULL,
    name         TEXT NOT NULL DEFAULT '',
    state        TEXT NOT NULL DEFAULT 'exited', mounted TEXT,
    PRIMARY KEY (engine, container_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "containers" VALUES(1,'c1','sha256:37bf51bfba4699a940ce31349422b24a5bc55a2b179ed7aec74459a9ae8d57b7','box','running',NULL);
CREATE TABLE "engines" (
    engine       INTEGER PRIMARY KEY,
    engine_id    TEXT NOT NULL,
    driver       TEXT NOT NULL,
    root         TEXT,                         -- its root directory; NULL: from schema 1, which did not record it
    cursor_ns    INTEGER NOT NULL DEFAULT 0,   -- of the latest event processed, nanoseconds
    cursor_key   TEXT,                         -- its identity, JSON
    alive_at     INTEGER,                      -- when the agent last knew that it was watching
    alive_steady REAL NOT NULL DEFAULT 0,      -- seconds since boot then
    boot         TEXT NOT NULL DEFAULT '',     -- the kernel's ID of the boot then
    engine_ended INTEGER NOT NULL DEFAULT 0,   -- 1: the stream ended because the engine did
    gap_end      INTEGER, alive_awake REAL,                      -- end of the last gap over the tolerance
    UNIQUE (engine_id, driver, root)
) STRICT;
INSERT INTO "engines" VALUES(1,'engine-1','overlay2','/var/lib/docker',7,'[7, "container", "start", "c1"]',1772366460000000,61.5,'boot-1',0,1772366400000000,NULL);
INSERT INTO "engines" VALUES(2,'engine-1','overlayfs',NULL,0,NULL,NULL,0.0,'',0,NULL,NULL);
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
INSERT INTO "events" VALUES(1,'torchkeeper.gap',1772366400000000,NULL,NULL,'{"cause":"x"}',1,NULL);
INSERT INTO "events" VALUES(2,'torchkeeper.decision',1772366400000000,'sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2','d1','{"estimated_bytes":7}',1,NULL);
INSERT INTO "events" VALUES(3,'torchkeeper.decision',1772366400000000,'sha256:37bf51bfba4699a940ce31349422b24a5bc55a2b179ed7aec74459a9ae8d57b7','d2','{"estimated_bytes":9}',1,NULL);
INSERT INTO "events" VALUES(4,'torchkeeper.outcome',1772366460000000,'sha256:37bf51bfba4699a940ce31349422b24a5bc55a2b179ed7aec74459a9ae8d57b7','d2','{"outcome":"refused"}',0,NULL);
INSERT INTO "events" VALUES(5,'torchkeeper.sweep',1772366460000000,NULL,NULL,'{"reasons":{}}',0,'too large');
INSERT INTO "events" VALUES(6,'torchkeeper.dropped',1772366460000000,NULL,NULL,'{"first_seq":5,"last_seq":5,"count":1,"reason":"undeliverable","ranges":[[5,5]]}',0,NULL);
CREATE TABLE former_events (
    host        TEXT NOT NULL,
    epoch       TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    type        TEXT NOT NULL,
    at          INTEGER NOT NULL,
    subject     TEXT,
    decision_id TEXT,
    data        TEXT NOT NULL,
    PRIMARY KEY (epoch, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "former_events" VALUES('gpu-01','f0f0',1,'torchkeeper.sweep',1772366400000000,NULL,NULL,'{}');
CREATE TABLE ignored_runs (
    engine   INTEGER NOT NULL REFERENCES engines,
    image_id TEXT NOT NULL,
    pattern  TEXT NOT NULL,
    runs     INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (engine, image_id, pattern)
) STRICT, WITHOUT ROWID;
INSERT INTO "ignored_runs" VALUES(1,'sha256:37bf51bfba4699a940ce31349422b24a5bc55a2b179ed7aec74459a9ae8d57b7','trivy*',3,1772366400000000,1772366460000000);
CREATE TABLE layer_looks (
    engine        INTEGER NOT NULL REFERENCES engines,
    image_id      TEXT NOT NULL,
    rules         INTEGER NOT NULL,            -- by which rules they were read; newer rules read them anew
    found         TEXT NOT NULL,               -- torch, nothing
    path          TEXT NOT NULL DEFAULT '',    -- of its version.py, inside the image
    layer         INTEGER NOT NULL DEFAULT 0,  -- counted from the base, which is 1
    torch_version TEXT,
    accelerator   TEXT,
    PRIMARY KEY (engine, image_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "layer_looks" VALUES(1,'sha256:37bf51bfba4699a940ce31349422b24a5bc55a2b179ed7aec74459a9ae8d57b7',1,'torch','/opt/torch/version.py',2,'2.9.0','cuda12.8');
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('epoch','e0c0');
INSERT INTO "meta" VALUES('host','gpu-07');
INSERT INTO "meta" VALUES('policies','{}');
INSERT INTO "meta" VALUES('watermark','3');
CREATE TABLE removals (
    engine           INTEGER NOT NULL REFERENCES engines,
    image_id         TEXT NOT NULL,
    decision_id      TEXT NOT NULL,
    image_references TEXT NOT NULL,
    at               INTEGER NOT NULL,
    image            TEXT NOT NULL,             -- the image as its outcome event names it, JSON
    PRIMARY KEY (engine, image_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "removals" VALUES(1,'sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2','d1','["team/base:1"]',1772366400000000,'{"id": "sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2", "references": ["team/base:1"], "size_bytes": 7}');
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
INSERT INTO "usage" VALUES(1,'sha256:37bf51bfba4699a940ce31349422b24a5bc55a2b179ed7aec74459a9ae8d57b7',1772366400000000,1772366400000000,1772366460000000,'box',1772366400000000,1,'["team/torch:1", "team/torch:2"]',1772366400000000,1,1);
INSERT INTO "usage" VALUES(1,'sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2',1772366400000000,NULL,NULL,'',NULL,0,'[]',NULL,0,0);
INSERT INTO "usage" VALUES(2,'sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa',1772366400000000,NULL,NULL,'',NULL,0,'[]',NULL,0,1);
CREATE TABLE uses (
    engine       INTEGER NOT NULL REFERENCES engines,
    container_id TEXT NOT NULL,
    at           INTEGER NOT NULL,
    action       TEXT NOT NULL,
    image_id     TEXT NOT NULL,
    used_by      TEXT NOT NULL,
    PRIMARY KEY (engine, container_id, at, action)
) STRICT, WITHOUT ROWID;
INSERT INTO "uses" VALUES(1,'c1',1772366400000000,'create','sha256:37bf51bfba4699a940ce31349422b24a5bc55a2b179ed7aec74459a9ae8d57b7','box');
INSERT INTO "uses" VALUES(1,'c1',1772366460000000,'start','sha256:37bf51bfba4699a940ce31349422b24a5bc55a2b179ed7aec74459a9ae8d57b7','box');
CREATE INDEX uses_by_image ON uses (engine, image_id, at);
CREATE INDEX uses_by_time ON uses (at);
CREATE UNIQUE INDEX one_decision ON events (decision_id) WHERE type = 'torchkeeper.decision';
CREATE INDEX events_of_decision ON events (decision_id, type);
CREATE INDEX outbox ON events (seq) WHERE retired = 0 AND set_aside IS NULL;
CREATE INDEX events_by_time ON events (at);
CREATE INDEX former_events_by_time ON former_events (at);
CREATE INDEX former_events_of_decision ON former_events (decision_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',6);
COMMIT;
