-- What must be known to tell a part of a site from the whole: pages whose links were cut, and the sitemaps there were.

ALTER TABLE pages ADD COLUMN links_cut INTEGER NOT NULL DEFAULT 0;

-- Sitemaps that were read. `missing_since`: when a crawl first found one gone, 0 while it is there.
CREATE TABLE sitemaps (
    source_id     TEXT NOT NULL,
    url           TEXT NOT NULL,
    is_child      INTEGER NOT NULL,
    missing_since REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, url)
) WITHOUT ROWID;

CREATE TRIGGER sitemaps_forget_source AFTER DELETE ON sources BEGIN
    DELETE FROM sitemaps WHERE source_id = OLD.id;
END;
