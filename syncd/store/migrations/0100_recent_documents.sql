-- The documents of a source that were indexed last, and when they had changed: read whenever sources are listed.
CREATE INDEX documents_by_recording ON documents (source_id, recorded_at, changed_at) WHERE state = 'indexed';
