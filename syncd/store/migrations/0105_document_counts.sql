-- The few documents that are not indexed are counted by state without reading the others.

CREATE INDEX documents_not_indexed ON documents (collection_id, source_id, state) WHERE state <> 'indexed';
