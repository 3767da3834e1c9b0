-- Documents between parsing and the vector store: their chunks and words, durable before any vector is. What is here is neither
-- fetched nor parsed again. A row goes when the document is staged for the vector store, replaced, or gone from its source.

CREATE TABLE prepared (
    -- Never used twice, so that the order of two versions of a document is that of their ids.
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    source_id     TEXT NOT NULL,
    key           TEXT NOT NULL,
    prefix        TEXT NOT NULL,
    version       TEXT NOT NULL,
    fingerprint   TEXT NOT NULL,
    content_hash  TEXT NOT NULL,
    seen          INTEGER NOT NULL,
    changed_at    REAL,
    prepared_at   REAL NOT NULL,
    -- The fingerprint of the model its vectors are wanted of.
    model         TEXT NOT NULL,
    urgency       INTEGER NOT NULL,
    -- Whether a search finds it: no version of it is in the vector store.
    findable      INTEGER NOT NULL,
    chunks        INTEGER NOT NULL,
    size_bytes    INTEGER NOT NULL,
    -- Chunks whose vectors are still missing, and the bytes of their texts.
    wanted        INTEGER NOT NULL,
    wanted_bytes  INTEGER NOT NULL,
    embedded      INTEGER NOT NULL,
    -- What the vectors computed since it was put have cost, and the bytes of their texts.
    tokens        INTEGER NOT NULL DEFAULT 0,
    token_bytes   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (collection_id, source_id, key)
);
CREATE INDEX prepared_wanting ON prepared (model, urgency, source_id, id) WHERE wanted > 0;
CREATE INDEX prepared_ready ON prepared (urgency DESC, id) WHERE wanted = 0;
CREATE INDEX prepared_by_prefix ON prepared (collection_id, prefix);

CREATE TABLE prepared_chunks (
    prepared_id   INTEGER NOT NULL REFERENCES prepared (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    text          TEXT NOT NULL,
    context       TEXT NOT NULL,
    vector_key    BLOB NOT NULL,
    metadata      TEXT NOT NULL,
    posting_model TEXT,
    posting       BLOB,
    wanted        INTEGER NOT NULL,
    PRIMARY KEY (prepared_id, number)
) WITHOUT ROWID;
CREATE INDEX prepared_chunks_by_vector ON prepared_chunks (vector_key);

-- A findable document's postings stand among the others, under the negative of its id.
CREATE TRIGGER postings_go_with_prepared_chunks AFTER DELETE ON prepared_chunks BEGIN
    DELETE FROM postings WHERE document_id = -OLD.prepared_id AND number = OLD.number;
END;
