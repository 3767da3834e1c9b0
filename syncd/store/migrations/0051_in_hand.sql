-- Documents being parsed (`held`), and how often the daemon died with one in hand. Key and version are digests: whatever a
-- stranger calls a document can be kept here.

CREATE TABLE in_hand (
    source_id TEXT NOT NULL,
    key       BLOB NOT NULL,
    version   BLOB NOT NULL,
    held      INTEGER NOT NULL,
    deaths    INTEGER NOT NULL DEFAULT 0,
    condemned INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, key, version)
) WITHOUT ROWID;
