-- Collections that are to take the place of another one, or that had it. `live_id` is the one that answers under its name.
CREATE TABLE shadows (
    collection_id INTEGER PRIMARY KEY REFERENCES collections (id) ON DELETE CASCADE,
    live_id       INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    -- 'building', 'refused', 'switching', 'former', 'discarded'
    state         TEXT NOT NULL,
    since         REAL NOT NULL,
    -- While they change places: the name that the one which answers gets.
    former_name   TEXT,
    -- How searches of both compare, as JSON; '' until they were compared.
    report        TEXT NOT NULL DEFAULT ''
);
CREATE INDEX shadows_by_live ON shadows (live_id);

-- How a source's documents are cut in a collection, where its settings ask for other chunks or vectors by now.
CREATE TABLE kept_recipes (
    source_id     TEXT NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    chunking      TEXT NOT NULL,
    -- Somebody decided that the collection stays as it is until the settings change again.
    is_decided    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, collection_id)
) WITHOUT ROWID;
