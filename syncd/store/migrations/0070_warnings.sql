-- What was guessed, approximated or left out of a document: a JSON list of {code, message, count}. Documents from before have none
-- until they are prepared again.

ALTER TABLE documents ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';
ALTER TABLE prepared ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';
CREATE INDEX documents_with_warnings ON documents (collection_id, source_id, key) WHERE warnings <> '[]';
CREATE INDEX prepared_with_warnings ON prepared (collection_id, source_id, key) WHERE warnings <> '[]';
