-- How many runs of an image each pattern of usage.ignore_containers has ignored: one row for an image and a pattern.
CREATE TABLE ignored_runs (
    engine   INTEGER NOT NULL REFERENCES engines,
    image_id TEXT NOT NULL,
    pattern  TEXT NOT NULL,
    runs     INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (engine, image_id, pattern)
) STRICT, WITHOUT ROWID;
