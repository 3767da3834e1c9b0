-- With numbers of rows and checksums, as 0113 has it of other tables.
DROP TRIGGER s3_forget_source;
DROP INDEX s3_labels_by_path;
ALTER TABLE s3_labels RENAME TO s3_labels_before;
CREATE TABLE s3_labels (
    source_id  TEXT NOT NULL,
    file_key   TEXT NOT NULL,
    path       TEXT NOT NULL,
    collection TEXT NOT NULL,
    custom_id  TEXT NOT NULL DEFAULT '',
    metadata   TEXT NOT NULL DEFAULT '{}',
    etag       TEXT NOT NULL DEFAULT '',
    said_at    REAL NOT NULL,
    seen       TEXT NOT NULL DEFAULT '',
    checksum   INTEGER,
    PRIMARY KEY (source_id, file_key, path, collection)
);
INSERT INTO s3_labels (source_id, file_key, path, collection, custom_id, metadata, etag, said_at, seen)
SELECT source_id, file_key, path, collection, custom_id, metadata, etag, said_at, seen FROM s3_labels_before;
DROP TABLE s3_labels_before;
CREATE INDEX s3_labels_by_path ON s3_labels (source_id, path);
CREATE TRIGGER s3_forget_source AFTER DELETE ON sources BEGIN
    DELETE FROM s3_labels WHERE source_id = OLD.id;
    DELETE FROM s3_looks WHERE source_id = OLD.id;
END;
