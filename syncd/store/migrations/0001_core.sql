-- What must survive a crash. Chroma is a projection of `chunks` and `vectors`; `outbox` is what it still has to be told.

CREATE TABLE sources (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    name       TEXT UNIQUE,
    type       TEXT NOT NULL,
    database   TEXT NOT NULL,
    settings   TEXT NOT NULL,
    embedding  TEXT NOT NULL,
    chunking   TEXT NOT NULL,
    created_at REAL NOT NULL
);

CREATE TABLE invocations (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    source_id   TEXT NOT NULL,
    source_type TEXT NOT NULL,
    database    TEXT NOT NULL,
    collection  TEXT NOT NULL,
    origin      TEXT NOT NULL,
    priority    INTEGER NOT NULL,
    request     TEXT NOT NULL,
    object_key  TEXT GENERATED ALWAYS AS (json_extract(request, '$.object_key')) VIRTUAL,
    state       TEXT NOT NULL,
    error       TEXT,
    attempts    INTEGER NOT NULL DEFAULT 0,
    not_before  REAL NOT NULL DEFAULT 0,
    created_at  REAL NOT NULL,
    started_at  REAL,
    finished_at REAL,
    counts      TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX invocations_due ON invocations (priority, seq) WHERE state IN ('pending', 'processing');
CREATE INDEX invocations_by_source ON invocations (source_id, seq);
CREATE INDEX invocations_by_database ON invocations (database, seq);
CREATE INDEX invocations_by_key ON invocations (source_id, object_key, seq);

-- What became of each document of an invocation (unchanged ones leave no row).
CREATE TABLE outcomes (
    invocation_id TEXT NOT NULL REFERENCES invocations (id) ON DELETE CASCADE,
    key           TEXT NOT NULL,
    state         TEXT NOT NULL,
    reason        TEXT NOT NULL DEFAULT '',
    version       TEXT NOT NULL DEFAULT '',
    chunks        INTEGER NOT NULL DEFAULT 0,
    at            REAL NOT NULL,
    PRIMARY KEY (invocation_id, key)
) WITHOUT ROWID;

CREATE TABLE collections (
    id         INTEGER PRIMARY KEY,
    database   TEXT NOT NULL,
    name       TEXT NOT NULL,
    embedding  TEXT NOT NULL,
    chroma_id  TEXT,
    rebuilding TEXT,
    UNIQUE (database, name)
);

CREATE TABLE documents (
    id            INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    source_id     TEXT NOT NULL,
    key           TEXT NOT NULL,
    prefix        TEXT NOT NULL,
    version       TEXT NOT NULL,
    fingerprint   TEXT NOT NULL,
    state         TEXT NOT NULL,
    reason        TEXT NOT NULL DEFAULT '',
    content_hash  TEXT NOT NULL DEFAULT '',
    seen          INTEGER NOT NULL DEFAULT 0,
    changed_at    REAL,
    recorded_at   REAL NOT NULL,
    UNIQUE (collection_id, source_id, key)
);
CREATE UNIQUE INDEX documents_by_prefix ON documents (collection_id, prefix) WHERE state = 'indexed';
CREATE INDEX documents_by_version ON documents (source_id, key, version) WHERE state = 'indexed';

CREATE TABLE chunks (
    document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    text        TEXT NOT NULL,
    context     TEXT NOT NULL DEFAULT '',
    vector_key  BLOB NOT NULL,
    metadata    TEXT NOT NULL,
    PRIMARY KEY (document_id, number)
) WITHOUT ROWID;
CREATE INDEX chunks_by_vector ON chunks (vector_key);

-- The content-addressed vector cache: sha256(model fingerprint, prompt, text) -> float32 little-endian.
CREATE TABLE vectors (
    key     BLOB PRIMARY KEY,
    vector  BLOB NOT NULL,
    used_at REAL NOT NULL
);

-- The intent: chunk ids whose state in Chroma may differ from `chunks`, written in the transaction that changes `chunks`.
CREATE TABLE outbox (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    chunk_id      TEXT NOT NULL,
    op            TEXT NOT NULL,
    document_id   INTEGER,
    number        INTEGER,
    PRIMARY KEY (collection_id, chunk_id)
) WITHOUT ROWID;

CREATE TABLE cursors (
    source_id     TEXT NOT NULL,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    cursor        TEXT NOT NULL,
    PRIMARY KEY (source_id, collection_id)
) WITHOUT ROWID;

-- Deletes that the mass-delete guard keeps back until somebody confirms them.
CREATE TABLE held_deletes (
    invocation_id TEXT NOT NULL REFERENCES invocations (id) ON DELETE CASCADE,
    key           TEXT NOT NULL,
    PRIMARY KEY (invocation_id, key)
) WITHOUT ROWID;

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    hash         BLOB NOT NULL,
    databases    TEXT,
    created_at   REAL NOT NULL,
    last_used_at REAL
);

CREATE TABLE credentials (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    database   TEXT NOT NULL,
    kind       TEXT NOT NULL,
    ciphertext BLOB NOT NULL,
    created_at REAL NOT NULL
);
