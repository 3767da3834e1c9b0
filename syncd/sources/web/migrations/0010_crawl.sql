-- What web sources know of their pages, kept from crawl to crawl, and how far an unfinished crawl has come.

CREATE TABLE pages (
    id         INTEGER PRIMARY KEY,
    source_id  TEXT NOT NULL,
    url        TEXT NOT NULL,
    status     INTEGER NOT NULL DEFAULT 0,
    etag       TEXT NOT NULL DEFAULT '',
    modified   TEXT NOT NULL DEFAULT '',
    body_hash  TEXT NOT NULL DEFAULT '',
    version    TEXT NOT NULL DEFAULT '',
    title      TEXT NOT NULL DEFAULT '',
    size_bytes INTEGER NOT NULL DEFAULT 0,
    alias_of   TEXT NOT NULL DEFAULT '',
    links      TEXT,
    rules      TEXT NOT NULL DEFAULT '',
    failures   INTEGER NOT NULL DEFAULT 0,
    read_at    REAL NOT NULL DEFAULT 0,
    crawl_id   INTEGER NOT NULL DEFAULT 0,
    history    TEXT NOT NULL DEFAULT '',
    UNIQUE (source_id, url)
);

CREATE TABLE crawls (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    source_id  TEXT NOT NULL,
    database   TEXT NOT NULL,
    collection TEXT NOT NULL,
    rules      TEXT NOT NULL,
    phase      TEXT NOT NULL,
    indexed    INTEGER NOT NULL DEFAULT 0,
    incomplete TEXT NOT NULL DEFAULT '',
    started_at REAL NOT NULL
);
CREATE INDEX crawls_by_source ON crawls (source_id, database, collection);

-- Pages of one crawl in the order they are visited. `outcome` NULL: still to be visited.
CREATE TABLE frontier (
    crawl_id INTEGER NOT NULL REFERENCES crawls (id) ON DELETE CASCADE,
    ord      INTEGER NOT NULL,
    page_id  INTEGER NOT NULL,
    parent   INTEGER,
    depth    INTEGER NOT NULL,
    chain    INTEGER NOT NULL DEFAULT 0,
    outcome  TEXT,
    PRIMARY KEY (crawl_id, ord),
    UNIQUE (crawl_id, page_id)
) WITHOUT ROWID;
CREATE INDEX frontier_queue ON frontier (crawl_id, ord) WHERE outcome IS NULL;

-- The first page of a crawl that has this content, and how many pages share an address but for digits.
CREATE TABLE crawl_contents (
    crawl_id INTEGER NOT NULL REFERENCES crawls (id) ON DELETE CASCADE,
    version  TEXT NOT NULL,
    page_id  INTEGER NOT NULL,
    PRIMARY KEY (crawl_id, version)
) WITHOUT ROWID;
CREATE TABLE crawl_patterns (
    crawl_id INTEGER NOT NULL REFERENCES crawls (id) ON DELETE CASCADE,
    pattern  TEXT NOT NULL,
    pages    INTEGER NOT NULL,
    PRIMARY KEY (crawl_id, pattern)
) WITHOUT ROWID;

CREATE TRIGGER crawl_forget_source AFTER DELETE ON sources BEGIN
    DELETE FROM crawls WHERE source_id = OLD.id;
    DELETE FROM pages WHERE source_id = OLD.id;
END;
