-- Sparse vectors, one per chunk, beside the collection: what the search's inverted lists are made from.

CREATE TABLE postings (
    -- Never used twice, so a reader that knows the last one it saw knows what is new.
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL,
    document_id   INTEGER NOT NULL,
    number        INTEGER NOT NULL,
    model         TEXT NOT NULL,
    vector        BLOB NOT NULL,
    UNIQUE (document_id, number)
);
CREATE INDEX postings_by_collection ON postings (collection_id, id);

-- What went since the daemon started: emptied then, as readers begin anew.
CREATE TABLE postings_gone (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL,
    id            INTEGER NOT NULL
);
CREATE INDEX postings_gone_by_collection ON postings_gone (collection_id, seq);

-- However a chunk goes, its posting goes in the same transaction.
CREATE TRIGGER postings_go_with_chunks AFTER DELETE ON chunks BEGIN
    DELETE FROM postings WHERE document_id = OLD.document_id AND number = OLD.number;
END;
CREATE TRIGGER postings_are_missed AFTER DELETE ON postings BEGIN
    INSERT INTO postings_gone (collection_id, id) VALUES (OLD.collection_id, OLD.id);
END;
