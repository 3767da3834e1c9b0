-- Sources that were removed and left documents: a new one in the same place takes up where they ended.

CREATE TABLE absent_sources (
    id         TEXT PRIMARY KEY,
    name       TEXT,
    type       TEXT NOT NULL,
    database   TEXT NOT NULL,
    settings   TEXT NOT NULL,
    id_root    TEXT NOT NULL,
    removed_at REAL NOT NULL,
    -- What is to become of its documents: 'keep', 'purge', or the id of the source that gets them.
    fate       TEXT NOT NULL DEFAULT 'keep'
);

-- What a source's chunk ids are derived from where a key alone would not do: its first name, or its id. It outlives renaming.
ALTER TABLE sources ADD COLUMN id_root TEXT NOT NULL DEFAULT '';
UPDATE sources SET id_root = coalesce(name, id);

-- Of sources removed by earlier versions only their documents tell.
INSERT OR IGNORE INTO absent_sources SELECT d.source_id, NULL, '', c.database, '{}', '', 0, 'keep' FROM documents d
JOIN collections c ON c.id = d.collection_id WHERE d.source_id NOT IN (SELECT id FROM sources);
