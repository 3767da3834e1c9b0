-- CRC-32 of what decides what is synced, where to, and who may see it. Computed of what is there when this is done, and kept
-- with every later write (`checked_rows`).
ALTER TABLE sources ADD COLUMN checksum INTEGER;
ALTER TABLE invocations ADD COLUMN checksum INTEGER;
ALTER TABLE collections ADD COLUMN checksum INTEGER;
ALTER TABLE absent_sources ADD COLUMN checksum INTEGER;
ALTER TABLE shadows ADD COLUMN checksum INTEGER;
ALTER TABLE tokens ADD COLUMN checksum INTEGER;
ALTER TABLE credentials ADD COLUMN checksum INTEGER;

-- With numbers of rows, as the others.
ALTER TABLE kept_recipes RENAME TO kept_recipes_before;
CREATE TABLE kept_recipes (
    source_id     TEXT NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    chunking      TEXT NOT NULL,
    -- Somebody decided that the collection stays as it is until the settings change again.
    is_decided    INTEGER NOT NULL DEFAULT 0,
    checksum      INTEGER,
    PRIMARY KEY (source_id, collection_id)
);
INSERT INTO kept_recipes (source_id, collection_id, chunking, is_decided)
SELECT source_id, collection_id, chunking, is_decided FROM kept_recipes_before;
DROP TABLE kept_recipes_before;

-- Those that could not be set right, of which nothing is run.
CREATE INDEX sources_damaged ON sources (id) WHERE checksum = -1;

-- A row whose request is not JSON any more has to be readable, and writable, to be set right.
DROP INDEX invocations_by_key;
ALTER TABLE invocations DROP COLUMN object_key;
ALTER TABLE invocations ADD COLUMN object_key TEXT GENERATED ALWAYS AS (
    iif(json_valid(request), json_extract(request, '$.object_key'), NULL)
) VIRTUAL;
CREATE INDEX invocations_by_key ON invocations (source_id, object_key, seq);
