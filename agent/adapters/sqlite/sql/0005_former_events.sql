-- Events of the machine that this state was copied from. They keep its name and its epoch, are kept as history,
-- and are never sent from here: that machine still has them.
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
CREATE INDEX former_events_by_time ON former_events (at);
CREATE INDEX former_events_of_decision ON former_events (decision_id);
