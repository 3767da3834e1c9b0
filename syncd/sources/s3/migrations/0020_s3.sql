-- What was said about objects of S3 sources: by a metadata file (`file_key`), or by an invocation (`file_key` = '').
-- `path` = '' means every object; `collection` = '' means the source's own.
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
    PRIMARY KEY (source_id, file_key, path, collection)
) WITHOUT ROWID;
CREATE INDEX s3_labels_by_path ON s3_labels (source_id, path);

-- Keys whose labels have changed and which nobody has been asked yet to look at, written in the transaction of the change.
CREATE TABLE s3_looks (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    source_id  TEXT NOT NULL,
    path       TEXT NOT NULL,
    collection TEXT NOT NULL
);
CREATE INDEX s3_looks_by_source ON s3_looks (source_id, number);

-- Messages that nothing could be made of, with the reason; the messages themselves go to the queue's dead-letter queue.
CREATE TABLE s3_dead_letters (
    queue_url  TEXT NOT NULL,
    message_id TEXT NOT NULL,
    reason     TEXT NOT NULL,
    body       TEXT NOT NULL,
    receives   INTEGER NOT NULL,
    first_at   REAL NOT NULL,
    last_at    REAL NOT NULL,
    PRIMARY KEY (queue_url, message_id)
) WITHOUT ROWID;

CREATE TRIGGER s3_forget_source AFTER DELETE ON sources BEGIN
    DELETE FROM s3_labels WHERE source_id = OLD.id;
    DELETE FROM s3_looks WHERE source_id = OLD.id;
END;
