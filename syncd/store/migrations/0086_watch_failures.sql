-- Since when, and why, a part of a source's watch fails: a restart is no recovery.
CREATE TABLE watch_failures (
    source_id TEXT NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    part      TEXT NOT NULL,
    since     REAL NOT NULL,
    reason    TEXT NOT NULL,
    PRIMARY KEY (source_id, part)
);
