-- One engine can be started on another root directory: its ID and driver stay, and nothing that was learned of the
-- images of the first directory is true of those of the second. SQLite changes a UNIQUE constraint only with the table.
CREATE TABLE engines_with_root (
    engine       INTEGER PRIMARY KEY,
    engine_id    TEXT NOT NULL,
    driver       TEXT NOT NULL,
    root         TEXT,                         -- its root directory; NULL: from schema 1, which did not record it
    cursor_ns    INTEGER NOT NULL DEFAULT 0,   -- of the latest event processed, nanoseconds
    cursor_key   TEXT,                         -- its identity, JSON
    alive_at     INTEGER,                      -- when the agent last knew that it was watching
    alive_steady REAL NOT NULL DEFAULT 0,      -- seconds since boot then
    boot         TEXT NOT NULL DEFAULT '',     -- the kernel's ID of the boot then
    stopped      INTEGER NOT NULL DEFAULT 0,   -- 1: the agent was told to stop then
    engine_ended INTEGER NOT NULL DEFAULT 0,   -- 1: the stream ended because the engine did
    gap_end      INTEGER,                      -- end of the last gap over the tolerance
    UNIQUE (engine_id, driver, root)
) STRICT;

INSERT INTO engines_with_root (engine, engine_id, driver, cursor_ns, cursor_key, alive_at, alive_steady, boot, stopped,
                               engine_ended, gap_end)
SELECT engine, engine_id, driver, cursor_ns, cursor_key, alive_at, alive_steady, boot, stopped, engine_ended, gap_end
FROM engines;

-- The other tables refer to `engines` by name and number; both stay.
DROP TABLE engines;
ALTER TABLE engines_with_root RENAME TO engines;
