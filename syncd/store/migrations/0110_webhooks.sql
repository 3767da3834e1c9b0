-- Who is told of what, as the configuration file says: without addresses and secrets, which stay in that file.
CREATE TABLE webhooks (
    name          TEXT PRIMARY KEY,
    -- JSON lists; an empty one means all.
    events        TEXT NOT NULL,
    databases     TEXT NOT NULL,
    sources       TEXT NOT NULL,
    -- Since when, and why, nothing can be delivered.
    failing_since REAL,
    error         TEXT NOT NULL DEFAULT ''
);

-- What webhooks are told, put here in the transaction that makes it true, until it is delivered or given up.
CREATE TABLE notifications (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    webhook    TEXT NOT NULL REFERENCES webhooks (name) ON DELETE CASCADE,
    event      TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at REAL NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    ended_at   REAL,
    -- Why it was given up; empty if it was delivered.
    error      TEXT NOT NULL DEFAULT ''
);
CREATE INDEX notifications_due ON notifications (webhook, attempts, seq) WHERE ended_at IS NULL;
CREATE INDEX notifications_ended ON notifications (webhook, ended_at) WHERE ended_at IS NOT NULL;

-- The sources of which it was told that they are late.
CREATE TABLE late_sources (
    source_id TEXT PRIMARY KEY REFERENCES sources (id) ON DELETE CASCADE
);

-- What happened to a collection that is being filled again; empty where somebody asked for that.
ALTER TABLE collections ADD COLUMN damage TEXT NOT NULL DEFAULT '';
