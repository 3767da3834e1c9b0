-- What waits of each source, most urgent first: sources take turns.
CREATE INDEX invocations_waiting ON invocations (source_id, priority, seq) WHERE state IN ('pending', 'processing');
