-- A page of a collection's documents is read in the order of their keys, without sorting them all.
CREATE UNIQUE INDEX documents_by_key ON documents (collection_id, key, source_id);
CREATE UNIQUE INDEX prepared_by_key ON prepared (collection_id, key, source_id);
CREATE INDEX documents_left_out ON documents (collection_id, state, key, source_id) WHERE state <> 'indexed';

-- How soon changes became searchable is read of the index alone.
DROP INDEX documents_by_recording;
CREATE INDEX documents_by_recording ON documents (source_id, recorded_at, changed_at, collection_id) WHERE state = 'indexed';
