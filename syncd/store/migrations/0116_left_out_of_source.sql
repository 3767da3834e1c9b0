-- A page of what was left out of one source, or of it failed, is read without stepping over other sources' documents. Counts are read of it as before.
DROP INDEX documents_not_indexed;
CREATE INDEX documents_not_indexed ON documents (collection_id, source_id, state, key) WHERE state <> 'indexed';
